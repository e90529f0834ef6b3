//! Names of classes, of bits in command and status, and of capabilities, from the PCI specifications.

/// Base class, subclass and programming interface (where it makes a difference) with a name; the first that fits counts.
static CLASSES: &[(u8, Option<u8>, Option<u8>, &str)] = &[
    (0x00, Some(0x01), None, "VGA-compatible device"),
    (0x00, Some(0xff), None, "Unclassified device"),
    (0x00, None, None, "Unclassified device"),
    (0x01, Some(0x00), None, "SCSI controller"),
    (0x01, Some(0x01), None, "IDE controller"),
    (0x01, Some(0x02), None, "Floppy controller"),
    (0x01, Some(0x04), None, "RAID controller"),
    (0x01, Some(0x05), None, "ATA controller"),
    (0x01, Some(0x06), None, "SATA controller"),
    (0x01, Some(0x07), None, "SAS controller"),
    (0x01, Some(0x08), None, "NVMe controller"),
    (0x01, Some(0x09), None, "UFS controller"),
    (0x01, None, None, "Storage controller"),
    (0x02, Some(0x00), None, "Ethernet controller"),
    (0x02, Some(0x07), None, "InfiniBand controller"),
    (0x02, None, None, "Network controller"),
    (0x03, Some(0x00), None, "VGA controller"),
    (0x03, Some(0x02), None, "3D controller"),
    (0x03, None, None, "Display controller"),
    (0x04, Some(0x00), None, "Video device"),
    (0x04, Some(0x01), None, "Audio controller"),
    (0x04, Some(0x03), None, "Audio device"),
    (0x04, None, None, "Multimedia controller"),
    (0x05, Some(0x00), None, "RAM controller"),
    (0x05, Some(0x01), None, "Flash memory"),
    (0x05, Some(0x02), None, "CXL memory device"),
    (0x05, None, None, "Memory controller"),
    (0x06, Some(0x00), None, "Host bridge"),
    (0x06, Some(0x01), None, "ISA bridge"),
    (0x06, Some(0x04), None, "PCI bridge"),
    (0x06, Some(0x07), None, "CardBus bridge"),
    (0x06, None, None, "Bridge"),
    (0x07, Some(0x00), None, "Serial controller"),
    (0x07, Some(0x01), None, "Parallel controller"),
    (0x07, Some(0x02), None, "Multiport serial controller"),
    (0x07, Some(0x03), None, "Modem"),
    (0x07, None, None, "Communication controller"),
    (0x08, Some(0x00), None, "Interrupt controller"),
    (0x08, Some(0x01), None, "DMA controller"),
    (0x08, Some(0x03), None, "RTC"),
    (0x08, Some(0x05), None, "SD host controller"),
    (0x08, Some(0x06), None, "IOMMU"),
    (0x08, None, None, "System peripheral"),
    (0x09, Some(0x00), None, "Keyboard controller"),
    (0x09, Some(0x01), None, "Digitizer"),
    (0x09, Some(0x02), None, "Mouse controller"),
    (0x09, None, None, "Input controller"),
    (0x0a, None, None, "Docking station"),
    (0x0b, None, None, "Processor"),
    (0x0c, Some(0x00), None, "FireWire controller"),
    (0x0c, Some(0x03), Some(0x00), "USB controller (UHCI)"),
    (0x0c, Some(0x03), Some(0x10), "USB controller (OHCI)"),
    (0x0c, Some(0x03), Some(0x20), "USB controller (EHCI)"),
    (0x0c, Some(0x03), Some(0x30), "USB controller (xHCI)"),
    (0x0c, Some(0x03), None, "USB controller"),
    (0x0c, Some(0x04), None, "Fibre channel controller"),
    (0x0c, Some(0x05), None, "SMBus controller"),
    (0x0c, Some(0x07), None, "IPMI interface"),
    (0x0c, Some(0x09), None, "CAN controller"),
    (0x0c, None, None, "Serial bus controller"),
    (0x0d, None, None, "Wireless controller"),
    (0x10, None, None, "Encryption controller"),
    (0x11, None, None, "Signal processing controller"),
    (0x12, None, None, "Processing accelerator"),
];

/// Returns the name of a class.
#[must_use]
pub fn class(base: u8, sub: u8, interface: u8) -> &'static str {
    let fits = |wanted: Option<u8>, v: u8| wanted.is_none_or(|w| w == v);
    let hit = CLASSES.iter().find(|(b, s, i, _)| *b == base && fits(*s, sub) && fits(*i, interface));
    hit.map_or("Unknown class", |c| c.3)
}

/// Bits of the command register.
pub(super) static COMMAND: &[(u32, &str)] = &[
    (0, "io"),
    (1, "memory"),
    (2, "bus-master"),
    (3, "special-cycles"),
    (4, "memory-invalidate"),
    (5, "vga-snoop"),
    (6, "parity-response"),
    (7, "stepping"),
    (8, "serr"),
    (9, "fast-back-to-back"),
    (10, "intx-off"),
];

/// Bits of the status register that are one bit each.
pub(super) static STATUS: &[(u32, &str)] = &[
    (3, "intx"),
    (4, "capabilities"),
    (5, "66mhz"),
    (6, "user-definable"),
    (7, "fast-back-to-back"),
    (8, "parity-error"),
    (11, "signaled-target-abort"),
    (12, "received-target-abort"),
    (13, "received-master-abort"),
    (14, "signaled-serr"),
    (15, "detected-parity-error"),
];

/// Returns the name of a capability.
#[must_use]
pub fn capability(id: u8) -> &'static str {
    match id {
        0x01 => "power management",
        0x02 => "AGP",
        0x03 => "vital product data",
        0x04 => "slot identification",
        0x05 => "MSI",
        0x06 => "CompactPCI hot swap",
        0x07 => "PCI-X",
        0x08 => "HyperTransport",
        0x09 => "vendor specific",
        0x0a => "debug port",
        0x0c => "hot plug (SHPC)",
        0x0d => "subsystem",
        0x10 => "PCI Express",
        0x11 => "MSI-X",
        0x12 => "SATA",
        0x13 => "advanced features",
        0x14 => "enhanced allocation",
        _ => "unknown",
    }
}

/// Returns the name of an extended capability.
#[must_use]
pub fn extended_capability(id: u16) -> &'static str {
    match id {
        0x0001 => "advanced error reporting",
        0x0002 | 0x0009 => "virtual channel",
        0x0003 => "device serial number",
        0x0004 => "power budgeting",
        0x0005 => "root complex link",
        0x0007 => "root complex event collector",
        0x000b => "vendor specific",
        0x000d => "access control services",
        0x000e => "alternative routing-ID",
        0x000f => "address translation services",
        0x0010 => "SR-IOV",
        0x0012 => "multicast",
        0x0013 => "page request interface",
        0x0015 => "resizable BAR",
        0x0017 => "TPH requester",
        0x0018 => "latency tolerance reporting",
        0x0019 => "secondary PCI Express",
        0x001b => "process address space ID",
        0x001d => "downstream port containment",
        0x001e => "L1 PM substates",
        0x001f => "precision time measurement",
        0x0023 => "designated vendor specific",
        0x0025 => "data link feature",
        0x0026 => "physical layer 16 GT/s",
        0x0027 => "lane margining",
        0x002e => "data object exchange",
        _ => "unknown",
    }
}

/// Returns the name of a PCI Express port type.
#[must_use]
pub fn port_type(n: u8) -> &'static str {
    match n {
        0x0 => "endpoint",
        0x1 => "legacy endpoint",
        0x4 => "root port",
        0x5 => "upstream port",
        0x6 => "downstream port",
        0x7 => "PCI Express to PCI bridge",
        0x8 => "PCI to PCI Express bridge",
        0x9 => "integrated endpoint",
        0xa => "event collector",
        _ => "unknown type",
    }
}

/// Returns a link speed in GT/s.
#[must_use]
pub fn link_speed(code: u8) -> &'static str {
    match code {
        1 => "2.5",
        2 => "5",
        3 => "8",
        4 => "16",
        5 => "32",
        6 => "64",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_taken() {
        assert_eq!(class(0x0c, 0x03, 0x30), "USB controller (xHCI)");
        assert_eq!(class(0x0c, 0x03, 0xfe), "USB controller");
        assert_eq!(class(0x01, 0x80, 0), "Storage controller");
        assert_eq!(class(0x40, 0, 0), "Unknown class");
    }
}
