//! Builds streams for tests, sound ones and others. Shares no constant and no layout with the readers.

/// A stream that grows record by record. Nothing is checked: that is what it is for.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The bytes so far.
    pub bytes: Vec<u8>,
    footers: bool,
}

impl Stream {
    /// Begins a stream with a configuration section and footers.
    #[must_use]
    pub fn new(machine: &str) -> Self {
        let mut s = Self { bytes: b"QEVM\x00\x00\x00\x03\x07".to_vec(), footers: true };
        s.be32(machine.len() as u32).raw(machine.as_bytes());
        s
    }

    /// Begins a stream of a machine type before 2.4.
    #[must_use]
    pub fn old() -> Self {
        Self { bytes: b"QEVM\x00\x00\x00\x03".to_vec(), footers: false }
    }

    /// Appends bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends a big-endian 32-bit integer.
    pub fn be32(&mut self, v: u32) -> &mut Self {
        self.raw(&[(v >> 24) as u8, (v >> 16) as u8, (v >> 8) as u8, v as u8])
    }

    /// Appends a big-endian 64-bit integer.
    pub fn be64(&mut self, v: u64) -> &mut Self {
        self.be32((v >> 32) as u32).be32(v as u32)
    }

    /// Appends a length byte and a name.
    pub fn name(&mut self, name: &[u8]) -> &mut Self {
        self.raw(&[name.len() as u8]).raw(name)
    }

    fn footer(&mut self, id: u32) -> &mut Self {
        if self.footers { self.raw(b"\x7e").be32(id) } else { self }
    }

    /// Appends a START section: type 1, id, name, instance, version, payload.
    pub fn start(&mut self, id: u32, name: &str, version: u32, payload: &[u8]) -> &mut Self {
        self.raw(b"\x01").be32(id).name(name.as_bytes()).be32(0).be32(version).raw(payload).footer(id)
    }

    /// Appends a PART section.
    pub fn part(&mut self, id: u32, payload: &[u8]) -> &mut Self {
        self.raw(b"\x02").be32(id).raw(payload).footer(id)
    }

    /// Appends an END section.
    pub fn end(&mut self, id: u32, payload: &[u8]) -> &mut Self {
        self.raw(b"\x03").be32(id).raw(payload).footer(id)
    }

    /// Appends a FULL section.
    pub fn full(&mut self, id: u32, name: &str, instance: u32, payload: &[u8]) -> &mut Self {
        self.raw(b"\x04").be32(id).name(name.as_bytes()).be32(instance).be32(1).raw(payload).footer(id)
    }

    /// Appends a command.
    pub fn command(&mut self, number: u8, payload: &[u8]) -> &mut Self {
        self.raw(&[8, 0, number, (payload.len() >> 8) as u8, payload.len() as u8]).raw(payload)
    }

    /// Ends the records and appends a description.
    pub fn described(&mut self, json: &str) -> &mut Self {
        self.raw(b"\x00\x06").be32(json.len() as u32).raw(json.as_bytes())
    }

    /// Ends the records without a description.
    pub fn eof(&mut self) -> &mut Self {
        self.raw(b"\x00")
    }

    /// Appends a `ram` section with one block and its pages of 4096 bytes, as START, PART and END.
    pub fn ram(&mut self, id: u32, block: &str, pages: &[Vec<u8>]) -> &mut Self {
        let len = pages.len() as u64 * 4096;
        let mut list = Self::default();
        list.be64(len | 4).name(block.as_bytes()).be64(len).be64(0x10);
        let mut data = Self::default();
        for (i, p) in pages.iter().enumerate() {
            let mut page = p.clone();
            page.resize(4096, 0);
            data.be64((i as u64 * 4096) | 8).name(block.as_bytes()).raw(&page);
        }
        data.be64(0x10);
        self.start(id, "ram", 4, &list.bytes).part(id, &data.bytes).end(id, b"\x00\x00\x00\x00\x00\x00\x00\x10")
    }
}

/// Returns a description of devices, each its fields' JSON.
#[must_use]
pub fn description(devices: &[(&str, u32, &str)]) -> String {
    let list: Vec<String> = devices
        .iter()
        .map(|(name, instance, fields)| {
            format!(r#"{{"name": "{name}", "instance_id": {instance}, "vmsd_name": "{name}", "version": 1, "fields": [{fields}]}}"#)
        })
        .collect();
    format!(r#"{{"page_size": 4096, "devices": [{}]}}"#, list.join(", "))
}

/// Returns the JSON of a field.
#[must_use]
pub fn field(name: &str, ty: &str, size: u64, more: &str) -> String {
    format!(r#"{{"name": "{name}", "type": "{ty}", {more} "size": {size}}}"#)
}
