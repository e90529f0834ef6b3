//! Ranges, pipes, cut streams, and options that do not go together.

use std::fs;
use std::process::Stdio;

use super::elf::{Load, read};
use super::{directory, dumped, extract, savevm_analyze, unpacked};

fn machine(name: &str) -> super::Dumped {
    dumped().into_iter().find(|d| d.name == name).unwrap()
}

#[test]
fn a_range_is_cut_to_the_byte() {
    let dir = directory("range");
    let d = machine("aarch64-11.1");
    let whole = extract(&d.stream, &["--format", "elf"], &dir.join("whole"));
    let memory = read(&whole).memory(&read(&whole).loads[0]).to_vec();
    for (begin, length) in
        [(0x4008_0000_u64, 0x1_0000_u64), (0x4008_1234, 0x5001), (0x3fff_0000, 0x2_0000), (0, u64::MAX)]
    {
        let (b, l) = (format!("{begin:#x}"), length.to_string());
        let arguments = ["--format", "elf", "--begin", &b, "--length", &l];
        let part = extract(&d.stream, &arguments, &dir.join("part"));
        let e = read(&part);
        let from = begin.max(0x4000_0000);
        let to = begin.saturating_add(length).min(0x4020_0000);
        let [only] = e.loads[..] else { panic!("{:?}", e.loads) };
        assert_eq!((only.phys, only.virt, only.bytes, only.file), (from, from, to - from, to - from));
        assert!(e.memory(&only) == &memory[(from - 0x4000_0000) as usize..(to - 0x4000_0000) as usize]);
    }
    let out = savevm_analyze()
        .arg("extract")
        .arg(&d.stream)
        .args(["--format", "elf", "--begin", "0", "--length", "4K", "-o"])
        .arg(dir.join("none"))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("no guest memory from 0x0 to 0x1000"), "{out:?}");
    assert!(!dir.join("none").exists());
}

#[test]
fn a_pipe_and_standard_output_give_the_same_dump() {
    let dir = directory("pipes");
    for name in ["x86_64-11.1", "s390x-11.1", "arm-7.2"] {
        let d = machine(name);
        let plain = dir.join("stream");
        fs::write(&plain, unpacked(&d.stream)).unwrap();
        for format in ["elf", "kdump-zlib", "kdump-snappy"] {
            let expected = extract(&d.stream, &["--format", format], &dir.join("file"));
            let memory = |bytes: &[u8]| match format {
                // room for a note that is found after memory is not needed where memory can be searched first
                "elf" => read(bytes)
                    .loads
                    .iter()
                    .map(|l| (Load { offset: 0, ..*l }, read(bytes).memory(l).to_vec()))
                    .collect(),
                _ => vec![(Load { offset: 0, virt: 0, phys: 0, file: 0, bytes: 0 }, bytes.to_vec())],
            };
            for (input, output) in [("-", "-"), ("-", "to"), ("file", "-")] {
                let to = dir.join("to");
                let _ = fs::remove_file(&to);
                let mut c = std::process::Command::new(env!("CARGO_BIN_EXE_savevm-analyze"));
                c.arg("extract").args(["--format", format, "-q", "-o"]);
                c.arg(if output == "-" { "-".as_ref() } else { to.as_os_str() });
                c.arg(if input == "-" { "-".as_ref() } else { plain.as_os_str() });
                // cat makes a pipe of it
                let mut cat = None;
                if input == "-" {
                    let mut child =
                        std::process::Command::new("cat").arg(&plain).stdout(Stdio::piped()).spawn().unwrap();
                    c.stdin(child.stdout.take().unwrap());
                    cat = Some(child);
                }
                let out = c.output().unwrap();
                drop(c);
                cat.map(|mut c| c.wait().unwrap());
                assert_eq!(out.status.code(), Some(0), "{name} {format} {input} {output}: {out:?}");
                let got = if output == "-" { out.stdout } else { fs::read(&to).unwrap() };
                assert!(memory(&got) == memory(&expected), "{name} {format} {input} {output}");
            }
        }
    }
}

#[test]
fn a_cut_stream_gives_a_partial_dump() {
    let dir = directory("cut");
    let d = machine("x86_64-11.1");
    let mut stream = unpacked(&d.stream);
    // inside of a page of memory: the devices are missing, and with them the processors
    stream.truncate(0x8000);
    let cut = dir.join("cut.mig");
    fs::write(&cut, &stream).unwrap();
    for format in ["elf", "kdump-zlib"] {
        let out = savevm_analyze()
            .arg("extract")
            .arg(&cut)
            .args(["--format", format, "-o"])
            .arg(dir.join("dump"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{text}");
        assert!(text.contains("no processor"), "{text}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "{text}");
    }
    // after the devices: all of memory, and a description that is missing is supplied
    let mut stream = unpacked(&d.stream);
    let end = stream.windows(4).rposition(|w| w == b"{\"ve").unwrap_or(stream.len() - 10_000);
    stream.truncate(end);
    fs::write(&cut, &stream).unwrap();
    let schema = dir.join("whole.mig");
    fs::write(&schema, unpacked(&d.stream)).unwrap();
    let out = savevm_analyze()
        .arg("extract")
        .arg(&cut)
        .arg("--schema")
        .arg(&schema)
        .args(["--format", "elf", "-o"])
        .arg(dir.join("dump"))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(3), "{out:?}");
    let partial =
        fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()).find(|p| p.to_string_lossy().ends_with(".partial"));
    let ours = fs::read(partial.expect("a partial dump")).unwrap();
    super::elf::same("x86_64-11.1", &ours, &unpacked(d.elf.as_ref().unwrap()));
}

#[test]
fn memory_that_was_left_out_on_purpose_is_missing() {
    let dir = directory("shared");
    for stream in ["ignore-shared-10.0.mig", "mapped-ram-ignore-shared-11.1.mig.zst"] {
        for format in ["elf", "kdump-zlib"] {
            let to = dir.join("dump");
            let out = savevm_analyze().args(["extract", stream, "--format", format, "-o"]).arg(&to).output().unwrap();
            let text = String::from_utf8_lossy(&out.stderr).into_owned();
            assert_eq!(out.status.code(), Some(3), "{stream} {format}: {text}");
            assert!(text.contains("of memory not in the stream (x-ignore-shared)"), "{stream} {format}: {text}");
            assert!(!to.exists());
        }
    }
}

#[test]
fn a_state_without_descriptions_needs_one() {
    let to = directory("bare").join("dump");
    for stream in ["novmdesc-10.0.mig", "postcopy-7.2.mig"] {
        let out = savevm_analyze().args(["extract", stream, "--format", "elf", "-o"]).arg(&to).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{stream}: {text}");
        assert!(text.contains("no processor that could be decoded") && text.contains("--schema"), "{stream}: {text}");
    }
    let args = ["extract", "novmdesc-10.0.mig", "--schema", "pc-10.0.mig", "--format", "elf", "-q", "-o"];
    let out = savevm_analyze().args(args).arg(&to).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{out:?}");
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let stream = machine("arm-7.2").stream;
    for (arguments, says) in [
        (
            &["--format", "kdump-zlib", "--begin", "0x1000"][..],
            "--begin and --length do not go with --format kdump-zlib",
        ),
        (&["--format", "elf", "--block", "pc.ram"], "--block does not go with --format elf"),
        (&["--format", "elf", "--flattened"], "--flattened does not go with --format elf"),
        (&["--format", "kdump-lzo", "--paging"], "--paging does not go with --format kdump-lzo"),
        (&["--format", "raw", "--layout", "qemu"], "--layout does not go with --format raw"),
        (&["--format", "elf", "--no-firmware"], "--no-firmware does not go with --format elf"),
        (&["--format", "elf", "--also-state", "x"], "--also-state does not go with --format elf"),
    ] {
        let out = savevm_analyze().arg("extract").arg(&stream).args(arguments).args(["-o", "never"]).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
}

#[test]
fn memory_may_be_anywhere() {
    const CARD: &str = "0000:00:02.0/vga.vram=0xfffffffffff00000";
    let dir = directory("anywhere");
    let stream = machine("x86_64-11.1").stream;
    let too_far = "end beyond the last address";
    let wide = &["--map", "pc.ram=0x7fffffffffff0000"][..];
    // regions that end with the last address or beyond it; a ROM at 0 with the ROMs below 1 MiB inside main memory
    let last = &["--map", "pc.ram=0xfffffffffffff000"][..];
    let card = &["--map", CARD][..];
    let both = &["--map", CARD, "--map", "pc.ram=0xffffffffffffffff"][..];
    let overlapping = &["--map", "pc.ram=0xc2000", "--map", "pc.rom=0", "--map", "pc.bios=0x100000000"][..];
    let range = &["--map", CARD, "--begin", "0xffffffffffffff00", "--length", "0xffff"][..];
    for (format, more, map, says) in [
        ("elf", &[][..], last, too_far),
        ("elf", &["--layout", "qemu"], last, too_far),
        ("elf", &["--paging"], last, too_far),
        ("kdump-zlib", &[], last, too_far),
        ("kdump-zlib", &["--layout", "qemu"], last, too_far),
        ("elf", &[], card, too_far),
        ("kdump-zlib", &[], card, too_far),
        ("elf", &[], both, too_far),
        ("elf", &["--layout", "qemu"], both, too_far),
        ("kdump-zlib", &[], both, too_far),
        ("elf", &[], overlapping, ""),
        ("elf", &["--layout", "qemu"], overlapping, ""),
        ("elf", &["--paging"], overlapping, ""),
        ("kdump-zlib", &[], overlapping, ""),
        ("kdump-zlib", &["--layout", "qemu"], overlapping, ""),
        ("elf", &[], range, too_far),
        ("elf", &[], wide, ""),
        ("kdump-zlib", &[], wide, "a kdump file needs a bitmap of"),
        ("elf", &[], &["--map", "vga.vram=0"], "no RAM block"),
        ("kdump-zlib", &[], range, "--begin and --length do not go with"),
        ("phys", &[], &["--begin", "0xffffffffffffff00", "--length", "0xffff"], ""),
        (
            "phys",
            &[],
            &["--map", "pc.ram=0xfffffffffffff000", "--begin", "0xfffffffffffff000", "--length", "0x2000"],
            "",
        ),
        ("phys", &[], last, "cannot set the size of"),
    ] {
        let to = dir.join("dump");
        let mut command = savevm_analyze();
        command.arg("extract").arg(&stream).args(["--format", format, "-q", "--no-sync", "-o"]).arg(&to);
        let out = command.args(more).args(map).output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        let expected = if says.is_empty() { 0 } else { 2 };
        assert_eq!(out.status.code(), Some(expected), "{format} {more:?} {map:?}: {text}");
        assert!(text.contains(says), "{format} {more:?} {map:?}: {text}");
        assert_eq!(fs::remove_file(&to).is_ok(), says.is_empty());
    }
    for (what, length) in [("--phys", "0xff"), ("--phys", "0x100"), ("--virt", "0x100"), ("--phys", "0x101")] {
        let mut command = savevm_analyze();
        let out = command.arg("read").arg(&stream).args([what, "0xffffffffffffff00", "--length", length]).output();
        assert_eq!(out.unwrap().status.code(), Some(2), "{what} {length}");
    }
}
