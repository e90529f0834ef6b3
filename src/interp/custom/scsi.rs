//! `scsi-requests`: the requests that a SCSI device has not finished (`put_scsi_requests` in `hw/scsi/scsi-bus.c`).
//!
//! | bytes | what |
//! |---|---|
//! | 1 | s8: 1 a request to start again, 2 one to go on with, 0 the end |
//! | 16, 4, 4 | CDB, tag, lun |
//! | … | the host adapter's part: virtio-scsi writes be32 queue and the element, others write no bytes |
//! | … | the device's part, below |
//!
//! A disk (`scsi_disk_save_request` in `hw/scsi/scsi-disk.c`) writes be64 sector, be32 sector_count, be32 buflen, and with a
//! buffer either its content (to the device: min(512 × sector_count, buflen) bytes) or, from the device and not to start
//! again, be32 length and content. Commands other than reads, writes and verifications have this part since machine types
//! of 9.1 only. A passed-through device (`scsi_generic_save_request` in `hw/scsi/scsi-generic.c`) writes be32 buflen and
//! what goes to the device.
//!
//! Neither the adapter nor the machine type is known here: each combination is tried, and the one that ends with the
//! field is right. The adapter of pseries (`spapr_vscsi.c`) writes a vmsd whose length differs between versions; its
//! requests stay undecoded.

use super::virtio::element;
use super::{Builder, FieldContext};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

#[derive(Clone, Copy)]
struct Shape {
    adapter: Adapter,
    device: Device,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Adapter {
    Plain,
    Virtio,
    VirtioPacked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Device {
    /// All commands have a part.
    Disk,
    /// Only reads, writes and verifications have one.
    DiskTransfers,
    Generic,
}

pub(super) fn requests(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    for adapter in [Adapter::Plain, Adapter::Virtio, Adapter::VirtioPacked] {
        for device in [Device::Disk, Device::DiskTransfers, Device::Generic] {
            if b.attempt(|b| list(b, Shape { adapter, device })).unwrap_or(false) {
                return Ok(());
            }
        }
    }
    let why = "SCSI requests: expected those of virtio-scsi or of an adapter that adds nothing, found others";
    Err(Error::new(ErrorKind::Unsupported, why).at(b.offset()))
}

/// Returns whether the list ends where the field does.
fn list(b: &mut Builder<'_>, shape: Shape) -> Result<bool> {
    b.array("requests", |b| {
        while b.peek(1)? != [0] {
            b.group("requests", |b| request(b, shape))?;
        }
        Ok(())
    })?;
    b.int("end", 1)?;
    Ok(b.remaining() == 0)
}

fn request(b: &mut Builder<'_>, shape: Shape) -> Result<()> {
    let at = b.offset();
    let mark = b.int("retry", 1)?;
    if !(1..=2).contains(&mark) {
        return Err(Error::corrupt(at, format!("mark of a SCSI request: expected 0, 1 or 2, found {mark}")));
    }
    let cdb = b.bytes("cmd.buf", 16)?;
    b.be32("tag")?;
    b.be32("lun")?;
    if shape.adapter != Adapter::Plain {
        b.be32("queue")?;
        element::read(b, "elem", shape.adapter == Adapter::VirtioPacked)?;
    }
    match shape.device {
        Device::Generic => {
            let n = b.be32("buflen")?;
            if n > 0 && to_device(cdb) {
                b.bytes("buf", n as usize)?;
            }
            Ok(())
        }
        Device::DiskTransfers if !is_transfer(cdb) => Ok(()),
        _ => disk(b, cdb, mark == 1),
    }
}

fn disk(b: &mut Builder<'_>, cdb: &[u8], retry: bool) -> Result<()> {
    b.be64("sector")?;
    let sectors = b.be32("sector_count")?;
    let n = b.be32("buflen")?;
    if n == 0 {
        return Ok(());
    }
    let content = if to_device(cdb) {
        u64::from(sectors).times(512).min(n.into())
    } else if retry {
        return Ok(());
    } else {
        b.be32("iov_len")?.into()
    };
    b.bytes("iov_base", usize::try_from(content).unwrap_or(usize::MAX)).map(drop)
}

/// Returns whether a command is a READ, WRITE, VERIFY or WRITE AND VERIFY of 6, 10, 12 or 16 bytes.
fn is_transfer(cdb: &[u8]) -> bool {
    const OPCODES: &[u8] = &[0x08, 0x28, 0xa8, 0x88, 0x0a, 0x2a, 0xaa, 0x8a, 0x2f, 0xaf, 0x8f, 0x2e, 0xae, 0x8e];
    cdb.first().is_some_and(|opcode| OPCODES.contains(opcode))
}

/// Returns whether a command's data goes to the device (`scsi_cmd_xfer_mode`).
fn to_device(cdb: &[u8]) -> bool {
    const OPCODES: &[u8] = &[
        0x04, 0x07, 0x0a, 0x15, 0x18, 0x1b, 0x1d, 0x24, 0x2a, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x38, 0x39, 0x3a, 0x3b,
        0x3d, 0x3f, 0x40, 0x41, 0x42, 0x4c, 0x55, 0x5d, 0x5f, 0x89, 0x8a, 0x8e, 0x8f, 0x93, 0xa4, 0xaa, 0xae, 0xaf,
        0xb0, 0xb1, 0xb2, 0xb6, 0xbf,
    ];
    /// In ATA pass-through commands, a bit gives the direction.
    const FROM_DEVICE: u8 = 0x08;
    match cdb {
        [0x85 | 0xa1, _, flags, ..] => flags & FROM_DEVICE == 0,
        [opcode, ..] => OPCODES.contains(opcode),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::interp::custom::testing::{decode, fails};
    use crate::interp::custom::virtio::element::image;

    fn start(mark: u8, opcode: u8) -> Vec<u8> {
        let mut v = vec![mark, opcode];
        v.extend([0; 15]);
        v.extend([0, 0, 0, 7, 0, 0, 0, 0]);
        v
    }

    fn disk(sectors: u32, buflen: u32) -> Vec<u8> {
        [&9_u64.to_be_bytes()[..], &sectors.to_be_bytes(), &buflen.to_be_bytes()].concat()
    }

    #[test]
    fn none() {
        assert!(decode("scsi-requests", &[0]).child("requests").unwrap().elements().is_empty());
    }

    #[test]
    fn reads_to_start_again_have_no_content_and_others_do() {
        let again = [start(1, 0x28), disk(8, 4096), vec![0]].concat();
        let n = decode("scsi-requests", &again);
        assert_eq!(n.child("requests").unwrap().elements().get(0).unwrap().child("sector").unwrap().as_u64(), Some(9));
        let on = [start(2, 0x28), disk(8, 4096), vec![0, 0, 0, 2, 5, 5, 0]].concat();
        let n = decode("scsi-requests", &on);
        assert_eq!(n.child("requests").unwrap().elements().get(0).unwrap().child("iov_base").unwrap().range.len(), 2);
    }

    #[test]
    fn writes_have_content() {
        let v = [start(1, 0x2a), disk(1, 4096), vec![1; 512], vec![0]].concat();
        let n = decode("scsi-requests", &v);
        assert_eq!(n.child("requests").unwrap().elements().get(0).unwrap().child("iov_base").unwrap().range.len(), 512);
    }

    #[test]
    fn virtio_adds_the_element_in_either_byte_order() {
        for little in [true, false] {
            for ndescs in [&[][..], &[0, 0, 0, 3]] {
                let e = image(2, &[(0x1000, 16)], &[(0x2000, 512), (0x3000, 1)], little);
                let v = [start(1, 0x28), vec![0, 0, 0, 1], ndescs.to_vec(), e, disk(1, 512), vec![0]].concat();
                let n = decode("scsi-requests", &v);
                let first = n.child("requests").unwrap().elements().get(0).unwrap();
                let e = first.child("elem").unwrap();
                assert_eq!(e.child("ndescs").is_some(), !ndescs.is_empty());
                assert_eq!(
                    e.child("in_sg").unwrap().elements().get(0).unwrap().child("iov_len").unwrap().as_u64(),
                    Some(512)
                );
                assert_eq!(e.child("out_addr").unwrap().elements().get(0).unwrap().as_u64(), Some(0x1000));
            }
        }
    }

    #[test]
    fn emulated_commands_of_old_machine_types_add_nothing() {
        let v = [start(1, 0x12), vec![0]].concat();
        assert!(
            decode("scsi-requests", &v).child("requests").unwrap().elements().get(0).unwrap().child("sector").is_none()
        );
    }

    #[test]
    fn passed_through_devices_write_what_goes_to_them() {
        let v = [start(1, 0x15), vec![0, 0, 0, 3, 1, 2, 3], vec![0]].concat();
        let n = decode("scsi-requests", &v);
        assert!(n.child("requests").unwrap().elements().get(0).unwrap().child("buf").is_some());
    }

    #[test]
    fn what_fits_nothing_stays_as_it_is() {
        let v = [start(1, 0x28), vec![1; 11], vec![0]].concat();
        fails("scsi-requests", &v, "SCSI requests");
        fails("scsi-requests", &[3, 0], "SCSI requests");
    }
}
