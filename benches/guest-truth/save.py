#!/usr/bin/env python3
"""Boots a guest that prints its own truth and saves its state in several forms.

    save.py --qemu 'qemu-system-x86_64' --kernel FILE --initrd FILE --out DIR [--work DIR [--seen-as DIR]] [options]

    --machine q35 --cpu max,la57=off --memory 256 --smp 2 --append TEXT     as QEMU takes them
    --vmcoreinfo          with the device that tells the host where the guest's VMCOREINFO lies
    --busy                two processes keep two processors busy, one in user space and one in the kernel
    --forms stream,mapped-ram,libvirt,qcow2
    --note KEY=VALUE      goes into meta.json

--qemu may be more than one word (chroot DIR qemu-system-s390x); then --work is a directory that this QEMU sees as --seen-as.

DIR/state.mig.zst, DIR/state.mapped.zst (of a second QEMU that loaded the stream), DIR/state.save.zst (a libvirt image; made of the stream by this script, with a
header as libvirt writes it), DIR/state.qcow2.zst (an internal snapshot named "truth"), truth.txt, serial.txt, registers.txt, meta.json"""
import argparse, gzip, json, os, pathlib, re, shlex, shutil, socket, struct, subprocess, sys, time

BOOT, MOVE = 600, 300  # seconds for the guest to say that it is ready, and for a migration


class Vm:
    def __init__(self, command, log):
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(command + ["-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "chardev=qmp,mode=control"],
                                        pass_fds=[theirs.fileno()], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        theirs.close()
        self.socket, self.lines = ours, ours.makefile("rb")
        self.line(), self.qmp("qmp_capabilities")

    def line(self):
        line = self.lines.readline()
        if not line:
            raise RuntimeError("QEMU left")
        return json.loads(line)

    def qmp(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}).encode() + b"\n")
        while True:
            answer = self.line()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise RuntimeError(f"{command}: {answer['error']['desc']}")

    def human(self, line):
        return self.qmp("human-monitor-command", command_line=line)

    def migrate(self, uri, **capabilities):
        self.qmp("migrate-set-capabilities", capabilities=[{"capability": k.replace("_", "-"), "state": v} for k, v in capabilities.items()])
        self.qmp("migrate-set-parameters", max_bandwidth=4 << 30)
        self.qmp("migrate", uri=uri)
        end = time.time() + MOVE
        while time.time() < end:
            status = self.qmp("query-migrate")
            if status["status"] == "completed":
                return
            if status["status"] in ("failed", "cancelled"):
                raise RuntimeError(f"migrate {uri}: {status}")
            time.sleep(0.1)
        raise RuntimeError(f"migrate {uri}: no end")

    def snapshot(self, node):
        self.qmp("snapshot-save", job_id="save", tag="truth", vmstate=node, devices=[node])
        end = time.time() + MOVE
        while time.time() < end:
            for job in self.qmp("query-jobs"):
                if job["id"] == "save" and job["status"] == "concluded":
                    if "error" in job:
                        raise RuntimeError(f"snapshot: {job['error']}")
                    return
            time.sleep(0.1)
        raise RuntimeError("snapshot: no end")

    def quit(self):
        try:
            self.qmp("quit")
        except (RuntimeError, OSError):
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def truth_of(disk):
    """the witness's words: all before the end mark"""
    data = disk.read_bytes()
    end = data.find(b"@@@EOF\n")
    return data[:end + 7] if end >= 0 else None


def libvirt_header(arch, memory, cpus):
    xml = (f"<domain type='qemu'>\n  <name>truth</name>\n  <memory unit='KiB'>{memory * 1024}</memory>\n  <vcpu>{cpus}</vcpu>\n"
           f"  <os><type arch='{arch}'>hvm</type></os>\n</domain>\n").encode() + b"\0"
    cookie = b"<qemuCookie>\n</qemuCookie>\n\0"
    length = len(xml) + len(cookie)
    head = b"LibvirtQemudSave" + struct.pack("<7I", 2, length, 1, 0, len(xml), 0, 0)
    head = head.ljust(16 + 4 * 19, b"\0")
    return head, xml + cookie


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("qemu", None), ("kernel", None), ("initrd", None), ("out", None)):
        p.add_argument("--" + name, required=True)
    for name, default in (("work", None), ("seen-as", None), ("machine", "q35"), ("cpu", None), ("memory", "256"), ("smp", "2"), ("append", ""), ("forms", "stream"), ("rtc", None)):
        p.add_argument("--" + name, default=default)
    p.add_argument("--vmcoreinfo", action="store_true")
    p.add_argument("--busy", action="store_true")
    p.add_argument("--note", action="append", default=[])
    p.add_argument("--boot", type=int, default=BOOT)
    a = p.parse_args()
    forms = a.forms.split(",")
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(a.work or out / "work")
    work.mkdir(parents=True, exist_ok=True)
    seen = a.seen_as or str(work.resolve())
    shutil.copyfile(a.kernel, work / "kernel")
    shutil.copyfile(a.initrd, work / "initrd")
    for f in ("truth.raw", "serial.txt", "state.mig", "state.mapped"):
        (work / f).unlink(missing_ok=True)
    with open(work / "truth.raw", "wb") as f:
        f.truncate(96 << 20)
    qemu = shlex.split(a.qemu)
    s390 = "s390x" in qemu[-1]
    command = qemu + ["-display", "none", "-nodefaults", "-no-user-config", "-machine", a.machine, "-m", a.memory, "-smp", a.smp,
                      "-kernel", f"{seen}/kernel", "-initrd", f"{seen}/initrd", "-serial", f"file:{seen}/serial.txt",
                      "-drive", f"if=none,id=truth,format=raw,file={seen}/truth.raw", "-device", "virtio-blk,drive=truth",
                      "-netdev", "user,id=net", "-device", "virtio-net,netdev=net,mac=52:54:00:12:34:56"]
    if a.cpu:
        command += ["-cpu", a.cpu]
    if a.rtc:
        command += ["-rtc", a.rtc]
    if "qcow2" in forms:
        image = qemu[:-1] + ["qemu-img", "create", "-q", "-f", "qcow2", f"{seen}/state.qcow2", "64M"]
        subprocess.run(image, check=True)
        command += ["-drive", f"if=none,id=state,node-name=snapshots,format=qcow2,file={seen}/state.qcow2", "-device", "virtio-blk,drive=state"]
    if a.vmcoreinfo:
        command += ["-device", "vmcoreinfo"]
    console = "ttyAMA0" if "aarch64" in qemu[-1] else "ttysclp0" if s390 else "ttyS0"
    append = f"console={console} panic=-1 {a.append}{' scene=busy' if a.busy else ''}".rstrip()
    command += ["-append", append]
    with open(work / "qemu.log", "wb") as log:
        vm = Vm(command, log)
        try:
            end = time.time() + a.boot
            while b"GUEST READY" not in (work / "serial.txt").read_bytes():
                if time.time() > end or vm.process.poll() is not None:
                    raise RuntimeError(f"the guest did not get ready; its console ends with {(work / 'serial.txt').read_bytes()[-400:]!r}")
                time.sleep(0.5)
            time.sleep(3)
            vm.qmp("stop")
            registers = vm.human("info registers -a")
            facts = {"qemu": vm.qmp("query-version")["package"] or vm.qmp("query-version")["qemu"], "machine": a.machine, "cpus": vm.human("info cpus")}
            made = {}
            if "qcow2" in forms:
                vm.snapshot("snapshots")
            vm.migrate(f"exec:cat > {seen}/state.mig")
        finally:
            vm.quit()
    shutil.copyfile(work / "serial.txt", out / "serial.txt")
    failed = {}
    if "mapped-ram" in forms:  # QEMU saves a stopped guest once only, so another one takes it over, stopped as it is
        with open(work / "qemu.log", "ab") as log:
            vm = Vm(command + ["-S", "-incoming", f"exec:cat {seen}/state.mig"], log)
            try:
                end = time.time() + MOVE
                while vm.qmp("query-status")["status"] == "inmigrate" and time.time() < end:
                    time.sleep(0.1)
                vm.migrate(f"file:{seen}/state.mapped", mapped_ram=True)
            except RuntimeError as e:
                failed["mapped-ram"] = str(e)
            finally:
                vm.quit()
    version = re.search(rb"Linux version (\S+)", (out / "serial.txt").read_bytes())
    pack = lambda name, to: subprocess.run(["zstd", "-q", "-f", "-1", "--long=27", "-o", str(out / to), str(work / name)], check=True)
    if "stream" in forms and (work / "state.mig").exists():
        pack("state.mig", "state.mig.zst"); made["stream"] = "state.mig.zst"
    if "mapped-ram" in forms and (work / "state.mapped").exists() and "mapped-ram" not in failed:
        pack("state.mapped", "state.mapped.zst"); made["mapped-ram"] = "state.mapped.zst"
    if "libvirt" in forms:
        head, rest = libvirt_header("aarch64" if "aarch64" in qemu[-1] else "s390x" if s390 else "x86_64", int(a.memory), int(a.smp))
        with open(work / "state.save", "wb") as f, open(work / "state.mig", "rb") as g:
            f.write(head + rest)
            shutil.copyfileobj(g, f)
        pack("state.save", "state.save.zst"); made["libvirt"] = "state.save.zst"
    if "qcow2" in forms:
        pack("state.qcow2", "state.qcow2.zst"); made["qcow2"] = "state.qcow2.zst"
    truth = truth_of(work / "truth.raw")
    if truth is None:
        sys.exit("save: the witness wrote no end")
    (out / "truth.txt").write_bytes(truth)
    (out / "registers.txt").write_text(registers)
    note = re.search(rb"@@@BEGIN sys/kernel/vmcoreinfo \d+\n(.*)", truth)
    meta = {"kernel": version and version[1].decode(), "command": command[len(qemu) - 1:], "cmdline": append, **facts, "vmcoreinfo_device": a.vmcoreinfo, "busy": a.busy,
            "vmcoreinfo": note and note[1].decode(), "forms": made, "failed": failed, **dict(n.split("=", 1) for n in a.note)}
    (out / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    for f in ("state.mig", "state.mapped", "state.save", "state.qcow2", "truth.raw", "kernel", "initrd"):
        (work / f).unlink(missing_ok=True)
    print(f"{out}: {meta['kernel']} {' '.join(made)}{''.join(f' NOT {k}: {v}' for k, v in failed.items())}, truth {len(truth)} bytes")


if __name__ == "__main__":
    main()
