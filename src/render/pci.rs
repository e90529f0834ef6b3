//! PCI devices for people: `pci`.

use std::io::{self, Write};

use super::lines::Lines;
use super::tree::{Paint, Role};
use crate::decode::pci::{
    Bar, Branch, Bridge, Detail, PciDevice, Root, Window, capability, extended_capability, link_speed, port_type, tree,
    vendor_name,
};

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A line for each device.
    Short,
    /// Registers and capabilities too.
    Verbose,
    /// The MSI-X tables and extended capabilities too.
    All,
}

/// Whether the numbers of classes, vendors and devices are printed, as lspci's -n and -nn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Only names.
    No,
    /// Only numbers.
    Only,
    /// Names and numbers.
    Too,
}

/// How devices are printed.
#[derive(Clone, Copy)]
pub struct PciOptions<'p> {
    /// How much.
    pub level: Level,
    /// Whether with numbers.
    pub numbers: Numbers,
    /// Bytes of configuration space that are dumped.
    pub dump: usize,
    /// The colours.
    pub paint: Paint<'p>,
}

/// Prints devices, one after the other.
///
/// # Errors
/// Those of the writer.
pub fn list(out: &mut dyn Write, devices: &[&PciDevice], o: &PciOptions<'_>) -> io::Result<()> {
    let (level, paint) = (o.level, o.paint);
    let width = devices.iter().map(|d| d.name().chars().count()).max().unwrap_or(0);
    for (i, d) in devices.iter().enumerate() {
        if (level > Level::Short || o.dump > 0) && i > 0 {
            writeln!(out)?;
        }
        let name = d.name();
        let pad = if level == Level::Short { width - name.chars().count() } else { 0 };
        writeln!(out, "{}{}  {}", paint(Role::Title, &name), " ".repeat(pad), title(d, o.numbers))?;
        if level > Level::Short {
            details(out, d, level, paint)?;
        }
        for (n, line) in d.config.get(..d.config.len().min(o.dump)).unwrap_or_default().chunks(16).enumerate() {
            let bytes: Vec<String> = line.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(out, "{:02x}: {}", n * 16, bytes.join(" "))?;
        }
    }
    Ok(())
}

fn title(d: &PciDevice, numbers: Numbers) -> String {
    let revision = if d.revision == 0 { String::new() } else { format!(" (rev {:02x})", d.revision) };
    let [base, sub, _] = d.class;
    let (class, ids) = (format!("{base:02x}{sub:02x}"), format!("{:04x}:{:04x}", d.vendor, d.device));
    match numbers {
        Numbers::No => format!("{}: {}{revision}", d.class_name(), d.product()),
        Numbers::Only => format!("{class}: {ids}{revision}"),
        Numbers::Too => format!("{} [{class}]: {} [{ids}]{revision}", d.class_name(), d.product()),
    }
}

fn details(out: &mut dyn Write, d: &PciDevice, level: Level, paint: Paint<'_>) -> io::Result<()> {
    let mut l = Lines::new(out, paint, 12);
    l.row("section", &section(d))?;
    l.row("ids", &ids(d))?;
    l.words("command", &d.command_names(), "none")?;
    l.words("status", &d.status_names(), "none")?;
    if d.pin != 0 || d.levels.contains(&true) {
        l.row("interrupt", &interrupt(d))?;
    }
    for b in &d.bars {
        l.row(&format!("BAR {}", b.index), &bar(b))?;
    }
    if let Some(b) = &d.bridge {
        l.row("buses", &format!("{:02x} to {:02x}-{:02x}", b.primary, b.secondary, b.subordinate))?;
        for (name, window) in windows(b) {
            l.row(name, &window)?;
        }
    }
    for c in &d.capabilities {
        l.row(&format!("[{:02x}]", c.offset), &detail(c.id, &c.detail))?;
    }
    if level == Level::All {
        for c in &d.extended {
            l.row(&format!("[{:03x}]", c.offset), &format!("{}, version {}", extended_capability(c.id), c.version))?;
        }
        msix(&mut l, d)?;
    } else if !d.extended.is_empty() {
        let names: Vec<&str> = d.extended.iter().map(|c| extended_capability(c.id)).collect();
        l.words_by("extended", &names, ", ", "")?;
    }
    d.problems.iter().try_for_each(|p| l.problem(p))
}

fn section(d: &PciDevice) -> String {
    let instance = if d.instance == 0 { String::new() } else { format!(" ({})", d.instance) };
    let own = d.section.last_of('/');
    let vmsd = if d.vmsd.is_empty() || d.vmsd == own { String::new() } else { format!(", vmsd {}", d.vmsd) };
    format!("{}{instance}{vmsd}", d.section)
}

fn ids(d: &PciDevice) -> String {
    let [base, sub, interface] = d.class;
    let subsystem = match d.subsystem {
        Some((0, 0)) | None => String::new(),
        Some((v, n)) => {
            let name = vendor_name(v).map(|n| format!(" ({n})")).unwrap_or_default();
            format!(", subsystem {v:04x}:{n:04x}{name}")
        }
    };
    format!("{:04x}:{:04x}{subsystem}, class {base:02x}{sub:02x}{interface:02x}", d.vendor, d.device)
}

fn interrupt(d: &PciDevice) -> String {
    let letter = |n: usize| char::from(b'A' + u8::try_from(n).unwrap_or(0));
    let pin = match d.pin {
        0 => "no pin".to_owned(),
        n @ 1..=4 => format!("pin {}", letter(usize::from(n) - 1)),
        n => format!("pin {n}?"),
    };
    let high: Vec<String> =
        d.levels.iter().enumerate().filter(|(_, l)| **l).map(|(i, _)| format!("INT{}", letter(i))).collect();
    let level = if high.is_empty() { "level low".to_owned() } else { format!("level high: {}", high.join(" ")) };
    format!("{pin}, line {}, {level}", d.line)
}

fn bar(b: &Bar) -> String {
    let prefetchable = if b.prefetchable { " prefetchable" } else { "" };
    let address = match (b.address, b.enabled) {
        (0, _) => "no address".to_owned(),
        (a, true) => format!("at {a:#x}"),
        (a, false) => format!("at {a:#x} (disabled)"),
    };
    format!("{}{prefetchable}, {address}", b.kind.name())
}

fn windows(b: &Bridge) -> [(&'static str, String); 3] {
    let text = |w: &Window| {
        if w.is_open() { format!("{:#x}-{:#x}", w.base, w.limit) } else { "closed".to_owned() }
    };
    [("io", text(&b.io)), ("memory", text(&b.memory)), ("prefetch", text(&b.prefetchable))]
}

fn on(enabled: bool) -> &'static str {
    if enabled { "on" } else { "off" }
}

/// Returns a capability in words.
fn detail(id: u8, d: &Detail) -> String {
    match d {
        Detail::Power { version, state, pme_enabled } => {
            let pme = if *pme_enabled { ", PME on" } else { "" };
            format!("power management {version}: D{state}{pme}")
        }
        Detail::Msi { enabled, capable, vectors, address, data, mask, .. } => {
            let mask = mask.filter(|m| *m != 0).map(|m| format!(", mask {m:#x}")).unwrap_or_default();
            let to = if *address == 0 { String::new() } else { format!(", to {address:#x} data {data:#06x}") };
            format!("MSI: {}, {vectors} of {capable}{to}{mask}", on(*enabled))
        }
        Detail::Msix { enabled, masked, vectors, table_bar, table_offset, pba_bar, pba_offset } => {
            let masked = if *masked { ", all masked" } else { "" };
            format!(
                "MSI-X: {}{masked}, {}, table BAR {table_bar}+{table_offset:#x}, PBA BAR {pba_bar}+{pba_offset:#x}",
                on(*enabled),
                super::human::plural(u64::from(*vectors), "vector")
            )
        }
        Detail::Express { version, port, slot, link, link_now } => {
            let slot = slot.map(|n| format!(", slot {n}")).unwrap_or_default();
            let shown = |(speed, lanes): (u8, u8)| format!("{} GT/s x{lanes}", link_speed(speed));
            let link = match (*link, *link_now) {
                ((0, 0), _) => String::new(),
                (best, (0, 0)) => format!(", link {}", shown(best)),
                (best, now) => format!(", link {} of {}", shown(now), shown(best)),
            };
            format!("PCI Express {version}: {}{slot}{link}", port_type(*port))
        }
        Detail::Virtio { kind, bar, offset, length, multiplier } => {
            let place = match (bar, length) {
                (_, 0) => String::new(),
                _ => format!(" BAR {bar}+{offset:#x}, {length:#x} bytes"),
            };
            let step = multiplier.map(|m| format!(", step {m}")).unwrap_or_default();
            format!("virtio {}{place}{step}", Detail::virtio_structure(*kind))
        }
        Detail::Vendor { length } => format!("vendor specific, {length} bytes"),
        Detail::Subsystem { vendor, device } => format!("subsystem {vendor:04x}:{device:04x}"),
        Detail::Other => match capability(id) {
            "unknown" => format!("unknown capability {id:#04x}"),
            name => name.to_owned(),
        },
    }
}

/// Prints the MSI-X table; equal neighbours once.
fn msix(l: &mut Lines<'_, '_>, d: &PciDevice) -> io::Result<()> {
    let mut first = 0;
    while let Some(e) = d.msix.get(first) {
        let equal = d.msix[first..].iter().take_while(|o| *o == e).count();
        let label =
            if equal == 1 { format!("vector {first}") } else { format!("vector {first}-{}", first + equal - 1) };
        let to = if e.address == 0 && e.data == 0 {
            "not set".to_owned()
        } else {
            format!("to {:#x} data {:#010x}", e.address, e.data)
        };
        let masked = if e.masked { ", masked" } else { "" };
        let pending = if e.pending { ", pending" } else { "" };
        l.row(&label, &format!("{to}{masked}{pending}"))?;
        first += equal;
    }
    Ok(())
}

/// Prints the buses as trees.
///
/// # Errors
/// Those of the writer.
pub fn buses(out: &mut dyn Write, devices: &[PciDevice], paint: Paint<'_>) -> io::Result<()> {
    for (root, branches) in tree(devices) {
        let root = match root {
            Root::Numbered { domain, bus } => format!("{domain:04x}:{bus:02x}"),
            Root::Named(n) => n,
        };
        writeln!(out, "{}", paint(Role::Title, &root))?;
        branch_lines(out, &branches, "", paint)?;
    }
    let lost: Vec<&PciDevice> = devices.iter().filter(|d| d.address.is_none()).collect();
    if !lost.is_empty() {
        writeln!(out, "{}", paint(Role::Title, "no address"))?;
        lost.iter().try_for_each(|d| writeln!(out, "  {}  {}", d.section, title(d, Numbers::No)))?;
    }
    Ok(())
}

fn branch_lines(out: &mut dyn Write, branches: &[Branch<'_>], indent: &str, paint: Paint<'_>) -> io::Result<()> {
    for (i, b) in branches.iter().enumerate() {
        let last = i + 1 == branches.len();
        let slot = b.device.address.as_ref().map(|a| a.slot().to_string()).unwrap_or_default();
        let bus = match b.device.bridge {
            Some(Bridge { secondary: 0, .. }) => " [bus not numbered]".to_owned(),
            Some(w) if w.secondary == w.subordinate => format!(" [{:02x}]", w.secondary),
            Some(w) => format!(" [{:02x}-{:02x}]", w.secondary, w.subordinate),
            None => String::new(),
        };
        let joint = if last { "└─" } else { "├─" };
        writeln!(
            out,
            "{indent}{joint}{}{}  {}",
            paint(Role::Name, &slot),
            paint(Role::Dim, &bus),
            title(b.device, Numbers::No)
        )?;
        let deeper = format!("{indent}{}", if last { "   " } else { "│  " });
        branch_lines(out, &b.behind, &deeper, paint)?;
    }
    Ok(())
}
