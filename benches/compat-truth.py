#!/usr/bin/env python3
"""Which migration streams of one QEMU version does another load? Ask the QEMUs, then judge `savevm-analyze compat` by it.

    compat-truth.py save  --root 7.2=PATH --root 10.0=PATH --out DIR    every machine that two or more versions share, at reset
    compat-truth.py save  ... --configs compat-holdout.tsv              these configurations instead, with devices and guests
    compat-truth.py dump  --root ... --out DIR                          what -dump-vmstate says, once for each version and arch
    compat-truth.py load  --root ... --out DIR                          every stream on every version: DIR/truth.tsv
    compat-truth.py summary --out DIR                                   the counts of truth.tsv, and its failures in classes
    compat-truth.py score BIN --out DIR --target dump|stream|both|dumps|dump-to-stream   BIN's answers against the truth; --say 7.2=7.2.22
    compat-truth.py score --checker vmstate-static-checker.py --out DIR the same for QEMU's script

A root is a directory with a whole tree in it, to which chroot goes (root's rights are needed), or / for this machine's
QEMU. Nothing in a root is written: streams go through pipes, QMP through a socket pair. Each command goes on where an
earlier run stopped; remove a file, or a row, to have it made again.

A machine is started paused with its defaults and nothing else. One that some version refuses to start is tried again with
`-accel qtest`, which needs no firmware and no kernel; that then holds for all versions of that machine. One that wants a
sound driver gets `-audio none`. A line of a file for --configs has arch, machine, name, text, arguments, between tabs: the
machine is started with the arguments and called MACHINE+NAME in all that follows; where there is a text, it runs until that
is on its standard output.

DIR/saves.tsv    arch, machine, version, extra arguments, "ok" or why there is no stream
DIR/streams/VERSION/ARCH-MACHINE.gz
DIR/dumps/VERSION/ARCH.json, and ARCH-MACHINE.json where a machine's dump was found to be another
DIR/truth.tsv    arch, machine, from, to, verdict, stderr, note
    verdict      load, fail (QEMU said so or left), crash (killed by a signal), timeout
    note         self: a version with its own stream, the control; suspect: a version of the pair fails its control"""
import argparse, collections, concurrent.futures, csv, json, os, re, socket, subprocess, sys, tempfile, threading, time

FIRST = ["x86_64", "aarch64", "ppc64", "s390x"]
BARE, SILENT = ["-accel", "qtest"], ["-audio", "none"]
START, LIMIT, BOOT = 30, 60, 240  # seconds until QMP answers, for a migration, and until a guest says that it is up

# The classes of QEMU's complaints; the first that matches anywhere names the failure.
CLASSES = [
    ("machine name", r"Machine type received is"),
    ("target page size", r"TARGET_PAGE_BITS|Unknown combination of migration flags"),
    ("capability", r"[Cc]apability .* is (on|off)"),
    ("unknown command", r"MIG_CMD 0x[0-9a-f]+ unknown"),
    ("unknown RAM block", r"Unknown ramblock"),
    ("RAM block size", r"Size mismatch: |Length mismatch: "),
    ("unknown section", r"Unknown (savevm )?section or instance"),
    ("section version", r"savevm: unsupported version"),
    ("field version", r"incoming version_id \d+ is too (old|new)"),
    ("cpreg list", r"cpreg|device 'cpu' \| qemu-system-(arm|aarch64): load of migration failed: Operation not permitted"),
    ("footer", r"Missing section footer|Mismatched section id|Section footer error"),
    ("bad value", r"Invalid value \d+ expecting"),
    ("not equal", r"!=|is not equal"),
    ("post-load check", r"post load hook failed"),
    ("unknown subsection", r"load of migration failed: No such file or directory"),
    ("load of a device", r"[Ee]rror while loading state"),
]

# What BIN and QEMU's script are asked; the only place that knows their arguments.
TARGETS = {
    "dump": ["{stream}", "{dump}"],
    "stream": ["{stream}", "{target}"],
    "both": ["{stream}", "{dump}", "--target-stream", "{target}"],
    "dumps": ["{saved_dump}", "{dump}"],
    "dump-to-stream": ["{saved_dump}", "{target}"],
}


class Died(Exception):
    pass


class Qemu:
    """One paused QEMU with a QMP connection. `fds` are inherited under their own numbers."""

    def __init__(self, root, arch, args, fds=()):
        self.sock, theirs = socket.socketpair()
        self.stderr, self.stdout = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        command = ([] if root == "/" else ["chroot", root]) + [f"qemu-system-{arch}", *args]
        command += ["-S", "-display", "none", "-nodefaults", "-no-user-config"]
        command += ["-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-qmp", "chardev:qmp"]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno(), *fds], stdin=subprocess.DEVNULL,
                                        stdout=self.stdout, stderr=self.stderr,
                                        env={**os.environ, "QEMU_AUDIO_DRV": "none"})  # 5.2 would try ALSA
        theirs.close()
        self.sock.settimeout(START)
        self.replies = self.sock.makefile("rb")

    def greet(self):
        self.line()
        self.qmp("qmp_capabilities")

    def line(self):
        try:
            line = self.replies.readline()
        except TimeoutError:
            raise Died("QMP does not answer")
        except OSError:
            line = b""
        if not line:
            raise Died("QEMU left")
        return json.loads(line)

    def qmp(self, execute, fd=None, **arguments):
        message = json.dumps({"execute": execute, "arguments": arguments}).encode()
        try:
            if fd is None:
                self.sock.sendall(message)
            else:
                socket.send_fds(self.sock, [message], [fd])
        except OSError:
            raise Died("QEMU left")
        while True:
            reply = self.line()
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise Died(reply["error"]["desc"])

    def migration(self):
        """How the migration ends: "completed", "failed", … or "timeout"."""
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            status = self.qmp("query-migrate").get("status", "none")
            if status in ("completed", "failed", "cancelled"):
                return status
            time.sleep(0.02)
        return "timeout"

    def run(self, text):
        """Lets the guest run until a text is on standard output."""
        self.qmp("cont")
        end = time.monotonic() + BOOT
        while time.monotonic() < end:
            self.stdout.seek(0)
            if text.encode() in self.stdout.read():
                return self.qmp("stop")
            if self.process.poll() is not None:
                raise Died("QEMU left")
            time.sleep(0.3)
        raise Died(f"the guest does not say {text!r}")

    def said(self):
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").replace("\t", " ").splitlines()
        return " | ".join(line.strip() for line in lines if line.strip())

    def stop(self):
        """The exit status, killing what does not leave by itself within a moment."""
        try:
            self.sock.sendall(b'{"execute": "quit"}')
        except OSError:
            pass
        try:
            status = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.replies.close()
        self.sock.close()
        return status


class Table:
    """A TSV that rows are appended to by several threads."""

    def __init__(self, path, columns):
        self.path, self.columns, self.lock = path, columns, threading.Lock()
        if not os.path.exists(path):
            with open(path, "w") as f:
                f.write("\t".join(columns) + "\n")

    def rows(self):
        with open(self.path, newline="") as f:
            return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))

    def add(self, *row):
        with self.lock, open(self.path, "a") as f:
            f.write("\t".join(row) + "\n")


def saves(out):
    return Table(f"{out}/saves.tsv", ["arch", "machine", "version", "extra", "result"])


def truth(out):
    return Table(f"{out}/truth.tsv", ["arch", "machine", "from", "to", "verdict", "stderr", "note"])


def stream_path(out, version, arch, machine):
    return f"{out}/streams/{version}/{arch}-{machine}.gz"


def dump_path(out, version, arch, machine):
    own = f"{out}/dumps/{version}/{arch}-{machine}.json"
    return own if os.path.exists(own) else f"{out}/dumps/{version}/{arch}.json"


def by_arch(archs):
    return sorted(archs, key=lambda a: (FIRST.index(a) if a in FIRST else len(FIRST), a))


def emulators(root):
    """The architectures of a root: its emulators but for second names (links) and cut-down builds (x86_64-microvm)."""
    folder = os.path.join(root, "usr/bin")
    names = [f for f in os.listdir(folder) if f.startswith("qemu-system-") and not os.path.islink(f"{folder}/{f}")]
    return {n[len("qemu-system-"):] for n in names if n.count("-") == 2}


def machines(root, arch):
    command = ([] if root == "/" else ["chroot", root]) + [f"qemu-system-{arch}", "-machine", "help"]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[1:]
    return [l.split()[0] for l in lines if l.strip() and "(alias of" not in l and l.split()[0] != "none"]


def at_once(jobs, work, items):
    """work(*item) for each, `jobs` at a time; one that raises is reported and does not stop the rest."""
    def guarded(item):
        try:
            work(*item)
        except Exception as e:
            print(f"{item}: {type(e).__name__}: {e}", file=sys.stderr, flush=True)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        list(pool.map(guarded, items))


# save


def plain_name(machine):
    """The argument of -machine; a configuration's name is ours."""
    return machine.split("+")[0]


def save_one(root, arch, machine, extra, path, until=""):
    """Writes the stream to `path` and answers "ok", or why there is none."""
    try:
        q = Qemu(root, arch, ["-machine", plain_name(machine), *extra])
    except OSError as e:
        return f"start: {e}"
    into = open(path, "wb")
    gzip = None
    try:
        q.greet()
        if until:
            q.run(until)
        gzip = subprocess.Popen(["gzip", "-6"], stdin=subprocess.PIPE, stdout=into)
        q.qmp("getfd", fd=gzip.stdin.fileno(), fdname="stream")
        gzip.stdin.close()
        q.qmp("migrate", uri="fd:stream")
        result = q.migration()
        result = "ok" if result == "completed" else f"migrate: {result}"
    except Died as e:
        result = f"{'start' if gzip is None else 'migrate'}: {e}"
    status = q.stop()
    if result != "ok":
        result += f" (status {status}): {q.said()}"[:400]
    if gzip:
        gzip.wait()
    into.close()
    if result != "ok":
        os.unlink(path)
    return result


def save(a):
    table = saves(a.out)
    done = {(r["arch"], r["machine"]) for r in table.rows()}
    roots = a.root
    for v in roots:
        os.makedirs(f"{a.out}/streams/{v}", exist_ok=True)

    def attempt(arch, machine, versions, base, suffix):
        """{version: (extra arguments, result)}; where a machine wants sound, it gets a silent one."""
        results = {}
        for v in versions:
            path = stream_path(a.out, v, arch, machine) + suffix
            results[v] = base, save_one(roots[v], arch, machine, base, path)
            if "audio driver" in results[v][1]:
                results[v] = base + SILENT, save_one(roots[v], arch, machine, base + SILENT, path)
        return results

    def one(arch, machine, versions):
        suffix, results = ".plain", attempt(arch, machine, versions, [], ".plain")
        good = [r for _, r in results.values()].count("ok")
        if good < len(versions):
            again = attempt(arch, machine, versions, BARE, ".bare")
            if [r for _, r in again.values()].count("ok") > good:
                suffix, results = ".bare", again
        for v, (extra, result) in results.items():
            path = stream_path(a.out, v, arch, machine)
            for made in (path + ".plain", path + ".bare"):
                if os.path.exists(made):
                    os.rename(made, path) if made.endswith(suffix) else os.unlink(made)
            table.add(arch, machine, v, " ".join(extra), result)

    def configured(arch, machine, until, extra, versions):
        for v in versions:
            result = save_one(roots[v], arch, machine, extra, stream_path(a.out, v, arch, machine), until)
            table.add(arch, machine, v, " ".join(extra), result)

    if a.configs:
        with open(a.configs) as f:
            lines = [l.rstrip("\n").split("\t") for l in f if l.strip() and not l.startswith("#")]
        todo = []
        for arch, machine, name, until, extra in lines:
            shared = [v for v, root in roots.items() if arch in emulators(root) and machine in machines(root, arch)]
            if (arch, f"{machine}+{name}") not in done and (not a.arch or arch in a.arch):
                todo.append((arch, f"{machine}+{name}", until, extra.split(), shared))
        return at_once(a.jobs, configured, todo)
    for arch in by_arch({arch for root in roots.values() for arch in emulators(root)}):
        if a.arch and arch not in a.arch:
            continue
        shared = collections.defaultdict(list)
        for v, root in roots.items():
            if arch in emulators(root):
                for m in machines(root, arch):
                    shared[m].append(v)
        at_once(a.jobs, one, [(arch, m, vs) for m, vs in shared.items() if len(vs) > 1 and (arch, m) not in done])


# dump


def dump(a):
    of = collections.defaultdict(list)
    for r in saves(a.out).rows():
        if r["result"] == "ok" and (not a.arch or r["arch"] in a.arch):
            of[r["version"], r["arch"]].append((r["machine"], r["extra"].split()))

    def ask(version, arch, machine, extra):
        root = a.root[version]
        command = ([] if root == "/" else ["chroot", root]) + [f"qemu-system-{arch}", "-machine", plain_name(machine)]
        command += ["-display", "none", "-nodefaults", "-no-user-config", "-S", "-dump-vmstate", "/proc/self/fd/1"]
        r = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT)
        if r.returncode:
            raise Died(f"{machine}: -dump-vmstate ends with status {r.returncode}")
        return r.stdout

    def plain(text):
        value = json.loads(text)
        value.pop("vmschkmachine", None)
        return value

    def one(version, arch):
        path = f"{a.out}/dumps/{version}/{arch}.json"
        if os.path.exists(path):
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        all_of = of[version, arch]
        step = max(1, (len(all_of) - 1) // max(1, a.check - 1))
        first, other = None, []
        picked = all_of[::step] if len(all_of) > a.check else all_of
        for machine, extra in picked:
            text = ask(version, arch, machine, extra)
            if first is None:
                first = text
            elif plain(text) != plain(first):
                other.append(machine)
                with open(f"{a.out}/dumps/{version}/{arch}-{machine}.json", "wb") as f:
                    f.write(text)
        with open(path, "wb") as f:
            f.write(first)
        print(f"dump {version} {arch}: {len(picked)} of {len(all_of)} machines asked, differ: {' '.join(other) or 'none'}", flush=True)

    at_once(a.jobs, one, sorted(of, key=lambda k: (by_arch({x for _, x in of}).index(k[1]), k[0])))


# load


def load_one(root, arch, machine, extra, path):
    """(verdict, stderr) of loading the stream at `path`."""
    gzip = subprocess.Popen(["gzip", "-dc", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    fd = gzip.stdout.fileno()
    q = Qemu(root, arch, ["-machine", plain_name(machine), *extra, "-incoming", f"fd:{fd}"], [fd])
    gzip.stdout.close()
    said, stuck = None, False
    try:
        q.greet()
        end = q.migration()
        verdict = {"completed": "load", "timeout": "timeout"}.get(end, "fail")
        said = q.said()
    except Died as e:
        verdict, stuck = "fail", "not answer" in str(e)
    status = q.stop()
    if verdict == "fail" and status < 0:
        verdict = "timeout" if stuck else "crash"
    gzip.kill()
    gzip.wait()
    return verdict, q.said() if said is None or verdict != "load" else said


def load(a):
    table = truth(a.out)
    done = {(r["arch"], r["machine"], r["from"], r["to"]): r["verdict"] for r in table.rows()}
    of = collections.defaultdict(dict)
    for r in saves(a.out).rows():
        if r["result"] == "ok" and (not a.arch or r["arch"] in a.arch):
            of[r["arch"], r["machine"]][r["version"]] = r["extra"].split()

    def one(arch, machine):
        versions = of[arch, machine]
        pairs = [(v, v) for v in versions] + [(v, w) for v in versions for w in versions if v != w]
        bad = set()
        for source, target in pairs if len(versions) > 1 else []:
            verdict = done.get((arch, machine, source, target))
            if verdict is None:
                stream = stream_path(a.out, source, arch, machine)
                verdict, said = load_one(a.root[target], arch, machine, versions[target], stream)
                note = "self" if source == target else "suspect" if bad & {source, target} else ""
                table.add(arch, machine, source, target, verdict, said, note)
            if source == target and verdict != "load":
                bad.add(source)

    order = by_arch({arch for arch, _ in of})
    at_once(a.jobs, one, sorted(of, key=lambda k: order.index(k[0])))


# summary


def error_class(row):
    if row["verdict"] != "fail":
        return row["verdict"]
    return next((name for name, pattern in CLASSES if re.search(pattern, row["stderr"])), "other" if row["stderr"] else "silent")


def counted(rows, key):
    of = collections.defaultdict(collections.Counter)
    for r in rows:
        of[key(r)][r["verdict"]] += 1
    return of


def summary(a):
    rows = [r for r in truth(a.out).rows() if not a.arch or r["arch"] in a.arch]
    own, pairs = [r for r in rows if r["note"] == "self"], [r for r in rows if r["note"] != "self"]
    verdicts = ["load", "fail", "crash", "timeout"]
    print(f"{len(pairs)} pairs ({sum(r['note'] == 'suspect' for r in pairs)} suspect), {len(own)} controls of which",
          f"{sum(r['verdict'] != 'load' for r in own)} do not load")
    for title, key in (("arch", lambda r: r["arch"]), ("versions", lambda r: r["from"] + " -> " + r["to"])):
        print("\n" + "\t".join([title, "pairs", *verdicts]))
        for name, of in sorted(counted(pairs, key).items()):
            print("\t".join([name, str(sum(of.values())), *(str(of[v]) for v in verdicts)]))
        total = collections.Counter(r["verdict"] for r in pairs)
        print("\t".join(["all", str(len(pairs)), *(str(total[v]) for v in verdicts)]))
    print("\nclass\tpairs\texample")
    of = collections.defaultdict(list)
    for r in pairs:
        of[error_class(r)].append(r)
    for name, rs in sorted(of.items(), key=lambda x: -len(x[1])):
        r = rs[0]
        print(f"{name}\t{len(rs)}\t{r['arch']} {r['machine']} {r['from']} -> {r['to']}: {r['stderr'][:300]}")


# score


def ask_tool(binary, target, files, version):
    """(answer, text of the findings). The answer is the verdict, where "may-break" wants a finding other than `unchecked`."""
    command = [binary, "compat", *(word.format(**files) for word in TARGETS[target]), "--format", "json"]
    command += ["--to-version", version] if version else []
    r = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    try:
        document = json.loads(r.stdout)
    except ValueError:
        return "no answer", f"status {r.returncode}: {r.stderr.strip()[:300]}"
    worst = [f for f in document["findings"] if f["verdict"] != "harmless"]
    worst.sort(key=lambda f: f["verdict"])  # what breaks is listed first
    text = " | ".join(f"{f['verdict']} {f['rule']} {f['path']}: {f['message']}" for f in worst)
    verdict = document["verdict"]
    if (r.returncode == 1) != (verdict == "incompatible"):
        return "no answer", f"status {r.returncode}: {text}"
    if verdict == "may-break" and all(f["rule"] == "unchecked" for f in worst):
        verdict = "compatible"
    return verdict, text


def ask_checker(checker, source, target):
    r = subprocess.run([sys.executable, checker, "-s", source, "-d", target], capture_output=True, text=True)
    if r.returncode and "Traceback" in r.stderr:
        return "no answer", r.stderr.strip().splitlines()[-1]
    return "incompatible" if r.returncode else "compatible", " | ".join(r.stdout.splitlines())


def score(a):
    if bool(a.binary) == bool(a.checker):
        sys.exit("score: give BIN, or --checker and QEMU's vmstate-static-checker.py")
    rows = [r for r in truth(a.out).rows() if r["note"] == "" or r["note"] == "self" and a.controls or r["note"] == "suspect" and a.suspect]
    rows = [r for r in rows if not a.arch or r["arch"] in a.arch]
    answers, asked = {}, {}

    def key(r):
        return r["arch"], r["machine"], r["from"], r["to"]

    def one(r):
        arch, machine, source, target = key(r)
        dumps = tuple(dump_path(a.out, v, arch, machine) for v in (source, target))
        if a.checker:  # it sees no stream: one answer serves every machine
            with locks[dumps]:
                if dumps not in asked:
                    asked[dumps] = ask_checker(a.checker, *dumps)
            answers[key(r)] = asked[dumps]
        else:
            files = {"stream": stream_path(a.out, source, arch, machine), "saved_dump": dumps[0], "dump": dumps[1]}
            files["target"] = stream_path(a.out, target, arch, machine)
            answers[key(r)] = ask_tool(os.path.abspath(a.binary), a.target, files, dict(a.say).get(target))

    locks = collections.defaultdict(threading.Lock)
    at_once(a.jobs, one, [(r,) for r in rows])
    rows = [r for r in rows if key(r) in answers]

    def outcome(r):
        answer, loads = answers[key(r)][0], r["verdict"] == "load"
        if answer == "no answer":
            return answer
        return "right" if loads == (answer != "incompatible") else "false" if loads else "missed"

    columns = ["pairs", "agree", "agree %", "load", "of them false alarms", "may-break", "fail", "of them missed", "but may-break"]
    titles = [("all", lambda r: "all"), ("arch", lambda r: r["arch"]), ("versions", lambda r: f"{r['from']} -> {r['to']}"), ("class", error_class)]
    for title, group in titles:
        table = collections.defaultdict(list)
        for r in rows:
            table[group(r)].append(r)
        print("\t".join([title, *columns, "no answer"]))
        for name, of in sorted(table.items(), key=lambda x: -len(x[1])):
            count = collections.Counter((r["verdict"] == "load", outcome(r), answers[key(r)][0] == "may-break") for r in of)
            total = lambda *want: sum(n for k, n in count.items() if all(w is None or w == x for w, x in zip(want, k)))
            right = total(None, "right", None)
            cells = [len(of), right, f"{100 * right / len(of):.1f}", total(True, None, None), total(True, "false", None), total(True, "right", True)]
            cells += [total(False, None, None), total(False, "missed", None), total(False, "missed", True), total(None, "no answer", None)]
            print("\t".join([name, *map(str, cells)]))
        print()
    with open(a.wrong, "w") as f:
        f.write("\t".join(["arch", "machine", "from", "to", "verdict", "outcome", "said", "class", "findings", "stderr"]) + "\n")
        for r in rows:
            if outcome(r) != "right":
                said, text = answers[key(r)]
                f.write("\t".join([*key(r), r["verdict"], outcome(r), said, error_class(r), " ".join(text.split())[:2000], r["stderr"]]) + "\n")
    print(f"the wrong ones: {a.wrong}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = p.add_subparsers(dest="command", required=True)

    def root(text):
        name, _, path = text.partition("=")
        if not path:
            raise argparse.ArgumentTypeError("expected NAME=PATH")
        return name, path

    for name, run in (("save", save), ("dump", dump), ("load", load), ("summary", summary), ("score", score)):
        c = commands.add_parser(name)
        c.set_defaults(run=run)
        c.add_argument("--out", required=True, metavar="DIR")
        c.add_argument("--arch", action="append", metavar="ARCH", help="only this one (may be repeated)")
        if name not in ("summary",):
            c.add_argument("--jobs", type=int, default=2)
        if name in ("save", "dump", "load"):
            c.add_argument("--root", action="append", required=True, type=root, metavar="NAME=PATH")
        if name == "save":
            c.add_argument("--configs", metavar="FILE", help="configurations to save, in place of all machines")
        if name == "dump":
            c.add_argument("--check", type=int, default=5, help="ask so many machines whether their dumps are the same")
        if name == "score":
            c.add_argument("binary", nargs="?", metavar="BIN")
            c.add_argument("--checker", metavar="SCRIPT", help="judge vmstate-static-checker.py on the dumps instead")
            c.add_argument("--target", choices=list(TARGETS), default="dump")
            c.add_argument("--say", action="append", default=[], type=root, metavar="NAME=VERSION", help="tell BIN the version of a target")
            c.add_argument("--suspect", action="store_true", help="count the pairs whose controls fail too")
            c.add_argument("--controls", action="store_true", help="count the controls too")
            c.add_argument("--wrong", default="wrong.tsv", metavar="FILE")
    a = p.parse_args()
    if "root" in a:
        a.root = dict(a.root)
    os.makedirs(a.out, exist_ok=True)
    a.run(a)


if __name__ == "__main__":
    main()
