#!/usr/bin/env python3
"""The initramfs of a guest that prints its own truth.

    build.py --busybox FILE --modules DIR [--cc GCC | --scene FILE] [--squash FILE] -o INITRD

busybox is a static one of the guest's architecture; DIR is lib/modules/VERSION of the kernel's package; GCC compiles
scene.c for the guest (x86_64: gcc, arm64: aarch64-linux-gnu-gcc, s390x: s390x-linux-gnu-gcc). Modules that the kernel
does not have are left out, with a remark; the rest are put into an order in which each comes after those it needs."""
import argparse, gzip, lzma, os, pathlib, re, subprocess, sys, tempfile

HERE = pathlib.Path(__file__).parent
WANTED = """qemu_fw_cfg virtio_pci virtio_mmio virtio_blk virtio_net virtio_console virtio-rng loop dummy tun bridge veth 8021q crc32c_generic ext4 squashfs
    overlay ipv6 af_packet inet_diag tcp_diag udp_diag unix_diag netlink_diag nf_conntrack nft_ct nft_chain_nat nfnetlink vmw_vsock_virtio_transport macvlan""".split()


def plain(path):
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    return data


def modules(root):
    """name -> content, in an order that loads"""
    files = {}
    for path in pathlib.Path(root).rglob("*.ko*"):
        files[path.name.split(".ko")[0].replace("-", "_")] = path
    order, done = {}, set()

    def add(name, why):
        name = name.replace("-", "_")
        if name in done:
            return
        done.add(name)
        if name not in files:
            print(f"build: no module {name}{why}", file=sys.stderr)
            return
        data = plain(files[name])
        for need in (re.search(rb"\0depends=([^\0]*)\0", data) or [b"", b""])[1].decode().split(","):
            if need:
                add(need, f", which {name} needs")
        order[name] = data

    for name in WANTED:
        add(name, "")
    return order


class Cpio:
    """the archive that a kernel unpacks at its start"""
    def __init__(self):
        self.parts, self.inode = [], 0

    def add(self, name, mode, data=b"", rdev=(0, 0)):
        self.inode += 1
        name = name.encode() + b"\0"
        head = "070701" + "".join("%08x" % n for n in (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name), 0))
        for piece in (head.encode() + name, data):
            self.parts.append(piece + bytes(-len(piece) % 4))

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--busybox", required=True)
    p.add_argument("--modules", required=True)
    p.add_argument("--cc", default="gcc")
    p.add_argument("--scene", help="scene.c, compiled already")
    p.add_argument("--squash", help="a squashfs image to mount from a loop device")
    p.add_argument("-o", required=True)
    a = p.parse_args()
    if a.scene:
        scene = pathlib.Path(a.scene).read_bytes()
    else:
        with tempfile.TemporaryDirectory() as d:
            subprocess.run([a.cc, "-O1", "-static", "-pthread", "-s", "-o", f"{d}/scene", HERE / "scene.c"], check=True)
            scene = pathlib.Path(d, "scene").read_bytes()
    c = Cpio()
    for d in "bin dev proc sys modules".split():
        c.add(d, 0o040755)
    c.add("dev/console", 0o020600, rdev=(5, 1))
    c.add("bin/busybox", 0o100755, pathlib.Path(a.busybox).read_bytes())
    c.add("bin/scene", 0o100755, scene)
    c.add("init", 0o100755, (HERE / "init").read_bytes())
    found = modules(a.modules)
    for name, data in found.items():
        c.add(f"modules/{name}.ko", 0o100644, data)
    c.add("modules/order", 0o100644, "".join(f"{n}.ko\n" for n in found).encode())
    if a.squash:
        c.add("squash", 0o100644, pathlib.Path(a.squash).read_bytes())
    pathlib.Path(a.o).write_bytes(gzip.compress(c.bytes(), 6))
    print(f"{a.o}: {os.path.getsize(a.o)} bytes, modules {' '.join(found)}")


if __name__ == "__main__":
    main()
