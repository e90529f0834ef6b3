#!/usr/bin/env python3
"""Makes large descriptions and -dump-vmstate files that are costly to read, and measures the commands on them.

    benches/hostile-descriptions.py make DIR [MiB]         one file per kind, of 60 MiB unless said otherwise
    benches/hostile-descriptions.py run PROGRAM DIR        CPU seconds and MiB of memory of each command on each file
"""
import os
import resource
import struct
import sys
from pathlib import Path

HEAD = b'{"page_size": 4096, "devices": ['
DEVICE = b'{"name": "d", "instance_id": 0, "vmsd_name": "d", "version": 1, "fields": ['


def fill(piece, size):
    """Repeats a piece; a function makes the n-th."""
    if callable(piece):
        out, n, length = [], 0, 0
        while length < size:
            out.append(piece(n))
            length += len(out[-1])
            n += 1
        return b"".join(out)
    return piece * (size // len(piece))


def one(fields):
    return HEAD + DEVICE + fields.rstrip(b",") + b"]}]}"


def kinds(size):
    names = fill(lambda n: b'{"name":"%x","type":"t%x","size":1},' % (n, n), size)
    field = b'{"name": "env.regs", "array_len": 16, "type": "uint64", "size": 8}, '
    real = DEVICE + field * 150 + field[:-2] + b"]},\n"
    yield "real", HEAD + fill(real, size)[:-2] + b"]}"
    yield "fields", one(fill(b'{"name":"x","type":"uint8","size":0},', size))
    yield "empty-fields", one(fill(b"{},", size))
    yield "names", one(names)
    yield "structs", one(fill(b'{"struct":{},"size":0},', size))
    yield "elements", one(b'{"type":"qtailq","size":1,' + fill(b'"fields":[],', size)[:-1] + b"},")
    yield "subsections", HEAD + DEVICE + b'],"subsections":[' + fill(b"{},", size)[:-1] + b"]}]}"
    yield "devices", HEAD + fill(b'{"name":"x"},', size)[:-1] + b"]}"
    yield "repeated-keys", one(b"{" + fill(b'"a":0,', size)[:-1] + b"},")
    yield "many-keys", one(b"{" + fill(lambda n: b'"%x":0,' % n, size)[:-1] + b"},")
    yield "deep", HEAD + b"[" * 100 + fill(b"0,", size // 40)[:-1] + b"]" * 100 + b"]}"
    yield "long-string", one(b'{"name":"' + b"x" * size + b'"},')
    yield "control", HEAD + b'{"name":"' + b"\x01" * size + b'","instance_id":0}]}'
    yield "control-damaged", HEAD + b'{"name":"' + b"\x01" * size + b'"x'
    yield "control-fields", one(fill(b'{"name":"\x01","type":"uint8","size":1},', size))
    yield "unterminated", HEAD + b'"' + b"x" * size
    yield "not-utf8", HEAD + b'{"name":"' + b"\xff" * size + b'"}]}'
    yield "quotes", HEAD + b'{"name":"' + fill(b'" ', size) + b'x"}]}'
    yield "backslashes", HEAD + b'{"name":"' + fill(b"\\q", size) + b'"}]}'
    yield "nested-devices", HEAD + fill(b'{"name": "a", "instance_id": 0, "x": [', size)
    yield "begun-devices", HEAD + fill(b'{"name": "a", "instance_id": 0, "x" ', size)
    yield "bad-devices", HEAD + fill(b'{"name": "a", "instance_id": 0, "x" 1}, ', size)[:-2] + b"]}"
    yield "begun-names", HEAD + fill(b'{"name"', size)
    yield "braces", HEAD + b"{" * size
    yield "one-wrong-byte", (HEAD + fill(real, size)[:-2] + b"]}").replace(b'"uint64", "size"', b'"uint64"; "size"', 1)


def dumps(size):
    head = b'{\n  "c": {\n    "Name": "c",\n    "Description": {"name": "c", "version_id": 1, "Fields": ['
    real = b'{"field": "regs", "version_id": 0, "field_exists": false, "num": 4, "size": 8},\n'
    yield "dump-fields", head + fill(b'{"field":"x"},', size)[:-1] + b"]}\n  }\n}"
    yield "dump-names", head + fill(lambda n: b'{"field":"%x"},' % n, size)[:-1] + b"]}\n  }\n}"
    yield "dump-real", head + fill(real, size // 4)[:-2] + b"]}\n  }\n}"
    yield "dump-cut", head + b"]}},\n" + fill(lambda n: b'"c%x": {"Description": {"name": "c", "Fields": [%s]}},\n' % (n, real[:-2] * 1), size // 4)
    yield "dump-control", head + b'{"field":"' + b"\x01" * size


def stream(text):
    """A stream with a device, unless the description is damaged: then only the walk from the front finds it."""
    name = b"\x07\0\0\0\x02pc"
    section = b"\x04\0\0\0\x01\x01d\0\0\0\0\0\0\0\x01\x07\x7e\0\0\0\x01" if text.endswith(b"}") else b""
    return b"QEVM\0\0\0\x03" + name + section + b"\0\x06" + struct.pack(">I", len(text)) + text


def commands(program, file):
    if file.suffix == ".json":
        return [[program, "compat", file, file]]
    return [
        [program, "-f", file],
        [program, "-f", file, "--dump", "desc"],
        [program, "state", file],
        [program, "check", file],
        [program, "info", file],
        [program, "diff", file, file],
        [program, "compat", file, file],
        [program, "state", file, "--schema", file.with_suffix(".txt")],
    ]


def cut(file, to):
    """Writes the description of a stream, in small pieces: a child counts the memory of its parent as its own."""
    with file.open("rb") as source, to.open("wb") as target:
        source.seek(source.read(200).index(HEAD))
        while piece := source.read(1 << 16):
            target.write(piece)


def measure(command):
    """Returns CPU seconds, MiB, and the exit status."""
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.execv(command[0], [str(c) for c in command])
    _, status, usage = os.wait4(pid, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def main():
    if sys.argv[1] == "make":
        target = Path(sys.argv[2])
        target.mkdir(parents=True, exist_ok=True)
        size = int(float(sys.argv[3]) * (1 << 20)) if len(sys.argv) > 3 else 60 << 20
        for name, text in kinds(size):
            (target / f"{name}.mig").write_bytes(stream(text))
        for name, text in dumps(size):
            (target / f"{name}.json").write_bytes(text)
        return
    program, target = sys.argv[2], Path(sys.argv[3])
    only = sys.argv[4:]
    for file in sorted(target.iterdir()):
        if file.suffix == ".txt" or only and file.stem not in only:
            continue
        lent = file.with_suffix(".txt")
        if file.suffix == ".mig":
            cut(file, lent)
        cells = []
        for command in commands(program, file):
            cpu, rss, code = measure(command)
            what = " ".join(str(c) for c in command[1:] if not str(c).startswith(str(target)))
            mark = "!" if cpu > 10 or rss > 256 or code < 0 else ""
            cells.append(f"{what} {cpu:.1f}s {rss:.0f}M ({code}){mark}")
        if lent.exists():
            lent.unlink()
        print(f"{file.stem}: " + "; ".join(cells), flush=True)


if __name__ == "__main__":
    main()
