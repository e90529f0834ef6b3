#!/usr/bin/env python3
"""Whole-process times and memory of savevm-analyze and of comparable tools, in turn, in one run.

usage: peers.py [--runs N] [--script analyze-migration.py] BINARY STREAM [MAPPED-RAM-FILE]

Prints a table of medians: cat, cp --sparse=always, savevm-analyze and, where given, QEMU's script, on the same file. The
outputs go to a directory next to the stream and are removed before every run. Use a quiet machine and a stream that fits
into the page cache: the first run of each command, which warms it, is not counted."""
import argparse, os, resource, shutil, statistics, subprocess, sys, time


def once(command, out):
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    begun = time.monotonic()
    child = subprocess.Popen(command, cwd=out, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)}: status {status}")
    return time.monotonic() - begun, usage.ru_maxrss / 1024


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--runs", type=int, default=7)
    p.add_argument("--script")
    p.add_argument("binary")
    p.add_argument("stream")
    p.add_argument("mapped", nargs="?")
    a = p.parse_args()
    binary, stream = os.path.abspath(a.binary), os.path.abspath(a.stream)
    out = stream + ".peers"
    rows = [
        ("cat", ["cat", stream]),
        ("cp --sparse=always", ["cp", "--sparse=always", stream, "copy"]),
        ("savevm-analyze extract", [binary, "extract", stream, "-o", "ram", "-q"]),
        ("savevm-analyze --dump state", [binary, "-f", stream]),
        ("savevm-analyze info", [binary, "info", stream]),
    ]
    if a.script:
        script = os.path.abspath(a.script)
        rows += [
            ("analyze-migration.py -x", [sys.executable, script, "-x", "-f", stream]),
            ("analyze-migration.py", [sys.executable, script, "-f", stream]),
        ]
    if a.mapped:
        mapped = os.path.abspath(a.mapped)
        rows += [
            ("cp --sparse=always (mapped-ram)", ["cp", "--sparse=always", mapped, "copy"]),
            ("savevm-analyze extract (mapped-ram)", [binary, "extract", mapped, "-o", "ram", "-q"]),
        ]
    times = {name: [] for name, _ in rows}
    memory = {name: 0 for name, _ in rows}
    for run in range(a.runs + 1):
        for name, command in rows:
            seconds, mib = once(command, out)
            if run > 0:
                times[name].append(seconds)
            memory[name] = max(memory[name], mib)
    shutil.rmtree(out, ignore_errors=True)
    print(f"{os.path.getsize(stream)} bytes, {a.runs} runs each in turn, {os.cpu_count()} CPUs")
    print(f"| command | median s | min | max | peak MiB |\n|---|---|---|---|---|")
    for name, _ in rows:
        t = times[name]
        print(f"| {name} | {statistics.median(t):.3f} | {min(t):.3f} | {max(t):.3f} | {memory[name]:.1f} |")


if __name__ == "__main__":
    main()
