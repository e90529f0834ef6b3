//! A stream with a wrong byte: everything before it is kept, and what follows is read where it can be found.

mod hard;

use std::collections::HashMap;

use hard::{Random, SLOW, check, decode_all, exhaustive, fixture, open, open_pipe, timed};
use savevm_analyze::image::SaveImage;
use savevm_analyze::value::Node;

const FLIPS: [fn(u8) -> u8; 4] = [|b| b ^ 1, |b| b ^ 0x80, |_| 0, |_| 0xff];

/// The offsets of all framing: header, configuration, commands, section headers, footers, EOF, head of the description.
fn framing(image: &SaveImage) -> Vec<usize> {
    let walk = image.walk();
    let mut out: Vec<usize> = (8..walk.configuration.as_ref().map_or(8, |c| c.node.range.end.0 as usize)).collect();
    for c in &walk.commands {
        out.extend(c.range.start.0 as usize..c.range.end.0 as usize);
    }
    for s in &walk.sections {
        out.extend(s.header.range.start.0 as usize..s.header.range.end.0 as usize);
        out.extend(s.payload.end.0 as usize..hard::end_of(s));
    }
    out.extend(walk.eof.map(|e| e.0 as usize));
    out.extend(walk.description.iter().flat_map(|d| d.record.start.0 as usize..d.record.start.0 as usize + 5));
    out
}

fn trees(image: &SaveImage) -> HashMap<u64, Node> {
    image.device_sections().map(|s| (s.payload.start.0, image.decode(s).unwrap().root().clone())).collect()
}

/// Tells whether anything was said.
fn said(image: &SaveImage) -> bool {
    let errors = |s| !image.decode(s).unwrap().decoded.errors.is_empty();
    image.walk().stopped.is_some() || !image.walk().found.list().is_empty() || image.device_sections().any(errors)
}

#[test]
fn every_byte_of_the_framing() {
    let mut cases = 0;
    for name in ["avr-uno-5.2", "avr-uno-11.1", "microvm-11.1", "novmdesc-10.0", "postcopy-7.2", "pc-i440fx-2.3-5.2"] {
        let bytes = fixture(name);
        let sound = open(bytes.clone(), true).unwrap();
        let trees = trees(&sound);
        let step = match name {
            _ if exhaustive() => 1,
            "avr-uno-11.1" => 1,
            _ => 31,
        };
        for at in framing(&sound).into_iter().step_by(step) {
            for flip in FLIPS {
                let mut b = bytes.clone();
                b[at] = flip(b[at]);
                if b[at] == bytes[at] {
                    continue;
                }
                cases += 1;
                let what = format!("{name}: {:#04x} for {:#04x} at {at:#x}", b[at], bytes[at]);
                let full = cases % 2 == 0;
                let image =
                    timed(&what, SLOW, || if cases % 5 == 0 { open_pipe(b, full) } else { open(b, full) }).unwrap();
                check(&image, bytes.len(), &what);
                decode_all(&image, bytes.len(), &what);
                // the devices before the fault are what they were
                for s in sound.device_sections().filter(|s| hard::end_of(s) <= at && s.footer) {
                    let got = image.device_sections().find(|g| g.header == s.header);
                    let got = got
                        .unwrap_or_else(|| panic!("{what}: {} is gone: {:?}", s.header.label(), image.walk().stopped));
                    if image.schema().is_some() == sound.schema().is_some() {
                        assert_eq!(image.decode(got).unwrap().root(), &trees[&s.payload.start.0], "{what}");
                    }
                }
                // with a description, those after a fault in the device part are found again, but for one or two
                let devices = sound.device_sections().count();
                if sound.schema().is_some() && sound.walk().footers == Some(true) {
                    let got = image.device_sections().count();
                    assert!(
                        got + 2 >= devices,
                        "{what}: {got} of {devices}: {:?} {:?}",
                        image.walk().stopped,
                        image.walk().found
                    );
                }
            }
        }
    }
    println!("{cases} cases");
}

/// Every fifth byte of the smallest, fewer of the others; all of them take minutes without optimisation.
fn text_step(name: &str) -> usize {
    if name.starts_with("avr") { 5 } else { 97 }
}

#[test]
fn every_byte_of_the_description() {
    let mut cases = 0;
    let mut quiet = 0;
    for name in ["avr-uno-5.2", "avr-uno-11.1", "microvm-11.1"] {
        let bytes = fixture(name);
        let sound = open(bytes.clone(), true).unwrap();
        let record = sound.walk().description.as_ref().unwrap().record;
        let step = if exhaustive() { 1 } else { text_step(name) };
        for at in (record.start.0 as usize + 5..record.end.0 as usize).step_by(step) {
            for flip in FLIPS {
                let mut b = bytes.clone();
                b[at] = flip(b[at]);
                if b[at] == bytes[at] {
                    continue;
                }
                cases += 1;
                let what = format!("{name}: {:#04x} for {:#04x} at {at:#x}", b[at], bytes[at]);
                let image = timed(&what, SLOW, || open(b, cases % 2 == 0)).unwrap();
                check(&image, bytes.len(), &what);
                decode_all(&image, bytes.len(), &what);
                assert_eq!(image.device_sections().count(), sound.device_sections().count(), "{what}");
                for (a, b) in image.device_sections().zip(sound.device_sections()) {
                    assert_eq!((&a.header, a.payload), (&b.header, b.payload), "{what}");
                }
                quiet += usize::from(!said(&image));
            }
        }
    }
    println!("{cases} cases, {quiet} of them change a name or a type and nothing else");
    assert!(cases > 500);
}

#[test]
fn a_wrong_size_in_the_description_costs_one_device() {
    for name in ["avr-uno-11.1", "microvm-11.1", "pc-11.1", "pc-i440fx-2.3-5.2", "s390x-11.1"] {
        let bytes = fixture(name);
        let sound = open(bytes.clone(), false).unwrap();
        let trees = trees(&sound);
        let record = sound.walk().description.as_ref().unwrap().record;
        let json = &bytes[record.start.0 as usize + 5..];
        let text = std::str::from_utf8(json).unwrap();
        let sizes: Vec<usize> = text
            .match_indices("\"size\"")
            .skip_while(|(i, _)| !text[..*i].contains("\"devices\""))
            .map(|(i, m)| i + m.len())
            .collect();
        for i in 0..12 {
            let i = sizes[i * sizes.len() / 12];
            let i = i + text[i..].find(|c: char| c.is_ascii_digit()).unwrap();
            let mut b = bytes.clone();
            let at = record.start.0 as usize + 5 + i;
            b[at] = if b[at] == b'9' { b'8' } else { b[at] + 1 };
            let what = format!("{name}: size at {at:#x}");
            let image = open(b, false).unwrap();
            check(&image, bytes.len(), &what);
            decode_all(&image, bytes.len(), &what);
            assert!(image.walk().stopped.is_none(), "{what}");
            let sick: Vec<_> = image
                .device_sections()
                .filter(|s| image.decode(s).unwrap().root() != &trees[&s.payload.start.0])
                .map(|s| (s.header.label(), image.decode(s).unwrap().decoded.errors.len()))
                .collect();
            assert_eq!(sick.len(), 1, "{what}: {sick:?}");
            assert!(sick[0].1 > 0, "{what}: {sick:?}");
            assert_eq!(trees.len(), image.device_sections().count(), "{what}");
        }
    }
}

#[test]
fn ram_records() {
    let mut random = Random(7);
    for name in ["avr-uno-11.1", "novmdesc-10.0", "xbzrle-11.1", "compress-7.2", "microvm-11.1"] {
        let bytes = fixture(name);
        let sound = open(bytes.clone(), true).unwrap();
        let end = hard::device_part(&sound);
        let devices = sound.device_sections().count();
        for i in 0..80 {
            let mut b = bytes.clone();
            let at = 60 + random.below(end - 60);
            b[at] = FLIPS[i % 4](b[at]);
            let what = format!("{name}: {at:#x}");
            for full in [true, false] {
                let image = timed(&what, SLOW, || open(b.clone(), full)).unwrap();
                check(&image, bytes.len(), &what);
                if sound.schema().is_some() {
                    assert_eq!(image.device_sections().count(), devices, "{what}: {:?}", image.walk().stopped);
                }
            }
        }
    }
}
