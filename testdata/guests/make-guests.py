#!/usr/bin/env python3
"""Reduces whole streams of Linux guests to what their kernel logs and some page-table walks need.

usage: make-guests.py DIR NAME...

DIR has for each NAME the whole stream NAME.mig.zst of the stopped guest, the console NAME.serial.txt, and NAME.gva2gpa.txt: a line
"ADDRESS ANSWER" for each virtual address that the monitor's gva2gpa was asked about. `what_is_read` of ../../tests/guests.rs says which
bytes of memory are read; these are kept, all other memory is left out or zero. The device sections stay.
"""
import importlib.util, os, random, re, subprocess, sys, tempfile
HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("booted", HERE + "/../booted/make-booted.py")
booted = importlib.util.module_from_spec(spec); spec.loader.exec_module(booted)

def main(where, names):
    for name in names:
        src = f"{where}/{name}"
        stream = subprocess.run(["zstd", "-qdc", src + ".mig.zst"], capture_output=True, check=True).stdout
        lines = open(src + ".gva2gpa.txt").read().splitlines()
        random.seed(1)
        kept = [l for l in lines if "gpa" in l]; none = [l for l in lines if "gpa" not in l]
        lines = random.sample(kept, min(60, len(kept))) + random.sample(none, min(15, len(none)))
        answers = f"{HERE}/{name}.gva2gpa.txt"; open(answers, "w").write("".join(l + "\n" for l in lines))
        with tempfile.NamedTemporaryFile(suffix=".mig") as whole:
            whole.write(stream); whole.flush()
            env = {**os.environ, "GUEST": whole.name, "ADDRESSES": answers}
            out = subprocess.run(["cargo", "test", "-q", "--all-features", *os.environ.get("CARGO_ARGS", "").split(), "--test", "guests", "--", "--ignored", "--nocapture", "what_is_read"],
                                 cwd=HERE + "/../..", env=env, capture_output=True, text=True, check=True).stdout
        ranges = {tuple(int(n, 16) for n in m) for m in re.findall(r"range (0x[0-9a-f]+) (0x[0-9a-f]+)", out)}
        block = next(b for b in (b"pc.ram", b"mach-virt.ram", b"s390.ram", b"riscv_virt_board.ram") if b in stream[:8192])
        small, counts = booted.reduce(stream, ranges, block)
        out = f"{HERE}/{name}.mig.zst"
        subprocess.run(["zstd", "-q", "-19", "-f", "-o", out], input=small, check=True)
        text = open(src + ".serial.txt", "rb").read().replace(b"\r", b"")
        subprocess.run(["zstd", "-q", "-19", "-f", "-o", f"{HERE}/{name}.console.txt.zst"], input=text, check=True)
        print(name, len(small), os.path.getsize(out), counts)

if __name__ == "__main__": main(sys.argv[1], sys.argv[2:])
