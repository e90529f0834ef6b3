use super::super::testing::{Bytes, every_cut_is_found, fault, list, number, read};
use super::*;

fn head(b: Bytes, flags: u32) -> Bytes {
    b.u8(u8::try_from(flags).unwrap())
}

fn start(b: Bytes, node: &str, bitmap: &str, granularity: u32, properties: u8) -> Bytes {
    head(b, START | DEVICE_NAME | BITMAP_NAME).name(node).name(bitmap).be32(granularity).u8(properties)
}

/// 64 MiB of a disk at 64 KiB a bit: 1024 bits, 128 bytes.
fn bits(b: Bytes, flags: u32, len: u64) -> Bytes {
    let b = head(b, BITS | flags).be64(0).be32(131_072);
    if flags & ZEROES == 0 { b.be64(len).fill(usize::try_from(len).unwrap(), 0x7e) } else { b }
}

fn eos(b: Bytes) -> Vec<u8> {
    head(b, EOS).0
}

#[test]
fn bitmaps_have_names_over_the_end_of_a_payload() {
    let mut s = DirtyBitmap::default();
    let b = start(Bytes::default(), "d0", "b0", 65_536, 1);
    read(&mut s, RecordType::START, &eos(start(b, "d1", "other", 512, 6)));
    read(&mut s, RecordType::PART, &eos(Bytes::default()));
    let b = head(Bytes::default(), BITS | ZEROES | DEVICE_NAME | BITMAP_NAME).name("d0").name("b0").be64(0).be32(1);
    read(&mut s, RecordType::PART, &eos(bits(b, 0, 128)));
    let b = head(bits(Bytes::default(), ZEROES, 0), COMPLETE);
    read(&mut s, RecordType::END, &eos(head(b, COMPLETE | DEVICE_NAME | BITMAP_NAME).name("d1").name("other")));
    assert_eq!(number(&s, "payloads"), 4);
    assert_eq!(number(&s, "chunks"), 11);
    assert_eq!(number(&s, "bits_bytes"), 128);
    assert_eq!(
        list(&s, "bitmaps"),
        [
            "d0/b0: granularity 65536 bytes, enabled, 1 chunks of bits, 2 of zeros, complete",
            "d1/other: granularity 512 bytes, persistent, autoload, 0 chunks of bits, 0 of zeros, complete"
        ]
    );
}

#[test]
fn flags_can_have_two_and_four_bytes() {
    let mut s = DirtyBitmap::default();
    let two = Bytes::default().u8(0x80).u8(u8::try_from(START | DEVICE_NAME | BITMAP_NAME).unwrap());
    let b = two.name("n").name("b").be32(1024).u8(0);
    read(&mut s, RecordType::START, &b.u8(0x80).u8(0x80).be16(1).0);
    assert_eq!(list(&s, "bitmaps"), ["n/b: granularity 1024 bytes, 0 chunks of bits, 0 of zeros, not complete"]);
    for unknown in [&[0x81, 1][..], &[0x80, 0x81, 0, 1], &[0x80, 0x80, 1, 0]] {
        assert_eq!(fault(&mut s, RecordType::PART, unknown), (ErrorKind::Unsupported, 0), "{unknown:x?}");
    }
}

#[test]
fn a_chunk_is_about_one_thing() {
    for flags in
        [0, DEVICE_NAME, START | BITS, START | COMPLETE, BITS | COMPLETE | ZEROES, ZEROES | EOS, ZEROES | START]
    {
        let payload = head(head(Bytes::default(), COMPLETE), flags).fill(64, 0);
        assert_eq!(
            fault(&mut DirtyBitmap::default(), RecordType::PART, &payload.0),
            (ErrorKind::Corrupt, 1),
            "{flags:#x}"
        );
    }
}

#[test]
fn the_chunk_with_eos_can_be_about_something() {
    let mut s = DirtyBitmap::default();
    read(&mut s, RecordType::START, &start(Bytes::default(), "n", "b", 512, 0).u8(0x21).0);
    assert!(list(&s, "bitmaps")[0].ends_with(", complete"));
}

#[test]
fn granularity_and_properties_are_checked() {
    for g in [0, 256, 513, 65_535] {
        let payload = eos(start(Bytes::default(), "n", "b", g, 0));
        assert_eq!(fault(&mut DirtyBitmap::default(), RecordType::START, &payload), (ErrorKind::Corrupt, 5), "{g}");
    }
    let payload = eos(start(Bytes::default(), "n", "b", 512, 8));
    assert_eq!(fault(&mut DirtyBitmap::default(), RecordType::START, &payload), (ErrorKind::Unsupported, 9));
}

#[test]
fn the_size_of_bits_is_checked_where_the_granularity_is_known() {
    let begin = || start(Bytes::default(), "n", "b", 65_536, 0);
    for len in [127, 129, 160] {
        let payload = eos(bits(begin(), 0, len));
        let at = begin().0.len() as u64 + 13;
        assert_eq!(fault(&mut DirtyBitmap::default(), RecordType::PART, &payload), (ErrorKind::Corrupt, at), "{len}");
    }
    // 8 bits: anything from 1 to 32 bytes, as the saving host's words are 4 or 8 bytes wide
    for len in [1, 8, 32] {
        let b = head(begin(), BITS).be64(0).be32(1_024).be64(len).fill(usize::try_from(len).unwrap(), 1);
        read(&mut DirtyBitmap::default(), RecordType::PART, &eos(b));
    }
    let mut s = DirtyBitmap::default();
    read(&mut s, RecordType::PART, &eos(bits(Bytes::default(), 0, 5)));
    assert_eq!(number(&s, "bits_bytes"), 5);
    assert!(list(&s, "bitmaps").is_empty(), "a bitmap without a name is not listed");
}

#[test]
fn names_do_not_outlive_a_payload_that_is_lost() {
    let mut s = DirtyBitmap::default();
    read(&mut s, RecordType::START, &eos(start(Bytes::default(), "n", "b", 65_536, 0)));
    assert_eq!(fault(&mut s, RecordType::PART, &[0]).0, ErrorKind::Corrupt);
    read(&mut s, RecordType::PART, &eos(bits(Bytes::default(), 0, 5)));
    assert_eq!(list(&s, "bitmaps"), ["n/b: granularity 65536 bytes, 0 chunks of bits, 0 of zeros, not complete"]);
}

#[test]
fn every_cut_is_found_here() {
    let b = bits(start(Bytes::default(), "node", "bitmap", 65_536, 3), 0, 128);
    let b = bits(b, ZEROES, 0).u8(0x80).u8(0x80).be16(0x20);
    every_cut_is_found::<DirtyBitmap>(RecordType::PART, &eos(b));
}
