#!/usr/bin/env python3
"""Makes the streams beside this file: PCI buses and virtio queues set up by hand, as a guest would, with QEMU's own answers.

usage: make-driven.py [--qemu VERSION=PREFIX]... [--out DIR]

PREFIX is what stands before the architecture in the emulator's command, as for ../make-fixtures.py, whose VM this uses. The
guest does nothing but `jmp $`: the accesses to ports and memory come from here, over qtest. There is no firmware in the streams.
"""
import argparse, importlib.util, json, os, socket, subprocess, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("fixtures", HERE + "/../make-fixtures.py")
fixtures = importlib.util.module_from_spec(spec); spec.loader.exec_module(fixtures)

ARGS = ["-machine", "q35", "-m", "1M", "-bios", "@blank-64k.bin@",
        "-blockdev", '{"driver":"blkdebug","node-name":"bad","image":{"driver":"null-co","size":1048576,"read-zeroes":true},'
                     '"inject-error":[{"event":"none","iotype":"read","errno":5,"sector":8,"once":false}]}',
        "-device", "virtio-blk-pci,drive=bad,addr=2,rerror=stop,id=blk0",
        "-device", "virtio-rng-pci,addr=3,id=rng0",
        "-device", "pcie-root-port,id=rp,chassis=1,slot=1,addr=4",
        "-device", "virtio-net-pci,bus=rp,packed=on,romfile=,mac=52:54:00:12:34:56,id=net0",
        "-device", "pci-bridge,id=br,chassis_nr=2,addr=5",
        "-device", "e1000,bus=br,addr=1,romfile=,mac=52:54:00:12:34:57,id=e0"]

def wait_for(f):
    for _ in range(400):
        if f(): return
        time.sleep(0.05)
    raise RuntimeError("waited in vain")

class Qtest:
    """The wires: ports, memory, and the configuration space behind 0xcf8."""
    def __init__(self, sock): self.f = sock.makefile("rwb", buffering=0); self.lines = sock.makefile("rb")
    def ask(self, line):
        self.f.write(line.encode() + b"\n")
        while True:
            r = self.lines.readline().decode().split()
            if not r: raise RuntimeError("qtest closed")
            if r[0] == "OK": return r[1:]
            if r[0] == "FAIL": raise RuntimeError(f"{line}: {r}")
    def out(self, size, port, v): self.ask(f"out{size} {port:#x} {v:#x}")
    def write(self, size, at, v): self.ask(f"write{size} {at:#x} {v:#x}")
    def read(self, size, at): return int(self.ask(f"read{size} {at:#x}")[0], 16)
    def config(self, bus, slot, at, v, size="l"):
        self.out("l", 0xcf8, 1 << 31 | bus << 16 | slot << 11 | at & 0xfc)
        self.out(size, 0xcfc + (at & 3), v)
    def capability(self, bus, slot, wanted):
        def byte(at):
            self.out("l", 0xcf8, 1 << 31 | bus << 16 | slot << 11 | at & 0xfc)
            return int(self.ask(f"inb {0xcfc + (at & 3):#x}")[0], 16)
        at = byte(0x34)
        while at and byte(at) != wanted: at = byte(at + 1)
        return at

def legacy_blk(q):
    """Three requests: one answered, one that fails and is kept, one that the device was not told of."""
    io, desc = 0xc000, 0x10000
    q.config(0, 2, 0x10, io | 1); q.config(0, 2, 0x04, 5, "w")
    q.out("b", io + 18, 1); q.out("b", io + 18, 3)
    q.out("l", io + 4, 1 << 29 | 1 << 28 | 1 << 9)                 # EVENT_IDX, INDIRECT_DESC, FLUSH
    q.ask(f"inl {io + 20:#x}")                                     # a look at the configuration makes QEMU fill it in
    q.out("w", io + 14, 0); q.out("l", io + 8, desc >> 12); q.out("b", io + 18, 7)
    size = int(q.ask(f"inw {io + 12:#x}")[0], 16); avail = desc + 16 * size
    for i, sector in enumerate((0, 8, 16)):
        req = 0x20000 + 0x1000 * i
        q.write("l", req, 0); q.write("q", req + 8, sector)
        for k, (at, n, flags) in enumerate(((req, 16, 1), (req + 0x200, 512, 3), (req + 0x100, 1, 2))):
            d = desc + 16 * (3 * i + k)
            q.write("q", d, at); q.write("l", d + 8, n); q.write("w", d + 12, flags); q.write("w", d + 14, 3 * i + k + 1)
        q.write("w", avail + 4 + 2 * i, 3 * i)
    q.write("w", avail + 4 + 2 * size, 1)                          # used_event
    q.write("w", avail + 2, 1); q.out("w", io + 16, 0)
    wait_for(lambda: q.read("w", (avail + 4 + 2 * size + 4095 & ~4095) + 2) == 1)
    q.write("w", avail + 2, 2); q.out("w", io + 16, 0)
    return lambda: q.write("w", avail + 2, 3)

def modern(q, bus, slot, bar, features, queues):
    """Sets a modern device up through the common configuration in BAR 4."""
    q.config(bus, slot, 0x20, bar); q.config(bus, slot, 0x24, 0); q.config(bus, slot, 0x04, 6, "w")
    q.write("b", bar + 20, 1); q.write("b", bar + 20, 3)
    q.read("l", bar + 0x2000)
    for half in (0, 1): q.write("l", bar + 8, half); q.write("l", bar + 12, features >> 32 * half & 0xffffffff)
    q.write("b", bar + 20, 0xb)
    for i, (size, vector, desc, driver, device) in queues.items():
        q.write("w", bar + 22, i); q.write("w", bar + 24, size); q.write("w", bar + 26, vector)
        for k, at in enumerate((desc, driver, device)): q.write("l", bar + 32 + 8 * k, at); q.write("l", bar + 36 + 8 * k, 0)
        q.write("w", bar + 28, 1)
    q.write("b", bar + 20, 0xf)

def drive(q):
    for slot, bus in ((4, 1), (5, 2)): q.config(0, slot, 0x18, bus << 16 | bus << 8)
    for slot, base in ((4, 0xc1000000), (5, 0xc2000000)):          # memory windows of 1 MiB; that of ports stays shut
        q.config(0, slot, 0x20, base >> 16 | base & 0xfff00000); q.config(0, slot, 0x04, 6, "w")
        q.config(0, slot, 0x24, (base + 0x800000) >> 16 | base + 0x800000 & 0xfff00000)
    q.config(2, 1, 0x10, 0xc2000000); q.config(2, 1, 0x04, 2, "w"); q.config(2, 1, 0x3c, 11, "b")
    # an MSI-X table in BAR 1: vector 0 for the configuration, 1 for the queue, masked
    q.config(0, 3, 0x14, 0xc0010000); q.config(0, 3, 0x04, 6, "w")
    cap = q.capability(0, 3, 0x11); q.config(0, 3, cap + 2, 0x8000 | 1, "w")
    for v, (data, mask) in enumerate(((0x4031, 0), (0x4032, 1))):
        at = 0xc0010000 + 16 * v
        q.write("l", at, 0xfee01000); q.write("l", at + 8, data); q.write("l", at + 12, mask)
    modern(q, 0, 3, 0xc0000000, 1 << 32 | 1 << 28, {0: (8, 1, 0x30000, 0x30100, 0x30200)})
    q.write("w", 0xc0000000 + 16, 0)
    # behind the root port: a packed ring with two requests of two and one descriptors
    q.config(1, 0, 0x14, 0xc1000000)
    modern(q, 1, 0, 0xc1800000, 1 << 34 | 1 << 32 | 1 << 16 | 1 << 5, {0: (4, 0xffff, 0x31000, 0x31100, 0x31200)})
    for i, flags in enumerate((0x80 | 2 | 1, 0x80 | 2, 0x80 | 2)):
        d = 0x31000 + 16 * i
        q.write("q", d, 0x40000 + 0x1000 * i); q.write("l", d + 8, 2048); q.write("w", d + 12, i); q.write("w", d + 14, flags)
    return legacy_blk(q)

def make(prefix):
    mine, his = socket.socketpair(); mine.settimeout(60)
    os.set_inheritable(his.fileno(), True)
    fixtures.subprocess.Popen, real = (lambda c, **k: real(c, **{**k, "pass_fds": [*k["pass_fds"], his.fileno()]})), subprocess.Popen
    try:
        vm = fixtures.VM(prefix, "x86_64", ARGS + ["-chardev", f"socket,id=qt,fd={his.fileno()}", "-object", "qtest,id=wires,chardev=qt,log=/dev/null"])
    finally: fixtures.subprocess.Popen = real
    his.close()
    try: return answered(vm, mine)
    finally: vm.p.kill(); vm.p.wait()

def answered(vm, mine):
    last = drive(Qtest(mine))
    wait_for(lambda: vm.qmp("query-status")["status"] == "io-error")
    last()
    return migrated(vm)

def migrated(vm, rounds=0):
    """The stream of a machine, and what QEMU says of PCI and virtio; a running one has so many passes over its memory."""
    answers = {"pci": vm.qmp("query-pci")}
    a, b = socket.socketpair(); vm.qmp("getfd", fd=b.fileno(), fdname="mig"); b.close()
    got = bytearray()
    def pull():
        while d := a.recv(1 << 16): got.extend(d)
    t = threading.Thread(target=pull); t.start()
    if rounds: vm.qmp("migrate-set-parameters", max_bandwidth=24 << 20, downtime_limit=1)
    vm.qmp("migrate", uri="fd:mig")
    if rounds:
        wait_for(lambda: vm.qmp("query-migrate").get("ram", {}).get("dirty-sync-count", 0) >= rounds)
        vm.qmp("migrate-set-parameters", max_bandwidth=4 << 30, downtime_limit=5000)
    vm.wait(); t.join(30)
    answers["registers"] = vm.qmp("human-monitor-command", command_line="info registers -a").replace("\r", "")
    devices = vm.qmp("x-query-virtio")
    answers["virtio"] = [{"name": d["name"], "queues": queues(vm, d["path"])} for d in devices]
    # QEMU 11.1 exits when it is asked for this, so it comes last
    try:
        for d, said in zip(devices, answers["virtio"]): said["status"] = vm.qmp("x-query-virtio-status", path=d["path"])
    except (RuntimeError, OSError) as e: print("virtio:", str(e)[:200])
    return bytes(got), answers

def queues(vm, path):
    out = []
    while True:
        try: out.append(vm.qmp("x-query-virtio-queue-status", path=path, queue=len(out)))
        except RuntimeError as e:
            if "gone" in str(e): raise
            return out

if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--qemu", action="append", default=[]); ap.add_argument("--out", default=HERE)
    a = ap.parse_args()
    for version, prefix in (x.split("=", 1) for x in a.qemu):
        stream, answers = make(prefix)
        fixtures.zst(stream, f"{a.out}/driven-{version}.mig.zst")
        del answers["registers"]
        json.dump(answers, open(f"{a.out}/driven-{version}.json", "w"), indent=1)
        print(version, len(stream), os.path.getsize(f"{a.out}/driven-{version}.mig.zst"), len(answers["virtio"]), "virtio devices")
