//! What the vmcoreinfo device knows.

use crate::error::Result;
use crate::image::SaveImage;
use crate::offset::Gpa;
use crate::value::Node;

/// Returns the address and the size of the note that the guest registered with the vmcoreinfo device: a guest's driver for `fw_cfg`
/// writes them (`hw/misc/vmcoreinfo.c`). Returns `None` if the machine has no such device, or the guest has not written them.
///
/// # Errors
/// `Io`.
pub fn guest_note(image: &SaveImage) -> Result<Option<(Gpa, u32)>> {
    let Some(section) = image.device_sections().find(|s| s.header.idstr == "vmcoreinfo") else { return Ok(None) };
    let device = image.decode(section)?;
    let number = |name: &str| device.root().child(name).and_then(Node::as_u64);
    let has = device.root().child("has_vmcoreinfo").and_then(Node::as_u64).is_some_and(|n| n != 0);
    // 1 is ELF; the format 0 means that the guest reset it
    if !has || number("vmcoreinfo.guest_format") != Some(1) {
        return Ok(None);
    }
    let size = number("vmcoreinfo.size").and_then(|n| u32::try_from(n).ok());
    Ok(number("vmcoreinfo.paddr").map(Gpa).zip(size))
}
