//! Streams in wrappers: from the file and from a pipe, the same answer as without.

#![cfg(feature = "cli")]

mod common;
#[path = "common/wrap.rs"]
mod wrap;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wrap::{CODECS, Header, Keep, Qcow2, pack, pack_in_two};

const FIXTURE: &str = "pc-11.1";
const MAPPED: &str = "mapped-ram-avr-11.1.mig.zst";

fn stream() -> Vec<u8> {
    fs::read(common::fixture(FIXTURE)).unwrap()
}

/// A file with this content, of which only the test knows.
fn file(content: &[u8]) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrappers");
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::write(&path, content).unwrap();
    path
}

/// Runs on the content as a file or as a pipe.
fn run(content: &[u8], pipe: bool, args: &[&str]) -> Output {
    let mut c = common::savevm_analyze();
    c.args(args).timeout(Duration::from_secs(60));
    if pipe {
        return c.arg("-").write_stdin(content).output().unwrap();
    }
    let path = file(content);
    let out = c.arg(&path).output().unwrap();
    fs::remove_file(path).unwrap();
    out
}

fn said(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

const STATE: &[&str] = &["--dump", "state"];
const RAM: &[&str] = &["extract", "--block", "pc.ram", "--output", "-"];

/// The answers for the stream without a wrapper, once, and what the recipe of the fixture says of its memory.
fn answers() -> &'static (Vec<u8>, Vec<u8>) {
    static ANSWERS: std::sync::OnceLock<(Vec<u8>, Vec<u8>)> = std::sync::OnceLock::new();
    ANSWERS.get_or_init(|| {
        let ram = run(&stream(), false, RAM).stdout;
        assert_eq!(ram.len(), 1 << 20);
        assert_eq!((&ram[0x80000..0x80004], &ram[0x81000..0x81004]), (&[0x44, 0x33, 0x22, 0x11][..], &[0xa5; 4][..]));
        (run(&stream(), false, STATE).stdout, ram)
    })
}

/// Asserts that a wrapped stream gives the same answers, from the file and from a pipe.
fn same(what: &str, content: &[u8], more: &[&str]) {
    let (state, ram) = answers();
    for pipe in [false, true] {
        let o = run(content, pipe, &[more, STATE].concat());
        assert_eq!(o.status.code(), Some(0), "{what} (pipe: {pipe}): {}", said(&o));
        assert!(o.stdout == *state, "{what} (pipe: {pipe}): another state");
        let o = run(content, pipe, &[RAM, more].concat());
        assert_eq!(o.status.code(), Some(0), "{what} (pipe: {pipe}): {}", said(&o));
        assert!(o.stdout == *ram, "{what} (pipe: {pipe}): another memory");
    }
}

#[test]
fn codecs_around_a_stream() {
    for (codec, _) in CODECS {
        same(codec, &pack(codec, &stream()), &[]);
        same(&format!("{codec} in two"), &pack_in_two(codec, &stream()), &[]);
    }
    same("lzop with CRC-32", &wrap::lzop(&stream(), 0x100, 10_000), &[]);
    same("zstd behind a frame to skip", &[b"\x5f*M\x18\x02\0\0\0ab".to_vec(), pack("zstd", &stream())].concat(), &[]);
    same("xz with padding", &[pack("xz", &stream()), vec![0; 8]].concat(), &[]);
}

#[test]
fn rubbish_after_a_packed_stream_does_no_harm() {
    for (codec, _) in CODECS {
        for rubbish in [&[0xaa; 5000][..], &[0; 5000], &[0x1f], &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff]] {
            same(&format!("{codec} and rubbish"), &[pack(codec, &stream()), rubbish.to_vec()].concat(), &[]);
        }
    }
}

#[test]
fn a_wrong_checksum_after_a_whole_stream_is_a_warning_and_not_sound() {
    let mut packed = pack("gzip", &stream());
    let at = packed.len() - 8;
    packed[at] ^= 0x55;
    let o = run(&packed, false, &["info"]);
    assert_eq!(o.status.code(), Some(0), "{}", said(&o));
    assert!(said(&o).starts_with("warning: the gzip data "), "{}", said(&o));
    let o = run(&packed, false, &["check"]);
    assert_eq!(o.status.code(), Some(1), "{}", said(&o));
    assert!(String::from_utf8_lossy(&o.stdout).contains("the gzip data is truncated or damaged"));
}

#[test]
fn a_wrong_checksum_is_noticed() {
    for flags in [1, 0x100] {
        let mut b = wrap::lzop(&stream(), flags, 1000);
        let at = b.len() / 2;
        b[at..at + 40].iter_mut().for_each(|b| *b ^= 0x55);
        let o = run(&b, false, STATE);
        assert!(matches!(o.status.code(), Some(2 | 3)), "{}", said(&o));
        assert!(said(&o).contains("lzop data is truncated or damaged"), "{}", said(&o));
    }
}

#[test]
fn libvirt_headers() {
    for big_endian in [false, true] {
        for (version, cookie) in [(1, ""), (2, ""), (2, "<cookie><cpu/></cookie>")] {
            let h = Header { big_endian, version, cookie, ..Header::default() };
            same(&format!("version {version}, big-endian {big_endian}"), &h.around(&stream()), &[]);
        }
        for (codec, format) in CODECS {
            let h = Header { big_endian, format, ..Header::default() };
            same(&format!("libvirt, {codec}"), &h.around(&pack_in_two(codec, &stream())), &[]);
        }
    }
    same("no room", &Header { room: 0, ..Header::default() }.around(&stream()), &[]);
}

#[test]
fn a_codec_around_a_libvirt_image_with_a_codec() {
    for (outer, _) in CODECS {
        for (inner, format) in CODECS {
            let h = Header { format, ..Header::default() };
            same(&format!("{outer} of {inner}"), &pack(outer, &h.around(&pack(inner, &stream()))), &[]);
        }
    }
}

#[test]
fn what_libvirt_says_is_shown() {
    let h = Header { big_endian: true, format: 1, was_running: 0, cookie: "<cookie/>", ..Header::default() };
    let image = h.around(&pack("gzip", &stream()));
    for pipe in [false, true] {
        let o = run(&image, pipe, &["info", "--xml"]);
        assert_eq!(String::from_utf8(o.stdout).unwrap().trim_end(), wrap::XML);
        let o = run(&image, pipe, &["info", "--json"]);
        let v: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
        let l = &v["container"]["libvirt"];
        assert_eq!((&l["name"], &l["format"], &l["complete"]), (&"bücher & co".into(), &"gzip".into(), &true.into()));
        assert_eq!((&l["was_running"], &l["has_cookie"]), (&false.into(), &true.into()));
        let text = String::from_utf8(run(&image, pipe, &["info"]).stdout).unwrap();
        assert!(text.contains("bücher & co") && text.contains("big-endian") && text.contains("paused"), "{text}");
    }
    let o = run(&stream(), false, &["info", "--xml"]);
    assert_eq!(o.status.code(), Some(2));
    assert!(said(&o).contains("expected a libvirt save image"), "{}", said(&o));
}

#[test]
fn the_bytes_of_the_body_have_the_last_word() {
    for (format, body, told) in [
        (1, stream(), "the libvirt header gives the format gzip, but the body is raw"),
        (0, pack("xz", &stream()), "the libvirt header gives the format raw, but the body is xz"),
        (9, stream(), "the libvirt header gives the format unknown (9), but the body is raw"),
    ] {
        let image = Header { format, ..Header::default() }.around(&body);
        same("another format", &image, &[]);
        let o = run(&image, true, STATE);
        assert!(said(&o).contains(told), "{}", said(&o));
    }
}

#[test]
fn an_unfinished_image_is_read_as_far_as_it_goes() {
    let h = Header { magic: b"LibvirtQemudPart", ..Header::default() };
    let whole = h.around(&stream());
    same("marked as unfinished, but whole", &whole, &[]);
    let cut = &whole[..whole.len() - 60_000];
    for pipe in [false, true] {
        let o = run(&whole, pipe, STATE);
        assert_eq!(said(&o).matches("unfinished").count(), 1, "{}", said(&o));
        // all of it can be read, but libvirt does not restore it
        let o = run(&whole, pipe, &["check"]);
        assert_eq!(o.status.code(), Some(1), "{}", said(&o));
        let out = String::from_utf8_lossy(&o.stdout).into_owned();
        assert_eq!(out.matches("unfinished").count(), 1, "{out}");
        let o = run(cut, pipe, &["info"]);
        assert_eq!(o.status.code(), Some(3), "{}", said(&o));
        assert!(said(&o).contains("unfinished"), "{}", said(&o));
        assert!(String::from_utf8_lossy(&o.stdout).contains("bücher"));
    }
}

/// The stream of the mapped-ram fixture, with its offsets in the file moved by so much.
fn mapped(by: u64) -> Vec<u8> {
    let mut b = common::unpacked(&common::testdata().join(MAPPED));
    let header = [&1_u32.to_be_bytes()[..], &1024_u64.to_be_bytes()].concat();
    let found: Vec<usize> = b.windows(12).enumerate().filter(|(_, w)| *w == header).map(|(i, _)| i).collect();
    assert!(!found.is_empty());
    for at in found.iter().flat_map(|i| [i + 12, i + 20]) {
        let old = u64::from_be_bytes(b[at..at + 8].try_into().unwrap());
        b[at..at + 8].copy_from_slice(&(old + by).to_be_bytes());
    }
    b
}

#[test]
fn mapped_ram_in_wrappers() {
    let ram = ["extract", "--block", "ram", "--output", "-"];
    let plain = mapped(0);
    let blocks = run(&plain, false, &["info", "--json"]).stdout;
    let name = serde_json::from_slice::<serde_json::Value>(&blocks).unwrap()["ram"]["blocks"][0]["name"].clone();
    let ram = ram.map(|a| if a == "ram" { name.as_str().unwrap() } else { a });
    let (state, memory) = (run(&plain, false, STATE).stdout, run(&plain, false, &ram).stdout);
    assert!(!memory.is_empty());
    let h = Header { format: 6, room: 333, ..Header::default() };
    let sparse = h.around(&mapped(h.bytes().len() as u64));
    let offset = [vec![0; 0x12345], mapped(0x12345)].concat();
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        ("plain", plain, &[]),
        ("sparse libvirt image", sparse.clone(), &[]),
        ("packed sparse image", pack("zstd", &sparse), &[]),
        ("at an offset", offset.clone(), &["--offset", "0x12345"]),
        ("packed, at an offset", pack("gzip", &offset), &["--offset", "0x12345"]),
    ];
    for (what, content, more) in cases {
        for pipe in [false, true] {
            let o = run(&content, pipe, &[more, STATE].concat());
            assert_eq!((o.status.code(), o.stdout == state), (Some(0), true), "{what} ({pipe}): {}", said(&o));
            let o = run(&content, pipe, &[&ram[..], more].concat());
            assert_eq!((o.status.code(), o.stdout == memory), (Some(0), true), "{what} ({pipe}): {}", said(&o));
        }
    }
}

#[test]
fn a_stream_at_an_offset_is_found_for_the_hint() {
    for at in [4096_usize, 0x12345, (1 << 20) - 3, 5 << 20] {
        let content = [vec![0; at], stream()].concat();
        for (content, pipe) in [(content.clone(), false), (content.clone(), true), (pack("zstd", &content), false)] {
            let o = run(&content, pipe, STATE);
            assert_eq!(o.status.code(), Some(2));
            assert!(said(&o).contains("zeros") && said(&o).contains(&format!("{at:#x}")), "{}", said(&o));
        }
        same("offset", &content, &["--offset", &at.to_string()]);
    }
    let o = run(&vec![0; 100_000], false, STATE);
    assert!(said(&o).contains("--offset"), "{}", said(&o));
    let o = run(&[b"garbage in front".to_vec(), stream()].concat(), false, STATE);
    assert!(said(&o).contains("--offset 0x10"), "{}", said(&o));
    for pipe in [false, true] {
        let o = run(&stream(), pipe, &[STATE, &["--offset", "1000000"]].concat());
        assert_eq!(o.status.code(), Some(2), "{}", said(&o));
        assert!(said(&o).contains("end"), "{}", said(&o));
    }
    let image = Qcow2 { snapshots: vec![("1", b"a", stream())], ..Qcow2::default() }.bytes();
    same("qcow2 at an offset", &[vec![7; 5000], image].concat(), &["--offset", "5000"]);
    same("libvirt at an offset", &[vec![7; 5000], Header::default().around(&stream())].concat(), &["--offset", "5000"]);
}

fn shapes() -> Vec<(String, Qcow2)> {
    let mut out = Vec::new();
    for (version, bits, extended, zstd) in [
        (2, 9, false, false),
        (2, 16, false, false),
        (3, 9, false, false),
        (3, 12, false, true),
        (3, 16, false, false),
        (3, 21, false, true),
        (3, 14, true, false),
        (3, 16, true, true),
    ] {
        for keep in [Keep::Plain, Keep::Scattered, Keep::Packed] {
            let q = Qcow2 { version, bits, extended, zstd, keep, disk_then: 3 << 20, ..Qcow2::default() };
            out.push((format!("version {version}, {bits} bits, extended {extended}, zstd {zstd}, {}", keep as u8), q));
        }
    }
    out
}

#[test]
fn qcow2_of_every_shape() {
    for (what, mut q) in shapes() {
        q.snapshots = vec![("1", b"one", stream())];
        same(&what, &q.bytes(), &[]);
    }
    let short = Qcow2 { version: 2, extra: 0, snapshots: vec![("1", b"one", stream())], ..Qcow2::default() };
    same("an entry without extra data", &short.bytes(), &[]);
    let large = Qcow2 { version: 2, extra: 8, snapshots: vec![("1", b"one", stream())], ..Qcow2::default() };
    same("an entry with the size only", &large.bytes(), &[]);
    let grown = Qcow2 {
        disk_then: (10 << 30) + 512,
        disk_now: 20 << 30,
        snapshots: vec![("1", b"a", stream())],
        ..Qcow2::default()
    };
    same("a disk that has grown since", &grown.bytes(), &[]);
    same("packed", &pack("gzip", &grown.bytes()), &[]);
}

#[test]
fn qcow2_snapshots_are_chosen() {
    let other = fs::read(common::fixture("avr-uno-11.1")).unwrap();
    let q = Qcow2 {
        snapshots: vec![
            ("1", b"disk only", Vec::new()),
            ("2", b"10", other),
            ("10", b"a name", stream()),
            ("11", b"\xff", Vec::new()),
        ],
        ..Qcow2::default()
    };
    same("by name", &q.bytes(), &["--snapshot", "a name"]);
    let fail = |args: &[&str], told: &str| {
        for pipe in [false, true] {
            let o = run(&q.bytes(), pipe, &[STATE, args].concat());
            assert_eq!(o.status.code(), Some(2));
            assert!(said(&o).contains(told), "{}", said(&o));
        }
    };
    // a name comes before an id
    let o = run(&q.bytes(), false, &[STATE, &["--snapshot", "10"]].concat());
    assert!(o.stdout == run(&fs::read(common::fixture("avr-uno-11.1")).unwrap(), false, STATE).stdout, "{}", said(&o));
    fail(&[], "a name");
    fail(&["--snapshot", "nonesuch"], "no snapshot \"nonesuch\"");
    fail(&["--snapshot", "disk only"], "only the disk");
    fail(&["--snapshot", "11"], "only the disk");
    let o = run(&q.bytes(), false, &["info", "--snapshot", "a name"]);
    let text = String::from_utf8_lossy(&o.stdout);
    assert!(text.contains("a name *") && text.contains("disk only") && text.contains("01:00:00.123"), "{text}");
    let twice = Qcow2 { snapshots: vec![("1", b"a", stream()), ("2", b"a", stream())], ..Qcow2::default() };
    same("by id", &twice.bytes(), &["--snapshot", "2"]);
    let o = run(&twice.bytes(), false, &[STATE, &["--snapshot", "a"]].concat());
    assert!(said(&o).contains("2 snapshots are named"), "{}", said(&o));
    let o = run(&Qcow2::default().bytes(), false, STATE);
    assert_eq!(o.status.code(), Some(2));
    assert!(said(&o).contains("without internal snapshots") && said(&o).contains("qemu-img convert"), "{}", said(&o));
}

#[test]
fn a_snapshot_is_part_of_the_name_of_a_file() {
    let other = fs::read(common::fixture("avr-uno-11.1")).unwrap();
    let q = Qcow2 {
        snapshots: vec![("1", b"first", other), ("2", b"second", stream()), ("3", b"disk", Vec::new())],
        ..Qcow2::default()
    };
    let dir = common::scratch("at-snapshot");
    let image = dir.join("disk.qcow2");
    fs::write(&image, q.bytes()).unwrap();
    let at = |name: &str| format!("{}@{name}", image.display());
    let run = |args: &[&str]| {
        let o = common::savevm_analyze().args(args).output().unwrap();
        (o.status.code(), String::from_utf8(o.stdout).unwrap(), String::from_utf8(o.stderr).unwrap())
    };
    let machine = |name: &str| run(&["info", &at(name)]).1;
    assert!(machine("first").contains("arduino-uno") && !machine("second").contains("arduino-uno"));
    let (code, printed, _) = run(&["diff", &at("first"), &at("second")]);
    assert!(code == Some(1) && printed.contains("arduino-uno -> "), "{printed}");
    assert_eq!(run(&["diff", &at("2"), &at("second")]).0, Some(0));
    let (code, _, said) = run(&["info", &at("nonesuch")]);
    assert!(code == Some(2) && said.contains("no snapshot \"nonesuch\""), "{said}");
    let (code, _, said) = run(&["info", &at("first"), "--snapshot", "second"]);
    assert!(code == Some(2) && said.contains("both choose a snapshot"), "{said}");
    // an image alone has its snapshots listed
    let (code, printed, said) = run(&["info", image.to_str().unwrap()]);
    assert!(code == Some(0) && said.is_empty(), "{said}");
    for line in ["3 snapshots", "first", "second", "disk only"] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    // a file that has such a name is that file
    fs::write(dir.join("disk.qcow2@first"), stream()).unwrap();
    assert!(!machine("first").contains("arduino-uno"));
}

#[test]
fn qcow2_that_is_not_read_says_why() {
    let good = Qcow2 { snapshots: vec![("1", b"a", stream())], ..Qcow2::default() }.bytes();
    let with = |at: usize, bytes: &[u8]| {
        let mut b = good.clone();
        b[at..at + bytes.len()].copy_from_slice(bytes);
        b
    };
    for (what, image, told) in [
        ("encrypted", with(32, &2_u32.to_be_bytes()), "encrypted"),
        ("data elsewhere", with(72, &4_u64.to_be_bytes()), "in an external file"),
        ("a feature of the future", with(72, &(1_u64 << 17).to_be_bytes()), "feature bit 17"),
        ("version 4", with(4, &4_u32.to_be_bytes()), "expected 2 or 3, found 4"),
        ("version 1", with(4, &1_u32.to_be_bytes()), "version 1, which has no snapshots"),
    ] {
        for pipe in [false, true] {
            let o = run(&image, pipe, STATE);
            assert_eq!(o.status.code(), Some(2), "{what}");
            assert!(said(&o).contains(told), "{what}: {}", said(&o));
        }
    }
    for (bit, told) in [(1_u64, "dirty"), (2, "corrupt")] {
        let image = with(72, &bit.to_be_bytes());
        same("marked", &image, &[]);
        assert!(said(&run(&image, false, STATE)).contains(told));
    }
}

/// Finds the state in an image that QEMU made, with clusters of 4 KiB, by following its tables one by one.
fn by_hand(image: &[u8]) -> Vec<u8> {
    let be = |at: usize, n: usize| image[at..at + n].iter().fold(0_usize, |x, b| x << 8 | usize::from(*b));
    assert_eq!((be(20, 4), be(60, 4)), (12, 1));
    let entry = be(64, 8);
    let (l1, size, disk) = (be(entry, 8), be(entry + 40, 8), be(entry + 48, 8));
    let mut out = Vec::new();
    for cluster in disk.div_ceil(2 << 20) * 512.. {
        if out.len() >= size {
            break;
        }
        let mask = 0x00ff_ffff_ffff_fe00;
        let l2 = be(l1 + cluster / 512 * 8, 8) & mask;
        let host = be(l2 + cluster % 512 * 8, 8) & mask;
        let end = (host + 4096).min(image.len());
        out.extend(if host == 0 { &[0; 4096][..] } else { &image[host..end] });
    }
    out.truncate(size);
    out
}

#[test]
fn snapshots_that_qemu_made() {
    for version in ["7.2", "11.1"] {
        let image = fs::read(common::testdata().join(format!("savevm-{version}.qcow2"))).unwrap();
        let plain = by_hand(&image);
        assert!(plain.starts_with(b"QEVM\0\0\0\x03\x07"));
        for args in [STATE, RAM] {
            let truth = run(&plain, false, args);
            assert_eq!(truth.status.code(), Some(0), "{}", said(&truth));
            for pipe in [false, true] {
                let o = run(&image, pipe, args);
                assert_eq!((o.status.code(), o.stdout == truth.stdout), (Some(0), true), "{version}: {}", said(&o));
            }
        }
    }
}

#[test]
fn temporary_files_go_where_they_are_told() {
    let image = Qcow2 { snapshots: vec![("1", b"a", stream())], ..Qcow2::default() }.bytes();
    let dir = common::scratch("tmpdir");
    let nowhere = dir.join("nowhere");
    for args in [STATE, RAM] {
        let o = run(&image, true, &[args, &["--tmpdir", dir.to_str().unwrap()]].concat());
        assert_eq!(o.status.code(), Some(0), "{}", said(&o));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        let o = run(&image, true, &[args, &["--tmpdir", nowhere.to_str().unwrap()]].concat());
        assert_eq!(o.status.code(), Some(2));
        assert!(said(&o).contains("temporary file"), "{}", said(&o));
    }
}
