//! XBZRLE: a page as a difference to its last content.
//!
//! Runs in turn: bytes that stay (only their number), bytes that change (their number and they themselves); numbers are
//! unsigned LEB128 of two bytes at most. A last run of bytes that stay is left out. `xbzrle_decode_buffer` in
//! `migration/xbzrle.c` and `uleb128_decode_small` in `util/cutils.c`.

use crate::offset::Sure;

/// Applies a difference to the page's last content.
///
/// # Errors
/// What is wrong with the difference, in words; the page is then partly changed.
pub fn apply(difference: &[u8], page: &mut [u8]) -> Result<(), String> {
    let mut rest = difference;
    let mut at = 0_usize;
    let mut first = true;
    while !rest.is_empty() {
        let same = number(&mut rest).ok_or("XBZRLE: a run length is truncated or too long")?;
        if same == 0 && !first {
            return Err("XBZRLE: expected unchanged bytes between two runs of changed bytes, found none".to_owned());
        }
        first = false;
        at = at.plus(same);
        let new = number(&mut rest).ok_or("XBZRLE: a run length is truncated or too long")?;
        if new == 0 {
            return Err("XBZRLE: expected changed bytes, found an empty run".to_owned());
        }
        let end = at.plus(new);
        match (page.get_mut(at..end), rest.get(..new)) {
            (Some(to), Some(from)) => to.copy_from_slice(from),
            (None, _) => return Err(format!("XBZRLE: a run ends {end} bytes into a page of {}", page.len())),
            (_, None) => return Err(format!("XBZRLE: expected {new} more bytes, found {}", rest.len())),
        }
        at = end;
        rest = rest.get(new..).unwrap_or_default();
    }
    Ok(())
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let (&a, tail) = rest.split_first()?;
    if a & 0x80 == 0 {
        *rest = tail;
        return Some(usize::from(a));
    }
    let (&b, tail) = tail.split_first()?;
    if b & 0x80 != 0 {
        return None;
    }
    *rest = tail;
    Some(usize::from(a & 0x7f) | usize::from(b) << 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_applied() {
        let mut page = vec![0xaa; 300];
        apply(&[2, 3, 1, 2, 3, 0x80 | 0x48, 1, 1, 9], &mut page).unwrap();
        assert_eq!(page[..6], [0xaa, 0xaa, 1, 2, 3, 0xaa]);
        assert_eq!(page[5 + 200], 9);
        assert_eq!(page.iter().filter(|b| **b != 0xaa).count(), 4);
        apply(&[0, 1, 7], &mut page).unwrap();
        assert_eq!(page[0], 7);
        apply(&[], &mut page).unwrap();
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bad: [&[u8]; 7] =
            [&[1], &[0x80, 0x80], &[1, 0], &[1, 2, 3], &[9, 1, 1], &[0xff, 0x7f, 1, 1], &[0, 1, 1, 0, 1, 1]];
        for d in bad {
            assert!(apply(d, &mut [0; 8]).is_err(), "{d:?}");
        }
    }
}
