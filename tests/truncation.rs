//! A stream that is cut gives everything before the truncation, and its offset.

mod hard;

use std::process::{Command, Stdio};

use hard::{LARGE, Random, SLOW, SMALL, check, decode_all, device_part, end_of, fixture, open, open_pipe, timed};
use savevm_analyze::image::SaveImage;

/// The sections of a sound stream, and where each ends.
struct Sound {
    image: SaveImage,
    bytes: Vec<u8>,
}

impl Sound {
    fn new(name: &str) -> Self {
        let bytes = fixture(name);
        let image = open(bytes.clone(), true).unwrap();
        assert!(image.walk().stopped.is_none(), "{name}: {:?}", image.walk().stopped);
        Self { image, bytes }
    }

    /// Checks the walk of the first `cut` bytes.
    fn cut(&self, name: &str, cut: usize, full: bool, pipe: bool) {
        let what = format!("{name} cut at {cut:#x}, full {full}, pipe {pipe}");
        let part = self.bytes[..cut].to_vec();
        let opened = timed(&what, SLOW, || if pipe { open_pipe(part, full) } else { open(part, full) });
        let image = match opened {
            Ok(image) => image,
            Err(e) => {
                assert!(cut < 8, "{what}: {e}");
                return;
            }
        };
        check(&image, cut, &what);
        // a sound stream without a description may end at its EOF byte
        let whole = self.image.walk().eof.map_or(usize::MAX, |e| e.0 as usize + 1);
        let stopped = image.walk().stopped.as_ref();
        // without footers and description the last byte of a cut stream, if it is 0, cannot be distinguished from the EOF byte
        let guessed = self.image.walk().footers == Some(false) && image.walk().eof.is_some();
        if !guessed && (cut < whole || self.image.walk().description.is_some() && cut > whole) {
            let e = stopped.unwrap_or_else(|| panic!("{what}: no error"));
            let inside = self
                .image
                .walk()
                .sections
                .iter()
                .any(|s| s.header.range.end.0 as usize <= cut && cut < end_of(s) && s.parts == 1);
            assert!(!inside || e.path().is_some(), "{what}: {e} has no path");
        }
        let whole = self.image.device_sections().filter(|s| end_of(s) <= cut);
        let mut got = image.device_sections();
        for s in whole {
            let g = got.next().unwrap_or_else(|| panic!("{what}: {} is missing: {stopped:?}", s.header.label()));
            assert_eq!(g.header, s.header, "{what}");
            // where nothing but the next header ends a section, a cut header does not
            let sure = s.footer || g.device.is_some() || s.payload.end.0 as usize + 300 < cut;
            if sure && g.end != savevm_analyze::stream::EndFound::NextHeader {
                assert_eq!(g.payload, s.payload, "{what}: {}", s.header.label());
            }
        }
        decode_all(&image, cut, &what);
    }
}

#[test]
fn every_byte_of_the_device_part() {
    for name in SMALL {
        let sound = Sound::new(name);
        // all of them take minutes without optimisation: SAVEVM_ANALYZE_EXHAUSTIVE=1 cargo test --release
        let step = if name.starts_with("avr") || hard::exhaustive() { 1 } else { 211 };
        for cut in (device_part(&sound.image)..sound.bytes.len()).step_by(step) {
            sound.cut(name, cut, true, false);
            // the other ways differ in how RAM is passed and where the description is sought
            match cut % 3 {
                0 => sound.cut(name, cut, false, false),
                1 => sound.cut(name, cut, true, true),
                _ => sound.cut(name, cut, false, true),
            }
        }
    }
}

#[test]
fn places_of_the_part_before_the_devices() {
    for name in SMALL {
        let sound = Sound::new(name);
        let devices = device_part(&sound.image);
        let places = devices.min(if hard::exhaustive() { 1000 } else { 100 });
        for i in 0..places {
            let cut = i * devices / places;
            sound.cut(name, cut, i % 2 == 0, i % 3 == 0);
        }
    }
}

#[test]
fn samples_of_larger_streams() {
    let mut random = Random(0x5eed);
    for name in LARGE {
        let sound = Sound::new(name);
        let devices = device_part(&sound.image);
        for i in 0..10 {
            sound.cut(name, random.below(devices), i % 2 == 0, i % 4 < 2);
        }
        for i in 0..15 {
            sound.cut(name, devices + random.below(sound.bytes.len() - devices), i % 2 == 0, i % 4 < 2);
        }
    }
}

#[test]
fn the_description_is_used_as_far_as_it_goes() {
    let sound = Sound::new("microvm-11.1");
    let json = sound.image.walk().description.as_ref().unwrap().record;
    let half = (json.start.0 + json.len() / 2) as usize;
    let image = open(sound.bytes[..half].to_vec(), false).unwrap();
    let described = image.device_sections().filter(|s| s.device.is_some()).count();
    let all = sound.image.device_sections().count();
    assert!(described > 2 && described < all, "{described} of {all}");
    for (a, b) in image.device_sections().zip(sound.image.device_sections()).filter(|(a, _)| a.device.is_some()) {
        assert_eq!(image.decode(a).unwrap().root(), sound.image.decode(b).unwrap().root());
    }
}

#[test]
fn the_command_line_says_that_it_is_partial() {
    let dir = std::env::temp_dir().join(format!("savevm-analyze-truncation-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("cut.mig");
    for name in ["avr-uno-11.1", "novmdesc-10.0"] {
        let bytes = fixture(name);
        let devices = device_part(&open(bytes.clone(), true).unwrap());
        let mut cuts =
            vec![0, 3, 4, 7, 8, 9, 12, 20, 40, devices - 1, devices, devices + 1, devices + 30, bytes.len() - 1];
        cuts.extend((1..8).map(|i| devices + i * (bytes.len() - devices) / 8));
        for cut in cuts {
            std::fs::write(&file, &bytes[..cut]).unwrap();
            for (args, json) in [
                (&["--dump", "state", "-f"][..], true),
                (&["--dump", "desc", "-f"], true),
                (&["info", "--json"], true),
                (&["info"], false),
                (&["state", "--format", "json"], true),
                (&["state"], false),
                (&["check", "--json"], true),
                (&["check"], false),
            ] {
                let what = format!("{name} cut at {cut}: {args:?}");
                let out = Command::new(env!("CARGO_BIN_EXE_savevm-analyze"))
                    .args(args)
                    .arg(&file)
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                let (status, err) = (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned());
                let eof = name == "novmdesc-10.0" && cut == bytes.len();
                let expected = match args[0] {
                    _ if cut < 8 => Some(2),
                    "check" => Some(1),
                    _ if eof => Some(0),
                    "--dump" if args[1] == "desc" && out.stdout.is_empty() => Some(2),
                    _ => Some(3),
                };
                assert_eq!(status, expected, "{what}: {err}");
                assert!(!err.is_empty() || args[0] == "check", "{what}: nothing on standard error");
                assert!(!json || out.stdout.is_empty() == (status == Some(2)), "{what}");
                assert!(status != Some(2) || out.stdout.is_empty(), "{what}");
                if json && !out.stdout.is_empty() {
                    serde_json::from_slice::<serde_json::Value>(&out.stdout).unwrap_or_else(|e| panic!("{what}: {e}"));
                }
            }
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
