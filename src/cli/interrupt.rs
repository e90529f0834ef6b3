//! Signals: what ends the process early removes the unfinished files, and says so.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use super::exit::Outcome;
use super::say;
use crate::render::human;
use crate::render::tree::Role;
use crate::sink::Unfinished;
use crate::text::shown;

/// Signals that ask a process to end.
const ENDS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

static UNFINISHED: OnceLock<Unfinished> = OnceLock::new();

/// Creates a write beyond `ulimit -f` fail as any other write does. Otherwise the signal would end the process without a message.
pub fn report_file_size_limit() {
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Turns memory that the system refuses into an error with its own exit status. Memory for the input is charged to a budget and
/// reserved fallibly. For all other memory the standard library prints the refused size, and aborts.
pub fn report_refused_memory() {
    let partial = Outcome::Partial.status();
    let _ = flag::register_conditional_shutdown(SIGABRT, partial.into(), Arc::new(AtomicBool::new(true)));
}

/// Returns the list of unfinished files. SIGINT, SIGTERM and SIGHUP remove them.
///
/// If no thread can be started, the signals end the process at once, as they do by default.
pub fn unfinished() -> Unfinished {
    let list = UNFINISHED.get_or_init(|| {
        let list = Unfinished::default();
        let theirs = list.clone();
        let (ready, began) = sync_channel(1);
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || wait(&theirs, ready));
        if thread.is_ok() {
            // no file may exist before the signals are watched; without a message the thread has ended
            let _ = began.recv();
        }
        list
    });
    list.clone()
}

/// Waits for a signal, and ends the process. Sends a message when it begins to wait.
fn wait(list: &Unfinished, ready: SyncSender<()>) {
    let wanted: Vec<i32> = ENDS.into_iter().filter(|s| !is_ignored(*s)).collect();
    let second = Arc::new(AtomicBool::new(false));
    for signal in &wanted {
        // a second signal ends the process without waiting for anything
        let _ = flag::register_conditional_shutdown(*signal, 128 + *signal, Arc::clone(&second));
    }
    let Ok(mut signals) = Signals::new(&wanted) else {
        second.store(true, Ordering::Relaxed);
        return;
    };
    let _ = ready.send(());
    let Some(signal) = signals.forever().next() else { return };
    second.store(true, Ordering::Relaxed);
    let (removed, left) = list.remove_all();
    let name = low_level::signal_name(signal).unwrap_or("a signal");
    let what = match removed {
        0 if left.is_empty() => "nothing unfinished is left".to_owned(),
        0 => "unfinished files are left".to_owned(),
        n => format!("{} removed", human::plural(n as u64, "unfinished file")),
    };
    say::say(Role::Problem, "error", &format!("interrupted by {name}; {what}"));
    for path in left {
        say::say(Role::Name, "note", &format!("{} could not be removed", shown(&path)));
    }
    std::process::exit(128 + signal);
}

/// Returns whether the process was started with a signal ignored, as `nohup` and shells do. It stays ignored then.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:")).map(str::trim);
    let mask = mask.and_then(|m| u64::from_str_radix(m, 16).ok()).unwrap_or(0);
    u32::try_from(signal - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|m| m & 1 == 1)
}
