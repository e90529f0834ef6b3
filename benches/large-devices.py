#!/usr/bin/env python3
"""Makes states with large devices and measures what commands cost: time and peak memory.

    benches/large-devices.py make FOLDER [--mib 1024] [--binary BINARY --from STREAM]
    benches/large-devices.py measure FOLDER BINARY...

`make` writes a state with one device of that size for each kind of content (a buffer, an array of bytes, an array of
64-bit numbers), one with a table of 5 Mi numbers as `spapr_iommu` has it, and, with a stream that has a virtio-net device, one with
255 copies of it. `measure` runs the commands on each with each program, one after the other.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import time

PIECE = 1 << 20


def section(number, name, instance, version, payload_bytes, write, payload):
    name = name.encode()
    write(b"\x04" + struct.pack(">I", number) + bytes([len(name)]) + name + struct.pack(">II", instance, version))
    payload(write, payload_bytes)
    write(b"\x7e" + struct.pack(">I", number))


def stream(path, devices):
    """Writes a stream of devices: name, instance, description, number of bytes, and what writes them."""
    with open(path, "wb") as f:
        f.write(b"QEVM" + struct.pack(">I", 3) + b"\x07" + struct.pack(">I", 2) + b"pc")
        for i, (name, instance, device, n, payload) in enumerate(devices):
            section(i + 2, name, instance, device.get("version", 1), n, f.write, payload)
        text = json.dumps({"page_size": 4096, "devices": [d for _, _, d, _, _ in devices]}).encode()
        f.write(b"\x00\x06" + struct.pack(">I", len(text)) + text)


def noise(write, n):
    """Bytes of which none is like its neighbour; the same in every run."""
    block = bytes((i * 167 + (i >> 8) * 29 + 1) & 0xFF for i in range(PIECE))
    while n > 0:
        write(block[: min(n, PIECE)])
        n -= PIECE


def device(name, fields):
    return {"name": name, "instance_id": 0, "vmsd_name": name, "version": 1, "fields": fields}


def make(folder, mib, binary, source):
    n = mib << 20
    kinds = {
        "buffer": [{"name": "data", "type": "buffer", "size": n}],
        "uint8": [{"name": "data", "array_len": n, "type": "uint8", "size": 1}],
        "uint64": [{"name": "data", "array_len": n // 8, "type": "uint64", "size": 8}],
    }
    for kind, fields in kinds.items():
        stream(os.path.join(folder, f"{kind}.mig"), [("d", 0, device("d", fields), n, noise)])
    count = 5 << 20
    fields = [{"name": "mig_table", "array_len": count, "type": "uint64", "size": 8}]
    stream(os.path.join(folder, "table.mig"), [("spapr_iommu", 0, device("spapr_iommu", fields), count * 8, noise)])
    if source:
        copies(os.path.join(folder, "virtio-net-255.mig"), binary, source)


def copies(path, binary, source):
    run = lambda *a: json.loads(subprocess.run([binary, *a], check=True, capture_output=True).stdout)
    found = run("state", "--json", "--offsets", "--device", "*/virtio-net", source)["devices"][0]
    described = run("--dump", "desc", "-f", source)["devices"]
    one = next(d for d in described if d["name"] == found["device"])
    with open(source, "rb") as f:
        f.seek(int(found["offset"], 0))
        payload = f.read(found["bytes"])
    devices = []
    for i in range(255):
        name = f"0000:00:{i // 8:02x}.{i % 8}/virtio-net"
        devices.append((name, 0, {**one, "name": name}, len(payload), lambda write, _: write(payload)))
    stream(path, devices)


COMMANDS = [["-f"], ["state"], ["state", "--json"], ["check"], ["diff"], ["virtio"], ["pci"], ["cpu"]]


def measure(folder, binaries):
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        size = os.path.getsize(path) / PIECE
        for command in COMMANDS:
            if command[0] in ("virtio", "pci", "cpu") and "virtio" not in name:
                continue
            for binary in binaries:
                files = [path, path] if command == ["diff"] else [path]
                begin = time.monotonic()
                with open(os.devnull, "wb") as null:
                    child = subprocess.Popen([binary, *command, *files], stdout=null, stderr=null)
                    _, status, usage = os.wait4(child.pid, 0)
                took = time.monotonic() - begin
                peak = usage.ru_maxrss / 1024
                print(
                    f"{name:20} {size:7.0f} MiB  {' '.join(command):14} {binary[-24:]:24} exit {os.waitstatus_to_exitcode(status)}"
                    f" {took:8.3f} s {peak:8.0f} MiB",
                    flush=True,
                )


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="what", required=True)
    m = sub.add_parser("make")
    m.add_argument("folder")
    m.add_argument("--mib", type=int, default=1024)
    m.add_argument("--binary")
    m.add_argument("--from", dest="source")
    m = sub.add_parser("measure")
    m.add_argument("folder")
    m.add_argument("binaries", nargs="+")
    a = p.parse_args()
    if a.what == "make":
        os.makedirs(a.folder, exist_ok=True)
        make(a.folder, a.mib, a.binary, a.source)
    else:
        measure(a.folder, a.binaries)
    return 0


if __name__ == "__main__":
    sys.exit(main())
