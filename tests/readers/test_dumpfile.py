# SPDX-License-Identifier: MIT OR Apache-2.0
"""python3 -m unittest discover tests/readers"""
import os
import struct
import tempfile
import unittest

from dumpfile import Dump, Registers

TEXT = b"OSRELEASE=6.1.0-test\nSYMBOL(init_uts_ns)=ffffffff82a1b960\nNUMBER(phys_base)=-698351616\nKERNELOFFSET=24000000\n"


def note(order="<"):
    return struct.pack(order + "III", 11, len(TEXT), 0) + b"VMCOREINFO\0\0" + TEXT.ljust(len(TEXT) + 3 & ~3, b"\0")


def elf(virtual, order="<", machine=62):
    body = note(order)
    head = b"\x7fELF" + bytes([2, 1 if order == "<" else 2, 1]) + bytes(9)
    head += struct.pack(order + "HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    head += struct.pack(order + "IIQQQQQQ", 4, 0, 176, 0, 0, len(body), len(body), 0)
    head += struct.pack(order + "IIQQQQQQ", 1, 0, 176 + len(body), virtual, 0x1000, 4096, 4096, 0)
    return head + body


def kdump():
    head = bytearray(8192)
    head[:8] = b"KDUMP   "
    struct.pack_into("<II", head, 424, 0x20, 4096)
    struct.pack_into("<QQ", head, 4096 + 32, 8192, len(TEXT))
    return bytes(head) + TEXT


def flattened(data):
    out = b"makedumpfile".ljust(4096, b"\0")
    for at in (4096, 0, 8192):  # not in order, as writers that come back to the header do
        piece = data[at:at + 4096]
        out += struct.pack(">qq", at, len(piece)) + piece
    return out + struct.pack(">qq", -1, -1)


class Files(unittest.TestCase):
    def read(self, data):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            file.write(data)
        try:
            return Dump(file.name)
        finally:
            os.unlink(file.name)

    def told(self, dump):
        self.assertEqual(dump.vmcoreinfo["OSRELEASE"], "6.1.0-test")
        self.assertEqual(dump.kernel_offset(), 0x24000000)
        self.assertEqual(dump.physical(dump.symbol("init_uts_ns"), "x86_64"), 0x2a1b960 - 698351616)

    def test_elf(self):
        for virtual, name in ((0x1000, "elf"), (0xffffffff81000000, "elf-virtual")):
            dump = self.read(elf(virtual))
            self.assertEqual((dump.format, dump.arch), (name, "x86_64"))
            self.told(dump)
        self.assertEqual(self.read(elf(0x1000, ">", 22)).arch, "s390x")

    def test_kdump(self):
        for data, name in ((kdump(), "kdump"), (flattened(kdump()), "kdump-flattened")):
            dump = self.read(data)
            self.assertEqual((dump.format, dump.codec, dump.kind), (name, "zstd", "kdump"))
            self.told(dump)

    def test_no_dump(self):
        for data in (b"", b"\x7fELF", b"\x7fELF" + bytes(60), b"KDUMP   ", b"makedumpfile", flattened(kdump())[:5000], bytes(5000)):
            self.assertEqual(self.read(data).vmcoreinfo, {})


class Text(unittest.TestCase):
    def test_counters(self):
        for text, wanted in (
            ("CPU#0\nR14=0 R15=7\nRIP=ffffffff81000000 RFL=2\nCR4=00001620\nCPU#1\nR15=7\nRIP=00000000000fd0a9 RFL=2\n", [0xffffffff81000000, 0xfd0a9]),
            ("CPU#0\nEIP=0000b7b9 EFL=2\n", [0xb7b9]),
            (" PC=ffffd1edea7a8f5c X00=1\n", [0xffffd1edea7a8f5c]),
            ("CPU#0\nR12=00000000 R13=00000000 R14=00000000 R15=00000040\n", [0x40]),
            ("CPU#0\n pc            0000000000001000\n mhartid 0\n", [0x1000]),
            ("CPU#0\nNIP 0000000000000100   LR 0\n", [0x100]),
            ("CPU#0\nPSW=mask 0404e00180000000 addr 000000000010509a cc 2\n", [0x10509a]),
        ):
            self.assertEqual(Registers(text).counters, wanted)
        self.assertTrue(Registers("CPU#0\nRIP=0\nCR4=00001620\n").five_levels)


if __name__ == "__main__":
    unittest.main()
