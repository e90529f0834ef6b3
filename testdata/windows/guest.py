"""The parts of a Windows guest that a dump is made of, written by hand: page tables, the debugger's block, processor blocks, and the header that the
guest's driver registers with the vmcoreinfo device. No Windows is in it."""
import struct

BASE = 0x100000                                   # where the image is loaded; pages are numbered from here
PAGES = 0x20
NOTE, DMA, TOP = 0x10, 0x18, 0x19                 # numbers of pages
VIRTUAL = {64: 0xfffff80000000000, 32: 0x80000000}
# virtual page to page of the image: the registers of the first processor are on two pages that are not next to each other
MAP = {0: 4, 1: 5, 2: 6, 3: 7, 4: 0xa, 5: 8, 6: 9}
RUNS = ((0x1, 0x9e), (0x100, 0x100))

def image(bits, crashed, encoded, mode=""):
    b = bytearray(PAGES * 4096); v = VIRTUAL[bits]; p = "<Q" if bits == 64 else "<I"; size = bits // 8
    page = lambda n: BASE + n * 4096
    put = lambda at, form, *a: struct.pack_into(form, b, at, *a)
    def virtual(at): n, off = divmod(at - v, 4096); return MAP[n] * 4096 + off
    # tables: 4 levels, those of PAE, which has the last three of them, or two of 32 bits; a fifth level is above the four
    if mode == "nopae":
        put(4 * 0x200, "<I", page(3) | 3)
        for n, to in MAP.items(): put(0x3000 + 4 * n, "<I", page(to) | 3)
    else:
        if bits == 64: put(8 * 0x1f0, "<Q", page(1) | 3); put(0x1000, "<Q", page(2) | 3)
        else: put(8 * 2, "<Q", page(2) | 1)
        put(0x2000, "<Q", page(3) | 3)
        for n, to in MAP.items(): put(0x3000 + 8 * n, "<Q", page(to) | 3)
    if mode == "la57": put(TOP * 4096, "<Q", page(0) | 3); put(TOP * 4096 + 8 * 0x1ff, "<Q", page(0) | 3)
    root = page(TOP if mode == "la57" else 0)
    # empty lists of modules and processes
    for at in (v + 0x6000, v + 0x6010): put(virtual(at), p + p[1], at, at)
    block, copy, bugcheck, processors = v, v + 0x800, v + 0x1100, v + 0x1200
    def debugger(at):
        put(virtual(at) + 0x10, "<4sI", b"KDBG", 0x390)
        put(virtual(at) + 0x88, "<Q", bugcheck & (2 ** bits - 1)); put(virtual(at) + 0xc0, "<Q", (v + 0x6f8) & (2 ** bits - 1))
        put(virtual(at) + 0x218, "<Q", processors & (2 ** bits - 1)); put(virtual(at) + 0x338, "<H", 0x120)
    if encoded: b[virtual(block):virtual(block) + 0x390] = bytes((i * 89 + 17) & 0xff for i in range(0x390)); debugger(copy)
    else: debugger(block)
    # address 0 is the kernel's first page too, for a descriptor of a code segment of 64 bits: without one the stub writes 32 bits of each register
    if bits == 64: put(0, "<Q", page(1) | 3); put(MAP[0] * 4096 + 8, "<Q", 0x00af9b000000ffff)
    code = [0xd1, 0x1122334455667788, 2, 1, 0xfffff80012345678] if crashed else [0] * 5
    put(virtual(bugcheck), f"<5{p[1]}", *(c & (2 ** bits - 1) for c in code))
    for i, context in enumerate((v + 0x4e00, v + 0x5400)):
        prcb = v + 0x2000 + 0x800 * i
        put(virtual(processors) + size * i, p, prcb); put(virtual(prcb) + 0x120, p, context)
    # the header, in the kernel's pattern where nothing is set
    h = bytearray(b"PAGE" * (2048 if bits == 64 else 1024)); hp = lambda at, form, *a: struct.pack_into(form, h, at, *a)
    pages = sum(n for _, n in RUNS)
    if bits == 64:
        hp(0, "<8sIIQQQQII", b"PAGEDU64", 15, 19041, root, 0, v + 0x6000, v + 0x6010, 0x8664, 2)
        hp(0x38, "<IIQ", 0, 0, copy if encoded else 0); hp(0x80, "<QI", block, len(RUNS)); hp(0x90, "<Q", pages)
        for i, r in enumerate(RUNS): hp(0x98 + 16 * i, "<QQ", *r)
        hp(0xf98, "<I", 1)
    else:
        hp(0, "<8s8I", b"PAGEDUMP", 15, 7601, root, 0, v + 0x6000, v + 0x6010, 0x14c, 2)
        hp(40, "<II", 0, copy if encoded else 0); hp(96, "<III", block, len(RUNS), pages)
        for i, r in enumerate(RUNS): hp(108 + 8 * i, "<II", *r)
        hp(0xf88, "<I", 1)
    n = NOTE * 4096; b[n:n + 24 + len(h)] = struct.pack("<III", 11, len(h), 0) + b"VMCOREINFO\0\0" + h
    put(DMA * 4096, "<HHIQ", 0, 1, 24 + len(h), page(NOTE))
    return bytes(b)

def register(vm, ask):
    """Gives the note to the vmcoreinfo device as the guest's driver does: by a DMA request to fw_cfg."""
    hmp = lambda line: vm.qmp("human-monitor-command", command_line=line)
    hmp("o/h 0x510 0x19")
    take = lambda n: bytes(int(hmp("i/b 0x511").split("=")[1], 16) for _ in range(n))
    for _ in range(struct.unpack(">I", take(4))[0]):
        size, key, _, name = struct.unpack(">IHH56s", take(64))
        if name.split(b"\0")[0] == b"etc/vmcoreinfo": break
    else: raise RuntimeError("no etc/vmcoreinfo")
    at = BASE + DMA * 4096
    request = struct.pack(">IIQ", key << 16 | 0x18, size, at)
    if ask(f"M{at + 0x100:x},10:{request.hex()}") != "OK": raise RuntimeError("cannot write memory")
    hmp(f"o/w 0x518 {int.from_bytes((at + 0x100).to_bytes(4, 'big'), 'little'):#x}")

def control(bits, mode=""):
    """Control registers that select the tables, in an order in which a processor takes them."""
    cr4 = {"nopae": 0x10, "la57": 0x1020, "": 0x20}[mode]
    out = [("efer", 0x100 if bits == 64 else 0), ("cr4", cr4), ("cr3", BASE + (TOP * 4096 if mode == "la57" else 0)), ("cr0", 0x80000011)]
    return out + [("cs", 8)] * (bits == 64)
