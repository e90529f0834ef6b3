//! A machine of our own, from which a stream and a -dump-vmstate file are written: the same facts in the two forms that
//! QEMU gives them.

use savevm_analyze::synth::Stream;

/// A vmsd.
#[derive(Clone, Debug)]
pub struct Vmsd {
    pub name: &'static str,
    pub version: u32,
    pub minimum: u32,
    pub fields: Vec<Field>,
    /// With whether each is needed, so that it is in the stream.
    pub subsections: Vec<(Vmsd, bool)>,
}

/// A field.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: &'static str,
    pub ty: &'static str,
    pub size: usize,
    /// More than one makes it an array.
    pub num: usize,
    pub since: u32,
    /// Whether it has a condition.
    pub conditional: bool,
    /// Whether that holds.
    pub sent: bool,
    pub inner: Option<Vmsd>,
    pub value: Vec<u8>,
    /// Its size in memory, where that is not the one on the wire.
    pub memory: Option<usize>,
}

/// A section.
#[derive(Clone, Debug)]
pub struct Section {
    pub idstr: &'static str,
    pub instance: u32,
    pub vmsd: Vmsd,
    /// The device class; `None` for what no dump has.
    pub class: Option<&'static str>,
}

/// A machine and the QEMU that it runs on.
#[derive(Clone, Debug)]
pub struct Vm {
    pub machine: &'static str,
    pub configuration: bool,
    pub page_bits: Option<u32>,
    pub capabilities: Vec<&'static str>,
    pub uuid: Option<u8>,
    pub footers: bool,
    pub page_size: u32,
    pub commands: Vec<u8>,
    pub blocks: Vec<(&'static str, u64)>,
    pub sections: Vec<Section>,
    /// Classes of the binary that the machine does not have.
    pub classes: Vec<(&'static str, Vmsd)>,
    /// Whether the dump says how many elements an array has: from QEMU 8.0 on.
    pub counts: bool,
}

pub fn field(name: &'static str, size: usize) -> Field {
    let ty = match size {
        1 => "uint8",
        2 => "uint16",
        4 => "uint32",
        8 => "uint64",
        _ => "buffer",
    };
    Field {
        name,
        ty,
        size,
        num: 1,
        since: 0,
        conditional: false,
        sent: true,
        inner: None,
        value: Vec::new(),
        memory: None,
    }
}

pub fn vmsd(name: &'static str, version: u32, fields: Vec<Field>) -> Vmsd {
    Vmsd { name, version, minimum: version, fields, subsections: Vec::new() }
}

impl Field {
    pub fn array(mut self, num: usize) -> Self {
        self.num = num;
        self
    }

    pub fn of(mut self, ty: &'static str) -> Self {
        self.ty = ty;
        self
    }

    pub fn since(mut self, version: u32) -> Self {
        self.since = version;
        self
    }

    pub fn when(mut self, sent: bool) -> Self {
        (self.conditional, self.sent) = (true, sent);
        self
    }

    pub fn value(mut self, bytes: &[u8]) -> Self {
        self.value = bytes.to_vec();
        self
    }

    pub fn structure(name: &'static str, inner: Vmsd) -> Self {
        let mut f = field(name, inner.fields.iter().map(|f| f.size * f.num).sum());
        (f.ty, f.inner) = ("struct", Some(inner));
        f
    }
}

impl Vmsd {
    /// Returns the field of a name.
    pub fn field(&mut self, name: &str) -> &mut Field {
        self.fields.iter_mut().find(|f| f.name == name).unwrap()
    }

    /// Returns the offset of a field.
    pub fn place(&self, name: &str) -> usize {
        self.fields.iter().position(|f| f.name == name).unwrap()
    }

    fn payload(&self, s: &mut Stream) {
        for f in self.fields.iter().filter(|f| f.sent && f.since <= self.version) {
            for i in 0..f.num {
                match &f.inner {
                    Some(inner) => inner.payload(s),
                    None => {
                        let mut bytes = f.value.get(i * f.size..).unwrap_or_default().to_vec();
                        bytes.resize(f.size, 0);
                        s.raw(&bytes);
                    }
                }
            }
        }
        for (sub, _) in self.subsections.iter().filter(|(_, needed)| *needed) {
            s.raw(b"\x05").name(sub.name.as_bytes()).be32(sub.version);
            sub.payload(s);
        }
    }

    fn described(&self) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .filter(|f| f.sent && f.since <= self.version)
            .map(|f| {
                let array = if f.num > 1 { format!(r#""array_len": {}, "#, f.num) } else { String::new() };
                let inner =
                    f.inner.as_ref().map(|i| format!(r#""struct": {{{}}}, "#, i.described())).unwrap_or_default();
                format!(r#"{{"name": "{}", {array}"type": "{}", {inner}"size": {}}}"#, f.name, f.ty, f.size)
            })
            .collect();
        let sent = self.subsections.iter().filter(|(_, needed)| *needed);
        let subs: Vec<String> = sent.map(|(s, _)| format!("{{{}}}", s.described())).collect();
        let more = if subs.is_empty() { String::new() } else { format!(r#", "subsections": [{}]"#, subs.join(", ")) };
        let (name, version) = (self.name, self.version);
        format!(r#""vmsd_name": "{name}", "version": {version}, "fields": [{}]{more}"#, fields.join(", "))
    }

    fn dumped(&self, counts: bool) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|f| {
                let num = if counts && f.num > 1 { format!(r#""num": {}, "#, f.num) } else { String::new() };
                let inner = f.inner.as_ref().map(|i| format!(r#", "Description": {}"#, i.dumped(counts)));
                format!(
                    r#"{{"field": "{}", "version_id": {}, "field_exists": {}, {num}"size": {}{}}}"#,
                    f.name,
                    f.since,
                    f.conditional,
                    f.memory.unwrap_or(f.size),
                    inner.unwrap_or_default()
                )
            })
            .collect();
        let subs: Vec<String> = self.subsections.iter().map(|(s, _)| s.dumped(counts)).collect();
        let more = if subs.is_empty() { String::new() } else { format!(r#", "Subsections": [{}]"#, subs.join(", ")) };
        let (name, version, minimum) = (self.name, self.version, self.minimum);
        format!(
            r#"{{"name": "{name}", "version_id": {version}, "minimum_version_id": {minimum}, "Fields": [{}]{more}}}"#,
            fields.join(", ")
        )
    }
}

impl Vm {
    /// Returns the vmsd of a section.
    pub fn vmsd(&mut self, idstr: &str) -> &mut Vmsd {
        &mut self.sections.iter_mut().find(|s| s.idstr == idstr).unwrap().vmsd
    }

    /// Takes a section away.
    pub fn remove(&mut self, idstr: &str) -> Section {
        let at = self.sections.iter().position(|s| s.idstr == idstr).unwrap();
        self.sections.remove(at)
    }

    /// Writes the stream.
    pub fn stream(&self) -> Vec<u8> {
        let mut s = Stream::old();
        if self.configuration {
            s.raw(b"\x07").be32(self.machine.len() as u32).raw(self.machine.as_bytes());
            if let Some(bits) = self.page_bits {
                s.raw(b"\x05").name(b"configuration/target-page-bits").be32(1).be32(bits);
            }
            if !self.capabilities.is_empty() {
                s.raw(b"\x05").name(b"configuration/capabilities").be32(1).be32(self.capabilities.len() as u32);
                for c in &self.capabilities {
                    s.name(c.as_bytes());
                }
            }
            if let Some(byte) = self.uuid {
                s.raw(b"\x05").name(b"configuration/uuid").be32(1).raw(&[byte; 16]);
            }
        }
        for c in &self.commands {
            s.command(*c, b"");
        }
        let footer = |s: &mut Stream, id: u32| {
            if self.footers {
                s.raw(b"\x7e").be32(id);
            }
        };
        s.raw(b"\x01").be32(2).name(b"ram").be32(0).be32(4);
        s.be64(self.blocks.iter().map(|b| b.1).sum::<u64>() | 4);
        for (name, len) in &self.blocks {
            s.name(name.as_bytes()).be64(*len);
            if self.capabilities.contains(&"x-ignore-shared") {
                s.be64(0); // the block's address
            }
        }
        s.be64(0x10);
        footer(&mut s, 2);
        s.raw(b"\x03").be32(2).be64(0x10);
        footer(&mut s, 2);
        for (i, section) in self.sections.iter().enumerate() {
            let id = i as u32 + 3;
            s.raw(b"\x04").be32(id).name(section.idstr.as_bytes()).be32(section.instance).be32(section.vmsd.version);
            section.vmsd.payload(&mut s);
            footer(&mut s, id);
        }
        let devices: Vec<String> = self
            .sections
            .iter()
            .map(|s| format!(r#"{{"name": "{}", "instance_id": {}, {}}}"#, s.idstr, s.instance, s.vmsd.described()))
            .collect();
        s.described(&format!(r#"{{"page_size": {}, "devices": [{}]}}"#, self.page_size, devices.join(", ")));
        s.bytes
    }

    /// Writes what -dump-vmstate would, one class on some lines as QEMU does.
    pub fn dump(&self) -> String {
        let devices = self.sections.iter().filter_map(|s| s.class.map(|c| (c, &s.vmsd)));
        let classes: Vec<String> = devices
            .chain(self.classes.iter().map(|(c, v)| (*c, v)))
            .map(|(class, v)| {
                let (version, minimum) = (v.version, v.minimum);
                format!(
                    "  \"{class}\": {{\n    \"Name\": \"{class}\",\n    \"version_id\": {version},\n    \"minimum_version_id\": {minimum},\n    \"Description\": {}\n  }}",
                    v.dumped(self.counts)
                )
            })
            .collect();
        format!("{{\n  \"vmschkmachine\": {{\n    \"Name\": \"{}\"\n  }},\n{}\n}}\n", self.machine, classes.join(",\n"))
    }
}
