//! How much memory the input may make the process use.
//!
//! Page sets, page hashes, device sections, descriptions and other data whose size the input decides are charged here
//! before they are allocated. A small file therefore cannot use much memory, and a refusal is an error rather than an
//! abort. The budget is a constant plus the bytes of the input read so far, capped by the memory that the machine can
//! spare; a limit that the user sets replaces both.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::offset::Sure;

/// What any input may use: enough for the page sets of a dense 1 TiB guest, or the device state of a large machine.
const BASE: u64 = 96 << 20;

/// What each byte of the input adds: a device section is held in memory once.
const PER_BYTE: u64 = 1;

/// A budget in bytes, shared by everything that reads one or several inputs.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The user's limit, or what the machine can spare.
    ceiling: u64,
    /// Whether the ceiling applies regardless of the input's size.
    fixed: bool,
    read: AtomicU64,
    used: AtomicU64,
}

impl Default for Budget {
    /// Creates a budget that grows with the input, up to half of the memory that is available.
    fn default() -> Self {
        Self::with(available().map_or(u64::MAX, |n| n / 2), false)
    }
}

impl Budget {
    /// Creates a budget of `bytes`, regardless of the input's size.
    #[must_use]
    pub fn of(bytes: u64) -> Self {
        Self::with(bytes, true)
    }

    fn with(ceiling: u64, fixed: bool) -> Self {
        Self(Arc::new(Inner { ceiling, fixed, read: AtomicU64::new(0), used: AtomicU64::new(0) }))
    }

    /// Records that `bytes` of an input were read, or can be read.
    pub fn credit(&self, bytes: u64) {
        let add = |n: u64| Some(n.saturating_add(bytes));
        let _ = self.0.read.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Returns the current limit in bytes.
    #[must_use]
    pub fn limit(&self) -> u64 {
        if self.0.fixed {
            return self.0.ceiling;
        }
        let read = self.0.read.load(Ordering::Relaxed);
        BASE.saturating_add(read.saturating_mul(PER_BYTE)).min(self.0.ceiling)
    }

    /// Returns the number of bytes left.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.limit().saturating_sub(self.0.used.load(Ordering::Relaxed))
    }

    /// Creates an empty charge; `what` names the thing in errors.
    #[must_use]
    pub fn charge(&self, what: &'static str) -> Charge {
        Charge { budget: self.clone(), what, bytes: 0 }
    }

    /// Charges bytes.
    ///
    /// # Errors
    /// `LimitExceeded` when fewer than `bytes` are left.
    pub fn take(&self, bytes: u64, what: &'static str) -> Result<Charge> {
        let mut c = self.charge(what);
        c.set(bytes)?;
        Ok(c)
    }
}

/// Bytes in use; returned to the budget on drop.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    what: &'static str,
    bytes: u64,
}

impl Charge {
    /// Changes the charge to `bytes`.
    ///
    /// # Errors
    /// `LimitExceeded` when fewer bytes are left; the charge is then unchanged.
    pub fn set(&mut self, bytes: u64) -> Result<()> {
        let limit = self.budget.limit();
        let (old, what) = (self.bytes, self.what);
        let change = |used: u64| {
            let next = used.minus(old).saturating_add(bytes);
            (next <= limit || bytes <= old).then_some(next)
        };
        match self.budget.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change) {
            Ok(_) => {
                self.bytes = bytes;
                Ok(())
            }
            Err(used) => Err(Error::new(
                ErrorKind::LimitExceeded,
                format!(
                    "{what} need {} of memory, but the limit for this input is {}",
                    mib(used.minus(old).saturating_add(bytes)),
                    mib(limit)
                ),
            )
            .hint(Remedy::RaiseMemoryLimit)),
        }
    }

    /// Returns the number of bytes charged.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Clone for Charge {
    /// Creates an empty charge on the same budget; the code that copies the data must charge for it.
    fn clone(&self) -> Self {
        self.budget.charge(self.what)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let bytes = self.bytes;
        let give_back = |used: u64| Some(used.minus(bytes));
        let _ = self.budget.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give_back);
    }
}

/// Creates an empty buffer with room for `bytes`.
///
/// # Errors
/// `LimitExceeded` when the system refuses the memory.
pub fn reserve(bytes: usize, what: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    out.try_reserve_exact(bytes).map_err(|_| {
        Error::new(ErrorKind::LimitExceeded, format!("the system refused {} of memory for {what}", mib(bytes as u64)))
    })?;
    Ok(out)
}

fn mib(bytes: u64) -> String {
    if bytes < 10 << 20 {
        format!("{} KiB", bytes.div_ceil(1 << 10))
    } else {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    }
}

/// Returns the bytes that the machine can spare: free memory, or less if a limit of the process or its control group
/// is lower. `None` if the system does not report it.
fn available() -> Option<u64> {
    let mut least = field(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?.checked_mul(1 << 10)?;
    if let Some(n) = std::fs::read_to_string("/proc/self/limits").ok().and_then(|t| field(&t, "Max address space")) {
        let used = std::fs::read_to_string("/proc/self/status").ok().and_then(|t| field(&t, "VmSize:")).unwrap_or(0);
        least = least.min(n.saturating_sub(used.saturating_mul(1 << 10)));
    }
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    if let Some(n) = group.and_then(|t| t.trim().parse::<u64>().ok()) {
        let used = std::fs::read_to_string("/sys/fs/cgroup/memory.current").ok();
        least = least.min(n.saturating_sub(used.and_then(|t| t.trim().parse().ok()).unwrap_or(0)));
    }
    Some(least)
}

/// Returns the first number after a name in line-based text.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let b = Budget::of(100);
        let first = b.take(60, "pages").unwrap();
        assert_eq!(b.take(41, "pages").unwrap_err().kind(), ErrorKind::LimitExceeded);
        drop(first);
        let mut c = b.take(41, "pages").unwrap();
        assert!(c.set(101).is_err());
        assert_eq!(c.bytes(), 41);
        c.set(100).unwrap();
        c.set(1).unwrap();
        assert!(b.take(99, "pages").is_ok());
    }

    #[test]
    fn the_input_earns_its_memory() {
        let b = Budget::with(1 << 40, false);
        assert_eq!(b.limit(), BASE);
        b.credit(10);
        assert_eq!(b.limit(), BASE + 10 * PER_BYTE);
        b.credit(u64::MAX);
        assert_eq!(b.limit(), 1 << 40);
        let e = b.take(u64::MAX, "sections").unwrap_err();
        assert!(e.to_string().starts_with("sections need "), "{e}");
    }

    #[test]
    fn the_machine_says_what_it_has() {
        assert_eq!(field("MemTotal: 12 kB\nMemAvailable:   34 kB\n", "MemAvailable:"), Some(34));
        assert_eq!(field("Max address space         unlimited            unlimited  bytes", "Max address space"), None);
        #[cfg(target_os = "linux")]
        assert!(available().is_some_and(|n| n > 1 << 20));
    }
}
