# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a dump says of itself, and what QEMU's `info registers -a` says of the guest.

Only as much as the checks need: the format, the architecture, the VMCOREINFO text and whether the segments have virtual addresses.
"""
import os
import re
import struct

MACHINES = {3: "i386", 62: "x86_64", 183: "aarch64", 40: "arm", 21: "ppc64", 20: "ppc", 22: "s390x", 243: "riscv64", 258: "loongarch64"}
NOTES_AT_MOST = 64 << 20


class Dump:
    """format: elf, elf-virtual, kdump, kdump-flattened, win-dmp or unknown; codec: of kdump's pages, or None."""

    def __init__(self, path):
        self.path = os.path.abspath(path)
        self.format, self.arch, self.codec, self.vmcoreinfo, self.loads = "unknown", None, None, {}, []
        with open(path, "rb") as file:
            head = file.read(64)
            if head[:4] == b"\x7fELF" and len(head) == 64:
                self._elf(file, head)
            elif head[:8] == b"KDUMP   ":
                self.format = "kdump"
                self._kdump(lambda at, count: _read_at(file, at, count))
            elif head[:12] == b"makedumpfile":
                self.format = "kdump-flattened"
                pieces = _pieces(file)
                self._kdump(lambda at, count: pieces[at:at + count])
            elif head[:4] in (b"PAGE",):
                self.format = "win-dmp"

    def _elf(self, file, head):
        order = "<" if head[5] == 1 else ">"
        wide = head[4] == 2
        self.format = "elf"
        self.arch = MACHINES.get(struct.unpack(order + "H", head[18:20])[0])
        if self.arch == "riscv64" and not wide:
            self.arch = "riscv32"
        if wide:
            at, size, count = struct.unpack(order + "Q", head[32:40])[0], 56, struct.unpack(order + "H", head[56:58])[0]
        else:
            at, size, count = struct.unpack(order + "I", head[28:32])[0], 32, struct.unpack(order + "H", head[44:46])[0]
        for i in range(count):
            entry = _read_at(file, at + size * i, size)
            if len(entry) < size:
                return
            if wide:
                kind, _, offset, virtual, physical, length, _, _ = struct.unpack(order + "IIQQQQQQ", entry)
            else:
                kind, offset, virtual, physical, length, _, _, _ = struct.unpack(order + "8I", entry)
            if kind == 4:
                self._notes(_read_at(file, offset, min(length, NOTES_AT_MOST)), order)
            elif kind == 1:
                self.loads.append((virtual, physical, length))
                if virtual != physical:
                    self.format = "elf-virtual"

    def _notes(self, data, order):
        at = 0
        while at + 12 <= len(data):
            name, desc, _ = struct.unpack(order + "III", data[at:at + 12])
            start = at + 12 + (name + 3 & ~3)
            if data[at + 12:at + 12 + name].rstrip(b"\0") == b"VMCOREINFO":
                self._text(data[start:start + desc])
            at = start + (desc + 3 & ~3)

    def _kdump(self, read):
        # the places depend on the class, which only the machine's name tells; the 64-bit ones are tried in both byte orders
        head = read(0, 464)
        if len(head) < 464:
            return
        for order in "<>":
            status, block = struct.unpack(order + "II", head[424:432])
            if block in (4096, 8192, 16384, 65536):
                sub = read(block, 104)
                self.codec = {1: "zlib", 2: "lzo", 4: "snappy", 0x20: "zstd"}.get(status & 0x27, hex(status))
                if len(sub) == 104:
                    offset, size = struct.unpack(order + "QQ", sub[32:48])
                    if size and size < NOTES_AT_MOST:
                        self._text(read(offset, size))
                return

    def _text(self, data):
        text = data.split(b"\0", 1)[0].decode("utf-8", "replace")
        self.vmcoreinfo = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    @property
    def virtual(self):
        return self.format == "elf-virtual"

    @property
    def kind(self):
        """Without the codec and the flavour: elf, kdump, win-dmp."""
        return self.format.split("-")[0] if self.format != "win-dmp" else self.format

    def symbol(self, name):
        value = self.vmcoreinfo.get(f"SYMBOL({name})")
        return int(value, 16) if value else None

    def kernel_offset(self):
        value = self.vmcoreinfo.get("KERNELOFFSET")
        return int(value, 16) if value else None

    def physical(self, virtual, arch):
        """Physical address of something in the kernel's image, or None where no rule is known."""
        if arch == "x86_64" and "NUMBER(phys_base)" in self.vmcoreinfo:
            return virtual - 0xffffffff80000000 + int(self.vmcoreinfo["NUMBER(phys_base)"])
        if arch == "aarch64" and "NUMBER(kimage_voffset)" in self.vmcoreinfo:
            return virtual - int(self.vmcoreinfo["NUMBER(kimage_voffset)"], 16)
        return None


def _read_at(file, at, count):
    file.seek(at)
    return file.read(count)


def _pieces(file, enough=NOTES_AT_MOST):
    """The beginning of a flattened file, put together."""
    out = bytearray()
    file.seek(4096)
    while head := file.read(16):
        if len(head) < 16:
            break
        at, count = struct.unpack(">qq", head)
        if at < 0 or count < 0 or at > enough or at + count > enough:
            break
        out[len(out):at] = bytes(max(0, at - len(out)))
        out[at:at + count] = file.read(count)
    return bytes(out)


class Registers:
    """Program counters and paging of each CPU, from the text of `info registers -a`."""

    # R15 is the program counter of 32-bit Arm, and another register on x86: so it is asked last
    COUNTERS = [re.compile(pattern + "([0-9a-f]+)", re.M) for pattern in (r"\bRIP=", r"\bEIP=", r"\bPC=", r"\bNIP +", r"^ pc +", r"PSW=mask [0-9a-f]+ addr ", r"\bR15=")]

    def __init__(self, text):
        blocks = re.split(r"^CPU#\d+", text, flags=re.M)[1:] or [text]
        self.counters = [next((int(m.group(1), 16) for p in self.COUNTERS if (m := p.search(block))), None) for block in blocks]
        self.cpus = len(blocks)
        control = [int(m.group(1), 16) for m in re.finditer(r"\bCR4=([0-9a-f]+)", text)]
        self.five_levels = any(value & 1 << 12 for value in control)
