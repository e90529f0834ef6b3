//! Variables that have no symbol, found by what they hold.

use std::ops::Range;

use super::guest::Guest;
use super::guest::Object;
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;

/// Bytes of the image that are searched, and bytes at a time.
const MAX_SEARCH: u64 = 256 << 20;
const PIECE: usize = 64 << 10;
/// Places that are followed.
const MAX_FOLLOWED: u64 = 1 << 21;

/// Finds the head of the list of modules: it is in the kernel's image, and the first module, which is outside of it, points back to it.
///
/// `in_own_memory` says whether a module has its structure in its own memory.
///
/// # Errors
/// `Missing` if there is none, as in a guest without modules; `Io`.
pub(super) fn modules<'g>(guest: &'g Guest<'_>, in_own_memory: &dyn Fn(&Object<'g>) -> bool) -> Result<Object<'g>> {
    let types = guest.types();
    let list = types.structure("list_head");
    let name = types.structure("module").zip(types.offset("module", "list")).zip(types.offset("module", "name"));
    let (Some(list), Some(((module, offset), name))) = (list, name) else {
        return Err(Error::new(ErrorKind::Missing, "the kernel has no modules"));
    };
    let image = guest.image();
    let inside = |a: u64| image.iter().any(|r| r.contains(&a));
    let mut followed = 0_u64;
    let found = words(guest, image, &mut |at, value| {
        if value & 7 != 0 || value >> 63 == 0 && guest.kernel().has_high_addresses() || inside(value) || value == 0 {
            return Ok(None);
        }
        followed.tally(1);
        if followed > MAX_FOLLOWED {
            return Ok(None);
        }
        // the element points back with its second word
        match guest.kernel().number(value.wrapping_add(8), 8) {
            Ok(back) if back == at => {}
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            _ => return Ok(None),
        }
        let first = Object::new(guest, module, value.wrapping_sub(offset));
        let text = guest.text_at(first.address().wrapping_add(name), 56);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let is_name = text.is_ok_and(|t| !t.is_empty() && t.to_string().chars().all(plain));
        // its own structure is in its own memory
        let own = is_name && in_own_memory(&first);
        Ok(own.then(|| Object::new(guest, list, at)))
    })?;
    found.ok_or_else(|| {
        let what = "the kernel has no symbol modules, and no list of modules was found in its image";
        Error::new(ErrorKind::Missing, what).hint("no module may be loaded")
    })
}

/// Calls `each` for every aligned word of the image, until it returns something.
pub(super) fn words<T>(
    guest: &Guest<'_>,
    image: &[Range<u64>],
    each: &mut dyn FnMut(u64, u64) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let kernel = guest.kernel();
    let mut left = MAX_SEARCH;
    let mut piece = vec![0; PIECE];
    for range in image {
        let mut at = range.start & !7;
        while at < range.end && left > 0 {
            left = left.saturating_sub(PIECE as u64);
            match kernel.read(at, &mut piece) {
                Ok(()) => {
                    for n in (0..PIECE).step_by(8) {
                        let value = kernel.number_in(&piece, n, 8);
                        if let Some(found) = each(at.wrapping_add(n as u64), value)? {
                            return Ok(Some(found));
                        }
                    }
                }
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(_) => {}
            }
            at = at.saturating_add(PIECE as u64);
        }
    }
    Ok(None)
}
