//! BTF made by hand, for tests; it shares no code with the reader.

/// BTF that grows type by type. Each method returns the number of the new type.
pub struct Made {
    names: Vec<u8>,
    types: Vec<u8>,
    count: u32,
    big: bool,
}

/// A member: name, type, first bit, and width of a bit-field or 0.
pub type Member<'a> = (&'a str, u32, u32, u32);

#[allow(dead_code, reason = "no test needs all kinds of types")]
impl Made {
    pub fn new(big: bool) -> Self {
        Self { names: vec![0], types: Vec::new(), count: 0, big }
    }

    /// Returns the number of types so far.
    pub fn len(&self) -> u32 {
        self.count
    }

    fn word(&mut self, v: u32) {
        self.types.extend(if self.big { v.to_be_bytes() } else { v.to_le_bytes() });
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.names.len() as u32;
        self.names.extend(name.as_bytes());
        self.names.push(0);
        at
    }

    /// Adds a type of any kind: name, kind, count, flag, size or type, and the words after them.
    pub fn any(&mut self, name: &str, (kind, count, flag): (u32, usize, bool), last: u32, words: &[u32]) -> u32 {
        let name = self.name(name);
        self.word(name);
        self.word((u32::from(flag) << 31) | (kind << 24) | count as u32);
        self.word(last);
        words.iter().for_each(|w| self.word(*w));
        self.count += 1;
        self.count
    }

    pub fn int(&mut self, name: &str, bytes: u32, signed: bool) -> u32 {
        self.any(name, (1, 0, false), bytes, &[(u32::from(signed) << 24) | (bytes * 8)])
    }

    pub fn boolean(&mut self) -> u32 {
        self.any("_Bool", (1, 0, false), 1, &[(4 << 24) | 8])
    }

    pub fn pointer(&mut self, to: u32) -> u32 {
        self.any("", (2, 0, false), to, &[])
    }

    pub fn array(&mut self, of: u32, index: u32, count: u32) -> u32 {
        self.any("", (3, 0, false), 0, &[of, index, count])
    }

    fn composite(&mut self, kind: u32, name: &str, bytes: u32, members: &[Member<'_>]) -> u32 {
        let flag = members.iter().any(|m| m.3 > 0);
        let words: Vec<u32> =
            members.iter().flat_map(|(n, t, bit, width)| [self.name(n), *t, (width << 24) | bit]).collect();
        self.any(name, (kind, members.len(), flag), bytes, &words)
    }

    pub fn structure(&mut self, name: &str, bytes: u32, members: &[Member<'_>]) -> u32 {
        self.composite(4, name, bytes, members)
    }

    pub fn union(&mut self, name: &str, bytes: u32, members: &[Member<'_>]) -> u32 {
        self.composite(5, name, bytes, members)
    }

    pub fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, i32)]) -> u32 {
        let words: Vec<u32> = values.iter().flat_map(|(n, v)| [self.name(n), v.cast_unsigned()]).collect();
        self.any(name, (6, values.len(), signed), 4, &words)
    }

    pub fn forward(&mut self, name: &str, is_union: bool) -> u32 {
        self.any(name, (7, 0, is_union), 0, &[])
    }

    pub fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.any(name, (8, 0, false), of, &[])
    }

    pub fn volatile(&mut self, of: u32) -> u32 {
        self.any("", (9, 0, false), of, &[])
    }

    pub fn constant(&mut self, of: u32) -> u32 {
        self.any("", (10, 0, false), of, &[])
    }

    pub fn prototype(&mut self, result: u32, parameters: &[(&str, u32)]) -> u32 {
        let words: Vec<u32> = parameters.iter().flat_map(|(n, t)| [self.name(n), *t]).collect();
        self.any("", (13, parameters.len(), false), result, &words)
    }

    pub fn function(&mut self, name: &str, prototype: u32) -> u32 {
        self.any(name, (12, 0, false), prototype, &[])
    }

    pub fn variable(&mut self, name: &str, of: u32) -> u32 {
        self.any(name, (14, 0, false), of, &[1])
    }

    /// Returns the bytes with a long name that is used by no type.
    pub fn finish_with(mut self, filler: usize) -> Vec<u8> {
        self.name(&"x".repeat(filler));
        self.finish()
    }

    /// Returns the bytes: header, types, names.
    pub fn finish(mut self) -> Vec<u8> {
        let (types, names) = (std::mem::take(&mut self.types), std::mem::take(&mut self.names));
        let (types_len, names_len) = (types.len() as u32, names.len() as u32);
        let mut out = if self.big { vec![0xeb, 0x9f, 1, 0] } else { vec![0x9f, 0xeb, 1, 0] };
        for v in [24, 0, types_len, types_len, names_len] {
            self.word(v);
        }
        out.append(&mut self.types);
        out.extend(types);
        out.extend(names);
        out
    }
}
