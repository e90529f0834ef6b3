//! Wrappers that lie: an error or a partial answer, soon, and in little memory.

#![cfg(feature = "cli")]

mod common;
#[path = "common/wrap.rs"]
mod wrap;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wrap::{CODECS, Header, Keep, Qcow2, pack};

fn stream() -> Vec<u8> {
    fs::read(common::fixture("avr-uno-11.1")).unwrap()
}

fn path() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-wrappers");
    fs::create_dir_all(&dir).unwrap();
    dir.join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Runs on a file, or on a pipe with the same bytes, with no more than so much address space.
fn run(content: &[u8], pipe: bool, args: &[&str]) -> Output {
    let file = path();
    fs::write(&file, content).unwrap();
    let out = run_on(&file, pipe, args);
    fs::remove_file(file).unwrap();
    out
}

fn run_on(file: &Path, pipe: bool, args: &[&str]) -> Output {
    let began = Instant::now();
    // the memory of our own threads' stacks and of the window of zstd is in it
    let mut c = Command::new("sh");
    c.args(["-c", "ulimit -v 700000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_savevm-analyze")]).args(args);
    let out = if pipe {
        let mut cat = Command::new("cat").arg(file).stdout(Stdio::piped()).spawn().unwrap();
        let out = c.arg("-").stdin(cat.stdout.take().unwrap()).output().unwrap();
        cat.wait().unwrap();
        out
    } else {
        c.arg(file).output().unwrap()
    };
    assert!(began.elapsed() < Duration::from_secs(60), "{} took {:?}", file.display(), began.elapsed());
    out
}

fn said(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).chars().take(2000).collect()
}

/// Asserts that the end was one of ours, and no panic, signal or flood of words.
fn civil(what: &str, o: &Output, allowed: &[i32]) {
    let code = o.status.code().unwrap_or(-1);
    assert!(allowed.contains(&code), "{what}: status {code}: {}", said(o));
    assert!(!said(o).contains("panicked"), "{what}: {}", said(o));
    assert!(o.stderr.len() < 20_000, "{what}: {} bytes of complaints", o.stderr.len());
}

const STATE: &[&str] = &["--dump", "state"];
const INFO: &[&str] = &["info"];

#[test]
fn cut_at_many_bytes() {
    let q = |keep| {
        Qcow2 { bits: 9, keep, disk_then: 4096, snapshots: vec![("1", b"a", stream())], ..Qcow2::default() }.bytes()
    };
    let mut whole: Vec<(String, Vec<u8>)> = CODECS.iter().map(|(c, _)| (c.to_string(), pack(c, &stream()))).collect();
    whole.push(("libvirt".to_owned(), Header { cookie: "<c/>", ..Header::default() }.around(&stream())));
    whole
        .push(("libvirt, zstd".to_owned(), Header { format: 5, ..Header::default() }.around(&pack("zstd", &stream()))));
    whole.push(("qcow2".to_owned(), q(Keep::Plain)));
    whole.push(("qcow2, packed".to_owned(), q(Keep::Packed)));
    for (what, whole) in whole {
        let step = whole.len() / 23 + 1;
        let cuts = [1, 4, 8, 71, 72, 91, 92, 93, 111].into_iter().filter(|n| *n < whole.len());
        for (i, cut) in cuts.chain((step..whole.len()).step_by(step)).enumerate() {
            let o = run(&whole[..cut], i % 2 == 0, INFO);
            civil(&format!("{what} cut at {cut}"), &o, &[0, 2, 3]);
        }
    }
}

#[test]
fn random_bytes_after_each_magic() {
    let mut n = 1_u64;
    let mut noise = |len: usize| -> Vec<u8> {
        (0..len)
            .map(|_| {
                n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (n >> 33) as u8
            })
            .collect()
    };
    let magics: [&[u8]; 10] = [
        b"\x1f\x8b\x08\0",
        b"BZh9",
        b"\xfd7zXZ\0",
        b"\x89LZO\0\r\n\x1a\n\x10\x40\x20\xa0\x09\x40\x01\x05",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18",
        b"LibvirtQemudSave\x02\0\0\0\x10\0\0\0",
        b"LibvirtQemudPart\0\0\0\x01",
        b"QFI\xfb\0\0\0\x03",
        b"QFI\xfb\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\x40\0\0\0\0\0\0\0",
    ];
    for (i, magic) in magics.iter().enumerate() {
        for round in 0..12 {
            let b = [magic.to_vec(), noise(40 + 5000 * (round % 4))].concat();
            civil(&format!("magic {i}, round {round}"), &run(&b, round % 2 == 0, INFO), &[2, 3]);
        }
    }
}

#[test]
fn lengths_of_libvirt_that_cannot_be() {
    let with = |at: usize, n: u32| {
        let mut b = Header { cookie: "<c/>", ..Header::default() }.around(&stream());
        b[at..at + 4].copy_from_slice(&n.to_le_bytes());
        b
    };
    for pipe in [false, true] {
        for (what, image) in [
            ("no XML", with(20, 0)),
            ("4 GiB of XML", with(20, u32::MAX)),
            ("version 3", with(16, 3)),
            ("version 0", with(16, 0)),
            ("XML up to the last byte", with(20, stream().len() as u32 + 1100)),
        ] {
            civil(what, &run(&image, pipe, STATE), &[2]);
        }
        for (what, image) in [
            ("a cookie far away", with(32, u32::MAX)),
            ("a cookie in the XML", with(32, 3)),
            ("running twice", with(24, 2)),
        ] {
            civil(what, &run(&image, pipe, STATE), &[0]);
        }
    }
}

#[test]
fn four_gib_of_xml() {
    let file = path();
    let mut f = fs::File::create(&file).unwrap();
    let mut head = Header::default().bytes();
    head[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
    f.write_all(&head).unwrap();
    let body = 92 + u64::from(u32::MAX);
    f.set_len(body).unwrap();
    std::io::Seek::seek(&mut f, std::io::SeekFrom::Start(body)).unwrap();
    f.write_all(&stream()).unwrap();
    drop(f);
    let truth = run(&stream(), false, STATE).stdout;
    let o = run_on(&file, false, STATE);
    assert_eq!((o.status.code(), o.stdout == truth), (Some(0), true), "{}", said(&o));
    fs::remove_file(file).unwrap();
}

#[test]
fn xml_that_wears_readers_out() {
    let hungry: [Vec<u8>; 4] = [
        b"<a>".repeat(1 << 20),
        [b"<domain ".to_vec(), (0..400_000).flat_map(|i| format!("a{i}='' ").into_bytes()).collect(), b"/>".to_vec()]
            .concat(),
        [&b"<domain><name>"[..], &b"&amp;".repeat(1 << 19), b"</name></domain>"].concat(),
        [&b"<!DOCTYPE d [<!ENTITY a \"&b;&b;\">]><domain>"[..], &b"<".repeat(1 << 20)].concat(),
    ];
    for (i, xml) in hungry.iter().enumerate() {
        let mut b = Header { xml: "", room: 0, ..Header::default() }.bytes();
        b[20..24].copy_from_slice(&(xml.len() as u32).to_le_bytes());
        b.truncate(92);
        b.extend(xml);
        b.extend(stream());
        civil(&format!("XML {i}"), &run(&b, false, INFO), &[0]);
    }
}

#[test]
fn wrappers_in_wrappers_without_end() {
    let mut b = stream();
    for _ in 0..10 {
        b = pack("gzip", &b);
    }
    let mut l = stream();
    for _ in 0..10 {
        l = Header::default().around(&l);
    }
    for (b, pipe) in [(&b, false), (&b, true), (&l, false), (&l, true)] {
        let o = run(b, pipe, INFO);
        civil("ten wrappers", &o, &[2]);
        assert!(said(&o).contains("nested wrappers"), "{}", said(&o));
    }
}

/// So many bytes that repeat, packed, without ever being in memory.
fn bomb(codec: &str, front: &[u8], bytes: u64, behind: &[u8]) -> Vec<u8> {
    let mut plain = front.chain(std::io::repeat(0).take(bytes)).chain(behind);
    let mut out = Vec::new();
    match codec {
        "gzip" => {
            let mut e = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
            std::io::copy(&mut plain, &mut e).unwrap();
            e.finish().unwrap();
        }
        _ => {
            let mut e = zstd::Encoder::new(&mut out, 1).unwrap();
            std::io::copy(&mut plain, &mut e).unwrap();
            e.finish().unwrap();
        }
    }
    out
}

#[test]
fn bombs() {
    const GIB: u64 = 1 << 30;
    let cut = &stream()[..2000];
    for codec in ["gzip", "zstd"] {
        civil("no stream", &run(&bomb(codec, b"", GIB, b""), false, INFO), &[2]);
        civil("behind a stream", &run(&bomb(codec, &stream(), GIB, b""), false, STATE), &[0]);
        civil("in a stream", &run(&bomb(codec, cut, GIB, b""), false, INFO), &[2, 3]);
        civil("as XML", &run(&bomb(codec, &with_xml(GIB as u32), GIB, &stream()), true, STATE), &[0]);
    }
}

fn with_xml(n: u32) -> Vec<u8> {
    let mut b = Header::default().bytes();
    b.truncate(92);
    b[20..24].copy_from_slice(&n.to_le_bytes());
    b
}

#[test]
fn a_window_that_is_too_large() {
    // magic, one segment off and a window of 2 GiB, then an empty last block
    let b = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3][..], &[1, 0, 0]].concat();
    let o = run(&b, false, INFO);
    civil("zstd", &o, &[2]);
    assert!(said(&o).contains("--long=31"), "{}", said(&o));
}

#[test]
fn tables_of_qcow2_that_lie() {
    let image =
        Qcow2 { bits: 12, disk_then: 1 << 20, snapshots: vec![("1", b"a", stream())], ..Qcow2::default() }.bytes();
    let be64 = |b: &[u8], at: usize| u64::from_be_bytes(b[at..at + 8].try_into().unwrap());
    let table = be64(&image, 64) as usize;
    let l1 = be64(&image, table) as usize;
    let l2 = (be64(&image, l1 + 8) & 0x00ff_ffff_ffff_fe00) as usize;
    let with = |at: usize, bytes: &[u8]| {
        let mut b = image.clone();
        b[at..at + bytes.len()].copy_from_slice(bytes);
        b
    };
    let w = |n: u64| n.to_be_bytes();
    let cases = [
        ("L1 in the header", with(table, &w(0))),
        ("L1 far away", with(table, &w(u64::MAX - 7))),
        ("L1 of 4 Gi entries", with(table + 8, &[0xff; 4])),
        ("L1 of no entries", with(table + 8, &[0; 4])),
        ("the table at the end of the world", with(64, &w(u64::MAX))),
        ("the table in the header", with(64, &w(8))),
        ("4 Gi snapshots", with(60, &[0xff; 4])),
        ("65536 snapshots", with(60, &[0, 1, 0, 0])),
        ("4 GiB of extra data", with(table + 36, &[0xff; 4])),
        ("long names", with(table + 12, &[0xff; 4])),
        ("2^63 bytes of state", with(table + 40, &w(1 << 63))),
        ("2^64 - 1 bytes of state", with(table + 40, &w(u64::MAX))),
        ("a disk of 2^64 - 1 bytes", with(table + 48, &w(u64::MAX))),
        ("an L2 table at itself", with(l2, &w(l2 as u64))),
        ("an L2 table in the L1 table", with(l1 + 8, &w(l1 as u64))),
        ("an L2 table in the header", with(l1 + 8, &w(512))),
        ("an L2 table in no cluster", with(l1 + 8, &w(l2 as u64 + 512))),
        ("an L2 table far away", with(l1 + 8, &w(0x00ff_ffff_ffff_f000))),
        ("data in the header", with(l2, &w(1 << 63))),
        ("data in no cluster", with(l2, &w(0x1200))),
        ("packed data far away", with(l2, &w(1 << 62 | 0x3_ffff_ffff_ffff))),
        ("packed data in the header", with(l2, &w(1 << 62))),
        ("cluster bits 0", with(20, &[0; 4])),
        ("cluster bits 2^32 - 1", with(20, &[0xff; 4])),
        ("cluster bits 22", with(20, &[0, 0, 0, 22])),
        ("cluster bits 21", with(20, &[0, 0, 0, 21])),
        ("a header as long as the world", with(100, &[0xff; 4])),
        ("refcounts nowhere", with(48, &[0xff; 12])),
    ];
    for (i, (what, b)) in cases.iter().enumerate() {
        let allowed: &[i32] =
            if matches!(*what, "refcounts nowhere" | "a header as long as the world") { &[0] } else { &[2, 3] };
        for args in [STATE, INFO] {
            civil(what, &run(b, i % 2 == 0, args), allowed);
        }
    }
}

/// A small file whose tables name the same pages of guest memory without end.
#[test]
fn a_qcow2_image_that_never_ends() {
    const CLUSTER: usize = 1 << 16;
    // a stream up to the first page of its memory, and records of zero pages from there to the end of a cluster
    let whole = fs::read(common::fixture("pc-11.1")).unwrap();
    let name = b"\x06pc.ram";
    let at = whole.windows(7).enumerate().filter(|(_, w)| w == name).nth(1).unwrap().0;
    let mut s = whole[..at + 7 + if whole[at - 1] & 2 == 0 { 4096 } else { 1 }].to_vec();
    while !s.len().is_multiple_of(CLUSTER) {
        s.extend([0, 0, 0, 0, 0, 0, 0, 0x22, 0]);
    }
    // nine clusters of records, after which records begin where clusters do
    let front = s.len() / CLUSTER;
    s.extend([0, 0, 0, 0, 0, 0, 0, 0x22, 0].repeat(CLUSTER));
    for zstd in [false, true] {
        let keep = if zstd { Keep::Packed } else { Keep::Plain };
        let mut b =
            Qcow2 { disk_then: 0, zstd, keep, snapshots: vec![("1", b"a", s.clone())], ..Qcow2::default() }.bytes();
        let be64 = |b: &[u8], at: usize| u64::from_be_bytes(b[at..at + 8].try_into().unwrap());
        let table = be64(&b, 64) as usize;
        let l1 = be64(&b, table) as usize;
        let l2 = (be64(&b, l1) & 0x00ff_ffff_ffff_fe00) as usize;
        let entry = |b: &[u8], i: usize| b[l2 + i * 8..l2 + i * 8 + 8].to_vec();
        // the first table goes on with the nine; a second one has nothing else, and is named again and again
        for i in front + 9..8192 {
            let e = entry(&b, i - 9);
            b[l2 + i * 8..l2 + i * 8 + 8].copy_from_slice(&e);
        }
        b.resize(b.len().next_multiple_of(CLUSTER), 0);
        let first = 8192;
        let mut l1_table = vec![l2 as u64];
        for phase in 0..9 {
            l1_table.push(b.len() as u64);
            for i in 0..8192 {
                let turn = (first + phase * 8192 + i - front) % 9;
                let e = entry(&b, front + turn);
                b.extend(e);
            }
        }
        while l1_table.len() < 60_000 {
            l1_table.push(l1_table[l1_table.len() - 9]);
        }
        let at = b.len() as u64;
        l1_table.iter().for_each(|e| b.extend(e.to_be_bytes()));
        b[table..table + 8].copy_from_slice(&at.to_be_bytes());
        b[table + 8..table + 12].copy_from_slice(&60_000_u32.to_be_bytes());
        b[table + 40..table + 48].copy_from_slice(&(60_000_u64 << 29).to_be_bytes());
        let o = run(&b, false, INFO);
        civil("endless", &o, &[2, 3]);
        assert!(said(&o).contains("too many times"), "{}", said(&o));
        civil("endless", &run(&b, false, STATE), &[2, 3]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_leaves_no_files() {
    let dir = common::scratch("signal");
    let mut child = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"))
        .args(["info", "-", "--tmpdir"])
        .arg(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let image = Qcow2 { snapshots: vec![("1", b"a", stream())], ..Qcow2::default() }.bytes();
    pipe.write_all(&image).unwrap();
    pipe.write_all(&vec![0; 4 << 20]).unwrap();
    // what has been copied is in a file that has no name, while the process is at it
    let deadline = Instant::now() + Duration::from_secs(20);
    let fds = PathBuf::from(format!("/proc/{}/fd", child.id()));
    let held = || {
        fs::read_dir(&fds).unwrap().filter_map(|e| fs::read_link(e.unwrap().path()).ok()).any(|p| p.starts_with(&dir))
    };
    while !held() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(held(), "no temporary file in {}", dir.display());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "it has a name");
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(15));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}
