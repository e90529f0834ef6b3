//! How the command behaves: names that are printed are understood, near misses are named, several files are answered, and what
//! is written is where it was asked for.

#![cfg(feature = "cli")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{fixture, savevm_analyze, scratch, testdata};

/// Returns the exit status, standard output and standard error.
fn run(args: &[&str]) -> (i32, String, String) {
    let o = savevm_analyze().args(args).env_remove("COLUMNS").output().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    (o.status.code().unwrap(), text(o.stdout), text(o.stderr))
}

fn path(p: &Path) -> &str {
    p.to_str().unwrap()
}

#[test]
fn near_misses_are_named() {
    for (args, words) in [
        (&["inf", "q35-11.1.mig"][..], "no command and no file is called \"inf\"; did you mean info?"),
        (&["stat"], "did you mean state?"),
        (&["chekc", "pc-11.1.mig"], "did you mean check?"),
        (&["state", "q35-11.1.mig", "--device", "cpux"], "no device matches \"cpux\"; did you mean cpu?"),
        (&["state", "q35-11.1.mig", "--device", "e1000"], "did you mean e1000e?"),
        (
            &["state", "q35-11.1.mig", "--device", "cpu", "--field", "env.epi"],
            "did you mean env.eip? the fields of cpu (0) are: env.regs",
        ),
        (&["extract", "q35-11.1.mig", "--block", "pcram", "-o", "-"], "no RAM block \"pcram\""),
        (&["schema", "inf"], "did you mean info?"),
    ] {
        let (code, _, said) = run(args);
        assert!(code == 2 && said.contains(words), "{args:?}: {code} {said}");
    }
    // a file is a file, whatever it is called
    let dir = scratch("near");
    fs::copy(fixture("pc-11.1"), dir.join("inf")).unwrap();
    let o = savevm_analyze().arg("inf").current_dir(&dir).output().unwrap();
    assert_eq!(o.status.code(), Some(0), "{}", String::from_utf8_lossy(&o.stderr));
}

#[test]
fn names_that_are_printed_are_understood() {
    let devices = |pattern: &str| {
        let (code, printed, said) = run(&["state", "q35-11.1.mig", "--device", pattern, "--format", "jsonl"]);
        assert_eq!(code, 0, "{pattern}: {said}");
        printed.lines().count()
    };
    assert_eq!((devices("cpu"), devices("CPU"), devices("cpu (1)"), devices("0000:00:07.0/E1000E")), (2, 2, 1, 1));
    let (code, printed, _) = run(&["diff", "q35-7.2.mig", "q35-10.0.mig", "-d", "GLOBALSTATE"]);
    assert!(code == 1 && printed.contains("in 1 of 1 section"), "{printed}");
}

#[test]
fn errors_name_the_file_once_without_numbers_of_the_system() {
    for (args, words) in [
        (&["info", "no-such-file"][..], "error: cannot open no-such-file: No such file or directory\n"),
        (&["check", "README.md"], "(in README.md)"),
        (&["diff", "pc-11.1.mig", "no-such-file"], "error: cannot open no-such-file: No such file or directory\n"),
    ] {
        let (code, _, said) = run(args);
        assert!(code == 2 && said.contains(words) && !said.contains("os error"), "{args:?}: {said}");
        assert_eq!(said.matches(args.last().unwrap()).count(), 1, "{said}");
    }
}

#[test]
fn several_files_have_an_answer_each_and_the_worst_status() {
    let (code, printed, _) = run(&["check", "q35-11.1.mig", "cases/check-sound.mig", "q35-5.2.mig"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((code, lines.len(), lines[0], lines[2]), (1, 3, "q35-11.1.mig: sound", "q35-5.2.mig: sound"));
    assert!(lines[1].starts_with("cases/check-sound.mig: not sound: "), "{printed}");
    let (code, printed, _) = run(&["check", "README.md", "q35-11.1.mig", "no-such-file"]);
    assert_eq!(code, 2);
    assert!(printed.contains("README.md: not a saved state: expected"), "{printed}");
    assert!(
        printed.contains("q35-11.1.mig: sound") && printed.contains("no-such-file: no verdict: cannot"),
        "{printed}"
    );
    // one line of JSON for each
    for command in ["info", "check", "cpu", "pci", "virtio"] {
        let (_, printed, _) = run(&[command, "q35-11.1.mig", "s390x-11.1.mig", "--json"]);
        let files: Vec<String> = printed
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["file"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(files, ["q35-11.1.mig", "s390x-11.1.mig"], "{command}");
        let (code, printed, said) = run(&[command, "q35-11.1.mig", "no-such-file"]);
        assert!(code == 2 && printed.contains("q35-11.1.mig"), "{command}: {printed}");
        assert!((printed + &said).contains("cannot open no-such-file"), "{command}");
    }
    let (code, _, said) = run(&["info", "-", "-"]);
    assert!(code == 2 && said.contains("standard input"), "{said}");
}

#[test]
fn the_overview_fits_the_width() {
    for file in
        ["q35-11.1.mig", "pseries-11.1.mig.zst", "savevm-11.1.qcow2", "booted/linux-11.1.mig.zst", "postcopy-11.1.mig"]
    {
        for width in ["60", "80", "140"] {
            for more in [&["info", file][..], &["info", "-v", file]] {
                let (code, printed, said) = run(&[more, &["--width", width]].concat());
                assert_eq!(code, 0, "{said}");
                let most: usize = width.parse().unwrap();
                let long: Vec<&str> = printed.lines().filter(|l| l.chars().count() > most).collect();
                assert!(long.is_empty(), "{file} at {width}: {long:#?}");
            }
        }
    }
    // numbers can be copied and searched for
    let (_, printed, _) = run(&["info", "xbzrle-11.1.mig"]);
    assert!(printed.contains("raw stream, ") && !printed.contains("bytes ( "), "{printed}");
    let size = fs::metadata(fixture("xbzrle-11.1")).unwrap().len();
    assert!(printed.contains(&format!("raw stream, {size} bytes")), "{printed}");
}

#[test]
fn the_overview_answers_first_what_is_asked_first() {
    let (_, printed, _) = run(&["info", "booted/linux-11.1.mig.zst"]);
    for line in [
        "machine     pc-q35-11.1",
        "memory      96 MiB",
        "CPUs        2 x86_64",
        "run state   paused",
        "stream      complete",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line}: {printed}");
    }
    let dir = scratch("cut");
    let whole = fs::read(fixture("resent-11.1")).unwrap();
    fs::write(dir.join("cut.mig"), &whole[..20_000]).unwrap();
    let (code, printed, _) = run(&["info", path(&dir.join("cut.mig"))]);
    assert!(code == 3 && printed.contains("stream   cut: ") && printed.contains(" % of memory received"), "{printed}");
    let (_, printed, _) = run(&["info", "cases/bugs-07-devices-only-11.1.mig.zst"]);
    assert!(printed.contains("device state only, as xen-save-devices-state writes it"), "{printed}");
}

#[test]
fn a_supplied_description_completes_a_damaged_one() {
    let dir = scratch("schema");
    let whole = fixture("q35-11.1");
    let bytes = fs::read(&whole).unwrap();
    let cut = dir.join("cut.mig");
    fs::write(&cut, &bytes[..bytes.len() - 8192]).unwrap();
    let devices = |args: &[&str]| {
        let (_, printed, said) = run(args);
        (printed.lines().count(), said)
    };
    let (without, said) = devices(&["pci", path(&cut)]);
    assert!(without < 13 && said.contains("PCI devices cannot be decoded"), "{without}: {said}");
    assert_eq!(devices(&["pci", path(&cut), "--schema", path(&whole)]).0, 13);
    let state = |args: &[&str]| run(&[&["state", "--format", "jsonl"], args].concat()).1;
    assert!(state(&[path(&cut), "--schema", path(&whole)]) == state(&[path(&whole)]), "the devices differ");
}

#[test]
fn what_a_truncated_state_does_not_reach_is_not_gone() {
    let dir = scratch("not-gone");
    let bytes = fs::read(fixture("q35-11.1")).unwrap();
    let cut = dir.join("cut.mig");
    fs::write(&cut, &bytes[..520_000]).unwrap();
    let (code, printed, said) = run(&["diff", "q35-11.1.mig", path(&cut)]);
    assert!(
        !printed.contains("the section is gone") && said.contains("sections, which are not compared"),
        "{printed}{said}"
    );
    assert!(code == 3 || code == 1, "{code}");
}

#[test]
fn differences_are_counted_and_shown_in_columns() {
    let (code, printed, _) = run(&["diff", "q35-7.2.mig", "q35-10.0.mig", "--stat"]);
    assert!(
        code == 1 && printed.lines().any(|l| l.starts_with(" configuration ") && l.ends_with("| 1 +")),
        "{printed}"
    );
    assert_eq!(run(&["diff", "q35-7.2.mig", "q35-10.0.mig", "--quiet"]).1, "");
    assert_eq!(run(&["diff", "q35-7.2.mig", "q35-7.2.mig", "-q"]), (0, String::new(), String::new()));
    let wide = |columns: &str| {
        let mut c = savevm_analyze();
        let o =
            c.args(["diff", "q35-7.2.mig", "q35-10.0.mig", "--side-by-side"]).env("COLUMNS", columns).output().unwrap();
        (String::from_utf8(o.stdout).unwrap(), String::from_utf8(o.stderr).unwrap())
    };
    let (printed, _) = wide("120");
    assert!(printed.lines().any(|l| l.contains("| pc-q35-7.2 ") && l.contains("| pc-q35-10.0")), "{printed}");
    assert!(printed.lines().all(|l| l.chars().count() <= 120));
    assert!(wide("80").1.contains("--side-by-side needs 100 columns"));
}

#[test]
fn extract_writes_where_it_was_asked_to() {
    let dir = scratch("extract");
    let file = |name: &str| -> PathBuf { dir.join(name) };
    let stream = "resent-11.1.mig";
    assert_eq!(run(&["extract", stream, "--block", "pc.ram", "-o", path(&file("ram.img"))]).0, 0);
    fs::create_dir(file("folder")).unwrap();
    assert_eq!(run(&["extract", stream, "--block", "pc.ram", "-o", path(&file("folder"))]).0, 0);
    assert!(fs::read(file("ram.img")).unwrap() == fs::read(file("folder/pc.ram")).unwrap());
    let (code, printed, _) = run(&["extract", stream, "--list"]);
    assert!(
        code == 0 && printed.lines().any(|l| l.starts_with("pc.ram ") && l.ends_with(" 1048576  0x100000")),
        "{printed}"
    );
    // without firmware the file ends with main memory
    assert_eq!(run(&["extract", stream, "--format", "phys", "--no-firmware", "-o", path(&file("low"))]).0, 0);
    assert!(fs::read(file("low")).unwrap() == fs::read(file("ram.img")).unwrap());
    // any range, from a file and from a pipe
    let ram = fs::read(file("ram.img")).unwrap();
    for (begin, length) in [("0x10123", "100001"), ("1", "1"), ("0xfffff", "1"), ("0x1000", "8K"), ("0x1001", "4095")] {
        let number = |t: &str| match (t.strip_prefix("0x"), t.strip_suffix('K')) {
            (Some(hex), _) => usize::from_str_radix(hex, 16).unwrap(),
            (_, Some(k)) => k.parse::<usize>().unwrap() << 10,
            _ => t.parse().unwrap(),
        };
        let (from, n) = (number(begin), number(length));
        let args = ["extract", "--format", "phys", "--begin", begin, "--length", length, "-o", "-"];
        let printed = common::run(&args, &fixture("resent-11.1"), 0);
        assert!(printed == ram[from..from + n], "{begin} {length}");
        let piped = common::run_piped(&[&args[..1], &["-"], &args[1..]].concat(), &fixture("resent-11.1"), 0);
        assert!(piped == ram[from..from + n], "{begin} {length} from a pipe");
    }
}

#[test]
fn a_second_x_replaces_the_files_of_the_first_and_no_others() {
    let dir = scratch("x");
    let x = |file: &str, out: &Path| run(&["-x", "-f", file, "-o", path(out)]);
    let out = dir.join("out");
    assert_eq!(x("pc-5.2.mig", &out).0, 0);
    let first = fs::read_to_string(out.join("state.json")).unwrap();
    assert_eq!(x("pc-11.1.mig", &out).0, 0);
    let second = fs::read_to_string(out.join("state.json")).unwrap();
    assert!(first != second);
    // a directory of something else
    let other = dir.join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("state.json"), "precious").unwrap();
    let (code, _, said) = x("pc-11.1.mig", &other);
    assert!(code == 2 && said.contains("already exists"), "{said}");
    assert_eq!(fs::read_to_string(other.join("state.json")).unwrap(), "precious");
}

#[test]
fn unwrap_gives_the_bare_stream_of_any_wrapper() {
    let dir = scratch("unwrap");
    let stream = fs::read(fixture("q35-11.1")).unwrap();
    let zst = dir.join("vm.zst");
    fs::write(&zst, zstd::encode_all(&stream[..], 1).unwrap()).unwrap();
    let volume = dir.join("volume");
    fs::write(&volume, [&stream[..], &[0xa5; 70_000]].concat()).unwrap();
    for (i, file) in [&zst, &volume].into_iter().enumerate() {
        let out = dir.join(format!("out{i}"));
        let (code, _, said) = run(&["unwrap", path(file), "-o", path(&out)]);
        assert_eq!(code, 0, "{said}");
        assert!(fs::read(&out).unwrap() == stream, "{}", file.display());
        assert!(common::run(&["unwrap", "-o", "-"], file, 0) == stream);
        assert!(common::run_piped(&["unwrap", "-", "-o", "-"], file, 0) == stream);
        let (code, _, said) = run(&["unwrap", path(file), "-o", path(&out)]);
        assert!(code == 2 && said.contains("already exists"), "{said}");
    }
    assert!(common::run(&["unwrap", "--trailing", "-o", "-"], &volume, 0).len() == stream.len() + 70_000);
    let (code, _, said) = run(&["unwrap", "savevm-11.1.qcow2", "-o", path(&dir.join("q.mig"))]);
    assert_eq!(code, 0, "{said}");
    let devices = |f: &str| run(&["state", f, "--format", "jsonl"]).1;
    assert!(devices("savevm-11.1.qcow2") == devices(path(&dir.join("q.mig"))));
}

#[test]
fn pci_takes_the_forms_of_lspci() {
    let lines = |args: &[&str]| {
        let (code, printed, said) = run(&[&["pci", "q35-11.1.mig"], args].concat());
        assert_eq!(code, 0, "{args:?}: {said}");
        printed.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(lines(&["-s", "1f"]).len(), 3);
    assert_eq!(lines(&["-s", "00:1f.2", "-n"]), ["00:1f.2  0106: 8086:2922 (rev 02)"]);
    assert_eq!(
        lines(&["-s", "0000:00:1f.2", "-nn"]),
        ["00:1f.2  SATA controller [0106]: Intel ICH9 AHCI [8086:2922] (rev 02)"]
    );
    assert_eq!((lines(&["-s", ".3"]).len(), lines(&["-d", "8086:"]).len(), lines(&["-d", ":2922"]).len()), (1, 5, 1));
    let dump = lines(&["-s", "1f.2", "-x"]);
    assert!(dump.len() == 5 && dump[1].starts_with("00: 86 80 22 29 "), "{dump:?}");
    assert_eq!(lines(&["-s", "1f.2", "-xxx"]).len(), 17);
    for wrong in ["1:2:3:4", "20", "0.8", "xyz"] {
        assert_eq!(run(&["pci", "q35-11.1.mig", "-s", wrong]).0, 2, "{wrong}");
    }
    let (code, printed, said) = run(&["pci", "s390x-11.1.mig"]);
    assert_eq!((code, printed.as_str(), said.as_str()), (0, "", "note: no PCI devices in this state\n"));
    let (_, printed, _) = run(&["cpu", "--brief", "q35-11.1.mig"]);
    assert!(
        printed.lines().count() == 2 && printed.starts_with("CPU 0  x86_64  PC=000000000000fff0  SP="),
        "{printed}"
    );
}

#[test]
fn memory_is_read_into_files_and_pipes() {
    let dir = scratch("read");
    let guest = "guests/linux-6.1-x86_64.mig.zst";
    let note = dir.join("note");
    let (code, printed, said) = run(&["read", guest, "--phys", "0x19b4000", "-n", "35", "-o", path(&note)]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(printed, format!("35  {}\n", note.display()));
    let bytes = fs::read(&note).unwrap();
    assert!(bytes.starts_with(b"\x0b\0\0\0\xbf\x0c\0\0\0\0\0\0VMCOREINFO\0\0OSRELEASE=") && bytes.len() == 35);
    let (code, printed, _) = run(&["read", guest, "--phys", "0x19b4018", "-n", "10", "-o", "-"]);
    assert_eq!((code, printed.as_str()), (0, "OSRELEASE="));
    // what exists is not overwritten, and what is incomplete says so by its name and has zeros
    assert_eq!(run(&["read", guest, "--phys", "0x19b4000", "-o", path(&note)]).0, 2);
    let partly = dir.join("partly");
    let (code, printed, said) = run(&["read", guest, "--phys", "0x19b3ff0", "-n", "32", "-o", path(&partly)]);
    assert!(code == 3 && said.contains("16 bytes at 0x19b3ff0 are missing"), "{code} {said}");
    let kept = printed.trim_end().split_once("  ").unwrap().1;
    assert!(kept.ends_with(".partial") && !partly.exists());
    assert_eq!(fs::read(kept).unwrap()[..20], *b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0b\0\0\0");
    // of a pipe the same
    let packed = fs::read(testdata().join(guest)).unwrap();
    let o = savevm_analyze()
        .args(["read", "-", "--phys", "0x19b4018", "-n", "10", "-o", "-"])
        .write_stdin(packed.clone())
        .output()
        .unwrap();
    assert_eq!(o.stdout, b"OSRELEASE=");
    let o = savevm_analyze().args(["dmesg", "-", "-q", "-r", "-l", "err+"]).write_stdin(packed).output().unwrap();
    assert_eq!((o.status.code(), o.stderr.len()), (Some(0), 0));
    assert!(String::from_utf8(o.stdout).unwrap().lines().all(|l| l.starts_with('<')));
}

#[test]
fn the_command_knows_itself() {
    let (code, printed, _) = run(&["schema"]);
    assert_eq!(code, 0);
    for name in printed.lines() {
        let (code, text, _) = run(&["schema", name]);
        assert!(code == 0 && serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{name}");
    }
    let file = fs::read_to_string(testdata().join("../schemas/output/info.schema.json")).unwrap();
    assert_eq!(run(&["schema", "info"]).1, file);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(run(&["completions", shell]).1.contains("savevm-analyze"), "{shell}");
    }
    assert!(run(&["man"]).1.contains(".TH savevm-analyze 1"));
    let dir = scratch("man");
    assert_eq!(run(&["man", "--dir", path(&dir)]).0, 0);
    assert!(dir.join("savevm-analyze-extract.1").exists());
    assert!(run(&["--version"]).1.contains("codecs: gzip, lzop"));
    // as argparse does
    assert!(run(&["--fil", "pc-11.1.mig", "--dum", "desc"]).1.contains("page_size"));
}

#[test]
fn colours_follow_the_environment() {
    let coloured = |vars: &[(&str, &str)]| {
        let mut c = savevm_analyze();
        let o = c.args(["check", "pc-11.1.mig"]).envs(vars.iter().copied()).output().unwrap();
        o.stdout.contains(&0x1b)
    };
    assert!(!coloured(&[]) && coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "0")]) && !coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn a_quiet_check_answers_with_its_exit_status() {
    for (file, status) in [("q35-11.1.mig", 0), ("cases/chk-second-ram-section.mig", 1)] {
        let (code, printed, said) = run(&["check", "-q", file]);
        assert_eq!((code, printed.as_str(), said.as_str()), (status, "", ""), "{file}");
    }
    let (code, printed, said) = run(&["check", "-q", "q35-11.1.mig", "README.md"]);
    assert!(code == 2 && printed.is_empty() && said.contains("README.md"), "{code} {printed} {said}");
}

#[test]
fn a_quiet_command_prints_errors_only() {
    let file = "pc-i440fx-2.2-5.2.mig";
    for command in ["info", "state", "cpu", "pci", "virtio"] {
        let (status, printed, said) = run(&[command, file]);
        assert!(said.starts_with("warning: ") || said.starts_with("note: "), "{command}: {said}");
        assert_eq!(run(&[command, "-q", file]), (status, printed, String::new()), "{command}");
        let (status, _, said) = run(&[command, "-q", "README.md"]);
        assert!(status == 2 && said.starts_with("error: "), "{command}: {said}");
    }
    let out = scratch("quiet").join("vm.mig");
    assert_eq!(run(&["unwrap", "-q", "pc-11.1.mig", "-o", path(&out)]), (0, String::new(), String::new()));
}

#[test]
fn verbose_is_more_or_is_refused() {
    for (command, file) in [
        ("info", "pc-11.1.mig"),
        ("state", "pc-11.1.mig"),
        ("cpu", "pc-11.1.mig"),
        ("pci", "q35-11.1.mig"),
        ("virtio", "driven/driven-11.1.mig.zst"),
    ] {
        let (little, much) = (run(&[command, file]), run(&[command, "-v", file]));
        assert!(little.0 == 0 && much.0 == 0 && much.1.len() > little.1.len(), "{command}: {} {}", little.2, much.2);
    }
    for command in ["info", "check", "pci", "virtio"] {
        let (status, _, said) = run(&[command, "-v", "--json", "pc-11.1.mig"]);
        assert!(status == 2 && said.contains("cannot be used with '--json'"), "{command}: {said}");
    }
    for args in [&["diff", "-v"][..], &["compat", "-v"], &["extract", "-v"], &["unwrap", "-v"], &["schema", "-q"]] {
        let (status, _, said) = run(args);
        assert!(status == 2 && said.contains("unexpected argument"), "{args:?}: {said}");
    }
}

#[test]
fn progress_of_a_packed_file_has_a_total() {
    let dir = scratch("packed-progress");
    let file = testdata().join("arm-virt-11.1.mig.zst");
    let size = file.metadata().unwrap().len();
    let (code, _, said) = run(&["extract", path(&file), "-o", path(&dir.join("out")), "--progress", "json"]);
    assert_eq!(code, 0, "{said}");
    let last = said.lines().rfind(|l| l.starts_with('{')).unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((last["total_bytes"].as_u64(), last["done"].as_bool()), (Some(size), Some(true)), "{said}");
    assert!(last["bytes"].as_u64().is_some_and(|n| n > 0 && n <= size), "{said}");
}

#[test]
fn reports_fit_the_width() {
    let printed = |columns: &str, args: &[&str]| {
        let o = savevm_analyze().args(args).env("COLUMNS", columns).output().unwrap();
        String::from_utf8(o.stdout).unwrap()
    };
    for args in [
        &["info", "cases/bugs-05-accel-kvm.mig.zst"][..],
        &["info", "q35-11.1.mig"],
        &["compat", "q35-11.1.mig", "q35-7.2.mig"],
        &["diff", "q35-7.2.mig", "q35-10.0.mig", "--stat"],
        &["extract", "q35-11.1.mig", "--list"],
    ] {
        for columns in ["60", "80", "140"] {
            insta::assert_snapshot!(
                format!("width_{}_{}_{columns}", args[0], args[1].replace(['/', '.'], "_")),
                printed(columns, args)
            );
        }
    }
    // the same is said at every width
    let words = |columns| {
        let text = printed(columns, &["compat", "q35-11.1.mig", "q35-7.2.mig"]);
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words("60"), words("140"));
}
