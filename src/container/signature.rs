//! Identifies files by their first bytes: formats that are read, and known formats that are not.

use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::offset::Sure;
use crate::wire::Source;

/// Bytes of a file that are looked at.
pub(super) const HEAD: usize = 1024;

/// A kind of file and how it begins.
#[non_exhaustive]
pub struct Signature {
    /// Its name for output.
    pub name: &'static str,
    /// The bytes.
    pub magic: &'static [u8],
    /// The offset of the signature.
    pub at: usize,
    /// Whether it is read, and what to do otherwise.
    pub answer: Answer,
}

/// What we do with a kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// It is read.
    Stream,
    /// It holds a stream but is not read; the string is what to try.
    NotYet(&'static str),
    /// It holds none; which tool reads it.
    Other(&'static str),
}

const fn s(name: &'static str, at: usize, magic: &'static [u8], answer: Answer) -> Signature {
    Signature { name, magic, at, answer }
}

/// What takes a stream out of a capture of the network.
const CAPTURE: &str = "wireshark, which writes the bytes of one TCP connection to a file (Follow, as raw)";

/// Every kind of file that is told apart, most specific first.
static SIGNATURES: &[Signature] = &[
    s("QEMU migration stream", 0, b"QEVM", Answer::Stream),
    s("QEMU CPR state stream", 0, b"QCPR", Answer::Stream),
    s("QEMU multifd channel", 0, &[0x11, 0x22, 0x33, 0x44], Answer::Stream),
    s("lz4 data", 0, &[0x04, 0x22, 0x4d, 0x18], Answer::NotYet("lz4 -dc FILE | savevm-analyze -f -")),
    s("LUKS volume", 0, b"LUKS\xba\xbe", Answer::Other("cryptsetup, which opens it")),
    s("qcow image of version 1, which has no snapshots", 0, b"QFI\xfb\0\0\0\x01", Answer::Other("qemu-img")),
    s("Proxmox VMA archive", 0, b"VMA\0", Answer::Other("vma extract")),
    s("ELF file (a core dump made by dump-guest-memory?)", 0, b"\x7fELF", Answer::Other("gdb, crash or drgn")),
    s("kdump-compressed dump", 0, b"KDUMP   ", Answer::Other("crash or drgn")),
    s("flattened kdump", 0, b"makedumpfile\0", Answer::Other("makedumpfile -R, then crash")),
    s("Windows crash dump", 0, b"PAGEDU", Answer::Other("WinDbg or volatility")),
    s("DISKDUMP core", 0, b"DISKDUMP", Answer::Other("crash")),
    s("LiME memory image", 0, b"EMiL", Answer::Other("volatility")),
    s("AVML memory image", 0, b"AVML", Answer::Other("avml-convert, then volatility")),
    s("VMware suspended state", 0, &[0xd0, 0xbe, 0xd2, 0xbe], Answer::Other("vmss2core")),
    s("VMware suspended state", 0, &[0xd1, 0xba, 0xd1, 0xba], Answer::Other("vmss2core")),
    s("VMware suspended state", 0, &[0xd2, 0xbe, 0xd2, 0xbe], Answer::Other("vmss2core")),
    s("VMware suspended state", 0, &[0xd3, 0xbe, 0xd3, 0xbe], Answer::Other("vmss2core")),
    s("Xen domain that xl saved", 0, b"Xen saved domain, xl format\n", Answer::Other("xl restore")),
    s("Xen domain that libvirt saved (libxl)", 0, b"libvirt-xml\n \0 \r", Answer::Other("virsh restore on a Xen host")),
    s("Xen domain stream (libxl)", 0, b"LibxlFmt", Answer::Other("xl restore")),
    s("Xen domain stream (libxc)", 0, b"\xff\xff\xff\xff\xff\xff\xff\xffXENF", Answer::Other("xl restore")),
    s("Xen domain that xend saved", 0, b"LinuxGuestRecord", Answer::Other("xm restore")),
    s("Hyper-V saved state (.vmrs)", 0, &[0x14, 0x20, 0x28, 0x01], Answer::Other("Hyper-V, or volatility")),
    s("libvirt XML", 0, b"<domain", Answer::Other("virsh; the save image is the file that `virsh save` wrote")),
    s("TLS record: an encrypted migration", 0, &[0x16, 0x03], Answer::Other("nothing: capture without TLS")),
    s("VirtualBox saved state", 0, b"\x7fVirtualBox SavedState", Answer::Other("VBoxManage debugvm")),
    s("VirtualBox core", 0, b"\x7fVBOX", Answer::Other("VBoxManage debugvm")),
    s("VMDK disk image", 0, b"KDMV", Answer::Other("qemu-img")),
    s("VHDX disk image", 0, b"vhdxfile", Answer::Other("qemu-img")),
    s("VHD disk image", 0, b"conectix", Answer::Other("qemu-img")),
    s("VDI disk image", 0x40, &[0x7f, 0x10, 0xda, 0xbe], Answer::Other("qemu-img")),
    s("VDI disk image", 0x40, &[0xbe, 0xda, 0x10, 0x7f], Answer::Other("qemu-img")),
    s("QED disk image", 0, b"QED\0", Answer::Other("qemu-img")),
    s("pcap capture", 0, &[0xd4, 0xc3, 0xb2, 0xa1], Answer::Other(CAPTURE)),
    s("pcap capture", 0, &[0xa1, 0xb2, 0xc3, 0xd4], Answer::Other(CAPTURE)),
    s("pcap capture", 0, &[0x4d, 0x3c, 0xb2, 0xa1], Answer::Other(CAPTURE)),
    s("pcap capture", 0, &[0xa1, 0xb2, 0x3c, 0x4d], Answer::Other(CAPTURE)),
    s("pcapng capture", 0, &[0x0a, 0x0d, 0x0d, 0x0a], Answer::Other(CAPTURE)),
    s("zip archive", 0, b"PK\x03\x04", Answer::Other("unzip; a saved state that is in it can be read then")),
    s("7z archive", 0, b"7z\xbc\xaf\x27\x1c", Answer::Other("7z; a saved state that is in it can be read then")),
    s("RAR archive", 0, b"Rar!\x1a\x07", Answer::Other("unrar; a saved state that is in it can be read then")),
    s("tar archive", 257, b"ustar", Answer::Other("tar; a saved state that is in it can be read then")),
    s("device tree blob", 0, &[0xd0, 0x0d, 0xfe, 0xed], Answer::Other("dtc")),
    s(
        "JSON text (a description, or a -dump-vmstate file?)",
        0,
        b"{",
        Answer::Other("a text editor; a stream without a description can be read with it as the external schema"),
    ),
];

/// Identifies a file by its first bytes.
#[must_use]
pub fn identify(head: &[u8]) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|s| head.get(s.at..).is_some_and(|h| h.starts_with(s.magic)))
}

/// Returns a name with its indefinite article; names of substances have none.
fn with_article(name: &str) -> String {
    match name {
        _ if ["data", "text", "XML"].iter().any(|w| name.split(' ').any(|n| n == *w)) => name.to_owned(),
        _ if name.starts_with(['A', 'E', 'I', 'O']) => format!("an {name}"),
        _ => format!("a {name}"),
    }
}

/// Fails when the file is not a stream, naming its type.
pub(super) fn must_be_stream(head: &[u8]) -> Result<()> {
    if head.is_empty() {
        return Err(Error::new(ErrorKind::NotASaveImage, "expected a migration stream, found an empty file"));
    }
    match identify(head) {
        Some(Signature { answer: Answer::Stream, .. }) => Ok(()),
        Some(Signature { name, answer: Answer::NotYet(what), .. }) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("expected a migration stream, found {}, which cannot be read directly yet", with_article(name)),
        )
        .hint(*what)),
        Some(Signature { name, answer: Answer::Other(tool), .. }) => Err(Error::new(
            ErrorKind::NotASaveImage,
            format!("expected a migration stream, found {}", with_article(name)),
        )
        .hint(format!("read it with {tool}"))),
        None => {
            let shown: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
            Err(Error::new(
                ErrorKind::NotASaveImage,
                format!("expected a migration stream (QEVM), found a file that begins with {}", shown.join(" ")),
            )
            .hint("a stream is written by QEMU's `migrate file:PATH` or `migrate \"exec:cat > PATH\"`"))
        }
    }
}

/// How much of a file is searched for a stream that does not begin with it.
const SEARCH: u64 = 64 << 20;

/// Adds to the error for an unknown file the offset at which a stream begins in it, if any: QEMU's
/// `file:PATH,offset=N` leaves the bytes before the stream unchanged, and the file does not record N.
pub(super) fn seek_stream(e: Error, head: &[u8], source: &dyn Source, can_offset: bool) -> Error {
    let e = if head.iter().all(|b| *b == 0) {
        Error::new(e.kind(), "expected a migration stream (QEVM), found a file that begins with zeros")
            .hint(Remedy::SupplyOffset(None))
    } else {
        e
    };
    match search(source) {
        Some(n) if can_offset => e.hint(Remedy::SupplyOffset(Some(n))),
        Some(n) => e.hint(format!("a migration stream seems to begin {n:#x} bytes further on")),
        None => e,
    }
}

fn search(source: &dyn Source) -> Option<u64> {
    const BEGINS: &[u8] = b"QEVM\0\0\0\x03";
    let mut piece = vec![0; 1 << 20];
    let mut at = 0_u64;
    while at < SEARCH {
        let n = source.read_full(at, &mut piece).ok()?;
        let have = piece.get(..n).unwrap_or_default();
        // a configuration section, or the first section of an older machine
        let found = have.windows(9).position(|w| w.starts_with(BEGINS) && matches!(w.last(), Some(1 | 4 | 7)));
        if let Some(i) = found {
            return Some(at.plus(i as u64));
        }
        if n < piece.len() {
            return None;
        }
        at = at.plus(n.minus(8) as u64);
        source.release(at);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_for_what_they_are() {
        assert!(must_be_stream(b"QEVM\0\0\0\x03").is_ok());
        let e = must_be_stream(&[0x04, 0x22, 0x4d, 0x18, 0]).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(e.message().contains("lz4"));
        assert!(e.hint_text().unwrap().starts_with("lz4 -dc"));
        assert!(must_be_stream(b"\x7fELF\x02").unwrap_err().message().contains("ELF"));
        for (head, name) in [
            (&b"Xen saved domain, xl format\n \0 \r\x04\x03\x02\x01"[..], "Xen domain that xl saved"),
            (b"libvirt-xml\n \0 \r\x02\0\0\0", "Xen domain that libvirt saved (libxl)"),
            (b"LibxlFmt\0\0\0\x02", "Xen domain stream (libxl)"),
            (b"\xff\xff\xff\xff\xff\xff\xff\xffXENF\0\0\0\x02", "Xen domain stream (libxc)"),
            (b"LinuxGuestRecord", "Xen domain that xend saved"),
            (b"\x14\x20\x28\x01\0\0\0\0", "Hyper-V saved state (.vmrs)"),
            (b"\xd4\xc3\xb2\xa1\x02\0\x04\0", "pcap capture"),
            (b"\xa1\xb2\xc3\xd4\0\x02\0\x04", "pcap capture"),
            (b"\x4d\x3c\xb2\xa1\x02\0\x04\0", "pcap capture"),
            (b"\x0a\x0d\x0d\x0a\x1c\0\0\0", "pcapng capture"),
            (b"conectix\0\0\0\x02", "VHD disk image"),
            (b"vhdxfile", "VHDX disk image"),
            (b"PK\x03\x04\x14\0", "zip archive"),
            (b"7z\xbc\xaf\x27\x1c\0\x04", "7z archive"),
            (b"\xd2\xbe\xd2\xbe\x08\0\0\0", "VMware suspended state"),
            (b"\xd0\xbe\xd2\xbe\x08\0\0\0", "VMware suspended state"),
            (b"\x7fVirtualBox SavedState V2.0\n", "VirtualBox saved state"),
            (b"KDUMP   \x06\0\0\0", "kdump-compressed dump"),
            (b"EMiL\x01\0\0\0", "LiME memory image"),
            (b"PAGEDU64", "Windows crash dump"),
            (b"PAGEDUMP", "Windows crash dump"),
        ] {
            let e = must_be_stream(head).unwrap_err();
            let said = e.message();
            assert!(said.starts_with("expected a migration stream, found a") && said.ends_with(name), "{said}");
            assert!(e.hint_text().is_some_and(|h| h.starts_with("read it with ")), "{name}");
        }
        // what is not at the beginning
        let tar = [&[b'x'; 257][..], b"ustar\0"].concat();
        assert!(must_be_stream(&tar).unwrap_err().message().ends_with("a tar archive"));
        let vdi = [&b"<<< Oracle VM VirtualBox Disk Image >>>\n"[..], &[0; 24], &[0x7f, 0x10, 0xda, 0xbe]].concat();
        assert!(must_be_stream(&vdi).unwrap_err().message().ends_with("a VDI disk image"));
        assert!(must_be_stream(b"").unwrap_err().message().contains("empty"));
        assert!(must_be_stream(b"hello").unwrap_err().message().contains("68 65 6c 6c 6f"));
    }
}
