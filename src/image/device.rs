//! Device sections, decoded.

use super::{SaveImage, with_file_offset};
use crate::budget::Charge;
use crate::error::{Error, ErrorKind, Result};
use crate::interp::{self, Decoded};
use crate::limits::MAX_SECTION_BYTES;
use crate::offset::{StreamOffset, StreamRange};
use crate::stream::Section;
use crate::text::{Name, list, quoted};
use crate::value::{Blob, FieldPath, FieldType, Node, Value};
use crate::wire::Cursor;

/// A device section and what it says.
pub struct Device<'a> {
    /// The section.
    pub section: &'a Section,
    /// Its bytes.
    pub payload: Blob,
    /// Its tree, with errors and quirk; without a description one opaque node.
    pub decoded: Decoded,
    _charge: Charge,
}

impl SaveImage {
    /// Decodes every device section, in stream order.
    pub fn devices(&self) -> impl Iterator<Item = Result<Device<'_>>> {
        self.device_sections().map(|s| self.decode(s))
    }

    /// Decodes one device: by the name of its section (`0000:00:02.0/virtio-net`), by the end of that name after a slash
    /// (`virtio-net`), or by the name of its vmsd (`cpu`).
    ///
    /// # Errors
    /// `Missing` when no device, or more than one, has this name and instance id; `Io`.
    pub fn device(&self, name: &str, instance: u32) -> Result<Device<'_>> {
        let vmsd = |s: &Section| self.device_schema(s).is_some_and(|d| d.vmsd.name == *name);
        let short = |s: &Section| s.header.idstr.exact().rsplit('/').next() == Some(name);
        let ways: [&dyn Fn(&Section) -> bool; 3] = [&|s| s.header.idstr == *name, &short, &vmsd];
        for way in ways {
            let mut found = self.device_sections().filter(|s| s.header.instance_id == instance && way(s));
            match (found.next(), found.next()) {
                (Some(one), None) => return self.decode(one),
                (None, _) => {}
                (Some(a), Some(b)) => {
                    let names = list([a, b].map(|s| &s.header.idstr));
                    let what = format!("more than one device is called {}: {names}", quoted(name));
                    return Err(Error::new(ErrorKind::Missing, what));
                }
            }
        }
        let names = list(self.device_sections().map(|s| &s.header.idstr));
        let what = format!("the stream has no device {} with instance id {instance}", quoted(name));
        Err(Error::new(ErrorKind::Missing, what).hint(format!("its devices are: {names}")))
    }

    /// Reads and decodes a device section.
    ///
    /// # Errors
    /// `Io`. A section that cannot be decoded, or is too long to be held in memory, is no error: its tree says so.
    pub fn decode<'a>(&'a self, section: &'a Section) -> Result<Device<'a>> {
        self.decode_beside(section, None)
    }

    /// Same as [`SaveImage::decode`], next to the bytes of a section of another state: if it holds the same, they are in memory
    /// once.
    ///
    /// # Errors
    /// Same as [`SaveImage::decode`].
    pub fn decode_beside<'a>(&'a self, section: &'a Section, other: Option<&Blob>) -> Result<Device<'a>> {
        let mut charge = self.container.budget.charge("device sections");
        let payload = match (&section.kept, other) {
            (Some(kept), _) => Ok(kept.clone()),
            (None, Some(o)) if self.holds(section.payload, o) => Ok(o.clone()),
            (None, _) => charge.set(section.payload.len()).and_then(|()| self.payload(section.payload)),
        };
        let payload = match payload {
            Err(e) if e.kind() == ErrorKind::Io && !self.container.source.is_transient() => return Err(e),
            Err(e) => return Ok(unread(section, with_file_offset(e, &self.container), charge)),
            Ok(bytes) => bytes,
        };
        let idstr = &section.header.idstr;
        let base = section.payload.start;
        let decoded = match self.device_schema(section) {
            Some(d) => {
                let room = usize::try_from(self.container.budget.room()).unwrap_or(usize::MAX);
                interp::decode_device_within(d, &payload, base, room)
            }
            None => {
                let why = if self.schema().is_none() {
                    "the stream has no description"
                } else {
                    "the description does not mention this section"
                };
                Decoded {
                    root: interp::undescribed(idstr.exact(), &payload, base, why),
                    errors: Vec::new(),
                    quirk: None,
                }
            }
        };
        let errors = decoded.errors.into_iter().map(|e| with_file_offset(e, &self.container)).collect();
        Ok(Device { section, payload, decoded: Decoded { errors, ..decoded }, _charge: charge })
    }

    /// Returns whether these bytes are in the stream at this place; what cannot be read is not.
    fn holds(&self, range: StreamRange, bytes: &Blob) -> bool {
        let mut c = Cursor::new(self.container.source.as_ref(), range.start);
        range.len() == bytes.len() as u64
            && bytes.as_slice().chunks(64 << 10).all(|piece| c.take(piece.len()).is_ok_and(|found| found == piece))
    }

    fn payload(&self, range: StreamRange) -> Result<Blob> {
        let mut c = Cursor::new(self.container.source.as_ref(), range.start);
        Ok(Blob::new(c.take_vec(range.len(), MAX_SECTION_BYTES, "section")?))
    }
}

impl Device<'_> {
    /// Returns the root of the tree.
    #[must_use]
    pub fn root(&self) -> &Node {
        &self.decoded.root
    }

    /// Returns the raw bytes of a node of this device.
    #[must_use]
    pub fn bytes_of(&self, node: &Node) -> &[u8] {
        let within = |at: StreamOffset| usize::try_from(at.checked_since(self.section.payload.start)?).ok();
        let range = within(node.range.start).zip(within(node.range.end));
        range.and_then(|(start, end)| self.payload.as_slice().get(start..end)).unwrap_or_default()
    }

    /// Returns the name of the section, such as `0000:00:02.0/virtio-net`.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.section.header.idstr
    }

    /// Returns the instance id.
    #[must_use]
    pub fn instance_id(&self) -> u32 {
        self.section.header.instance_id
    }

    /// Returns a field by its path, such as `env.eip` or `env.regs[3]`; `*` and `?` are wildcards.
    ///
    /// # Errors
    /// `Missing` when no field, or more than one, has this path.
    pub fn field(&self, path: &str) -> Result<Node> {
        let field = FieldPath::new(path);
        match field.select(self.root()).as_slice() {
            [(_, node)] => Ok(node.clone()),
            [] => {
                let names = match &self.root().value {
                    Value::Struct(r) => list(r.children().map(|n| &n.name)),
                    _ => String::new(),
                };
                let what = format!("{} has no field {}", self.section.header.label(), quoted(path));
                Err(Error::new(ErrorKind::Missing, what).hint(format!("its fields are: {names}")))
            }
            many => {
                let what =
                    format!("{} has {} fields that match {}", self.section.header.label(), many.len(), quoted(path));
                Err(Error::new(ErrorKind::Missing, what))
            }
        }
    }
}

/// Creates the tree of a section whose bytes are not at hand.
fn unread(section: &Section, e: Error, charge: Charge) -> Device<'_> {
    let record = Node::new(
        section.header.idstr.clone(),
        FieldType::new("struct"),
        section.payload,
        Value::Opaque(Blob::new(Vec::new())),
    );
    let root = record.with_problem(e.message());
    let errors = vec![e.at(section.payload.start).within(section.header.label())];
    Device { section, payload: Blob::new(Vec::new()), decoded: Decoded { root, errors, quirk: None }, _charge: charge }
}
