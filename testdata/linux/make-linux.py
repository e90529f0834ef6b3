#!/usr/bin/env python3
"""Reduces whole streams of Linux guests to what the questions of `linux` and `dmesg` need, and puts beside them what the guests said of themselves.

usage: make-linux.py NAME=DIR...

DIR has state.mig.zst, the stream of the stopped guest, and truth.txt, what its last process read in /proc before it waited: sections
"@@@BEGIN NAME LENGTH", the content, "@@@END NAME". `what_is_read` of ../../tests/linux.rs says which bytes of memory stay; other bytes of
the kernel's image are zero, as it is searched, and all other pages are left out. The device sections stay. CARGO_ARGS are further words
for cargo test.
"""
import importlib.util, os, re, struct, subprocess, sys, tempfile
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("booted", HERE + "/../booted/make-booted.py")
booted = importlib.util.module_from_spec(spec); spec.loader.exec_module(booted)
# sections that tests/linux.rs reads
WANTED = r"witness|proc/modules|ip-addr|kmsg|mountinfo/\d+|net/\d+/(tcp6?|udp6?|raw6?|unix|dev)|pid/\d+/(links|fd|task/\d+/(stat|cmdline|comm|stack))|pid/\d+/fdinfo/\d+"
PAGE, MEMORY = 4096, 256 << 20

def sections(data):
    at = 0
    while data.startswith(b"@@@BEGIN ", at):
        line = data.index(b"\n", at)
        name, length = data[at + 9:line].rsplit(b" ", 1)
        content = data[line + 1:line + 1 + int(length)]
        yield name.decode(), content
        at = data.index(b"\n", line + 1 + int(length) + 1) + 1

def truth(data):
    """the sections that are compared; of the symbols only how many there are and a sum, for they are many"""
    out = b""
    for name, content in sections(data):
        if name == "proc/kallsyms":
            own = [l for l in content.split(b"\n") if l and b"\t[" not in l]
            lines = sorted(b"%x " % int(l.split(b" ", 1)[0], 16) + l.split(b" ", 1)[1] for l in own)
            total = 0
            for l in lines:
                h = 0xcbf29ce484222325
                for b in l: h = (h ^ b) * 0x100000001b3 & (1 << 64) - 1
                total = total + h & (1 << 64) - 1
            content = b"%d %016x\n" % (len(lines), total)
        elif name == "pid/1/task/1/status": name, content = "uids", b""
        elif not re.fullmatch(WANTED, name): continue
        if name != "uids": out += b"@@@BEGIN %s %d\n%s\n@@@END %s\n" % (name.encode(), len(content), content, name.encode())
    uids = b"".join(b"%s %s %s\n" % (m[1].encode(), *(re.search(rb"^%s:\t(\d+)" % k, c, re.M)[1] for k in (b"PPid", b"Uid")))
                    for n, c in sections(data) if (m := re.fullmatch(r"pid/\d+/task/(\d+)/status", n)))
    return out + b"@@@BEGIN uids %d\n%s\n@@@END uids\n@@@EOF\n" % (len(uids), uids)

def main(args):
    for name, where in (a.split("=", 1) for a in args):
        stream = subprocess.run(["zstd", "-qdc", where + "/state.mig.zst"], capture_output=True, check=True).stdout
        with tempfile.NamedTemporaryFile(suffix=".mig") as whole:
            whole.write(stream); whole.flush()
            out = subprocess.run(["cargo", "test", "-q", "--all-features", *os.environ.get("CARGO_ARGS", "").split(), "--test", "linux", "--", "--ignored", "--nocapture", "what_is_read"],
                                 cwd=HERE + "/../..", env={**os.environ, "GUEST": whole.name}, stdout=subprocess.PIPE, text=True, check=True).stdout
        ranges = {tuple(int(n, 16) for n in m) for m in re.findall(r"range (0x[0-9a-f]+) (0x[0-9a-f]+)", out)}
        ranges |= {(int(n, 16), 0) for n in re.findall(r"zero (0x[0-9a-f]+)", out)}
        ranges = {(a, min(n, MEMORY - a)) for a, n in ranges if a < MEMORY}
        block = next(b for b in (b"pc.ram", b"mach-virt.ram") if b in stream[:8192])
        small, counts = reduce(stream, ranges, block)
        file = f"{HERE}/{name}.mig.zst"
        subprocess.run(["zstd", "-q", "--ultra", "-22", "-f", "-o", file], input=small, check=True)
        facts = truth(open(where + "/truth.txt", "rb").read())
        subprocess.run(["zstd", "-q", "-19", "-f", "-o", f"{HERE}/{name}.truth.txt.zst"], input=facts, check=True)
        print(name, len(small), os.path.getsize(file), len(facts), os.path.getsize(f"{HERE}/{name}.truth.txt.zst"), counts)

def reduce(stream, ranges, block):
    """As `booted.reduce`, with pages of zeros in a short form."""
    small, counts = booted.reduce(stream, ranges, block)
    # a page that has but zeros is a record of one byte
    head, out, at = bytes([len(block)]) + block, bytearray(), 0
    reduced = re.compile(rb"(.{8})" + re.escape(head) + rb"\0{%d}" % PAGE, re.S)
    for m in reduced.finditer(small):
        word = struct.unpack(">Q", m[1])[0]
        if word & PAGE - 1 != 0x08: continue
        out += small[at:m.start()] + struct.pack(">Q", word & -PAGE | 0x02) + head + b"\0"
        at = m.end()
    return bytes(out + small[at:]), counts

if __name__ == "__main__": main(sys.argv[1:])
