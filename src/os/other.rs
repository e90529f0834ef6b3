//! Other systems than Linux, as far as they show themselves. Nothing is read of them but a name.

use crate::error::{ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::{Gpa, Sure};
use crate::text::Name;

/// Bytes that are read at a time, and in all.
const PIECE: u64 = 1 << 20;
const MAX_BYTES: u64 = 64 << 30;
/// Bytes of a banner.
const BANNER: u64 = 64;
/// Pages that are claimed and not there, after which a range is left.
const MAX_MISSING: u64 = 4096;

/// What the debug directory of the Windows kernel has: the name of its symbols, 24 bytes after `RSDS`.
const WINDOWS: &[u8] = b"ntkrnlmp.pdb\0";
/// What the banners of the BSDs begin with (`sccs` in `conf/newvers.sh`).
const BANNERS: &[&[u8]] = &[b"@(#)FreeBSD ", b"@(#)NetBSD ", b"@(#)OpenBSD ", b"@(#)DragonFly "];

/// Looks for another system in all of guest memory. Returns what it is in words; `None` if none is seen.
///
/// # Errors
/// `Io`.
pub fn seen(mem: &dyn PhysicalMemory) -> Result<Option<Name>> {
    let mut left = MAX_BYTES;
    let mut piece = vec![0; usize::try_from(PIECE.plus(BANNER)).unwrap_or(0)];
    for range in mem.ranges() {
        let (mut at, mut missing) = (range.start, 0_u64);
        while at < range.end && left > 0 && missing < MAX_MISSING {
            let n = PIECE.plus(BANNER).min(range.end.minus(at));
            let Some(part) = piece.get_mut(..usize::try_from(n).unwrap_or(0)) else { break };
            match mem.read(Gpa(at), part) {
                Ok(()) => {
                    if let Some(found) = look(part) {
                        return Ok(Some(found));
                    }
                }
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(_) => missing.tally(PIECE >> 12),
            }
            at = at.saturating_add(PIECE);
            left = left.saturating_sub(PIECE);
        }
    }
    Ok(None)
}

/// Looks at a piece of memory.
fn look(piece: &[u8]) -> Option<Name> {
    for at in memchr::memmem::find_iter(piece, WINDOWS) {
        if at.checked_sub(24).and_then(|s| piece.get(s..s.plus(4))) == Some(b"RSDS") {
            return Some("Windows (its kernel is in memory)".into());
        }
    }
    for banner in BANNERS {
        for at in memchr::memmem::find_iter(piece, banner) {
            let text = piece.get(at.plus(4)..).unwrap_or_default();
            let end = text.iter().take(64).position(|b| !matches!(b, b' '..=b'~'))?;
            let line = text.get(..end).unwrap_or_default();
            // a version follows; without one it is the text of a script
            if line.iter().any(u8::is_ascii_digit) {
                return Some(Name::from_bytes(line));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FewPages;

    #[test]
    fn systems_are_known_by_what_they_leave() {
        let mut m = FewPages::default();
        assert_eq!(seen(&m).unwrap(), None);
        m.write(0x5000, b"ntkrnlmp.pdb\0");
        m.write(0x6000, b"@(#)FreeBSD $%s\0");
        assert_eq!(seen(&m).unwrap(), None);
        m.write(0x7000, b"@(#)FreeBSD 14.1-RELEASE releng/14.1-n267679 GENERIC\0");
        assert_eq!(seen(&m).unwrap().unwrap(), *"FreeBSD 14.1-RELEASE releng/14.1-n267679 GENERIC");
        m.write(0x5000 - 24, b"RSDS");
        assert_eq!(seen(&m).unwrap().unwrap(), *"Windows (its kernel is in memory)");
    }
}
