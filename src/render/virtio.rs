//! Virtio devices for people: `virtio`.

use std::io::{self, Write};

use super::human::plural;
use super::lines::Lines;
use super::tree::{Paint, Role};
use crate::decode::virtio::rings::Ring;
use crate::decode::virtio::{ConfigField, ConfigValue, Queue, Transport, VirtioDevice, feature_name};

/// A device with the rings of its queues, where they were asked for.
pub struct Shown<'a> {
    /// The device.
    pub device: &'a VirtioDevice,
    /// One for each queue; nothing for queues that are not set up. Empty when rings were not asked for.
    pub rings: Vec<Option<Ring>>,
}

/// Prints devices.
///
/// # Errors
/// Those of the writer.
pub fn list(out: &mut dyn Write, devices: &[Shown<'_>], verbose: bool, paint: Paint<'_>) -> io::Result<()> {
    for (i, s) in devices.iter().enumerate() {
        if i > 0 {
            writeln!(out)?;
        }
        let d = s.device;
        writeln!(out, "{}  {}", paint(Role::Title, &d.place()), title(d))?;
        let mut l = Lines::new(out, paint, 10);
        if verbose {
            let own = d.section.last_of('/');
            let vmsd = if d.vmsd == own || d.vmsd.is_empty() { String::new() } else { format!(", vmsd {}", d.vmsd) };
            l.row("section", &format!("{}{vmsd}", d.section))?;
        }
        status(&mut l, d, verbose)?;
        features(&mut l, d, verbose)?;
        fields(&mut l, "config", &d.config_fields, verbose)?;
        fields(&mut l, "device", &d.own_fields, verbose)?;
        queues(&mut l, s, verbose)?;
    }
    Ok(())
}

fn title(d: &VirtioDevice) -> String {
    let bus = match &d.transport {
        Transport::Ccw { revision: Some(r), .. } => format!("ccw, revision {r}"),
        t => t.name().to_owned(),
    };
    let number = if d.kind.id == 0 { String::new() } else { format!(", device {}", d.kind.id) };
    format!("{} ({bus}{number})", d.kind.name)
}

fn status(l: &mut Lines<'_, '_>, d: &VirtioDevice, verbose: bool) -> io::Result<()> {
    let mut words = d.status_names();
    if words.is_empty() {
        words.push("no driver");
    }
    if d.broken {
        words.push("broken");
    }
    if d.disabled == Some(true) {
        words.push("disabled");
    }
    if verbose && d.started == Some(true) {
        words.push("started");
    }
    let number = format!("({:#04x})", d.status);
    words.push(&number);
    l.words("status", &words, "")?;
    if verbose {
        let vector = d.config_vector.map(|v| format!(", configuration vector {v}")).unwrap_or_default();
        let order = if d.big_endian { "big-endian" } else { "little-endian" };
        l.row("also", &format!("isr {:#04x}, queue select {}{vector}, {order}", d.isr, d.queue_sel))?;
    }
    Ok(())
}

fn features(l: &mut Lines<'_, '_>, d: &VirtioDevice, verbose: bool) -> io::Result<()> {
    let list = d.feature_list();
    let names: Vec<String> =
        list.iter().map(|f| f.name.map_or_else(|| format!("bit-{}", f.bit), str::to_owned)).collect();
    let mut words: Vec<&str> = names.iter().map(String::as_str).collect();
    let number = format!("({:#018x})", d.features);
    if !words.is_empty() {
        words.push(&number);
    }
    l.words("features", &words, "none negotiated")?;
    if verbose && !d.offered.is_empty() {
        let names: Vec<&str> = d.offered.iter().filter_map(|b| feature_name(d.kind.id, *b)).collect();
        l.words("offered", &[&names[..], &["and others"]].concat(), "")?;
    }
    Ok(())
}

/// What a field says, with a unit where that helps.
fn shown(f: &ConfigField) -> String {
    match &f.value {
        ConfigValue::Number(n, _) if f.name == "capacity" => {
            format!("{} {n} sectors ({})", f.name, super::human::size(n.saturating_mul(512)))
        }
        ConfigValue::Number(n, 8) => format!("{} {n:#x}", f.name),
        ConfigValue::Number(n, _) => format!("{} {n}", f.name),
        ConfigValue::Mac(m) => {
            format!("{} {}", f.name, m.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"))
        }
        ConfigValue::Text(t) => format!("{} {t:?}", f.name),
        ConfigValue::Bytes(b) => format!("{} {}", f.name, super::state_json::hex(b)),
    }
}

fn fields(l: &mut Lines<'_, '_>, label: &str, list: &[ConfigField], verbose: bool) -> io::Result<()> {
    let texts: Vec<String> = list.iter().filter(|f| verbose || !f.value.is_zero()).map(shown).collect();
    if texts.is_empty() {
        return Ok(());
    }
    let words: Vec<&str> = texts.iter().map(String::as_str).collect();
    l.words_by(label, &words, ", ", "")
}

fn queues(l: &mut Lines<'_, '_>, s: &Shown<'_>, verbose: bool) -> io::Result<()> {
    let all = &s.device.queues;
    let set_up = all.iter().filter(|q| q.is_configured()).count();
    let count =
        if set_up == 0 { format!("{}, none set up", all.len()) } else { format!("{}, {set_up} set up", all.len()) };
    l.row("queues", &count)?;
    let unused = |i: usize, q: &Queue| q.is_configured() && never_used(q, s.rings.get(i).and_then(Option::as_ref));
    let mut skip = 0;
    for (i, q) in all.iter().enumerate().filter(|(_, q)| q.is_configured()) {
        if i < skip {
            continue;
        }
        // the many ports that a serial device could have
        let run = all.iter().enumerate().skip(i).take_while(|(i, q)| unused(*i, q)).count();
        if !verbose && run > 2 {
            skip = i + run;
            // without the rings, there may be buffers in wait
            let what = if s.rings.is_empty() { "and not read yet" } else { "and never used" };
            l.row(&format!("  {}-{}", q.index, skip - 1), &format!("{run} queues that were set up {what}"))?;
            continue;
        }
        let label = format!("  {}", q.index);
        let vector = q.vector.map(|v| format!(", vector {v}")).unwrap_or_default();
        l.row(&label, &format!("{}, size {}{vector}, read to {}{}", q.name, q.size, q.last_avail_idx, saved(q)))?;
        if verbose || q.packed.is_some() {
            places(l, q)?;
        }
        if let Some(Some(r)) = s.rings.get(i) {
            ring(l, q, r)?;
        }
    }
    if verbose && set_up < all.len() {
        let idle = all.iter().filter(|q| !q.is_configured());
        let mut groups: Vec<(u32, Vec<u16>)> = Vec::new();
        for q in idle {
            match groups.last_mut() {
                Some((size, list)) if *size == q.size => list.push(q.index),
                _ => groups.push((q.size, vec![q.index])),
            }
        }
        let text = |(size, list): &(u32, Vec<u16>)| match (list.first(), list.last()) {
            (Some(a), Some(b)) if a != b => format!("{a}-{b} size {size}"),
            (Some(a), _) => format!("{a} size {size}"),
            _ => String::new(),
        };
        l.row("  idle", &groups.iter().map(text).collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}

/// Returns whether nothing was ever put into a queue, as far as is known.
fn never_used(q: &Queue, ring: Option<&Ring>) -> bool {
    let in_ring = match ring {
        None => false,
        Some(Ring::Split(s)) => s.avail_idx != 0 || s.used_idx != 0 || !s.problems.is_empty(),
        Some(Ring::Packed(p)) => p.pending_descriptors != 0 || !p.problems.is_empty(),
        Some(Ring::Unreadable(_)) => true,
    };
    let taken = q.packed.is_some_and(|p| p.in_use != 0 || p.used_idx != 0 || !p.used_wrap || !p.avail_wrap);
    q.last_avail_idx == 0 && q.saved_requests == 0 && !taken && !in_ring
}

fn saved(q: &Queue) -> String {
    match q.saved_requests {
        0 => String::new(),
        n => format!(", {} saved with the device", plural(n.into(), "request")),
    }
}

fn places(l: &mut Lines<'_, '_>, q: &Queue) -> io::Result<()> {
    let computed = if q.computed { " (legacy layout)" } else { "" };
    if let Some(p) = &q.packed {
        let bit = u8::from;
        l.row("", &format!("packed at {:#x}, driver {:#x}, device {:#x}", q.desc, q.avail, q.used))?;
        return l.row(
            "",
            &format!(
                "read wrap {}, written to {} wrap {}, {} in use",
                bit(p.avail_wrap),
                p.used_idx,
                bit(p.used_wrap),
                p.in_use
            ),
        );
    }
    l.row("", &format!("desc {:#x}, avail {:#x}, used {:#x}{computed}", q.desc, q.avail, q.used))
}

fn ring(l: &mut Lines<'_, '_>, q: &Queue, r: &Ring) -> io::Result<()> {
    match r {
        Ring::Split(s) => {
            let event = |e: Option<u16>| e.map(|e| format!(" (event {e})")).unwrap_or_default();
            let quiet = |flags: u16| if flags & 1 != 0 { " quiet" } else { "" };
            l.row(
                "",
                &format!(
                    "avail {}{}{}, used {}{}{}",
                    s.avail_idx,
                    event(s.avail_event),
                    quiet(s.avail_flags),
                    s.used_idx,
                    event(s.used_event),
                    quiet(s.used_flags)
                ),
            )?;
            if s.problems.is_empty() {
                l.row("", &health(q, s.pending.into(), s.in_flight.into(), "request"))?;
            }
        }
        Ring::Packed(p) => {
            if p.problems.is_empty() {
                l.row("", &health(q, p.pending, p.in_flight, "descriptor"))?;
            }
        }
        Ring::Unreadable(_) => {}
    }
    r.problems().iter().try_for_each(|p| l.problem(p))
}

fn health(q: &Queue, pending: u32, in_flight: u32, unit: &str) -> String {
    if q.buffers {
        let held = match in_flight {
            0 => String::new(),
            n if unit == "request" => format!(", {n} with the device"),
            n => format!(", {} with the device", plural(n.into(), unit)),
        };
        return match pending {
            0 => format!("no buffer waits to be filled{held}"),
            1 => format!("1 buffer waits to be filled{held}"),
            n => format!("{} wait to be filled{held}", plural(n.into(), "buffer")),
        };
    }
    match (pending, in_flight) {
        (0, 0) => "nothing pending, nothing in flight".to_owned(),
        (0, n) => format!("nothing pending, {} in flight: the device has them", plural(n.into(), unit)),
        (p, n) => {
            let flight = if n == 0 { "nothing in flight".to_owned() } else { format!("{n} in flight") };
            format!("{} pending, {flight}: the device is behind", plural(p.into(), "request"))
        }
    }
}
