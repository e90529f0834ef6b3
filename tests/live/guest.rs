//! Firmware that is a guest of its own: 64 KiB, begun at its end by the reset vector.

/// A guest that never runs, or spins: all zero but for `jmp $` at the reset vector.
pub fn blank() -> Vec<u8> {
    let mut rom = vec![0; 64 << 10];
    rom[0xfff0..0xfff2].copy_from_slice(&[0xeb, 0xfe]);
    rom
}

/// A guest that for ever increments one byte in each page from 0x10000 to 0x8ffff: pages are sent again, differ little
/// from what they were, and are zero again after 256 rounds.
pub fn incrementing() -> Vec<u8> {
    dirtying(&[
        0xb8, 0x00, 0x10, // mov ax, 0x1000
        0x8e, 0xd8, // next segment: mov ds, ax
        0x31, 0xdb, // xor bx, bx
        0xfe, 0x07, // next page: inc byte [bx]
        0x81, 0xc3, 0x00, 0x10, // add bx, 0x1000
        0x75, 0xf8, // jnz next page
        0x05, 0x00, 0x10, // add ax, 0x1000
        0x3d, 0x00, 0x90, // cmp ax, 0x9000
        0x72, 0xec, // jb next segment
        0xeb, 0xdb, // jmp begin of the ROM
    ])
}

/// A guest that turns one byte in each of those pages to 1 and back to 0: about half of the pages that are sent again
/// are zero again.
pub fn toggling() -> Vec<u8> {
    dirtying(&[
        0xb8, 0x00, 0x10, // mov ax, 0x1000
        0x8e, 0xd8, // next segment: mov ds, ax
        0x31, 0xdb, // xor bx, bx
        0x80, 0x37, 0x01, // next page: xor byte [bx], 1
        0x81, 0xc3, 0x00, 0x10, // add bx, 0x1000
        0x75, 0xf7, // jnz next page
        0x05, 0x00, 0x10, // add ax, 0x1000
        0x3d, 0x00, 0x90, // cmp ax, 0x9000
        0x72, 0xeb, // jb next segment
        0xeb, 0xda, // jmp begin of the ROM
    ])
}

/// A guest that sets CR4, CR3, EFER and CR0, and then spins in its page at 0xf0000, which the tables must map.
pub fn paging([cr4, cr3, efer, cr0]: [u32; 4]) -> Vec<u8> {
    let mut code = vec![0xfa]; // cli
    for (value, set) in [
        (cr4, &[0x0f, 0x22, 0xe0][..]), // mov cr4, eax
        (cr3, &[0x0f, 0x22, 0xd8]),     // mov cr3, eax
        // mov ecx, 0xc0000080; xor edx, edx; wrmsr
        (efer, &[0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x66, 0x31, 0xd2, 0x0f, 0x30]),
        (cr0, &[0x0f, 0x22, 0xc0]), // mov cr0, eax
    ] {
        code.extend([0x66, 0xb8]); // mov eax, value
        code.extend(value.to_le_bytes());
        code.extend(set);
    }
    code.extend([0xeb, 0xfe]);
    let mut rom = blank();
    rom[..code.len()].copy_from_slice(&code);
    rom[0xfff0..0xfff5].copy_from_slice(&[0xea, 0x00, 0x00, 0x00, 0xf0]); // jmp 0xf000:0x0000
    rom
}

/// Turns CR0.WP over in each round, which makes an emulated CPU forget where it may write without telling: QEMU before 8
/// misses later writes of a guest that never does such a thing, and then sends neither those pages nor differences.
const FORGET: [u8; 12] = [
    0x0f, 0x20, 0xc0, // mov eax, cr0
    0x66, 0x35, 0x00, 0x00, 0x01, 0x00, // xor eax, 0x10000
    0x0f, 0x22, 0xc0, // mov cr0, eax
];

/// The code at the beginning of the ROM, which below 1 MiB is seen at 0xf0000; the reset vector jumps there.
fn dirtying(code: &[u8]) -> Vec<u8> {
    let mut rom = blank();
    rom[..FORGET.len()].copy_from_slice(&FORGET);
    rom[FORGET.len()..][..code.len()].copy_from_slice(code);
    rom[0xfff0..0xfff5].copy_from_slice(&[0xea, 0x00, 0x00, 0x00, 0xf0]); // jmp 0xf000:0x0000
    rom
}
