//! Types of the USB redirection device (`hw/usb/redirect.c`).
//!
//! * `usb-redir-parser`: be32 length, the state of libusbredirparser in its own format; length 0 without a connection
//!   (`usbredir_put_parser`).
//! * `usb-redir-bufpq`: be32 count, that many { be32 length, be32 status, bytes } (`usbredir_put_bufpq`).
//! * `usb-redir-packet-id-q`: be32 count, that many be64 (`usbredir_put_packet_id_q`).

use super::{Builder, FieldContext};
use crate::error::{Error, Result};
use crate::offset::Sure;

pub(super) fn parser(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    let n = b.be32("len")?;
    if n > 0 {
        b.bytes("data", usize::try_from(n).unwrap_or(usize::MAX))?;
    }
    Ok(())
}

pub(super) fn packets(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    let count = b.be32("bufpq_size")?;
    b.array("bufpq", |b| {
        (0..count).try_for_each(|_| {
            b.group("bufpq", |b| {
                let n = b.be32("len")?;
                b.be32("status")?;
                b.bytes("data", usize::try_from(n).unwrap_or(usize::MAX)).map(drop)
            })
        })
    })
}

pub(super) fn ids(b: &mut Builder<'_>, _: &FieldContext<'_>) -> Result<()> {
    let at = b.offset();
    let count = b.be32("size")?;
    if u64::from(count).times(8) != b.remaining() as u64 {
        let found = b.remaining();
        return Err(Error::corrupt(at, format!("packet ids: expected {count} of 8 bytes each, found {found} bytes")));
    }
    b.uints("id", usize::try_from(count).unwrap_or(usize::MAX), 8)
}

#[cfg(test)]
mod tests {
    use crate::interp::custom::testing::{decode, fails};

    #[test]
    fn the_parser_may_be_absent() {
        assert!(decode("usb-redir-parser", &[0; 4]).child("data").is_none());
        assert!(decode("usb-redir-parser", &[0, 0, 0, 1, 5]).child("data").is_some());
        fails("usb-redir-parser", &[0, 0, 0, 2, 5], "before the end");
    }

    #[test]
    fn queues() {
        let n = decode("usb-redir-bufpq", &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 9]);
        assert_eq!(n.child("bufpq").unwrap().elements().get(0).unwrap().child("status").unwrap().as_u64(), Some(3));
        fails("usb-redir-bufpq", &[0xff; 4], "before the end");
        let n = decode("usb-redir-packet-id-q", &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(n.child("id").unwrap().elements().get(0).unwrap().as_u64(), Some(7));
        fails("usb-redir-packet-id-q", &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7], "packet ids");
    }
}
