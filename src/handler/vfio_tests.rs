use super::super::testing::{Bytes, every_cut_is_found, fault, number, read, read_before};
use super::*;

/// A configuration space with a power management capability and, with `vectors`, MSI-X after it.
fn space(size: usize, vectors: Option<u16>) -> Vec<u8> {
    let mut s = vec![0; size];
    s[0x06] = 0x10;
    s[0x34] = 0x50;
    s[0x50] = 0x01;
    if let Some(n) = vectors {
        s[0x51] = 0x60;
        s[0x60] = 0x11;
        s[0x62..0x64].copy_from_slice(&((n - 1) | 0xc000).to_le_bytes());
    }
    s
}

fn config(b: Bytes, space: &[u8], msix: usize) -> Bytes {
    b.be64(DEV_CONFIG_STATE).be32(2).raw(space).fill(16 + msix, 0)
}

fn display(b: Bytes) -> Bytes {
    b.u8(5).name("VFIOPCIDevice/VFIODisplay").be32(1).fill(28, 0)
}

fn data(b: Bytes, n: usize) -> Bytes {
    b.be64(DEV_DATA_STATE).be64(n as u64).fill(n, 0xff)
}

#[test]
fn setup_data_and_configuration_are_counted() {
    let mut s = Vfio::default();
    read(&mut s, RecordType::START, &Bytes::default().be64(DEV_SETUP_STATE).be64(END_OF_STATE).0);
    read(&mut s, RecordType::PART, &data(Bytes::default(), 5).be64(END_OF_STATE).0);
    read(&mut s, RecordType::PART, &data(Bytes::default(), 0).be64(DEV_INIT_DATA_SENT).0);
    read(&mut s, RecordType::END, &data(data(Bytes::default(), 7), 9).be64(END_OF_STATE).0);
    assert!(s.facts().iter().all(|f| f.name != "config_space_bytes"));
    read(&mut s, RecordType::FULL, &config(Bytes::default(), &space(4096, Some(9)), 9 * 16 + 2).be64(END_OF_STATE).0);
    assert_eq!(number(&s, "payloads"), 5);
    assert_eq!(number(&s, "data_chunks"), 4);
    assert_eq!(number(&s, "data_bytes"), 21);
    assert_eq!(number(&s, "config_space_bytes"), 4096);
    assert_eq!(number(&s, "msix_vectors"), 9);
    assert_eq!(number(&s, "initial_data_sent"), 1);
}

#[test]
fn multifd_leaves_only_the_end() {
    let mut s = Vfio::default();
    read(&mut s, RecordType::END, &END_OF_STATE.to_be_bytes());
    read(&mut s, RecordType::FULL, &DEV_CONFIG_LOAD_READY.to_be_bytes());
    assert_eq!(number(&s, "payloads"), 2);
    assert_eq!(number(&s, "config_by_multifd"), 1);
}

#[test]
fn every_shape_of_the_pci_side_is_measured() {
    for size in CONFIG_SIZES {
        for vectors in [None, Some(1), Some(8), Some(2048)] {
            for with_display in [false, true] {
                let n = usize::from(vectors.unwrap_or(0));
                let mut b = config(Bytes::default(), &space(size, vectors), n * 16 + n.div_ceil(8));
                if with_display {
                    b = display(b);
                }
                let mut s = Vfio::default();
                read(&mut s, RecordType::FULL, &b.be64(END_OF_STATE).0);
                assert_eq!(number(&s, "config_space_bytes"), size as u64);
                assert_eq!(number(&s, "msix_vectors"), n as u64);
            }
        }
    }
}

#[test]
fn data_may_follow_the_pci_side() {
    let mut s = Vfio::default();
    let b = config(Bytes::default(), &space(256, None), 0).be64(END_OF_STATE);
    let payload = data(b.clone(), 40).be64(END_OF_STATE).0;
    read(&mut s, RecordType::END, &payload);
    assert_eq!(number(&s, "data_bytes"), 40);
    // the end of the source right after it ends the payload as well
    assert_eq!(read_before(&mut s, RecordType::FULL, &b.0, &[]).unwrap().0, b.0.len() as u64);
}

#[test]
fn lists_of_capabilities_end() {
    let mut s = space(256, Some(3));
    assert_eq!(msix_vectors(&s), 3);
    s[0x06] = 0;
    assert_eq!(msix_vectors(&s), 0, "no list");
    s[0x06] = 0x10;
    s[0x60] = 0x05;
    assert_eq!(msix_vectors(&s), 0, "no MSI-X");
    s[0x61] = 0x50;
    assert_eq!(msix_vectors(&s), 0, "goes round");
    s[0x34] = 0x04;
    assert_eq!(msix_vectors(&s), 0, "points into the header");
    s[0x34] = 0xfc;
    s[0xfc] = 0x11;
    s[0xfe] = 1;
    assert_eq!(msix_vectors(&s), 2, "the last place");
    assert_eq!(msix_vectors(&[]), 0);
}

#[test]
fn what_is_not_a_tag_is_refused_at_its_offset() {
    let payload = data(Bytes::default(), 4).be64(0x7e00_0000_0100_0000).0;
    assert_eq!(fault(&mut Vfio::default(), RecordType::PART, &payload), (ErrorKind::Corrupt, 20));
    let payload = data(Bytes::default(), 4).be64(TAG | 0x77).0;
    assert_eq!(fault(&mut Vfio::default(), RecordType::PART, &payload), (ErrorKind::Unsupported, 20));
    let payload = Bytes::default().be64(DEV_SETUP_STATE).be64(DEV_DATA_STATE).0;
    assert_eq!(fault(&mut Vfio::default(), RecordType::START, &payload), (ErrorKind::Corrupt, 8));
}

#[test]
fn a_pci_side_of_another_shape_is_refused() {
    let b = config(Bytes::default(), &space(4096, None), 0);
    for tail in [&[0; 8][..], b"\x05\x19VFIOPCIDevice/VFIOOther", b"\x05\x03abc"] {
        let payload = b.clone().raw(tail).fill(200, 0).be64(END_OF_STATE).0;
        assert_eq!(fault(&mut Vfio::default(), RecordType::FULL, &payload), (ErrorKind::Unsupported, 8), "{tail:x?}");
    }
}

#[test]
fn every_cut_is_found_here() {
    every_cut_is_found::<Vfio>(RecordType::START, &Bytes::default().be64(DEV_SETUP_STATE).be64(END_OF_STATE).0);
    every_cut_is_found::<Vfio>(RecordType::PART, &data(Bytes::default(), 30).be64(END_OF_STATE).0);
    let b = display(config(Bytes::default(), &space(256, Some(4)), 65));
    every_cut_is_found::<Vfio>(RecordType::FULL, &b.be64(END_OF_STATE).0);
    let b = config(Bytes::default(), &space(4096, None), 0);
    every_cut_is_found::<Vfio>(RecordType::FULL, &b.be64(END_OF_STATE).0);
}

#[test]
fn a_size_that_the_stream_does_not_have_is_a_cut() {
    let payload = Bytes::default().be64(DEV_DATA_STATE).be64(u64::MAX).0;
    assert_eq!(fault(&mut Vfio::default(), RecordType::PART, &payload), (ErrorKind::Truncated, 16));
}
