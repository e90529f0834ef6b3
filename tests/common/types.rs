//! The kernel of `symbols.rs` with BTF and some variables, of which each value is known.

use super::btf::Made;
use super::made;

/// Where the kernel's image is.
const IMAGE: u64 = 0xffff_ffff_8100_0000;
/// Bytes of names that make the BTF as large as that of a kernel.
const FILLER: usize = 1 << 18;

/// Symbols, by address; per-CPU variables are in the image, as on most architectures.
pub const SYMBOLS: &[(&str, u32)] = &[
    ("T_text", 0),
    ("T_stext", 0),
    ("tdo_one", 0x40),
    ("T_etext", 0x6000),
    ("T_sinittext", 0x6000),
    ("tstart_kernel", 0x6010),
    ("T_einittext", 0x6100),
    ("Dinit_uts_ns", 0x7000),
    ("Tinit_task", 0x8000),
    ("Djiffies", 0x8100),
    ("Dmodules", 0x8110),
    ("Rlinux_banner", 0x8200),
    ("D__per_cpu_offset", 0x8300),
    ("Dnr_cpu_ids", 0x8310),
    ("Dmystery", 0x8320),
    ("Dunits", 0x8340),
    ("D__per_cpu_start", 0x9000),
    ("Dthis_task", 0x9010),
    ("D__per_cpu_end", 0x9100),
    ("D__start_BTF", 0x10_0000),
    ("B_end", 0x20_0000),
];

/// Returns the types.
pub fn types() -> Vec<u8> {
    let mut m = Made::new(false);
    let int = m.int("int", 4, true);
    let unsigned = m.int("unsigned int", 4, false);
    let long = m.int("long unsigned int", 8, false);
    let char = m.int("char", 1, true);
    let boolean = m.boolean();
    let pid = m.typedef("pid_t", int);
    let comm = m.array(char, int, 16);
    let text = m.pointer(char);
    let list = m.len() + 1;
    let to_list = m.len() + 2;
    assert_eq!(m.structure("list_head", 16, &[("next", to_list, 0, 0), ("prev", to_list, 64, 0)]), list);
    assert_eq!(m.pointer(list), to_list);
    let state = m.enumeration("state", false, &[("RUNNING", 0), ("SLEEPING", 1)]);
    let proto = m.prototype(int, &[("what", pid)]);
    let call = m.pointer(proto);
    let counts = m.array(unsigned, int, 4);
    let either = m.union("", 8, &[("whole", long, 0, 0), ("counted", unsigned, 0, 0)]);
    let task = m.len() + 1;
    let to_task = m.len() + 2;
    let members = [
        ("state", state, 0, 0),
        ("a", unsigned, 32, 3),
        ("b", int, 35, 5),
        ("comm", comm, 64, 0),
        ("tasks", list, 192, 0),
        ("pid", pid, 320, 0),
        ("ok", boolean, 352, 0),
        ("parent", to_task, 384, 0),
        ("run", call, 448, 0),
        ("counts", counts, 512, 0),
        ("", either, 640, 0),
        ("title", text, 704, 0),
    ];
    assert_eq!(m.structure("task_struct", 96, &members), task);
    assert_eq!(m.pointer(task), to_task);
    m.variable("this_task", to_task);
    m.function("do_one", proto);
    m.any("int", (1, 0, false), 4, &[32 | (1 << 24)]);
    m.forward("nowhere", false);
    m.finish_with(FILLER)
}

/// Returns the stream.
pub fn stream() -> Vec<u8> {
    let at = |offset: u64| IMAGE + offset;
    let task = |comm: &str, pid: u32, next: u64, prev: u64, parent: u64| {
        let mut b = vec![0; 96];
        b[0] = 1;
        // a is 5, b is -2
        b[4] = 5 | (0x1e << 3);
        b[8..8 + comm.len()].copy_from_slice(comm.as_bytes());
        b[24..32].copy_from_slice(&at(next + 24).to_le_bytes());
        b[32..40].copy_from_slice(&at(prev + 24).to_le_bytes());
        b[40..44].copy_from_slice(&pid.to_le_bytes());
        b[44] = 1;
        b[48..56].copy_from_slice(&if parent == 0 { 0 } else { at(parent) }.to_le_bytes());
        b[56..64].copy_from_slice(&at(0x40).to_le_bytes());
        for n in 0..4 {
            b[64 + 4 * n] = n as u8 * 3;
        }
        b[80..88].copy_from_slice(&0x1_0000_0007_u64.to_le_bytes());
        b[88..96].copy_from_slice(&at(0x8200).to_le_bytes());
        b
    };
    let words = |list: &[u64]| list.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    made::stream_of(
        SYMBOLS,
        &[
            (0x8000, task("swapper", 0, 0xa000, 0xb000, 0)),
            (0xa000, task("init", 1, 0xb000, 0x8000, 0x8000)),
            (0xb000, task("made\u{1b}", 2, 0x8000, 0xa000, 0xa000)),
            (0x8100, words(&[4_294_937_296])),
            // no module
            (0x8110, words(&[at(0x8110), at(0x8110)])),
            (0x8200, b"Linux version 6.1.0-made\n\0".to_vec()),
            // two processors, whose copies are 4 and 8 KiB after the section
            (0x8300, words(&[0x3000, 0x4000])),
            (0x8310, words(&[2])),
            (0x8320, words(&[42])),
            (0xc010, words(&[at(0xa000)])),
            (0xd010, words(&[at(0x8000)])),
            (0x10_0000, types()),
        ],
    )
}
