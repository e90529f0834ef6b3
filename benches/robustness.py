#!/usr/bin/env python3
"""Makes the inputs of docs/robustness.md that ask for much, and measures what commands need for them.

    benches/robustness.py FOLDER BINARY [BINARY...]

FOLDER receives the inputs (some 1.5 GiB, and a sparse file of 12 TiB). For each input and command it prints the CPU seconds,
the largest resident size and the exit status of every BINARY, in the order in which they are given. A run is ended after 60
CPU seconds or 6 GiB. Needs the commands zstd and gzip.
"""
import os
import random
import resource
import struct
import subprocess
import sys


CPU, BYTES = 60, 6 << 30


def be32(n):
    return struct.pack(">I", n)


def be64(n):
    return struct.pack(">Q", n)


def counted(name):
    return bytes([len(name)]) + name


def head(machine=b"pc-i440fx-11.1", capabilities=()):
    out = b"QEVM" + be32(3) + b"\x07" + be32(len(machine)) + machine
    if capabilities:
        out += b"\x05" + counted(b"configuration/capabilities") + be32(1) + be32(len(capabilities))
        out += b"".join(counted(c) for c in capabilities)
    return out


def footer(section):
    return b"\x7e" + be32(section)


def start(section, name, version, payload):
    return b"\x01" + be32(section) + counted(name) + be32(0) + be32(version) + payload + footer(section)


def further(kind, section, payload):
    return bytes([kind]) + be32(section) + payload + footer(section)


def full(section, name, payload):
    return b"\x04" + be32(section) + counted(name) + be32(0) + be32(1) + payload + footer(section)


def described(text):
    return b"\x00\x06" + be32(len(text)) + text


def device(name, fields):
    return b'{"name": "%s", "instance_id": 0, "vmsd_name": "%s", "version": 1, "fields": [%s]}' % (name, name, fields)


def description(devices):
    return b'{"page_size": 4096, "devices": [' + b", ".join(devices) + b"]}"


ONE = device(b"d", b'{"name": "v", "type": "uint8", "size": 1}')


def block_list(blocks):
    total = sum(n for _, n in blocks)
    return be64(total | 4) + b"".join(counted(name) + be64(n) for name, n in blocks) + be64(16)


def ram(blocks, records):
    end = further(3, 2, be64(16))
    return start(2, b"ram", 4, block_list(blocks)) + further(2, 2, records + be64(16)) + end


def tail():
    return full(3, b"d", b"\x01") + described(description([ONE]))


def zstd(path, data):
    with open(path, "wb") as out:
        p = subprocess.Popen(["zstd", "-q", "-c"], stdin=subprocess.PIPE, stdout=out)
        p.stdin.write(data)
        p.stdin.close()
        assert p.wait() == 0


def far_pages(count, step):
    first = be64(2) + counted(b"r") + b"\0"
    return first + b"".join(be64(step(i) << 12 | 0x22) + b"\0" for i in range(1, count))


def pages_far_apart(path):
    """2,000,000 records of zero pages, each far from all others."""
    zstd(path, head() + ram([(b"r", 1 << 62)], far_pages(2_000_000, lambda i: i << 16)) + tail())


def pages_far_apart_60m(path):
    """10,000,000 records at random places: some 60 MiB of zstd."""
    r = random.Random(1)
    zstd(path, head() + ram([(b"r", 1 << 62)], far_pages(10_000_000, lambda i: r.getrandbits(40))) + tail())


def discards(path):
    """Discards of one page, some 200,000, of a block of which some 200,000 pages far apart were sent."""
    n = 200_000
    out = head() + ram([(b"r", 1 << 42)], far_pages(n, lambda i: i << 12))
    for at in range(0, n, 4000):
        ranges = b"".join(be64((i << 12) << 12) + be64(4096) for i in range(at, at + 4000))
        payload = b"\0" + counted(b"r") + b"\0" + ranges
        out += b"\x08\x00\x06" + struct.pack(">H", len(payload)) + payload
    zstd(path, out + tail())


def names(count):
    def make(path):
        clean = b'<>"|?*\\:'[:7]
        blocks = []
        for i in range(count):
            name, n = b"", i
            for _ in range(6):
                name, n = name + clean[n % 7 : n % 7 + 1], n // 7
            blocks.append((name, 4096))
        with open(path, "wb") as f:
            f.write(head() + ram(blocks, b"") + tail())

    make.__doc__ = f"{count} blocks whose names become one file name"
    return make


def long_description(path):
    """A description of 60 MiB: one device of 1.5 million fields without bytes, and its section."""
    field = b'{"name": "v", "type": "uint8", "size": 0}'
    fields = b", ".join([field] * ((60 << 20) // (len(field) + 2)))
    with open(path, "wb") as f:
        f.write(head() + full(3, b"d", b"") + described(description([device(b"d", fields)])))


def control_characters(path):
    """A damaged description of 56 MiB with control characters in its names."""
    fields = b", ".join([b'{"name": "v\x01\x02", "type": "uint8", "size": 0}'] * ((56 << 20) // 46))
    text = description([device(b"d", fields)])[:-3]
    with open(path, "wb") as f:
        f.write(head() + full(3, b"d", b"") + described(text))


def large_device(kind):
    def make(path):
        n = 1 << 30
        field = {
            "buffer": b'{"name": "v", "type": "buffer", "size": %d}' % n,
            "uint8": b'{"name": "v", "type": "uint8", "array_len": %d, "size": 1}' % n,
            "uint64": b'{"name": "v", "type": "uint64", "array_len": %d, "size": 8}' % (n // 8),
        }[kind]
        piece = random.Random(3).randbytes(1 << 20)
        with open(path, "wb") as f:
            f.write(head() + b"\x04" + be32(3) + counted(b"d") + be32(0) + be32(1))
            for _ in range(n >> 20):
                f.write(piece)
            f.write(footer(3) + described(description([device(b"d", field)])))

    make.__doc__ = f"one device of 1 GiB: {kind}"
    return make


def mapped_ram(path):
    """A mapped-ram file of 12 TiB, all of it zero."""
    size = 12 << 40
    front = head(capabilities=[b"mapped-ram"]) + b"\x01" + be32(2) + counted(b"ram") + be32(0) + be32(4)
    front += be64(size | 4) + counted(b"r") + be64(size)
    bitmap = len(front) + 4 + 8 + 8 + 8
    pages = (bitmap + (size >> 15) + (1 << 20) - 1) >> 20 << 20
    front += be32(1) + be64(4096) + be64(bitmap) + be64(pages)
    with open(path, "wb") as f:
        f.write(front)
        f.seek(pages + size)
        f.write(be64(16) + footer(2) + further(2, 2, be64(16)) + further(3, 2, be64(16)) + tail())


def dense_zeros(path):
    """A guest of 64 GiB of which every page was sent as zero."""
    n = 16 << 20
    out = [be64(2) + counted(b"r") + b"\0"] + [be64(i << 12 | 0x22) + b"\0" for i in range(1, n)]
    zstd(path, head() + ram([(b"r", n << 12)], b"".join(out)) + tail())


INPUTS = [
    ("far.zst", pages_far_apart, ["info", "check", "diff --memory"]),
    ("far-60m.zst", pages_far_apart_60m, ["info", "check", "diff --memory"]),
    ("discards.zst", discards, ["info", "extract", "diff --memory"]),
    ("names-16000", names(16_000), ["info", "extract"]),
    ("names-65535", names(65_535), ["info", "extract"]),
    ("description-60m", long_description, ["info", "state", "state --json", "--dump desc", "check"]),
    ("control-56m", control_characters, ["info", "state", "--dump desc", "check"]),
    ("device-buffer", large_device("buffer"), ["-f", "state", "state --json", "check"]),
    ("device-uint8", large_device("uint8"), ["-f", "state --json", "check"]),
    ("device-uint64", large_device("uint64"), ["-f", "state --json", "check"]),
    ("mapped-12t", mapped_ram, ["state", "info"]),
    ("dense-64g.zst", dense_zeros, ["info", "diff --memory"]),
]


def limits():
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))


def run(binary, command, path, folder):
    words = command.split()
    if words == ["-f"]:
        args = ["-f", path]
    elif words[0] == "--dump":
        args = [path, *words]
    elif words[0] == "extract":
        out = os.path.join(folder, "out")
        subprocess.run(["rm", "-rf", out], check=True)
        args = ["extract", path, "-o", out, "-q"]
    elif words[0] == "diff":
        args = ["diff", path, path, *words[1:]]
    else:
        args = [words[0], path, *words[1:]]
    p = subprocess.Popen([binary, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=limits)
    _, status, usage = os.wait4(p.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return f"{usage.ru_utime + usage.ru_stime:6.2f} s {usage.ru_maxrss >> 10:5} MiB  {code:3}"


def main():
    folder, binaries = sys.argv[1], sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    for name, make, commands in INPUTS:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            make(path)
        st = os.stat(path)
        print(f"{name}: {make.__doc__} ({min(st.st_size, st.st_blocks * 512):,} bytes)", flush=True)
        for command in commands:
            print(f"  {command:16}" + "   ".join(run(b, command, path, folder) for b in binaries), flush=True)


if __name__ == "__main__":
    main()
