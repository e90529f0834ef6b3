#!/usr/bin/env python3
"""Regenerates the stream fixtures beside this file, and README.md, from real QEMUs.

usage: make-fixtures.py [--qemu VERSION=PREFIX]... [--out DIR] [--script ANALYZE_MIGRATION_PY] [--readme-only] [NAME-REGEX]

PREFIX is what stands before the architecture in the emulator's command, e.g. --qemu 10.0=/usr/bin/qemu-system- or
--qemu '5.2=chroot /some/root qemu-system-'. The environment variables QEMU_5_2, QEMU_7_2, QEMU_10_0 and QEMU_11_1 say the same.
A version without a prefix is skipped. --script names QEMU's own analyze-migration.py; its answer is kept as NAME.state.json.zst.
Linux and Python 3.8 or later, the zstd command; no network, no KVM, no root (a chroot prefix needs root, and /proc in the chroot).

Files that a machine needs (blank firmware, disks, a RAM backend) are memfds which the emulator opens as /proc/self/fd/N,
the monitor and the stream are socket pairs: nothing depends on paths. No third-party firmware gets into a fixture: -bios is
a file of zeros with one jump (or a 25-byte loop of our own that dirties memory), devices have an empty romfile.
"""
import array, argparse, hashlib, json, os, re, shlex, socket, struct, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "windows"))
sys.dont_write_bytecode = True
import guest as windows

# ---------------------------------------------------------------- files handed to the emulator
def blank(size, tail=16):                       # zeros; at the reset vector (16 bytes below the end) "jmp $"
    b = bytearray(size); b[size - tail:size - tail + 2] = b"\xeb\xfe"; return bytes(b)
def dirty(segments):                            # increments a byte in each 4 KiB page of RAM from 0x10000 on, for ever
    code = bytes.fromhex("b80010 8ed8 31db fe07 81c30010 75f8 050010 3d00%02x 72ec ebe7" % (0x10 * (1 + segments)))
    b = bytearray(0x10000); b[:len(code)] = code; b[0xfff0:0xfff3] = b"\xe9" + struct.pack("<H", -0xfff3 & 0xffff); return bytes(b)
def pattern(size):                              # a recognisable, compressible disk or RAM image
    return b"".join(b"savevm-analyze fixture %08x\n" % i for i in range(size // 32))[:size].ljust(size, b"\0")
FILES = {
    "blank-64k.bin": lambda: blank(0x10000), "zero-4k.bin": lambda: bytes(4096),
    "dirty.bin": lambda: dirty(2), "disk.raw": lambda: pattern(1 << 20) + bytes(2 << 20), "ram-1m.img": lambda: bytes(1 << 20),
    "windows64.bin": lambda: windows.image(64, True, False), "windows32.bin": lambda: windows.image(32, False, True),
    "windows64-la57.bin": lambda: windows.image(64, False, True, "la57"), "windows32-nopae.bin": lambda: windows.image(32, True, False, "nopae"),
    "zero-64k.raw": lambda: bytes(1 << 16), "snap.qcow2": lambda: qcow2(1 << 20),
}
def qcow2(size, bits=12):                       # an empty version 3 image: header, refcounts, L1
    c = 1 << bits; h = bytearray(c * 4)
    struct.pack_into(">IIQIIQIIQQIIQQQQII", h, 0, 0x514649fb, 3, 0, 0, bits, size, 0, 1, 3 * c, c, 1, 0, 0, 0, 0, 0, 4, 104)
    struct.pack_into(">Q", h, c, 2 * c)
    for i in range(4): struct.pack_into(">H", h, 2 * c + 2 * i, 1)
    return bytes(h)

# ---------------------------------------------------------------- a machine and its monitor
class VM:
    def __init__(self, prefix, arch, args):
        self.fds = {}; mine, his = socket.socketpair()
        cmd = shlex.split(prefix); cmd[-1] += arch
        cmd += ["-nodefaults", "-no-user-config", "-display", "none", "-chardev", f"socket,id=qmp,fd={his.fileno()}", "-mon", "chardev=qmp,mode=control"]
        cmd += [re.sub(r"@([\w.-]+)@", lambda m: self.file(m.group(1)), a) for a in args]
        self.log = tempfile.TemporaryFile()
        self.p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=[his.fileno(), *self.fds.values()])
        his.close(); mine.settimeout(60); self.s = mine; self.buf = b""
        self.recv(); self.qmp("qmp_capabilities")
    def file(self, name):
        if name not in self.fds:
            fd = os.memfd_create(name); os.write(fd, FILES[name]()) if name in FILES else None; self.fds[name] = fd
        return f"/proc/self/fd/{self.fds[name]}"
    def content(self, name):
        fd = self.fds[name]; return os.pread(fd, os.fstat(fd).st_size, 0)
    def recv(self):
        while b"\n" not in self.buf:
            try: d = self.s.recv(65536)
            except ConnectionResetError: d = b""
            if not d: self.log.seek(0); raise RuntimeError("emulator gone: " + self.log.read().decode("utf-8", "replace")[:600])
            self.buf += d
        line, self.buf = self.buf.split(b"\n", 1); return json.loads(line)
    def qmp(self, execute, fd=None, **arguments):
        m = json.dumps({"execute": execute, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}).encode() + b"\n"
        if fd is None: self.s.sendall(m)
        else: self.s.sendmsg([m], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        while True:
            r = self.recv()
            if "return" in r: return r["return"]
            if "error" in r: raise RuntimeError(f"{execute}: {r['error']['desc']}")
    def status(self): return self.qmp("query-migrate").get("status", "none")
    def wait(self, during=None, timeout=120):
        end = time.time() + timeout
        while time.time() < end:
            st = self.status()
            if st == "completed": return
            if st in ("failed", "cancelled"): raise RuntimeError("migration " + str(self.qmp("query-migrate")))
            if during: during(st)
            time.sleep(0.05)
        raise RuntimeError("migration does not end: " + self.status())
    def close(self):
        try: self.qmp("quit"); self.p.wait(10)
        except Exception: self.p.kill(); self.p.wait()
        for fd in self.fds.values(): os.close(fd)

class Sink(threading.Thread):
    """collects the stream; as a responder it also answers each PING and ends the return path"""
    def __init__(self, sock, respond):
        super().__init__(daemon=True); self.sock = sock; self.respond = respond; self.data = bytearray(); self.seen = 0; self.last = time.time(); self.shut = False; self.start()
    def run(self):
        while True:
            d = self.sock.recv(1 << 16)
            if not d: return
            self.data += d; self.last = time.time()
            if self.respond:
                for m in re.finditer(rb"\x08\0\x02\0\x04(....)", bytes(self.data[self.seen:]), re.S): self.sock.sendall(struct.pack(">HH", 2, 4) + m.group(1))
                hits = [m.end() for m in re.finditer(rb"\x08\0\x02\0\x04....", bytes(self.data[self.seen:]), re.S)]
                self.seen = max(self.seen + (hits[-1] if hits else 0), len(self.data) - 8)
    def idle(self, status):
        if self.respond and not self.shut and status in ("active", "device", "postcopy-active", "postcopy-device") and self.data and time.time() - self.last > 2:
            self.shut = True; self.sock.sendall(struct.pack(">HHI", 1, 4, 0))

def make(f, prefix):
    vm = VM(prefix, f["arch"], f["args"])
    try:
        if f.get("run"): vm.qmp("cont"); time.sleep(f["run"])
        if f.get("stop"): vm.qmp("stop")
        for name, arg in f.get("qmp", []): vm.qmp(name, **arg)
        if "set registers" in f.get("how", ""): pattern_in_registers(vm, f.get("keep", ()), f.get("windows"))
        # before the stream too, since on 7.2 the question itself sets bits of the RISC-V register mideleg
        if "registers" in f.get("how", ""): registers(vm)
        if f.get("caps"): vm.qmp("migrate-set-capabilities", capabilities=[{"capability": c, "state": True} for c in f["caps"]])
        if f.get("params"): vm.qmp("migrate-set-parameters", **f["params"])
        how = f.get("how", "stream")
        if how == "snapshot":
            r = vm.qmp("human-monitor-command", command_line="savevm fixture")
            if r.strip(): raise RuntimeError("savevm: " + r)
            return vm.content("snap.qcow2")
        if how == "file":
            return mapped(vm)
        mine, his = socket.socketpair(); vm.qmp("getfd", fd=his.fileno(), fdname="out"); his.close()
        sink = Sink(mine, f.get("respond"))
        vm.qmp("migrate", uri="fd:out", **({"blk": True} if how == "block" else {}))
        if how == "rounds":                         # a running guest and a narrow channel: several passes over memory
            end = time.time() + f.get("seconds", 3)
            while time.time() < end and vm.qmp("query-migrate").get("ram", {}).get("dirty-sync-count", 0) < f["rounds"]: time.sleep(0.02)
            vm.qmp("migrate-set-parameters", max_bandwidth=4 << 30, downtime_limit=5000)
        if how == "postcopy": time.sleep(f.get("precopy", 0.7)); vm.qmp("migrate-start-postcopy")
        vm.wait(sink.idle)
        # after the stream, since saving puts some registers right (the DPL of segments in real mode on x86)
        if "registers" in how: f["registers"] = registers(vm)
        if "dump" in how: f["dumps"] = {k: dump(vm, n) for k, n in (("elf", "elf"), ("kdump", "kdump-zlib"), ("dmp", "win-dmp")) if k in f["forms"]}
        vm.close(); sink.join(10)
        return bytes(sink.data)
    finally:
        if vm.p.poll() is None: vm.close()
def dump(vm, form):
    fd = os.memfd_create("dump"); vm.qmp("getfd", fd=fd, fdname="dump")
    vm.qmp("dump-guest-memory", paging=False, protocol="fd:dump", format=form)
    data = b"".join(iter(lambda: os.read(fd, 1 << 26), b"")) if os.lseek(fd, 0, 0) == 0 else b""; os.close(fd); return data
def registers(vm): return vm.qmp("human-monitor-command", command_line="info registers -a").replace("\r", "")
def pattern_in_registers(vm, keep, guest=None):
    """Writes a pattern into registers through the gdb stub, at the first processor; for a Windows guest, control registers before it."""
    mine, his = socket.socketpair(); mine.settimeout(20)
    vm.qmp("getfd", fd=his.fileno(), fdname="gdb"); his.close()
    vm.qmp("chardev-add", id="gdb", backend={"type": "socket", "data": {"addr": {"type": "fd", "data": {"str": "gdb"}}, "server": False}})
    said = vm.qmp("human-monitor-command", command_line="gdbserver chardev:gdb")
    if "fail" in said.lower() or "could not" in said.lower(): raise RuntimeError("gdbserver: " + said)
    buf = b""
    def ask(text):
        nonlocal buf
        mine.sendall(b"$%s#%02x" % (text.encode(), sum(text.encode()) & 0xff))
        while not (m := re.search(rb"\$([^#]*)#..", buf, re.S)): buf += mine.recv(65536)
        buf = buf[m.end():]; mine.sendall(b"+"); return re.sub(rb"}(.)", lambda e: bytes([e[1][0] ^ 0x20]), m[1], flags=re.S).decode("latin-1")
    def xml(name):
        out = ""
        while True:
            part = ask(f"qXfer:features:read:{name}:{len(out):x},7f0"); out += part[1:]
            if part[0] != "m": return out
    write = lambda n, size: ask(f"P{n:x}=" + bytes((17 * n * n + 59 * i * (n + 1) + 0xb1) & 0xff for i in range(size)).hex()) == "OK"
    features = ask("qSupported:xmlRegisters=i386"); number = 0; places = {}
    control = windows.control(*guest) if guest else []
    if guest: windows.register(vm, ask); keep = (*keep, *(n for n, _ in control), "eflags")
    # MIPS has no description: the general registers, lo, hi and those for floating point, by their numbers
    if "qXfer:features" not in features: print(f"  {sum(write(n, 8) for n in [*range(1, 32), 33, 34, 35, *range(38, 70)])} registers written"); return
    top = xml("target.xml")
    for part in [top] + [xml(n) for n in re.findall(r'include href="([^"]+)"', top)]:
        for tag in re.findall(r"<reg\s[^>]*>", re.sub(r"<!--.*?-->", "", part, flags=re.S)):
            at = dict(re.findall(r'(\w+)="([^"]*)"', tag)); number = int(at.get("regnum", number)); n, number = number, number + 1
            size = int(at["bitsize"]) // 8; places[at["name"]] = n, size
    for name, value in control:
        n, size = places[name]
        if ask(f"P{n:x}=" + value.to_bytes(size, "little").hex()) != "OK": raise RuntimeError(f"cannot write {name}")
    done = sum(write(n, size) for name, (n, size) in places.items() if size and name not in keep)
    print(f"  {done} registers written")
def mapped(vm):
    with tempfile.NamedTemporaryFile() as t:
        fd = os.open(t.name, os.O_WRONLY)
        n = vm.qmp("add-fd", fd=fd)["fdset-id"]; os.close(fd)
        vm.qmp("migrate", uri=f"file:/dev/fdset/{n}"); vm.wait(); vm.close()
        return open(t.name, "rb").read()

# ---------------------------------------------------------------- the fixtures
F = []
def fx(name, q, arch, args, what, **k): F.append(dict(name=name, q=q, arch=arch, args=shlex.split(args), what=what, **k))
B64 = "-bios @blank-64k.bin@ "
MARK = "-device loader,addr=0x80000,data=0x11223344,data-len=4 -device loader,addr=0x81000,data=0xa5a5a5a5,data-len=4 "
DIRTY = "-machine pc -m 1M -bios @dirty.bin@ "
Q35 = ("-machine q35 -smp 2 -m 1M " + B64 + MARK + "-netdev hubport,hubid=0,id=n0 -netdev hubport,hubid=0,id=n1 -netdev hubport,hubid=0,id=n2 -blockdev null-co,node-name=b0,size=1048576,read-zeroes=on "
       "-blockdev null-co,node-name=b1,size=1048576,read-zeroes=on -chardev null,id=c0 -device virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56,id=net0,romfile= -device virtio-blk-pci,drive=b0,id=blk0 "
       "-device virtio-scsi-pci,id=scsi0 -device scsi-hd,bus=scsi0.0,drive=b1 -device virtio-rng-pci,id=rng0 -device virtio-balloon-pci,id=bal0 -device virtio-serial-pci,id=ser0 "
       "-device virtserialport,bus=ser0.0,chardev=c0,name=org.example.0 -device e1000e,netdev=n1,mac=52:54:00:12:34:57,romfile= -device pcie-root-port,id=rp0,chassis=1 -device virtio-net-pci,bus=rp0,netdev=n2,mac=52:54:00:12:34:58,id=net1,romfile=")
for q in ("5.2", "7.2", "10.0", "11.1"):
    fx(f"pc-{q}", q, "x86_64", "-machine pc -m 1M " + B64 + MARK, "i440fx at reset; two marked RAM pages (0x80000, 0x81000)")
    fx(f"q35-{q}", q, "x86_64", Q35, "q35 at reset, two CPUs, virtio-net/blk/scsi/rng/balloon/serial, e1000e, a root port with virtio-net behind it")
    fx(f"s390x-{q}", q, "s390x", "-machine s390-ccw-virtio -m 16M -bios @zero-4k.bin@ -chardev null,id=c0 -device sclpconsole,chardev=c0 -device virtio-rng-ccw -device virtio-balloon-ccw", "s390x: pointer arrays with NULL entries (s390_css), s390-skeys, storage attributes, virtio-ccw")
for q in ("7.2", "11.1"):
    fx(f"microvm-{q}", q, "x86_64", "-machine microvm -m 1M " + B64 + "-device virtio-rng-device -device virtio-balloon-device", "microvm with virtio-mmio")
    fx(f"aarch64-virt-{q}", q, "aarch64", "-machine virt -cpu cortex-a57 -m 2M -device virtio-rng-device -device virtio-balloon-pci", "64-bit ARM virt; configuration/target-page-bits")
    fx(f"riscv64-virt-{q}", q, "riscv64", "-machine virt -m 2M -bios none -device virtio-rng-device", "riscv64 virt")
    fx(f"pseries-{q}", q, "ppc64", "-machine pseries -m 256M -bios @zero-4k.bin@ -chardev null,id=c0 -device spapr-vty,chardev=c0", "pseries: spapr/htab section")
fx("arm-lm3s811evb-11.1", "11.1", "arm", "-machine lm3s811evb", "Cortex-M3, 1 KiB pages")
fx("arm-lm3s811evb-5.2", "5.2", "arm", "-machine lm3s811evb", "Cortex-M3, 1 KiB pages")
fx("arm-versatilepb-7.2", "7.2", "arm", "-machine versatilepb -m 1M", "ARM926, 1 KiB pages")
fx("mips-malta-11.1", "11.1", "mips", "-machine malta -m 1M -bios @zero-4k.bin@", "big-endian MIPS, unversioned machine type")
fx("mipsel-malta-7.2", "7.2", "mipsel", "-machine malta -m 1M -bios @zero-4k.bin@", "little-endian MIPS")
fx("sparc64-11.1", "11.1", "sparc64", "-machine sun4u -m 4M -bios @zero-4k.bin@ -vga none", "8 KiB pages")
fx("avr-uno-5.2", "5.2", "avr", "-machine uno", "256-byte pages")
fx("avr-uno-11.1", "11.1", "avr", "-machine uno", "1 KiB pages (256 bytes before)")
fx("pc-i440fx-2.3-5.2", "5.2", "x86_64", "-machine pc-i440fx-2.3 -m 1M " + B64, "no configuration section, no footers")
fx("pc-i440fx-2.2-5.2", "5.2", "x86_64", "-machine pc-i440fx-2.2 -m 1M " + B64, "no configuration section, no footers, no JSON")
fx("novmdesc-10.0", "10.0", "x86_64", "-machine pc,suppress-vmdesc=on -m 1M " + B64, "no JSON")
SH = "-object memory-backend-file,id=mb,size=1M,share=on,mem-path=@ram-1m.img@ -machine memory-backend=mb "
fx("ignore-shared-7.2", "7.2", "x86_64", "-machine pc -m 1M " + SH + B64, "x-ignore-shared: pc.ram listed but not sent", caps=["x-ignore-shared"])
fx("ignore-shared-10.0", "10.0", "x86_64", "-machine pc -m 1M " + SH + B64, "x-ignore-shared: pc.ram listed but not sent", caps=["x-ignore-shared"])
fx("mapped-ram-10.0", "10.0", "x86_64", "-machine pc -m 1M " + B64 + MARK, "mapped-ram", caps=["mapped-ram"], how="file")
fx("mapped-ram-11.1", "11.1", "x86_64", "-machine microvm,acpi=off -m 1M " + B64 + MARK, "mapped-ram", caps=["mapped-ram"], how="file")
fx("mapped-ram-ignore-shared-11.1", "11.1", "x86_64", "-machine pc -m 1M " + SH + B64, "mapped-ram with x-ignore-shared: two capabilities of different length", caps=["mapped-ram", "x-ignore-shared"], how="file")
fx("mapped-ram-avr-11.1", "11.1", "avr", "-machine uno", "mapped-ram, 1 KiB pages", caps=["mapped-ram"], how="file")
fx("ipmi-7.2", "7.2", "x86_64", "-machine pc -m 1M " + B64 + "-device ipmi-bmc-sim,id=b0 -device isa-ipmi-kcs,bmc=b0 -device ipmi-bmc-sim,id=b1 -device isa-ipmi-bt,bmc=b1,ioport=0xe8", "vstruct fields")
fx("ipmi-11.1", "11.1", "x86_64", "-machine pc -m 1M " + B64 + "-device ipmi-bmc-sim,id=b0 -device isa-ipmi-kcs,bmc=b0 -device ipmi-bmc-sim,id=b1 -device isa-ipmi-bt,bmc=b1,ioport=0xe8", "vstruct fields")
for q, where in (("10.0", "behind the start of"), ("11.1", "before")): fx(f"virtio-mem-{q}", q, "x86_64", "-machine q35 -m 1M,maxmem=1G,slots=1 " + B64 + "-object memory-backend-ram,id=vm,size=4M -device virtio-mem-pci,memdev=vm,id=vmem0", f"an early FULL section {where} ram")
BM = [("block-dirty-bitmap-add", dict(node="b0", name="bm0", granularity=65536)), ("block-dirty-bitmap-add", dict(node="b0", name="bm1", granularity=131072, disabled=True))]
BD = "-machine pc -m 1M " + B64 + "-blockdev null-co,node-name=b0,size=67108864,read-zeroes=on -device virtio-blk-pci,drive=b0"
for q in ("7.2", "11.1"): fx(f"dirty-bitmap-{q}", q, "x86_64", BD, "dirty-bitmap sections, two bitmaps", caps=["dirty-bitmaps"], qmp=BM)
fx("block-7.2", "7.2", "x86_64", "-machine pc -m 1M " + B64 + "-drive if=none,id=d0,format=raw,file=@disk.raw@ -device virtio-blk-pci,drive=d0", "block migration of a 3 MiB disk (1 MiB text, 2 MiB zeros)", how="block", caps=["zero-blocks"])
fx("block-5.2", "5.2", "x86_64", "-machine pc -m 1M " + B64 + "-drive if=none,id=d0,format=raw,file=@zero-64k.raw@ -device virtio-blk-pci,drive=d0", "block migration of a 64 KiB disk: one block of 1 MiB, not marked zero", how="block")
NARROW = dict(max_bandwidth=1 << 20, downtime_limit=1)
for q in ("10.0", "11.1"): fx(f"xbzrle-{q}", q, "x86_64", DIRTY, "XBZRLE pages: a guest that increments a byte in each of 32 pages; pages re-sent", caps=["xbzrle"], params=NARROW, run=0.5, how="rounds", rounds=12, seconds=12)
for q in ("5.2", "11.1"): fx(f"resent-{q}", q, "x86_64", DIRTY, "the same guest without XBZRLE: pages sent several times", params=NARROW, run=0.5, how="rounds", rounds=3, seconds=4)
for q in ("5.2", "7.2"): fx(f"compress-{q}", q, "x86_64", DIRTY, "COMPRESS_PAGE (zlib)", caps=["compress"], run=0.5, stop=True)
fx("uuid-11.1", "11.1", "x86_64", "-machine pc -m 1M -uuid 5db9ca4e-4b1e-4b5c-8b0a-1d2f3a4b5c6d " + SH + B64, "UUID and capabilities in the configuration", caps=["validate-uuid", "x-ignore-shared"])
fx("uuid-5.2", "5.2", "x86_64", "-machine pc -m 1M -uuid 5db9ca4e-4b1e-4b5c-8b0a-1d2f3a4b5c6d " + B64, "UUID in the configuration", caps=["validate-uuid"])
fx("zeros-in-full-11.1", "11.1", "avr", "-machine uno", "zero-page-detection=none: no ZERO records", params=dict(zero_page_detection="none"))
fx("return-path-10.0", "10.0", "x86_64", "-machine pc -m 1M " + B64, "return-path: OPEN_RETURN_PATH and PING", caps=["return-path"], respond=True)
fx("postcopy-armed-7.2", "7.2", "x86_64", "-machine pc -m 1M " + B64, "postcopy-ram enabled, not started", caps=["postcopy-ram"], respond=True)
for q in ("7.2", "10.0", "11.1"): fx(f"postcopy-{q}", q, "x86_64", DIRTY, "postcopy started: DISCARD, PACKAGED, no JSON" if q != "11.1" else "postcopy armed; this capture ended as precopy before it could start, so it has JSON and no package", caps=["postcopy-ram"], params=dict(max_bandwidth=1 << 17, downtime_limit=1), run=0.5, how="postcopy", respond=True)
fx("background-snapshot-11.1", "11.1", "x86_64", DIRTY, "background-snapshot: no END section of ram", caps=["background-snapshot"], run=0.3)
for q in ("7.2", "11.1"): fx(f"savevm-{q}", q, "x86_64", "-machine pc -m 1M " + B64 + "-drive if=none,id=d0,format=qcow2,file=@snap.qcow2@ -device virtio-blk-pci,drive=d0", "an internal snapshot in a qcow2 image (4 KiB clusters)", how="snapshot", ext="qcow2")
# Streams with QEMU's own `info registers -a` of the same stopped machine in NAME.registers.txt; for those with "set", a pattern was written into those registers
# that it can be written into through QEMU's gdb stub first.
AT, SET = dict(how="registers"), dict(how="set registers")
fx("arm-virt-11.1", "11.1", "arm", "-machine virt -m 32M", "registers at reset, AArch32", **AT)
fx("malta-11.1", "11.1", "mips64el", "-machine malta -m 32M", "registers at reset", **AT)
for q in ("7.2", "11.1"): fx(f"riscv-virt-{q}", q, "riscv64", "-machine virt -smp 2 -m 32M -bios none", "registers at reset, two harts", **AT)
fx("cpu-x86_64-11.1", "11.1", "x86_64", "-machine q35 -cpu max -m 1M -smp 2 -bios @blank-64k.bin@", "a pattern in some of the registers", **SET)
fx("cpu-i386-11.1", "11.1", "i386", "-machine pc -cpu max -m 1M -bios @blank-64k.bin@", "a pattern in some of the registers", **SET)
fx("cpu-aarch64-11.1", "11.1", "aarch64", "-machine virt -cpu cortex-a72 -m 2M", "a pattern in some of the registers", **SET)
# let level 1 use SVE with the longest vectors, or the monitor does not show them: mov x0, #0x330000; msr cpacr_el1, x0; isb; mov x1, #15; msr zcr_el1, x1; b .
SVE = "".join(f"-device loader,addr={0x40180000 + 8 * i:#x},data={d:#x},data-len=8 " for i, d in enumerate((0xd5181040d2a00660, 0xd28001e1d5033fdf, 0x14000000d5181201)))
fx("cpu-aarch64-sve-11.1", "11.1", "aarch64", "-machine virt -cpu max,sme=off,sve-max-vq=4 -m 2M " + SVE + "-device loader,addr=0x40180000,cpu-num=0", "a pattern in some of the registers, SVE with vectors of 512 bits", run=0.5, stop=True, keep=("cpsr",), **SET)
fx("cpu-arm-11.1", "11.1", "arm", "-machine virt -cpu cortex-a15 -m 2M", "a pattern in some of the registers", **SET)
fx("cpu-riscv64-11.1", "11.1", "riscv64", "-machine virt -m 2M -bios none", "a pattern in some of the registers", **SET)
fx("cpu-riscv32-11.1", "11.1", "riscv32", "-machine virt -m 2M -bios none", "a pattern in some of the registers", **SET)
fx("cpu-mips64el-11.1", "11.1", "mips64el", "-machine malta -m 1M -bios @zero-4k.bin@", "a pattern in some of the registers", **SET)
fx("cpu-s390x-11.1", "11.1", "s390x", "-machine s390-ccw-virtio -m 16M -smp 2 -bios @zero-4k.bin@", "a pattern in some of the registers", **SET)

# Streams with QEMU's own core dumps of the same stopped machine: NAME.elf.zst and NAME.kdump.zst. Always compressed.
DUMP = dict(how="set registers, dump", zst=True, forms=("elf", "kdump"))
for q in ("5.2", "7.2", "11.1"):
    fx(f"dumped/x86_64-{q}", q, "x86_64", "-machine pc -cpu max -m 2M -smp 2 -bios @blank-64k.bin@ -device VGA,romfile= " + MARK, "ROMs below 1 MiB, a hidden video card", **DUMP)
    fx(f"dumped/aarch64-{q}", q, "aarch64", "-machine virt -cpu cortex-a72 -smp 2 -m 2M -device loader,addr=0x40081000,data=0x11223344,data-len=4", "registers, two processors", **DUMP)
    fx(f"dumped/arm-{q}", q, "arm", "-machine virt -cpu cortex-a15 -m 2M", "32-bit ELF", **DUMP)
    fx(f"dumped/ppc64-{q}", q, "ppc64", "-machine pseries -smp 2 -m 256M -bios @zero-4k.bin@", "big-endian, pages of 64 KiB", **DUMP)
    fx(f"dumped/s390x-{q}", q, "s390x", "-machine s390-ccw-virtio -m 16M -smp 2 -bios @zero-4k.bin@", "ten notes for a processor", keep=("gs_reserved", "gsd", "gssm", "gsepla"), **DUMP)
    if q != "5.2": fx(f"dumped/riscv64-{q}", q, "riscv64", "-machine virt -smp 2 -m 2M -bios none", "registers, two harts", **DUMP)
fx("dumped/riscv32-11.1", "11.1", "riscv32", "-machine virt -m 2M -bios none", "32-bit ELF", **DUMP)
fx("dumped/loongarch64-11.1", "11.1", "loongarch64", "-machine virt -m 288M -smp 2", "registers, two processors, memory in two pieces", **DUMP)
fx("dumped/q35-11.1", "11.1", "x86_64", "-machine q35 -cpu max -m 5G -bios @blank-64k.bin@", "memory above 4 GiB", **{**DUMP, "forms": ("kdump",)})
fx("dumped/i386-11.1", "11.1", "i386", "-machine pc -cpu max -m 2M -bios @blank-64k.bin@", "32-bit processor", **DUMP)
fx("dumped/aarch64-sve-11.1", "11.1", "aarch64", "-machine virt -cpu max,sme=off,sve-max-vq=4 -m 2M " + SVE.replace("d28001e1", "d2800061") + "-device loader,addr=0x40180000,cpu-num=0", "SVE with vectors of 512 bits", run=0.5, stop=True, keep=("cpsr",), **DUMP)

# The parts of a Windows guest that a dump is made of (windows/guest.py), and QEMU's own NAME.dmp.zst of the same stopped machine.
for q in ("7.2", "11.1"):
    for b, mode, what in ((64, "", "64 bits, after a bug check"), (32, "", "32 bits, PAE, running, with encoded debugger data"), (64, "la57", "5-level paging, running, with encoded debugger data"), (32, "nopae", "32-bit paging, after a bug check")):
        if mode and q != "11.1": continue
        n = f"windows{b}" + (f"-{mode}" if mode else "")
        fx(f"windows/{n}-{q}", q, "x86_64", f"-machine pc -cpu max -m 2M -smp 2 -bios @blank-64k.bin@ -device vmcoreinfo -device loader,file=@{n}.bin@,addr=0x100000,force-raw=on", what, windows=(b, mode), **{**DUMP, "forms": ("dmp",)})

# Streams for comparisons, in same/: one machine type on several versions, and one machine saved four times, at least two seconds apart, since one whose clock
# stands at the same second teaches nothing about it. Always compressed.
Q = Q35.replace("-machine q35", "-machine TYPE")
for t, versions in (("5.2", ("5.2", "7.2", "10.0")), ("7.2", ("7.2", "10.0", "11.1"))):
    for q in versions: fx(f"same/q35-{t}-on-{q}", q, "x86_64", Q.replace("TYPE", f"pc-q35-{t}"), "one machine type on several versions", zst=True)
for i in range(4):
    fx(f"same/noise-q35-11.1-{i}", "11.1", "x86_64", "-machine q35 -m 1M " + B64, "one machine saved four times", zst=True, after=2.5)
    fx(f"same/noise-pseries-11.1-{i}", "11.1", "ppc64", "-machine pseries -m 256M -bios @zero-4k.bin@", "one machine saved four times", zst=True, after=2.5)

# ---------------------------------------------------------------- main
LICENCE = """Licence of the contents: the streams were made by the recipe for this project and are given under the project's own licence, as far as anything in them can be
protected at all. They hold the state of emulated devices at reset, RAM of zeros (or of the patterns which the recipe writes), ACPI tables
and device trees generated by QEMU for the machine, the few words of reset code
which QEMU itself generates for riscv64, and QEMU's JSON description of the state. No SeaBIOS, SLOF, OpenBIOS, OpenSBI, option ROM or other firmware is in
them: every machine was given a blank firmware file or none. The NAME.state.json.zst beside a stream is the output of QEMU's own scripts/analyze-migration.py (10.0) for it, where that
script succeeds; it is data, not a part of the script."""
def command(f):
    s = f"qemu-system-{f['arch']} -nodefaults -S " + " ".join(re.sub(r"@([\w.-]+)@", r"\1", a) for a in f["args"] if a != "-S")
    q = []
    if f.get("run"): q.append(f"cont, {f['run']} s" + (", stop" if f.get("stop") else ""))
    for n, a in f.get("qmp", []): q.append(n + " " + json.dumps({k.replace("_", "-"): v for k, v in a.items()}))
    if f.get("caps"): q.append("capabilities " + ", ".join(f["caps"]))
    if f.get("params"): q.append("parameters " + ", ".join(f"{k.replace('_', '-')}={v}" for k, v in f["params"].items()))
    q.append({"stream": "migrate fd:", "file": "migrate file:", "block": "migrate fd: with blk=true", "snapshot": "savevm", "registers": "migrate fd:; info registers -a", "set registers, dump": "a pattern written through the gdb stub; migrate fd:; dump-guest-memory " + ("win-dmp" if f.get("windows") else "elf and kdump-zlib"), "set registers": "a pattern written through the gdb stub; migrate fd:; info registers -a", "rounds": f"migrate fd:, bandwidth and downtime raised after {f.get('rounds')} passes", "postcopy": "migrate fd:, migrate-start-postcopy after 0.7 s"}[f.get("how", "stream")] + (", responder answers PING and sends SHUT" if f.get("respond") else ""))
    return f"`{s}`; " + "; ".join(q)
CASES = [
    ("base.mig", "nothing: the others are made of it"), ("check-sound.mig", "a struct of one byte whose fields have five: it does not decode"),
    ("chk-another-stream-early.mig.zst", "another stream after the first records"), ("chk-damaged-description.mig", "zeros in the JSON of the description"),
    ("chk-described-no-section.mig", "a described device has no section"), ("chk-dup-block.mig", "two RAM blocks of one name"),
    ("chk-no-ram.mig", "no ram section"), ("chk-ram-never-ends.mig", "the ram section has no END"),
    ("chk-device-called-ram.mig", "a device section called ram, and no memory"),
    ("chk-second-ram-section.mig", "a second START section of ram"),
    ("chk-same-section-id.mig", "two devices whose sections have one id"), ("chk-xbzrle-garbage.mig", "an XBZRLE page that is none"),
    ("chk-zlib-garbage.mig", "a zlib page that is none"), ("forge.mig", "a machine name with a line `sound` in it, and the stream ends in the middle"),
    ("gh-a.mig", "names that a CI runner would obey"), ("gh-b.mig", "the same with other values"), ("second-list.mig.zst", "pages, then a second list of RAM blocks"), ("term-a.mig", "names that a terminal would obey"),
]
def readme(out):
    rows = []
    for f in F:
        for p in (f"{f['name']}.{f.get('ext', 'mig')}", f"{f['name']}.{f.get('ext', 'mig')}.zst"):
            if not os.path.exists(f"{out}/{p}"): continue
            b = open(f"{out}/{p}", "rb").read(); m = [a for i, a in enumerate(f["args"]) if i and f["args"][i - 1] == "-machine"][0].split(",")[0]
            ok = "yes" if os.path.exists(f"{out}/{f['name']}.state.json.zst") else "no"
            rows.append(f"| {p} | {f['q']} | {f['arch']} {m} | {f['what']} | {len(b)} | {hashlib.sha256(b).hexdigest()[:16]} | {ok} | {command(f)} |")
    open(f"{out}/README.md", "w").write(f"""# Stream fixtures

Real QEMU migration streams, small, made by `make-fixtures.py` (which see: it regenerates them and this file). Streams over 1 MiB are stored
compressed (`.zst`). Machines have the least RAM they accept and stay at reset unless noted. Every command also has `-no-user-config -display none` and a QMP monitor.
Files named on a command line: `blank-*.bin` zeros with `jmp $` at the reset vector, `zero-*.bin`/`.raw` zeros, `dirty.bin` a 64 KiB ROM whose 25 bytes of code increment a
byte in each page from 0x10000 to 0x2ffff for ever, `disk.raw` 1 MiB of numbered text lines and 2 MiB of zeros, `ram-1m.img` zeros, `snap.qcow2` an empty image.
Regenerating gives the same structure, not the same bytes: clocks, random seeds and the pace of a running guest differ.
`script` says whether QEMU 10.0's analyze-migration.py can read the file; its answer is then in `NAME.state.json.zst`.
`dumps/` holds what `-dump-vmstate` of some versions says, cut by `dumps/trim.py` to the device classes that the streams here have; the streams were given to these versions, and
`tests/compat.rs` has what they did.

`cases/` holds streams of some hundred bytes that no QEMU wrote: each was made by hand, in a few lines of Python that write the records of a stream, to be judged
wrongly. They are not regenerated by this script; `tests/cases.rs` says of each what is right.

| file in `cases/` | what is wrong with it |
|---|---|
{chr(10).join(f"| {n} | {w} |" for n, w in CASES)}

{LICENCE}

| file | QEMU | machine | what for | bytes | SHA-256 (first 16) | script | made by |
|---|---|---|---|---:|---|---|---|
""" + "\n".join(rows) + "\n")
def zst(data, path): subprocess.run(["zstd", "-q", "-f", "-19", "-o", path], input=data, check=True); os.chmod(path, 0o644)
def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--qemu", action="append", default=[]); ap.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__))); ap.add_argument("--script")
    ap.add_argument("--readme-only", action="store_true"); ap.add_argument("regex", nargs="?", default=".")
    a = ap.parse_args(); q = {k[5:].replace("_", "."): v for k, v in os.environ.items() if k.startswith("QEMU_")}; q.update(x.split("=", 1) for x in a.qemu); bad = 0
    for f in F:
        if a.readme_only or not re.search(a.regex, f["name"]): continue
        if f["q"] not in q: print(f"{f['name']}: no QEMU {f['q']}, skipped"); continue
        if "-S" not in f["args"]: f["args"].append("-S")
        os.makedirs(os.path.dirname(f"{a.out}/{f['name']}"), exist_ok=True); time.sleep(f.get("after", 0))
        try: data = make(f, q[f["q"]])
        except Exception as e: print(f"{f['name']}: FAILED {str(e)[:300]}", flush=True); bad = 1; continue
        p = f"{a.out}/{f['name']}.{f.get('ext', 'mig')}"
        for old in (p, p + ".zst", f"{a.out}/{f['name']}.state.json.zst"):
            if os.path.exists(old): os.unlink(old)
        for kind, content in f.get("dumps", {}).items(): zst(content, f"{a.out}/{f['name']}.{kind}.zst")
        if f.get("registers") and "dump" not in f["how"]: open(f"{a.out}/{f['name']}.registers.txt", "w").write(f["registers"])
        if len(data) > 1 << 20 or f.get("registers") or f.get("zst"): zst(data, p + ".zst")
        else: open(p, "wb").write(data)
        note = ""
        if a.script and f.get("ext", "mig") == "mig" and "/" not in f["name"]:
            with tempfile.NamedTemporaryFile() as t:
                t.write(data); t.flush(); r = subprocess.run([sys.executable, a.script, "-f", t.name, "-d", "state"], capture_output=True)
            if r.returncode == 0: zst(r.stdout, f"{a.out}/{f['name']}.state.json.zst"); note = "script ok"
            else: note = "script fails: " + next((l[:120] for l in r.stderr.decode("utf-8", "replace").splitlines() if re.match(r"\w*(Error|Exception)", l)), "?")
        print(f"{f['name']}: {len(data)} bytes{', stored ' + str(os.path.getsize(p + '.zst')) if len(data) > 1 << 20 else ''} {note}", flush=True)
    readme(a.out); return bad
if __name__ == "__main__": sys.exit(main())
