//! The log of kernels from 3.5 to 5.9: records one after another in one buffer (`struct printk_log`, up to 3.10 `struct log`).

use super::kernel::Kernel;
use super::layout::Layout;
use super::record::{Log, Record};
use crate::error::{Error, ErrorKind, Result};
use crate::offset::Sure;
use crate::text::Name;

/// The longest buffer.
const MAX_BUFFER: u64 = 2 << 30;

/// Reads the log; `None` if the kernel has another form of it.
///
/// # Errors
/// When the buffer itself cannot be read. A record that cannot be read is a problem of the log, and ends it.
pub(super) fn read(kernel: &Kernel<'_>, info: &dyn Layout) -> Result<Option<Log>> {
    let Some(name) = ["printk_log", "log"].into_iter().find(|n| info.size(n).is_some()) else { return Ok(None) };
    let lacking = |key: String| Error::new(ErrorKind::Unsupported, format!("VMCOREINFO has no {key}"));
    let symbol = |n: &str| info.symbol(n).ok_or_else(|| lacking(format!("SYMBOL({n})")));
    let offset = |member: &str| {
        let key = format!("{name}.{member}");
        let at = info.offset(&key).ok_or_else(|| lacking(format!("OFFSET({key})")))?;
        usize::try_from(at)
            .ok()
            .filter(|n| *n < 4096)
            .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("OFFSET({key})={at}")))
    };
    let (nsec, len, text_len) = (offset("ts_nsec")?, offset("len")?, offset("text_len")?);
    // facility and level come after the length of the dictionary
    let after = offset("dict_len").unwrap_or(text_len.plus(2)).plus(2);
    let head = usize::try_from(info.size(name).unwrap_or(16)).unwrap_or(16).clamp(16, 4096);
    // a list's head is two pointers
    let pointer = if info.size("list_head") == Some(8) { 4 } else { 8 };
    let buffer = kernel.number(symbol("log_buf")?, pointer)?;
    let size = kernel.number(symbol("log_buf_len")?, 4)?;
    let mut at = kernel.number(symbol("log_first_idx")?, 4)?;
    let end = kernel.number(symbol("log_next_idx")?, 4)?;
    if size > MAX_BUFFER || at > size || end > size {
        let what = format!("log_buf: expected positions in at most 2 GiB, found {at:#x} and {end:#x} of {size:#x}");
        return Err(Error::new(ErrorKind::Corrupt, what));
    }
    let mut log = Log::default();
    // each record advances, and the buffer ends once
    let mut wrapped = at <= end;
    while at != end {
        let mut record = vec![0; head];
        let fits = at.plus(head as u64) <= size;
        let number = |r: &[u8], at: usize, len: usize| kernel.number_in(r, at, len);
        if fits {
            match kernel.read(buffer.wrapping_add(at), &mut record) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(e) => {
                    log.problem(e.within(format!("the record at {at:#x} of log_buf")));
                    break;
                }
            }
        }
        let bytes = number(&record, len, 2);
        // no record: the rest of the buffer was too short for one
        if bytes == 0 && !wrapped {
            (at, wrapped) = (0, true);
            continue;
        }
        let text_bytes = number(&record, text_len, 2);
        let total = (head as u64).plus(text_bytes);
        if !fits || bytes < total || at.plus(bytes) > size || (wrapped && at.plus(bytes) > end) {
            let what = format!("the record at {at:#x} of log_buf has {bytes} bytes, which contradicts the rest");
            log.problem(Error::new(ErrorKind::Corrupt, what));
            break;
        }
        let mut text = vec![0; usize::try_from(text_bytes).unwrap_or(0)];
        let place = buffer.wrapping_add(at).wrapping_add(head as u64);
        match kernel.read(place, &mut text) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Io => return Err(e),
            Err(e) => {
                if !log.problem(e.within(format!("the record at {at:#x} of log_buf"))) {
                    break;
                }
            }
        }
        let byte = |n: usize| record.get(after.plus(n)).copied().unwrap_or(0);
        let more = log.add(Record {
            seq: None,
            nsec: number(&record, nsec, 8),
            level: if kernel.is_big_endian() { byte(1) & 7 } else { byte(1) >> 5 },
            facility: byte(0),
            caller: None,
            text: Name::from_bytes(&text),
        });
        if !more {
            break;
        }
        at = at.plus(bytes);
    }
    Ok(Some(log))
}
