//! What a guest is and how it does: the first questions.

use super::guest::Guest;
use super::guest::Object;
use super::info::Info;
use super::tasks;
use crate::error::{ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::text::Name;

/// The load is a fixed-point number with so many bits after the point (`FSHIFT`).
const LOAD_BITS: u32 = 11;
/// Bytes before the timekeeper in `tk_core`, up to 6.12, where that has no type with a name: a sequence count.
const BEFORE_TIMEKEEPER: u64 = 8;

/// A summary of a guest.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Summary {
    /// The release of the kernel.
    pub release: Name,
    /// When and how it was built.
    pub version: Name,
    /// The architecture, as `uname -m` prints it.
    pub machine: Name,
    /// The host name.
    pub host: Name,
    /// Seconds since boot, suspended time included.
    pub uptime: Option<u64>,
    /// Seconds since 1970 by the guest's clock.
    pub time: Option<u64>,
    /// The load of the last 1, 5 and 15 minutes, in hundredths.
    pub load: Option<[u64; 3]>,
    /// The command line of the kernel.
    pub command_line: Option<Name>,
    /// Processors that the kernel may use.
    pub processors: Option<u64>,
    /// Processes, and among all threads those that run or want to, and those that wait and cannot be interrupted.
    pub processes: usize,
    /// Threads, those of the kernel included.
    pub threads: usize,
    /// Threads that run or want to.
    pub running: usize,
    /// Threads that wait and cannot be interrupted.
    pub waiting: usize,
}

/// Makes a summary; what cannot be read is left out.
///
/// # Errors
/// `Io`.
pub fn summary(guest: &Guest<'_>) -> Result<Summary> {
    let mut out = Summary { release: guest.release(), ..Summary::default() };
    if let Some(uts) = some(guest.variable("init_uts_ns"))? {
        let text = |path: &str| uts.path(path).and_then(|o| o.text());
        out.version = some(text("name.version"))?.unwrap_or_default();
        out.machine = some(text("name.machine"))?.unwrap_or_default();
        out.host = some(text("name.nodename"))?.unwrap_or_default();
    }
    if let Some(clock) = some(timekeeper(guest))? {
        let number = |name: &str| clock.member(name).and_then(|o| o.signed());
        out.time = some(number("xtime_sec"))?.and_then(|n| u64::try_from(n).ok());
        let up = some(number("ktime_sec"))?.zip(some(number("offs_boot"))?);
        // the offset is in nanoseconds
        let up = up.and_then(|(sec, offset)| sec.checked_add(offset.checked_div(1_000_000_000)?));
        out.uptime = up.and_then(|n| u64::try_from(n).ok());
    }
    out.load = some(load(guest))?;
    out.command_line = some(guest.variable("saved_command_line").and_then(|o| o.text()))?;
    out.processors = some(super::percpu::processors(guest))?;
    if let Some(tasks) = some(tasks::tasks(guest, true))? {
        out.threads = tasks.list.len();
        out.processes = tasks.list.iter().filter(|t| t.tid == t.pid).count();
        out.running = tasks.list.iter().filter(|t| t.state == 'R').count();
        out.waiting = tasks.list.iter().filter(|t| t.state == 'D').count();
    }
    Ok(out)
}

/// Makes a summary of what VMCOREINFO leads to, for a kernel whose types are not known.
#[must_use]
pub fn names(mem: &dyn PhysicalMemory, info: Option<&Info>) -> Summary {
    let mut out = Summary { release: info.map(Info::release).unwrap_or_default(), ..Summary::default() };
    if let Some([_, host, _, version, machine, _]) = info.and_then(|i| super::uname(mem, i)) {
        out.host = Name::from_bytes(&host);
        out.version = Name::from_bytes(&version);
        out.machine = Name::from_bytes(&machine);
    }
    out
}

/// Returns a value, if there is one.
fn some<T>(r: Result<T>) -> Result<Option<T>> {
    match r {
        Ok(v) => Ok(Some(v)),
        Err(e) if e.kind() == ErrorKind::Io => Err(e),
        Err(_) => Ok(None),
    }
}

/// Returns the clock of the kernel (`kernel/time/timekeeping.c`).
fn timekeeper<'g>(guest: &'g Guest<'_>) -> Result<Object<'g>> {
    // kernels with a clock of their own for each user have an array of them
    if let Ok(all) = guest.symbol("timekeeper_data") {
        return guest.object("struct tk_data", all)?.member("timekeeper");
    }
    let core = guest.symbol("tk_core")?;
    if guest.types().structure("tk_data").is_some() {
        return guest.object("struct tk_data", core)?.member("timekeeper");
    }
    guest.object("struct timekeeper", core.wrapping_add(BEFORE_TIMEKEEPER))
}

fn load(guest: &Guest<'_>) -> Result<[u64; 3]> {
    let at = guest.symbol("avenrun")?;
    let one = |n: u64| -> Result<u64> {
        let raw = guest.kernel().number(at.wrapping_add(n.wrapping_mul(8)), 8)?;
        // as the kernel rounds it
        Ok(raw.wrapping_add((1 << LOAD_BITS) / 200).wrapping_mul(100) >> LOAD_BITS)
    };
    Ok([one(0)?, one(1)?, one(2)?])
}
