# SPDX-License-Identifier: MIT OR Apache-2.0
"""One class a reader. Each has `tool()`, `cannot(case)` and `run(case, report)`; a report holds one line a check.

`cannot` gives the reason why this reader can not open such a file whatever is in it; a refusal of one particular file is a failure.
"""
import json
import os
import platform
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


class Report:
    def __init__(self):
        self.lines = []

    def check(self, name, passed, said=""):
        self.lines.append((name, bool(passed), " ".join(str(said).split())[:240]))
        return bool(passed)

    def note(self, name, why):
        """Something that could not be checked here."""
        self.lines.append((name, None, why))

    @property
    def failures(self):
        return [(name, said) for name, passed, said in self.lines if passed is False]


def run(command, timeout, stdin=None):
    try:
        done = subprocess.run(command, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
        return done.returncode, done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode("utf-8", "replace") + f"\nno end after {timeout} s"
    except OSError as error:
        return None, f"{command[0]}: {error.strerror}"


def first(text, *patterns):
    """The first line that has one of the patterns, for a short reason; else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for p in patterns for line in lines if re.search(p, line)), lines[-1] if lines else "no output")


def host(case):
    arch = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    return None if case.arch == arch else f"this build reads {arch} only"


class Reader:
    variable, names = "", ()

    def __init__(self, timeout):
        self.timeout = timeout

    def tool(self):
        asked = os.environ.get(self.variable)
        return shutil.which(asked) if asked else next((path for name in self.names if (path := shutil.which(name))), None)

    def cannot(self, case):
        return None

    def go(self, *arguments, stdin=None):
        return run([self.tool(), *arguments], self.timeout, stdin)


class Readelf(Reader):
    name, variable, names = "readelf", "READELF", ("readelf",)

    def cannot(self, case):
        return None if case.dump.kind == "elf" else "reads ELF only"

    def run(self, case, report):
        status, text = self.go("-hlnW", case.path)
        report.check("headers and notes", status == 0 and not re.search(r"Warning|Error", text), first(text, "Warning|Error"))


class Gdb(Reader):
    name, variable, names = "gdb", "GDB", ("gdb-multiarch", "gdb")

    def cannot(self, case):
        return None if case.dump.kind == "elf" else "reads ELF only"

    def script(self, case, *commands):
        lines = [x for command in commands for x in ("-ex", command)]
        return self.go("-nx", "-batch", "-ex", "set pagination off", "-ex", "set confirm off", "-iex", "set debuginfod enabled off", "-c", case.path, *lines)[1]

    def run(self, case, report):
        text = self.script(case, "info threads", r'thread apply all -ascending printf "counter %#lx\n", (unsigned long)$pc')
        threads = len(re.findall(r"^[* ] +\d+ +\S", text, re.M))
        counters = [int(x, 16) for x in re.findall(r"^counter (\S+)", text, re.M)]
        wanted = case.cpus
        report.check("threads", threads == wanted if wanted else threads > 0, f"{threads} threads, {wanted} CPUs: " + first(text, "not a core dump|not recognized|rror|arning"))
        if case.registers:
            report.check("$pc of each thread", counters == case.registers.counters, f"{[hex(x) for x in counters]} for {[hex(x) for x in case.registers.counters if x is not None]}; " + first(text, "rror|arning|unavailable"))
        self.memory(case, report)
        self.symbols(case, report)

    def memory(self, case, report):
        at = case.dump.symbol("init_uts_ns")
        if at is None:
            return report.note("memory", "no VMCOREINFO in the dump to say where")
        if not case.dump.virtual and (at := case.dump.physical(at, case.arch)) is None:
            return report.note("memory", f"no rule for physical addresses of {case.arch}")
        text = self.script(case, f"x/s {at:#x}", f"x/s {at + 4:#x}")
        return report.check("memory at init_uts_ns", '"Linux"' in text, first(text, "^0x"))

    def symbols(self, case, report):
        if not case.vmlinux:
            return report.note("symbols", "no vmlinux")
        offset = case.dump.kernel_offset() if case.dump.vmcoreinfo else None
        if offset is None:
            return report.note("symbols", "no VMCOREINFO in the dump, so where the kernel lies is unknown to gdb")
        add = f"add-symbol-file {case.vmlinux} -o {offset:#x}"
        text = self.script(case, add, "thread apply all -ascending -q info symbol $pc")
        named = re.findall(r"^(\S+)(?: \+ \d+)? in section", text, re.M)
        report.check("symbol of $pc", named, first(text, "in section", "rror|No symbol"))
        if case.dump.virtual:
            text = self.script(case, add, "thread apply all -ascending -q x/8i $pc", "x/s linux_banner")
            report.check("x/8i $pc with symbols", len(re.findall(r"^(?:=>| +) 0x[0-9a-f]+ <[^>]+>:\t\w", text, re.M)) >= 8, first(text, "Cannot access|rror"))
            report.check("x/s linux_banner", "Linux version" in text, first(text, "linux_banner", "rror"))
        return None


class Crash(Reader):
    name, variable, names = "crash", "CRASH", ("crash",)

    def cannot(self, case):
        return host(case) or (None if case.dump.kind in ("elf", "kdump") else "reads ELF and kdump")

    def run(self, case, report):
        if not case.vmlinux:
            status, text = self.go("--osrelease", case.path)
            release = case.release
            return report.check("--osrelease", release in text.split() if release else re.search(r"^\d+\.\d+", text, re.M), first(text, r"^\d+\.\d+", "crash:"))
        commands = case.temporary("crash.txt", "sys\nbt -a\nps\nlog\nquit\n")
        status, text = self.go("-s", "-i", commands, case.vmlinux, case.path)
        told = re.search(r"RELEASE: (\S+)", text)
        if not report.check("sys", told and (not case.release or told.group(1) == case.release), first(text, "crash: ", "RELEASE", "rror|cannot|match")):
            return None
        if case.cpus:
            cpus = re.search(r"CPUS: (\d+)", text)
            report.check("number of CPUs", cpus and int(cpus.group(1)) == case.cpus, cpus and cpus.group(0))
        stacks = {int(m.group(1)): m.group(0) for m in re.finditer(r"^PID: +\d+ .*?CPU: (\d+).*?(?=^PID: |^ +PID |^bt: |\Z)", text, re.M | re.S)}
        shown = [cpu for cpu, stack in stacks.items() if re.search(r"^ *#\d+ \[|^ +RIP: ", stack, re.M)]
        troubles = re.findall(r"^bt: .*", text, re.M)
        report.check("bt -a", not troubles and len(shown) == (case.cpus or len(stacks)) and shown, "; ".join(troubles[:2]) or f"stacks of CPUs {sorted(shown)}")
        report.check("ps", re.search(r"^>? +1 +0 +\d+ .*(init|systemd)", text, re.M), first(text, "^ps: ", "^ +PID"))
        case.marked("log", text, report)
        return None


def reason(text):
    """makedumpfile says first what it met and last what it wanted: both."""
    lines = [line.strip() for line in text.splitlines() if re.search(r"[Cc]an't|rror|[Ii]nvalid|excluded", line)]
    return "; ".join(dict.fromkeys(lines[:1] + lines[-1:])) or first(text, "Failed")


class Makedumpfile(Reader):
    name, variable, names = "makedumpfile", "MAKEDUMPFILE", ("makedumpfile",)

    def cannot(self, case):
        if case.dump.codec in ("lzo", "snappy", "zstd") and self.tool() and re.search(rf"^{case.dump.codec}\s+disabled", self.go("-v")[1], re.M):
            return f"this build has no {case.dump.codec}"
        return host(case) or (None if case.dump.kind in ("elf", "kdump") else "reads ELF and kdump")

    def run(self, case, report):
        path = case.path
        if case.dump.format == "kdump-flattened":
            path = case.temporary("assembled")
            with open(case.path, "rb") as flat:
                status, text = self.go("-R", path, stdin=flat.read())
            if not report.check("-R", status == 0, reason(text)):
                return
        self.log("--dump-dmesg", path, case, report)
        for option, codec in (("-c", "zlib"), ("-l", "lzo"), ("-z", "zstd")):
            less = case.temporary("less")
            status, text = self.go(option, "-d", "31", path, less)
            if "unsupported" in text or "disabled" in text:
                report.note(f"{option} -d 31", f"this build has no {codec}")
                continue
            if report.check(f"{option} -d 31", status == 0 and os.path.exists(less) and os.path.getsize(less) > 0, reason(text)):
                self.log(f"{option} -d 31, read again", less, case, report)

    def log(self, what, path, case, report):
        out = case.temporary("dmesg")
        status, text = self.go("--dump-dmesg", path, out)
        if report.check(what, status == 0 and os.path.exists(out), reason(text)):
            with open(out, errors="replace") as file:
                case.marked(what, file.read(), report)


class Scripted(Reader):
    script = ""

    def tool(self):
        path = super().tool()
        return path if path and run([path, "-c", f"import {self.module}"], 60)[0] == 0 else None

    def ask(self, *arguments):
        with open(os.path.join(HERE, self.script), "rb") as file:
            status, text = self.go("-", *arguments, stdin=file.read())
        try:
            return json.loads(next(line for line in reversed(text.splitlines()) if line.startswith("{")))
        except (StopIteration, ValueError):
            return {"error": first(text, "rror")}


class Libkdumpfile(Scripted):
    name, variable, names, script, module = "libkdumpfile", "KDUMPFILE_PYTHON", ("python3", "/usr/bin/python3"), "in_kdumpfile.py", "kdumpfile"

    def cannot(self, case):
        return None if case.dump.kind in ("elf", "kdump") else "reads ELF and kdump"

    def run(self, case, report):
        at = case.dump.symbol("init_uts_ns")
        said = self.ask(case.path, *([hex(at)] if at is not None else []))
        if not report.check("opens", "error" not in said, said.get("error")):
            return
        names = {"i386": ("ia32",), "arm": ("arm",)}.get(case.arch, (case.arch,))
        report.check("arch.name", said.get("arch.name") in names, f'{said.get("arch.name")} for {case.arch}')
        if case.linux:
            report.check("linux.vmcoreinfo", said.get("linux.vmcoreinfo.raw") == "present", said.get("linux.vmcoreinfo.raw"))
            report.check("linux.uts.release", said.get("linux.uts.release") and said["linux.uts.release"] == (case.release or said["linux.uts.release"]), said.get("linux.uts.release"))
        if case.cpus:
            report.check("cpu.number", said.get("cpu.number") == case.cpus, f'{said.get("cpu.number")} for {case.cpus}')
        if at is not None:
            report.check("virtual address of init_uts_ns", bytes.fromhex(said.get("bytes", ""))[:9].find(b"Linux") >= 0, said.get("read_error") or said.get("bytes"))


class Drgn(Scripted):
    name, variable, names, script, module = "drgn", "DRGN_PYTHON", ("python3",), "in_drgn.py", "drgn"

    def cannot(self, case):
        return None if case.dump.kind in ("elf", "kdump") else "reads ELF and kdump"

    def run(self, case, report):
        said = self.ask(case.path, *([case.vmlinux] if case.vmlinux else []))
        if not report.check("opens", "error" not in said, said.get("error")):
            return
        if not case.linux:
            return
        report.check("release", said.get("release") and said["release"] == (case.release or said["release"]), said.get("release") or "not taken for a Linux kernel")
        if not case.vmlinux:
            report.note("tasks, stacks, log", "no vmlinux")
            return
        report.check("for_each_task finds init", said.get("first"), f'{said.get("tasks")} tasks, PID 1 is {said.get("first")}')
        stacks = said.get("stacks", [])
        bad = [f'CPU {s["cpu"]}: {s.get("why") or s["frames"]}' for s in stacks if not s["frames"]]
        report.check("stack_trace of each CPU", stacks and not bad and len(stacks) == (case.cpus or len(stacks)), "; ".join(bad) or f"{len(stacks)} stacks for {case.cpus} CPUs")
        if case.registers and stacks and not bad:
            found = [s["pc"] for s in stacks]
            report.check("pc of each CPU", found == case.registers.counters, f"{[hex(x) for x in found]} for {[hex(x) for x in case.registers.counters if x is not None]}")
        crashed = said.get("crashed_error", "")
        report.check("crashed_thread", "crashed" in said or "panic_cpu is not set" in crashed, crashed)
        case.marked("log", said.get("log", ""), report, said.get("log_error"))


class Mquire(Reader):
    name, variable, names = "mquire", "MQUIRE", ("mquire",)

    def cannot(self, case):
        if case.dump.kind != "elf":
            return "reads ELF and raw memory only"
        if case.arch != "x86_64" or not case.linux:
            return "reads Linux on x86_64 only"
        return "knows four levels of page tables, and this guest has five" if case.five_levels else None

    def query(self, path, sql):
        return self.go("query", "--format", "json", path, sql)[1]

    def run(self, case, report):
        path = case.link("dump.elf")  # it goes by the extension
        text = self.query(path, "SELECT * FROM os_version")
        wanted = case.version or "Linux"
        if not report.check("os_version", wanted in text, first(text, "rror|[Ff]ailed|panic", re.escape(wanted))):
            return
        if case.numbers and case.numbers < (6, 4):
            report.note("tasks, dmesg", "it wants Linux 6.4 or later")
            return
        text = self.query(path, "SELECT * FROM tasks")
        report.check("tasks", re.search(r'"(init|systemd)"', text), first(text, "rror|[Ff]ailed|panic"))
        # not the guest's own line: mquire leaves out the newest record, which the kernel has not finalized yet
        text = self.query(path, "SELECT * FROM dmesg")
        report.check("dmesg", "Linux version" in text, first(text, "rror|[Ff]ailed|panic"))


class Volatility(Reader):
    name, variable, names = "volatility3", "VOL", ("vol", "vol3", "volatility3")

    def cannot(self, case):
        return "reads no kdump files" if case.dump.kind == "kdump" else None if case.linux else "only Linux guests are checked"

    def run(self, case, report):
        symbols = ["-s", case.isf] if case.isf else []
        text = self.go("-q", "--offline", "-f", case.path, "banners.Banners")[1]
        report.check("banners.Banners", re.search(r"Linux version " + re.escape(case.release or ""), text), first(text, "Linux version", "rror"))
        if case.arch not in ("x86_64", "i386"):
            return report.note("linux.pslist", "not possible: it knows page tables of Intel processors only")
        if case.five_levels:
            return report.note("linux.pslist", "not possible: it knows four levels of page tables, and this guest has five")
        if not symbols:
            return report.note("linux.pslist", "no symbol table (--isf)")
        text = self.go("-q", "--offline", *symbols, "-f", case.path, "linux.pslist.PsList")[1]
        return report.check("linux.pslist", re.search(r"\t1\t1\t0\t(init|systemd)\t", text), first(text, "rror|nsatisfied|\t1\t1\t0\t"))


ALL = (Gdb, Crash, Makedumpfile, Libkdumpfile, Drgn, Mquire, Volatility, Readelf)
