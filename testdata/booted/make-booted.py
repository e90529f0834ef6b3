#!/usr/bin/env python3
"""Makes the streams beside this file: Linux guests with their own virtio drivers, reduced to what belongs to the devices, with QEMU's answers.

usage: make-booted.py --kernel FILE --busybox FILE --modules DIR [--qemu VERSION=PREFIX]... [--shared DIR=INSIDE] [--keep DIR] [--out DIR] [NAME-REGEX]

PREFIX is what stands before the architecture in the emulator's command, as for ../make-fixtures.py, whose VM this uses. Kernel, static
busybox and modules are those of a distribution for amd64 (Debian: linux-image-cloud-amd64, busybox-static); ./init is the guest's first
process. DIR is where the initramfs is put, INSIDE what the emulator calls it. --keep keeps the whole streams too.

Of the stream all is kept but the pages of memory: only those with descriptors and rings stay, and of them only the bytes of these. So
there is neither firmware nor a kernel in it, nor anything that the guest read, wrote or sent.
"""
import argparse, glob, gzip, importlib.util, json, os, re, shutil, socket, struct, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("driven", HERE + "/../driven/make-driven.py")
driven = importlib.util.module_from_spec(spec); spec.loader.exec_module(driven)
fixtures = driven.fixtures
for name, size in (("vda", 32 << 20), ("sda", 8 << 20)): fixtures.FILES[name] = lambda size=size: bytes(size)

DRIVERS = "virtio_pci virtio_net virtio_blk virtio_scsi sd_mod virtio-rng virtio_console virtio_balloon virtio_input".split()
def vectors():
    """A program that puts a pattern into the registers of x87 and AVX, and then turns in circles."""
    code = bytes.fromhex("d9eb d9e8 d9ee 488d3500000000")      # fldpi, fld1, fldz, lea rsi, [rip + what follows]
    for n in range(16): code += bytes([0xc5, 0xfe if n < 8 else 0x7e, 0x6f, 0x46 | (n & 7) << 3, n])     # vmovdqu ymmN, [rsi + N]
    code += b"\xeb\xfe"
    at = code.index(b"\x48\x8d\x35") + 3; code = code[:at] + struct.pack("<I", len(code) - at - 4) + code[at + 4:] + bytes(range(0x41, 0x71))
    base = 0x400000; elf = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, base + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return elf + struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, 120 + len(code), 120 + len(code), 4096) + code
def initramfs(modules, busybox, out):
    have = {os.path.basename(p)[:-3].replace("-", "_"): p for p in glob.glob(modules + "/**/*.ko", recursive=True)}; order = []
    def add(m):
        m = m.replace("-", "_")
        if m not in have or m in order: return
        for d in re.search(rb"depends=([^\0]*)", open(have[m], "rb").read()).group(1).decode().split(","): add(d)
        order.append(m)
    for m in DRIVERS: add(m)
    with tempfile.TemporaryDirectory() as t:
        for d in ("bin", "dev", "proc", "sys", "modules"): os.mkdir(f"{t}/{d}")
        shutil.copy(busybox, t + "/bin/busybox"); os.symlink("busybox", t + "/bin/sh"); shutil.copy(HERE + "/init", t + "/init"); os.chmod(t + "/init", 0o755)
        for m in order: shutil.copy(have[m], f"{t}/modules/{m}.ko")
        open(t + "/bin/vectors", "wb").write(vectors()); os.chmod(t + "/bin/vectors", 0o755)
        open(t + "/modules.order", "w").write("".join(m + ".ko\n" for m in order))
        files = subprocess.run(["find", "."], cwd=t, capture_output=True, check=True).stdout
        open(out, "wb").write(gzip.compress(subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=t, input=files, capture_output=True, check=True).stdout))

def arguments(kernel, initrd, packed, jam, busy):
    opt = ",packed=on" if packed else ""
    image = '{"driver":"blkdebug","image":{"driver":"file","filename":"@vda@"},"inject-error":[%s]}' % ",".join(
        '{"event":"none","iotype":"read","errno":5,"sector":%d,"once":false}' % (16384 + 512 * i) for i in range(4, 24))
    # a throttled disk that fails: what waits at the throttle when the first request fails is issued while QEMU stops, fails too, and is kept
    disk = ["-object", "throttle-group,id=tg,x-iops-total=3", "-blockdev", '{"driver":"throttle","node-name":"d0","throttle-group":"tg","file":%s}' % image] if jam \
        else ["-blockdev", '{"driver":"file","node-name":"d0","filename":"@vda@"}']
    return ["-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "96M", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet nokaslr" + (" jam" if jam else " busy" if busy else ""),
            "-chardev", "file,id=con,path=@console@", "-serial", "chardev:con", *disk, "-blockdev", '{"driver":"file","node-name":"d1","filename":"@sda@"}',
            "-netdev", "hubport,hubid=0,id=n0", "-netdev", "hubport,hubid=0,id=n1",
            "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:aa:00:01,romfile=" + opt + (",tx=timer,x-txtimer=4000000000" if jam else ""),
            "-device", "virtio-net-pci,netdev=n1,mac=52:54:00:aa:00:02,romfile=" + opt,
            "-device", "virtio-blk-pci,drive=d0,rerror=stop" + opt,
            "-chardev", "null,id=cr", "-object", "rng-egd,id=r0,chardev=cr" if jam else "rng-random,id=r0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=r0" + opt,
            "-device", "virtio-serial-pci,max_ports=6,id=ser0" + opt, "-chardev", "socket,id=c0,fd=%d" if jam else "file,id=c0,path=/dev/null", "-device", "virtserialport,chardev=c0,name=org.example.0",
            "-device", "virtio-scsi-pci,id=scsi0" + opt, "-device", "scsi-hd,bus=scsi0.0,drive=d1", "-device", "virtio-balloon-pci" + opt, "-device", "virtio-keyboard-pci" + opt]

# ---------------------------------------------------------------- the stream without what is not ours
class Reader:
    def __init__(self, data): self.d = data; self.at = 0
    def take(self, n): self.at += n; return self.d[self.at - n:self.at]
    def be(self, n): return int.from_bytes(self.take(n), "big")
    def name(self): return self.take(self.be(1))
PAGE = 4096
def reduce(stream, ranges, block=b"pc.ram"):
    """Keeps the bytes of main memory in ranges of (first, length), below the hole of a PC, and nothing of the other blocks. A length of 0 keeps the page, without its bytes."""
    keep = {}
    for first, length in ranges:
        for page in range(first // PAGE * PAGE, first + max(length, 1), PAGE):
            keep.setdefault(page, []).append((max(first - page, 0), min(first + length - page, PAGE)))
    r = Reader(stream); out = bytearray(); come = set(); counts = {}; now = b""; sections = {}
    def pages(copy):
        nonlocal now
        while True:
            word = r.be(8); at, flags = word & ~(PAGE - 1), word & (PAGE - 1)
            if flags & 0x10: copy += struct.pack(">Q", word); return
            if flags & 0x04:
                start = r.at - 8; total = at
                while total > 0: r.name(); total -= r.be(8)
                copy += stream[start:r.at]; continue
            if flags & 0x200: continue
            if not flags & 0x20: now = r.name()
            kind = flags & ~0x20
            data = r.take({0x02: 1, 0x08: PAGE}[kind]) if kind != 0x40 else None
            if data is None: head = r.take(1); n = r.be(2); data = head + struct.pack(">H", n) + r.take(n)
            if now != block or at not in keep: continue
            if kind == 0x08:
                page = bytearray(PAGE)
                for a, b in keep[at]: page[a:b] = data[a:b]
                data = bytes(page)
            come.add(at); counts[kind] = counts.get(kind, 0) + 1
            copy += struct.pack(">Q", at | kind) + bytes([len(now)]) + now + data
    head = r.take(8); assert head == b"QEVM\0\0\0\3"; out += head
    while True:
        start = r.at; kind = r.be(1)
        if kind == 7: r.take(r.be(4)); out += stream[start:r.at]
        elif kind == 5: assert r.name() == b"configuration/target-page-bits"; r.take(8); out += stream[start:r.at]
        elif kind == 8: r.take(2); r.take(r.be(2)); out += stream[start:r.at]
        elif kind in (1, 2, 3):
            number = r.take(4)
            if kind == 1: sections[number] = r.name(); r.take(8)
            copy = bytearray(stream[start:r.at])
            if sections[number] == b"ram": pages(copy)
            else: copy += r.take(stream.index(b"\x7e" + number, r.at) - r.at)
            footer = r.take(5); assert footer[0] == 0x7e; out += copy + footer
        else:
            # what follows are the devices and the description
            out += stream[start:]; break
    assert come == set(keep), sorted(hex(p) for p in set(keep) - come)[:9]
    return bytes(out), counts
def ring_ranges(queues):
    """Descriptors, the driver's part, the device's part."""
    for q in (q for q in queues if q["vring-desc"]):
        n = q["vring-num"]
        yield q["vring-desc"], 16 * n
        yield q["vring-avail"], 6 + 2 * n
        yield q["vring-used"], 6 + 8 * n

def make(prefix, args, jam, busy):
    mine, his = socket.socketpair(); os.set_inheritable(his.fileno(), True)
    fixtures.subprocess.Popen, real = (lambda c, **k: real(c, **{**k, "pass_fds": [*k["pass_fds"], his.fileno()]})), subprocess.Popen
    try: vm = fixtures.VM(prefix, "x86_64", [a % his.fileno() if a.endswith("fd=%d") else a for a in args])
    finally: fixtures.subprocess.Popen = real
    try:
        end = time.time() + 240
        ready = (lambda: vm.qmp("query-status")["status"] == "io-error") if jam else (lambda: b"guest ready" in vm.content("console"))
        while not ready():
            if time.time() > end: raise RuntimeError("the guest is not ready: " + vm.content("console")[-300:].decode("utf-8", "replace"))
            time.sleep(0.2)
        if busy: vm.qmp("migrate-set-capabilities", capabilities=[{"capability": "xbzrle", "state": True}])
        elif not jam: vm.qmp("stop")
        return driven.migrated(vm, 6 if busy else 0)
    finally: vm.p.kill(); vm.p.wait(); mine.close(); his.close()

F = [("linux-7.2", False, False), ("linux-11.1", False, False), ("packed-11.1", True, False), ("jammed-7.2", False, True), ("jammed-11.1", False, True), ("jammed-packed-10.0", True, True), ("xbzrle-11.1", False, False)]
if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for a in ("--kernel", "--busybox", "--modules"): ap.add_argument(a, required=True)
    ap.add_argument("--shared", default="/tmp=/tmp"); ap.add_argument("--keep"); ap.add_argument("--qemu", action="append", default=[]); ap.add_argument("--out", default=HERE); ap.add_argument("regex", nargs="?", default=".")
    a = ap.parse_args(); outside, inside = a.shared.split("=")
    initramfs(a.modules, a.busybox, outside + "/initrd-booted.gz"); shutil.copy(a.kernel, outside + "/vmlinuz-booted")
    prefixes = dict(x.split("=", 1) for x in a.qemu)
    for name, packed, jam in F:
        version = name.rsplit("-", 1)[1]
        if version not in prefixes or not re.search(a.regex, name): continue
        busy = name.startswith("xbzrle")
        stream, answers = make(prefixes[version], arguments(inside + "/vmlinuz-booted", inside + "/initrd-booted.gz", packed, jam, busy), jam, busy)
        if a.keep: open(f"{a.keep}/{name}.mig", "wb").write(stream)
        small, counts = reduce(stream, ring_ranges([q for d in answers["virtio"] for q in d["queues"]]))
        fixtures.zst(small, f"{a.out}/{name}.mig.zst"); open(f"{a.out}/{name}.registers.txt", "w").write(answers.pop("registers"))
        json.dump(answers, open(f"{a.out}/{name}.json", "w"), indent=1)
        print(name, len(stream), len(small), os.path.getsize(f"{a.out}/{name}.mig.zst"), counts)
