//! A stream of a PC whose memory holds what a Linux kernel leaves: VMCOREINFO, its names, and a table of symbols.

/// Where the kernel's image is: virtual and guest-physical (phys_base 0).
const IMAGE: u64 = 0xffff_ffff_8100_0000;
const PHYS: u64 = 0x100_0000;
const RAM: u64 = 32 << 20;

/// Symbols of the kernel: type and name, and the distance from the start of the image.
pub const SYMBOLS: &[(&str, u32)] =
    &[("T_stext", 0), ("tdo_one", 0x40), ("tdo_one", 0x80), ("Dinit_uts_ns", 0x7000), ("B_end", 0x8000)];

/// Returns the stream.
pub fn stream() -> Vec<u8> {
    stream_of(SYMBOLS, &[])
}

/// Returns a stream with other symbols, and bytes at distances from the start of the image.
pub fn stream_of(symbols: &[(&str, u32)], content: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut pages: std::collections::BTreeMap<u64, Vec<u8>> = std::collections::BTreeMap::new();
    let mut put = |at: u64, bytes: &[u8]| {
        for (n, b) in (at..).zip(bytes) {
            pages.entry(n & !0xfff).or_insert_with(|| vec![0; 4096])[(n & 0xfff) as usize] = *b;
        }
    };
    let mut text = String::from("OSRELEASE=6.1.0-made\nPAGESIZE=4096\nNUMBER(phys_base)=0\nKERNELOFFSET=0\n");
    let (mut tokens, mut index) = (Vec::new(), Vec::new());
    for n in 0..256_u32 {
        index.extend(u16::try_from(tokens.len()).unwrap().to_le_bytes());
        tokens.extend([if (0x20..0x7f).contains(&n) { n as u8 } else { b'?' }, 0]);
    }
    let names: Vec<u8> = symbols.iter().flat_map(|(n, _)| [&[n.len() as u8], n.as_bytes()].concat()).collect();
    let offsets: Vec<u8> = symbols.iter().flat_map(|(_, o)| o.to_le_bytes()).collect();
    for (name, at, bytes) in [
        ("_stext", 0, &[0x90][..]),
        ("kallsyms_num_syms", 0x100, &(symbols.len() as u32).to_le_bytes()),
        ("kallsyms_relative_base", 0x200, &IMAGE.to_le_bytes()),
        ("kallsyms_token_table", 0x1000, &tokens),
        ("kallsyms_token_index", 0x2000, &index),
        ("kallsyms_names", 0x3000, &names),
        ("kallsyms_offsets", 0x5000, &offsets),
        ("init_uts_ns", 0x7000, b"Linux\0"),
    ] {
        put(PHYS + at, bytes);
        text += &format!("SYMBOL({name})={:x}\n", IMAGE + at);
    }
    for (at, bytes) in content {
        put(PHYS + at, bytes);
    }
    for (n, name) in ["Linux", "made", "6.1.0-made", "#1 SMP", "x86_64", "(none)"].iter().enumerate() {
        put(PHYS + 0x7000 + 65 * n as u64, name.as_bytes());
    }
    let mut note = [11_u32.to_le_bytes(), (text.len() as u32).to_le_bytes(), [0; 4]].concat();
    note.extend(b"VMCOREINFO\0\0");
    note.extend(text.as_bytes());
    put(0x20_0000, &note);

    let named = |s: &str| [&[s.len() as u8], s.as_bytes()].concat();
    let footer = [&[0x7e][..], &2_u32.to_be_bytes()].concat();
    let end = 0x10_u64.to_be_bytes();
    let mut out = b"QEVM\0\0\0\x03\x07".to_vec();
    let machine = b"pc-i440fx-10.0";
    out.extend((machine.len() as u32).to_be_bytes());
    out.extend(machine);
    // the list of RAM blocks
    out.extend([&[1][..], &2_u32.to_be_bytes(), &named("ram"), &0_u32.to_be_bytes(), &4_u32.to_be_bytes()].concat());
    out.extend([&(RAM | 4).to_be_bytes()[..], &named("pc.ram"), &RAM.to_be_bytes(), &end, &footer].concat());
    // the pages, and the end of the section
    for (kind, with) in [(2_u8, true), (3, false)] {
        out.extend([&[kind][..], &2_u32.to_be_bytes()].concat());
        for (at, page) in pages.iter().filter(|_| with) {
            out.extend([&(at | 8).to_be_bytes()[..], &named("pc.ram"), page].concat());
        }
        out.extend([&end[..], &footer].concat());
    }
    out.push(0);
    let description = br#"{"page_size": 4096, "devices": []}"#;
    out.push(6);
    out.extend((description.len() as u32).to_be_bytes());
    out.extend(description);
    out
}
