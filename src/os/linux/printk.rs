//! The kernel log.

pub use super::record::{Caller, Log, Record};

use super::kernel::Kernel;
use super::{old_log, ring};
use crate::error::{Error, ErrorKind, Result};

/// The names of the levels, as `dmesg` has them.
pub static LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];

/// The names of the facilities, as `dmesg` has them.
pub static FACILITIES: [&str; 12] =
    ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"];

/// Reads the log of a kernel, in either form: that of 5.10 and later, or that of 3.5 to 5.9.
///
/// # Errors
/// `Unsupported` for another form; `Missing` and `Corrupt` when not even the ring can be found; `Io`. A record that cannot be read is no
/// error: the log has the reason in [`Log::problems`].
pub fn read(kernel: &Kernel<'_>) -> Result<Log> {
    if let Some(log) = ring::read(kernel)? {
        return Ok(log);
    }
    old_log::read(kernel)?.ok_or_else(|| {
        let what = format!("Linux {} does not say in VMCOREINFO where its log is", kernel.info().release());
        Error::new(ErrorKind::Unsupported, what)
    })
}
