#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Opens dumps with every reader of dumps that is installed, and shows which could read which.

    readers.py DUMP... [--vmlinux FILE] [--registers FILE] [--isf DIR]
    readers.py --state STATE --format elf,kdump-zstd [--tool PATH] ...
    readers.py --manifest LIST.json ...

Every check looks for something certain: the program counters that QEMU showed, the kernel's release, a line of its log, PID 1.
A cell of the table is `ok`, `in part` (some checks lacked what they need), `fails`, `-` (this reader reads no such files) or empty (not installed).
README.md says more.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap

from checks import ALL, Report
from dumpfile import Dump, Registers

MARKER = "savevm-guest-marker: hello from the guest kernel log"


class Case:
    """One dump, and what is known of the guest in it."""

    def __init__(self, path, known, directory):
        self.path, self.directory = os.path.abspath(path), directory
        self.dump = Dump(path)
        self.arch = known.get("arch") or self.dump.arch or ("x86_64" if known.get("vmlinux") else None)
        self.guest = known.get("guest") or ""
        self.label = known.get("label") or os.path.basename(path)
        self.format = known.get("format") or self.dump.format + (f" {self.dump.codec}" if self.dump.codec else "")
        self.vmlinux = known.get("vmlinux") and os.path.abspath(known["vmlinux"])
        self.isf = known.get("isf") and os.path.abspath(known["isf"])
        self.marker = known.get("marker", MARKER)
        self.registers = None
        if known.get("registers"):
            with open(known["registers"]) as file:
                self.registers = Registers(file.read())
        self.cpus = known.get("cpus") or (self.registers and self.registers.cpus)
        self.release = known.get("release") or self.dump.vmcoreinfo.get("OSRELEASE")
        self.version = self.release and self.release.split("-")[0]
        numbers = re.match(r"(\d+)\.(\d+)", self.release or "")
        self.numbers = numbers and (int(numbers.group(1)), int(numbers.group(2)))
        self.linux = known.get("linux", bool(self.release or self.vmlinux))
        self.five_levels = bool(self.registers and self.registers.five_levels) or self.dump.vmcoreinfo.get("NUMBER(pgtable_l5_enabled)") == "1"

    def temporary(self, name, text=None):
        path = os.path.join(self.directory, name)
        if os.path.lexists(path):
            os.unlink(path)
        if text is not None:
            with open(path, "w") as file:
                file.write(text)
        return path

    def link(self, name):
        path = self.temporary(name)
        os.symlink(self.path, path)
        return path

    def marked(self, what, text, report, trouble=None):
        """The log holds the line that the guest wrote into it; without such a line, the kernel's own first one."""
        if not self.linux:
            return
        wanted = self.marker or "Linux version"
        report.check(f"{what}: the guest's line", wanted in text, trouble or f"{len(text.splitlines())} lines, none with {wanted!r}")


def readers(only, timeout):
    return [kind(timeout) for kind in ALL if not only or kind.name in only]


def row(case, found, tools):
    cells = {}
    for reader in found:
        reason = reader.cannot(case)
        if not tools[reader.name]:
            cells[reader.name] = {"result": "not installed"}
        elif reason:
            cells[reader.name] = {"result": "not possible", "why": reason}
        else:
            report = Report()
            try:
                reader.run(case, report)
            except Exception as error:  # a reader's answer that we cannot take apart is a failure of that reader, not of the table
                report.check("the checks", False, f"{type(error).__name__}: {error}")
            for i, (name, passed, said) in enumerate(report.lines):
                report.lines[i] = (name, passed, said.replace(case.directory + os.sep, "").replace(case.path, "DUMP"))
            bad = report.failures
            cells[reader.name] = {"result": "fails" if bad else "ok", "checks": [{"check": n, "passed": p, "said": s} for n, p, s in report.lines]}
    return {"label": case.label, "guest": case.guest, "arch": case.arch, "format": case.format, "readers": cells}


def made(tool, state, form, directory):
    """A dump of that format, written by the tool under test. `elf-paging` is `elf` with `--paging`; `+` adds further options."""
    base, *options = form.split("+")
    base, more = (base.removesuffix("-paging"), ["--paging"]) if base.endswith("-paging") else (base, [])
    base, more = (base.removesuffix("-flattened"), more + ["--flattened"]) if base.endswith("-flattened") else (base, more)
    path = os.path.join(directory, f"made.{form}")
    command = [tool, "extract", "--format", base, *more, *options, "-o", path, state]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode not in (0, 3) or not os.path.exists(path):
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}: {done.stdout.decode('utf-8', 'replace').strip()[-400:]}")
    return path


def entries(options):
    given = {k: v for k in ("vmlinux", "registers", "isf", "arch", "guest", "release", "cpus", "marker") if (v := getattr(options, k)) is not None}
    out = [{**given, "file": file} for file in options.dumps] + [{**given, "state": state} for state in options.state]
    for manifest in options.manifest:
        base = os.path.dirname(os.path.abspath(manifest))
        with open(manifest) as file:
            for entry in json.load(file):
                for key in ("file", "state", "vmlinux", "registers", "isf"):
                    if entry.get(key):
                        entry[key] = os.path.join(base, entry[key])
                out.append({**given, **entry})
    return out


def rows(options, found, tools):
    for entry in entries(options):
        files = [(entry["file"], None)] if "file" in entry else [(None, form) for form in entry.get("formats") or options.format.split(",")]
        for path, form in files:
            with tempfile.TemporaryDirectory(prefix="readers-", dir=options.tmpdir and os.path.abspath(options.tmpdir)) as directory:
                name = f"{entry.get('label') or os.path.basename(path or entry['state'])}" + (f" {form}" if form else "")
                try:
                    written = path or made(options.tool, entry["state"], form, directory)
                    known = {**entry, **({"format": form} if form else {})}
                    result = row(Case(written, known, directory), found, tools)
                except (RuntimeError, OSError) as error:
                    result = {"label": entry.get("label") or os.path.basename(path or entry["state"]), "guest": entry.get("guest", ""), "arch": entry.get("arch"), "format": form or "?", "error": str(error), "readers": {}}
                print(f"{name}: " + (result.get("error") or ", ".join(f"{k} {v['result']}" for k, v in result["readers"].items() if v["result"] in ("ok", "fails"))), file=sys.stderr, flush=True)
                yield result


def table(results, found, markdown):
    notes, lines = [], []
    def note(text):
        if text not in notes:
            notes.append(text)
        return f"[{notes.index(text) + 1}]"
    head = ["guest", "arch", "format", *(reader.name for reader in found)]
    for result in results:
        cells = [result["guest"] or result["label"], result["arch"] or "?", result["format"]]
        for reader in found:
            cell = result["readers"].get(reader.name)
            if cell is None:
                cells.append(f"not written {note(result['error'])}" if "error" in result else "")
            elif cell["result"] == "not installed":
                cells.append("")
            elif cell["result"] == "not possible":
                cells.append("-" if cell["why"].startswith("reads ") else f"- {note(f'{reader.name}: ' + cell['why'])}")
            else:
                bad = [c for c in cell["checks"] if c["passed"] is False]
                limits = [c for c in cell["checks"] if c["passed"] is None and not c["said"].startswith("this build has no")]
                said = {}
                for c in bad + limits:
                    said.setdefault(c["said"] or "no", []).append(c["check"])
                reasons = [f"{reader.name}, {'; '.join(names)}: {why}" for why, names in said.items()]
                done = sum(1 for c in cell["checks"] if c["passed"])
                word = ("in part" if limits else "ok") if not bad else "fails" if done == 0 else f"{len(bad)} of {done + len(bad)} fail"
                cells.append(" ".join([word, *(note(r) for r in reasons)]))
        lines.append(cells)
    if markdown:
        yield "| " + " | ".join(head) + " |"
        yield "|" + " --- |" * len(head)
        for cells in lines:
            yield "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"
        yield ""
        for i, text in enumerate(notes, 1):
            yield f"[{i}] {text}" + "  "
        return
    widths = [max(len(c[i]) for c in [head, *lines]) for i in range(len(head))]
    for cells in [head, *lines]:
        yield "  ".join(c.ljust(w) for c, w in zip(cells, widths)).rstrip()
    yield ""
    for i, text in enumerate(notes, 1):
        yield from textwrap.wrap(f"[{i}] {text}", 140, subsequent_indent="    ")


def main():
    parser = argparse.ArgumentParser(description="Open dumps with every reader that is installed.", epilog="Exit status: 0 if no check failed, 1 if one did.")
    parser.add_argument("dumps", nargs="*", metavar="DUMP", help="dumps to open")
    parser.add_argument("--state", action="append", default=[], help="a saved state, of which --tool writes dumps in each --format first")
    parser.add_argument("--format", default="elf,kdump-zlib", help="formats for --state, with commas (%(default)s); elf-paging and kdump-zlib-flattened add the option, elf+--x adds any other")
    parser.add_argument("--tool", default="savevm-analyze", help="the program that writes them (%(default)s)")
    parser.add_argument("--manifest", action="append", default=[], help="a JSON list of objects with file or state, formats, label, guest, arch, release, cpus, vmlinux, registers, isf, marker")
    parser.add_argument("--vmlinux", help="the guest kernel with debug information")
    parser.add_argument("--registers", help="text of QEMU's `info registers -a` from the same pause")
    parser.add_argument("--isf", help="directory with volatility3's symbol tables")
    parser.add_argument("--arch", help="architecture of the guest, where the dump does not tell (kdump)")
    parser.add_argument("--guest", help="what to call the guest in the table")
    parser.add_argument("--release", help="the kernel's release, where the dump has no VMCOREINFO")
    parser.add_argument("--cpus", type=int, help="number of CPUs, without --registers")
    parser.add_argument("--marker", help=f"a line of the guest's log (default: {MARKER!r}; empty: any kernel's first line)")
    parser.add_argument("--only", action="append", default=[], help="only this reader; can be repeated")
    parser.add_argument("--timeout", type=int, default=300, help="seconds for each run of a reader (%(default)s)")
    parser.add_argument("--tmpdir", help="directory for temporary files")
    parser.add_argument("--markdown", action="store_true", help="the table in Markdown")
    parser.add_argument("--json", action="store_true", help="everything, each check with what the reader said")
    parser.add_argument("--verbose", action="store_true", help="every check below the table")
    options = parser.parse_args()
    if not (options.dumps or options.state or options.manifest):
        parser.error("a dump, --state or --manifest is needed")
    found = readers(options.only, options.timeout)
    tools = {reader.name: reader.tool() for reader in found}
    results = list(rows(options, found, tools))
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        for line in table(results, found, options.markdown):
            print(line)
        absent = [name for name, path in tools.items() if not path]
        if absent:
            print(f"\nnot installed: {', '.join(absent)}")
        if options.verbose:
            for result in results:
                for name, cell in result["readers"].items():
                    for c in cell.get("checks", ()):
                        mark = {True: "ok", False: "FAILS", None: "not checked"}[c["passed"]]
                        print(f"{result['label']} | {result['format']} | {name} | {c['check']} | {mark}" + (f" | {c['said']}" if c["said"] and not c["passed"] else ""))
    failed = any("error" in r or any(c["result"] == "fails" for c in r["readers"].values()) for r in results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
