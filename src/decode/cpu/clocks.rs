//! Clocks: QEMU's own, and those that guests see.

use super::fields::Fields;
use super::register::{Form, Group};

type Decode = fn(&Fields<'_>) -> Group;

/// The clocks that are known, by the name of their vmsd.
static KNOWN: &[(&str, Decode)] =
    &[("timer", timer), ("kvmclock", kvmclock), ("riscv_mtimer", mtimer), ("timebase", timebase)];

pub fn is_known(vmsd: &str) -> bool {
    KNOWN.iter().any(|(n, _)| *n == vmsd)
}

pub fn decode(vmsd: &str, f: &Fields<'_>) -> Option<Group> {
    KNOWN.iter().find(|(n, _)| *n == vmsd).map(|(_, d)| d(f))
}

fn nanoseconds(v: u64) -> String {
    let seconds = v / 1_000_000_000;
    let rest = v / 1000 % 1_000_000;
    format!("{seconds}.{rest:06} s")
}

/// `vmstate_timers` in `system/cpu-timers.c`: both stop while the machine is stopped.
fn timer(f: &Fields<'_>) -> Group {
    let mut g = Group::new("timer", "Virtual clock of QEMU", Form::Rows);
    g.says("cpu_ticks_offset", f.number("cpu_ticks_offset"), |v| format!("{v} ticks"));
    g.says("cpu_clock_offset", f.number("cpu_clock_offset"), nanoseconds);
    g
}

fn kvmclock(f: &Fields<'_>) -> Group {
    let mut g = Group::new("kvmclock", "KVM clock", Form::Rows);
    g.says("clock", f.number("clock"), nanoseconds);
    if let Some(s) = f.sub("kvmclock/clock_is_reliable") {
        g.add("reliable", s.number("clock_is_reliable"));
    }
    g
}

fn mtimer(f: &Fields<'_>) -> Group {
    let mut g = Group::new("mtimer", "Machine timer", Form::Rows);
    g.add("time_delta", f.number("time_delta"));
    for (i, n) in f.numbers("timecmp").into_iter().enumerate() {
        g.add(format!("timecmp {i}"), Some(n));
    }
    g
}

fn timebase(f: &Fields<'_>) -> Group {
    let mut g = Group::new("timebase", "Time base", Form::Rows);
    for name in ["guest_timebase", "time_of_the_day_ns"] {
        g.add(name, f.number(name));
    }
    g
}
