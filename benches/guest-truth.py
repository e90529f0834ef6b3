#!/usr/bin/env python3
"""Does `savevm-analyze` say of a saved Linux guest what the guest said of itself?

    guest-truth.py compare BIN DIR... [--only sym,ps] [--forms stream,qcow2] [--differences N]
    guest-truth.py rows DIR WHAT       the truth as a table; WHAT is sym, dmesg, ps, lsmod, net, sockets, files, mounts, bt
    guest-truth.py section DIR NAME    a section of truth.txt as it is; without NAME, their names

DIR is what guest-truth/save.py wrote: truth.txt, meta.json and the state in one or more forms. For each form and each
command there is a line: how many rows the guest printed, and "same", or how many rows differ with the first of them, and the exit status.
Rows that a guest cannot keep still (workers of the kernel, counters) are compared in what cannot change.
The exit status is 1 if anything differs."""
import argparse, collections, ipaddress, json, pathlib, re, signal, subprocess, sys, time

TICK = 10_000_000  # nanoseconds of a clock tick in /proc/PID/stat


# ---- the truth ----

class Truth:
    """truth.txt: sections with a name and a length"""
    def __init__(self, directory):
        data = (pathlib.Path(directory) / "truth.txt").read_bytes()
        self.sections, at = {}, 0
        while data.startswith(b"@@@BEGIN ", at):
            line = data.index(b"\n", at)
            name, length = data[at + 9:line].rsplit(b" ", 1)
            content = data[line + 1:line + 1 + int(length)]
            self.sections[name.decode()] = content
            end = b"\n@@@END " + name + b"\n"
            if data[line + 1 + int(length):][:len(end)] != end:
                raise ValueError(f"truth.txt: section {name.decode()} does not end where it should")
            at = line + 1 + int(length) + len(end)
        if not data.startswith(b"@@@EOF\n", at):
            raise ValueError("truth.txt has no end")
        self.witness = int(self.sections["witness"])

    def text(self, name):
        return self.sections.get(name, b"").decode(errors="replace")

    def lines(self, name):
        return self.text(name).splitlines()

    def tasks(self):
        """(pid, tid) of every task that was there, but for the witness"""
        for name in self.sections:
            m = re.fullmatch(r"pid/(\d+)/task/(\d+)/stat", name)
            if m and int(m[1]) != self.witness:
                yield int(m[1]), int(m[2])

    def processes(self):
        for name in self.sections:
            m = re.fullmatch(r"pid/(\d+)/links", name)
            if m and int(m[1]) != self.witness:
                yield int(m[1])

    def of_task(self, pid, tid, what):
        return self.text(f"pid/{pid}/task/{tid}/{what}")

    def status(self, pid, tid):
        return dict(l.split(":\t", 1) for l in self.of_task(pid, tid, "status").splitlines() if ":\t" in l)

    def stat(self, pid, tid):
        """the fields after the name, the state first"""
        return self.of_task(pid, tid, "stat").rpartition(")")[2].split()

    def comm(self, pid, tid):
        """the name as the kernel keeps it: what a worker works for is added by /proc only"""
        name = self.of_task(pid, tid, "comm").removesuffix("\n")
        return re.sub(r"^(kworker/[^-+]*)[-+].*", r"\1", name)

    def links(self, pid):
        return dict(l.split(" ", 1) for l in self.lines(f"pid/{pid}/links"))

    def space(self, pid, kind):
        """the number of its namespace"""
        return int(re.search(r"\d+", self.links(pid)["ns/" + kind])[0])

    def first_of_space(self, kind):
        """PIDs whose mount or network namespace was printed"""
        return sorted({int(m[1]) for m in (re.match(kind + r"/(\d+)", n) for n in self.sections) if m})


def plain(text):
    r"""what the witness wrote as \xNN"""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode()).decode(errors="replace")


def octal(text):
    r"""what the kernel wrote as \NNN"""
    return re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), text.encode()).decode(errors="replace")


class About:
    """a number that may have grown, or that the kernel itself knows but roughly"""
    def __init__(self, value, below, above):
        self.value, self.below, self.above = value, below, above

    def __eq__(self, other):
        return isinstance(other, (int, float)) and self.value - self.below <= other <= self.value + self.above

    def __repr__(self):
        return f"about {self.value}"


class OneOf:
    def __init__(self, *values):
        self.values = values

    def __eq__(self, other):
        return other in self.values

    def __repr__(self):
        return " or ".join(map(repr, self.values))


class Rows:
    """key -> {field: value}; keys in `restless` may be missing, and keys that `stray` accepts may be there in addition"""
    def __init__(self):
        self.rows, self.restless, self.stray = {}, set(), lambda key, row: False

    def __setitem__(self, key, row):
        n = 1
        while (key if n == 1 else (*key, f"#{n}")) in self.rows:
            n += 1
        self.rows[key if n == 1 else (*key, f"#{n}")] = row


def truth_sym(t):
    r = Rows()
    for line in t.lines("proc/kallsyms"):
        if "\t[" not in line:
            address, kind, name = line.split(" ", 2)
            r[int(address, 16), kind, name] = {}
    if sum(key[1] in "Dd" for key in r.rows) < 100:  # a kernel without CONFIG_KALLSYMS_ALL; it exports some of its variables to modules
        r.stray = lambda key, row: key[1] == "D"
    return r


def truth_dmesg(t):
    r, n = Rows(), 0
    for line in t.sections["kmsg"].decode(errors="replace").split("\n"):
        if line and not line.startswith(" "):
            head, text = line.split(";", 1)
            priority, seq, usec = head.split(",")[:3]
            r[n,] = {"seq": int(seq), "usec": int(usec), "level": int(priority) & 7, "facility": int(priority) >> 3, "text": plain(text)}
            n += 1
    return r


def truth_ps(t):
    r = Rows()
    for pid, tid in t.tasks():
        stat, status, name = t.stat(pid, tid), t.status(pid, tid), t.comm(pid, tid)
        words = t.sections.get(f"pid/{pid}/task/{tid}/cmdline", b"") if pid == tid else None
        kernel = bool(int(stat[6]) & 0x200000)
        moving = kernel or name == "tail"
        row = {"pid": pid, "parent": int(status["PPid"]), "uid": int(status["Uid"].split()[0]), "name": OneOf(name, name[:15]) if kernel else name, "kernel_thread": kernel, "start_ticks": int(stat[19])}
        if not moving:
            row["state"] = stat[0]
            if pid != 1:  # it was awake when the witness ended
                row["cpu"] = int(stat[36])
        if words is not None:
            row["arguments"] = [w.decode(errors="replace") for w in words.removesuffix(b"\0").split(b"\0")] if words else None
        if "VmRSS" in status:
            row["resident_kib"] = About(int(status["VmRSS"].split()[0]), 256, 256)  # kept by each processor for itself, summed up now and then
        if name.startswith(("busy-",)):
            row.pop("state"), row.pop("resident_kib")
        r[tid,] = row
        if name.startswith("kworker/"):
            r.restless.add((tid,))
    r.stray = lambda key, row: str(row.get("name", "")).startswith("kworker/")
    return r


def truth_lsmod(t):
    r = Rows()
    for line in t.lines("proc/modules"):
        name, size, count, users, state, address, *taint = line.split()
        count = int(count) - (name == "virtio_blk")  # the witness has its disk open
        r[name,] = {"size": int(size), "references": count, "used_by": sorted(u for u in users.split(",") if u not in ("-", "", "[permanent]")),
                    "state": state.lower(), "address": int(address, 16)}
    return r


FLAGS = {"UP": 1, "BROADCAST": 2, "LOOPBACK": 8, "POINTOPOINT": 0x10, "NOARP": 0x80, "MULTICAST": 0x1000}  # those that do not depend on who counts


def truth_net(t):
    """interfaces: by `ip addr` in the first network namespace, by name in others"""
    r, first = Rows(), t.space(1, "net")
    for line in t.lines("ip-addr"):
        m = re.match(r"(\d+): ([^:@]+)(?:@([^:]+))?: <([^>]*)> mtu (\d+)", line)
        if m:
            flags = m[4].split(",")
            r[first, m[2]] = row = {"index": int(m[1]), "flags": sum(FLAGS[f] for f in flags if f in FLAGS), "mtu": int(m[5]), "mac": None, "addresses": []}
            if "UP" not in flags:
                row["state"] = "down"
            continue
        word = line.split()
        if word and word[0].startswith("link/") and len(word) > 1 and ":" in word[1]:
            row["mac"] = word[1]
        elif word and word[0] in ("inet", "inet6"):
            row["addresses"].append(word[1])
    for line in t.lines("net-state"):
        name, _, _, state = line.split()
        r.rows[first, name]["state"] = state
    for row in r.rows.values():
        row["addresses"].sort()
    for space in t.first_of_space("net"):
        for line in t.lines(f"net/{space}/dev")[2:]:
            if space != 1:
                r[t.space(space, "net"), line.split(":")[0].strip()] = {}
    return r


TCP = "? established syn-sent syn-received fin-wait-1 fin-wait-2 time-wait closed close-wait last-ack listening closing syn-received".split()


def endpoint(text, order):
    """an address as /proc/net has it: words of the machine's own byte order"""
    host, port = text.split(":")
    words = b"".join(int(host[i:i + 8], 16).to_bytes(4, order) for i in range(0, len(host), 8))
    return f"{ipaddress.ip_address(words)} {int(port, 16)}"


def order_of(t):
    return "big" if "IBM/S390" in t.text("proc/cpuinfo") else "little"


def truth_sockets(t):
    """all sockets that /proc/net shows, in every network namespace that was printed"""
    r, order = Rows(), order_of(t)
    owners = collections.defaultdict(list)
    for pid in t.processes():
        for line in t.lines(f"pid/{pid}/fd"):
            m = re.match(r"(\d+).* socket:\[(\d+)\]$", line)
            if m:
                owners[int(m[2])].append((pid, int(m[1])))
    of = lambda inode: sorted(owners.pop(inode)) if inode and inode in owners else []
    for first in t.first_of_space("net"):
        space = t.space(first, "net")
        for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp"):
            for line in t.lines(f"net/{first}/{kind}")[1:]:
                w = line.split()
                state, inode = TCP[int(w[3], 16)], int(w[9])
                sent, received = (int(n, 16) for n in w[4].split(":"))
                row = {"state": state if kind.startswith("tcp") or state == "established" else "unconnected", "uid": int(w[7]), "inode": inode, "owners": of(inode)}
                if kind not in ("raw", "raw6"):  # packets may still come
                    row["received"] = received
                if kind.startswith("tcp") and state != "listening":
                    row["sent"] = sent
                r[space, kind, endpoint(w[1], order), endpoint(w[2], order)] = row
        for line in t.lines(f"net/{first}/unix")[1:]:
            w = line.split(None, 7)
            inode = int(w[6])
            state = "listening" if int(w[3], 16) & 0x10000 else {1: "unconnected", 2: "established", 3: "established", 4: "unconnected"}[int(w[5], 16)]
            r[space, "unix", inode, w[7] if len(w) > 7 else ""] = {"type": {1: "stream", 2: "dgram", 5: "seqpacket"}[int(w[4], 16)], "state": state, "owners": of(inode)}
        for line in t.lines(f"net/{first}/packet")[1:]:
            w = line.split()
            r[space, "packet", int(w[8])] = {"type": {2: "dgram", 3: "raw"}[int(w[2])], "local": w[4], "uid": int(w[7]), "owners": of(int(w[8]))}
        for line in t.lines(f"net/{first}/netlink")[1:]:
            w = line.split()
            r[space, "netlink", int(w[9])] = {"local": w[2], "owners": of(int(w[9]))}
    rest = {inode for inode in owners}  # sockets of processes that are in no table
    r.stray = lambda key, row: row.get("inode") in rest or key[1] == "netlink" and not row["owners"]
    return r


def truth_files(t):
    """open files of each process, and its places"""
    r = Rows()
    for pid in t.processes():
        links = t.links(pid)
        for place in ("cwd", "root", "exe"):
            if not links[place].startswith("!"):
                r[pid, place] = {"path": plain(links[place])}
        for line in t.lines(f"pid/{pid}/fd"):
            m = re.match(r"(\d+)(?: mode=(\d+),dev=(\d+),ino=(\d+),size=(-?\d+),rdev=(\d+))? (.*)$", line)
            info = dict(l.split(":", 1) for l in t.lines(f"pid/{pid}/fdinfo/{m[1]}") if ":" in l)
            path = plain(m[7])
            row = {"path": path, "flags": int(info.get("flags", "0"), 8)}
            if not path.startswith(("/var/log", "/dev/kmsg", "/proc/kmsg")):
                row["position"] = int(info.get("pos", "0"))
            if "mnt_id" in info:
                row["mount"] = int(info["mnt_id"])
            if m[2]:
                row["inode"] = int(m[4])
            r[pid, int(m[1])] = row
    known = set(t.processes())

    def stray(key, row):
        """a worker of the kernel that is new; what the busy process opened after the witness had ended"""
        return key[0] not in known and row["path"] == "/" or row["path"] == "/dev/zero" and t.comm(key[0], key[0]) == "busy-in-kernel"

    r.stray = stray
    return r


def truth_mounts(t):
    r = Rows()
    for first in t.first_of_space("mountinfo"):
        for line in t.lines(f"mountinfo/{first}"):
            before, after = line.split(" - ", 1)
            number, parent, device, root, point, options = before.split()[:6]
            kind, source, data = (after.split(" ") + [""])[:3]
            r[t.space(first, "mnt"), int(number)] = {"parent": int(parent), "device": device, "root": octal(root), "mount_point": octal(point), "type": kind, "source": octal(source),
                                                     "read_only": "ro" in data.split(","), "options": sorted(options.split(","))}
    r.stray = lambda key, row: row["type"] in ("rootfs", "nullfs") and row["mount_point"] == "/"  # the mount below the root of a process is not in its mountinfo
    return r


class EndsWith:
    """/proc leaves out the scheduler, which is on top of all stacks of tasks that wait"""
    def __init__(self, frames):
        self.frames = frames

    def __eq__(self, other):
        return isinstance(other, list) and other[-len(self.frames):] == self.frames

    def __repr__(self):
        return " < ".join(self.frames)


def truth_bt(t):
    """the kernel's part of the stacks, of tasks that do not run"""
    r = Rows()
    for pid, tid in t.tasks():
        frames = re.findall(r"^\[<0>\] (\S+?)(?:/0x[0-9a-f]+)?(?: \[\S+\])?$", t.of_task(pid, tid, "stack"), re.M)
        if frames and t.stat(pid, tid)[0] not in "RZ" and not t.comm(pid, tid).startswith("busy-"):
            r[tid,] = {"frames": EndsWith(frames[frames[0].startswith("__switch_to+"):])}  # arm64 before 5.15 keeps that one
            if int(t.stat(pid, tid)[6]) & 0x200000:
                r.restless.add((tid,))
    r.stray = lambda key, row: True
    return r


# ---- the answers ----

def answer_sym(doc):
    r = Rows()
    for s in doc["symbols"]:
        r[int(s["address"], 16), s["type"], s["name"]] = {}
    return r


def answer_dmesg(doc):
    r = Rows()
    for n, x in enumerate(doc["records"]):
        seconds, nanoseconds = x["time"].split(".")
        r[n,] = {"usec": int(seconds) * 1_000_000 + int(nanoseconds) // 1000, **{k: x[k] for k in ("seq", "level", "facility", "text") if k in x}}
    return r


def answer_ps(doc):
    r = Rows()
    for x in doc["tasks"]:
        row = {k: x[k] for k in ("pid", "parent", "uid", "name", "kernel_thread", "state", "cpu") if k in x}
        row["start_ticks"] = x["started_ns"] // TICK
        if x["pid"] == x["tid"]:
            row["arguments"] = x.get("arguments")
        if x.get("resident_pages") is not None:
            row["resident_kib"] = x["resident_pages"] * 4
        r[x["tid"],] = row
    return r


def answer_lsmod(doc):
    r = Rows()
    for x in doc["modules"]:
        r[x["name"],] = {"size": x["bytes"], "references": x["references"], "used_by": sorted(x["users"]), "state": x["state"].lower(), "address": int(x["base"], 16)}
    return r


def answer_net(doc):
    r = Rows()
    for n in doc["namespaces"]:
        for x in n["interfaces"]:
            r[n["inode"], x["name"]] = {"index": x["index"], "flags": int(x["flags"], 16) & sum(FLAGS.values()), "mtu": x["mtu"], "mac": x["hardware_address"] or None, "state": x["state"],
                                        "addresses": sorted(f"{ipaddress.ip_address(a['address'])}/{a['prefix']}" for a in x["addresses"])}
    return r


def answer_sockets(doc):
    r = Rows()
    for n in doc["namespaces"]:
        for x in n["sockets"]:
            kind, inode = x["protocol"], x["inode"]
            row = {"type": x["type"], "state": x["state"], "uid": x["uid"], "inode": inode, "received": x["receive_queue"], "sent": x["send_queue"],
                   "local": x.get("local"), "owners": sorted((o["pid"], o["fd"]) for o in x["owners"])}
            if kind == "unix":
                key = (inode, x.get("local") or "")
            elif kind in ("packet", "netlink"):
                key = (inode,)
            else:
                ends = [(x.get(e) or ":").rpartition(":") for e in ("local", "peer")]
                key = tuple(f"{ipaddress.ip_address(host.strip('[]')) if host else ''} {port}" for host, _, port in ends)
            r[(n["inode"], kind, *key)] = row
    return r


def answer_files(doc):
    r = Rows()
    for x in doc["processes"]:
        for place in ("cwd", "root", "exe"):
            if x[place] is not None:
                r[x["pid"], place] = {"path": x[place]}
        for f in x["files"]:
            r[x["pid"], f["fd"]] = {"path": f["path"], "flags": int(f["flags"], 8), "position": f["position"], "mount": f["mount"], "inode": f["inode"]}
    return r


def answer_mounts(doc):
    r = Rows()
    for n in doc["namespaces"]:
        for x in n["mounts"]:
            r[n["inode"], x["id"]] = {"parent": x["parent"], "device": x["device"], "root": x["root"], "mount_point": x["target"], "type": x["type"], "source": x["source"],
                                      "read_only": x["read_only"], "options": sorted(x["options"])}
    return r


def answer_bt(doc):
    r = Rows()
    for x in doc["stacks"]:
        if "cpu" not in x:
            r[x["tid"],] = {"frames": [f"{f['symbol']}+{f['offset']}" if f.get("symbol") else f["pc"] for f in x["frames"]]}
    return r


# name -> the words of the command, the truth, the answer; add a command here and its two readers above
COMMANDS = {
    "sym": (["linux", "sym"], truth_sym, answer_sym),
    "dmesg": (["dmesg"], truth_dmesg, answer_dmesg),
    "ps": (["linux", "ps", "--threads"], truth_ps, answer_ps),
    "lsmod": (["linux", "lsmod"], truth_lsmod, answer_lsmod),
    "net": (["linux", "net"], truth_net, answer_net),
    "sockets": (["linux", "net"], truth_sockets, answer_sockets),
    "files": (["linux", "files"], truth_files, answer_files),
    "mounts": (["linux", "files", "--mounts"], truth_mounts, answer_mounts),
    "bt": (["linux", "bt", "--all"], truth_bt, answer_bt),
}
TRUTHS = {"sym": truth_sym, "dmesg": truth_dmesg, "ps": truth_ps, "lsmod": truth_lsmod, "net": truth_net, "sockets": truth_sockets, "files": truth_files, "mounts": truth_mounts, "bt": truth_bt}


# ---- the comparison ----

def compare(truth, answer):
    """the differences as lines; a field that the answer does not have is a difference only if no row has it"""
    out = []
    known = {f for row in answer.rows.values() for f in row}
    lacking = {f for row in truth.rows.values() for f in row} - known
    if lacking and answer.rows:
        out.append(f"no row has {', '.join(sorted(lacking))}")
    for key, row in truth.rows.items():
        if key not in answer.rows:
            if key not in truth.restless:
                out.append(f"{show(key)} is missing: {row}")
            continue
        got = answer.rows[key]
        wrong = [f"{f} is {row[f]!r}, not {got.get(f)!r}" for f in row if f in known and row[f] != got.get(f)]
        if wrong and key not in truth.restless:
            out.append(f"{show(key)}: {'; '.join(wrong)}")
    out += [f"{show(key)} is not in the guest: {row}" for key, row in answer.rows.items() if key not in truth.rows and not truth.stray(key, row)]
    return out


def show(key):
    return " ".join(f"{k:#x}" if isinstance(k, int) and k > 1 << 31 else str(k) for k in key)


def ask(binary, words, state):
    start = time.time()
    p = subprocess.run([binary, *words, str(state), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    took = time.time() - start
    try:
        return json.loads(p.stdout), p.returncode, took, ""
    except ValueError:
        return None, p.returncode, took, (p.stderr.decode(errors="replace").strip().splitlines() or ["no output"])[0]


def run_compare(a):
    wrong = 0
    for directory in map(pathlib.Path, a.directories):
        meta, truth = json.loads((directory / "meta.json").read_text()), Truth(directory)
        truths = {}
        for form, file in meta["forms"].items():
            if a.forms and form not in a.forms.split(","):
                continue
            asked = {}
            for name, (words, true, answered) in COMMANDS.items():
                if a.only and name not in a.only.split(","):
                    continue
                rows = truths.setdefault(name, None) or true(truth)
                truths[name] = rows
                if tuple(words) not in asked:
                    asked[tuple(words)] = ask(a.binary, words, directory / file)
                doc, status, took, why = asked[tuple(words)]
                differences = compare(rows, answered(doc)) if doc is not None else [f"no answer, status {status}: {why}"]
                verdict = "same" if not differences else "%d differ" % len(differences)
                print(f"{directory.name}\t{form}\t{name}\t{len(rows.rows)}\t{verdict}\tstatus {status}\t{took:.2f} s", flush=True)
                for d in differences[:a.differences]:
                    print(f"    {d[:600]}")
                wrong += bool(differences)
    return 1 if wrong else 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="what", required=True)
    c = sub.add_parser("compare")
    c.add_argument("binary")
    c.add_argument("directories", nargs="+")
    c.add_argument("--only")
    c.add_argument("--forms")
    c.add_argument("--differences", type=int, default=5)
    c = sub.add_parser("rows")
    c.add_argument("directory")
    c.add_argument("rows", choices=TRUTHS)
    c = sub.add_parser("section")
    c.add_argument("directory")
    c.add_argument("name", nargs="?")
    a = p.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if a.what == "compare":
        return run_compare(a)
    t = Truth(a.directory)
    if a.what == "rows":
        for key, row in TRUTHS[a.rows](t).rows.items():
            print(show(key), *(f"{k}={v:#x}" if k == "address" else f"{k}={v!r}" for k, v in row.items()), sep="\t")
    elif a.name:
        sys.stdout.buffer.write(t.sections[a.name])
    else:
        print("\n".join(f"{n} {len(c)}" for n, c in t.sections.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
