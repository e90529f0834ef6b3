//! The kernel log.

pub use super::record::{Caller, Log, Record};

use super::kernel::Kernel;
use super::layout::Layout;
use super::{old_log, ring};
use crate::error::{Error, ErrorKind, Result};

/// The names of the levels, as `dmesg` has them.
pub static LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];

/// The names of the facilities, as `dmesg` has them.
pub static FACILITIES: [&str; 12] =
    ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"];

/// Reads the log of a kernel, in either form: that of 5.10 and later, or that of 3.5 to 5.9. `layout` is the kernel's VMCOREINFO, or the
/// guest whose types are known.
///
/// # Errors
/// `Unsupported` for another form; `Missing` and `Corrupt` when not even the ring can be found; `Io`. A record that cannot be read is no
/// error: the log has the reason in [`Log::problems`].
pub fn read(kernel: &Kernel<'_>, layout: &dyn Layout) -> Result<Log> {
    if let Some(log) = ring::read(kernel, layout)? {
        return Ok(log);
    }
    old_log::read(kernel, layout)?.ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "the kernel does not say where its log is (prb, or log_buf of kernels before 5.10)",
        )
    })
}
