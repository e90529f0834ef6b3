//! From the text to a [`Schema`], in one pass.
//!
//! Keys may come in any order, and of a repeated key the last counts, but for those that the elements of a list
//! repeat: `vmsd_name`, `version` and `fields` occur once per element in the field's own object, and each repetition
//! begins the next element.

use super::names::Names;
use super::reader::{Fault, Kind, Read, Reader};
use super::salvage::{self, Piece};
use super::{DeviceSchema, Field, Schema, Vmsd};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_DEPTH, MAX_DIAGNOSTICS};
use crate::offset::Sure;
use crate::text::Name;
use crate::value::FieldType;

/// Compiles a description. A device that makes no sense costs a remark, not the others.
///
/// # Errors
/// `Corrupt` when it is not JSON, even after unescaped text was repaired, or has no list of devices.
pub fn read(text: &[u8]) -> Result<Schema> {
    let mut c = Compiler::new(text);
    let mut r = Reader::new(text, 0);
    if let Err(e) = c.description(&mut r).and_then(|()| r.finish()) {
        return Err(Error::new(ErrorKind::Corrupt, format!("description: not valid JSON: {}", e.shown(text))));
    }
    let mut schema = c.finish()?;
    schema.remarks.extend(repaired(text, r.repaired()));
    Ok(schema)
}

fn repaired(text: &[u8], first: Option<Fault>) -> Option<String> {
    first.map(|f| format!("the description is not valid JSON ({}); unescaped text was repaired", f.shown(text)))
}

/// Compiles the readable part of a truncated or damaged description: the devices that parse on their own, and the
/// keys before the list. `None` if there is no list of devices at all.
#[must_use]
pub fn read_damaged(text: &[u8]) -> Option<Schema> {
    let mut c = Compiler::new(text);
    c.devices = Some(Vec::new());
    let mut first = None;
    salvage::pieces(text, &mut |piece, r| {
        let result = match piece {
            Piece::PageSize => c.page_size(r),
            Piece::Configuration => c.configuration(r),
            Piece::Device => c.device(r),
        };
        first = first.or(r.repaired());
        result
    })?;
    let mut schema = c.finish().ok()?;
    schema
        .remarks
        .push(format!("the description is damaged; only {} of the devices could be read", schema.devices.len()));
    schema.remarks.extend(repaired(text, first));
    Some(schema)
}

/// A description that is being compiled.
struct Compiler {
    names: Names,
    /// What was odd in the device or configuration that is being read.
    remarks: Vec<String>,
    page_size: Option<u64>,
    configuration: (Option<Vmsd>, Vec<String>),
    devices: Option<Vec<DeviceSchema>>,
    device_remarks: Vec<String>,
    /// Devices that were read, those without a name included.
    count: usize,
}

/// The vmsds whose keys are in one object: one for a structure, one per element for a list.
#[derive(Default)]
struct Elements {
    list: Vec<Vmsd>,
    /// Which of the repeating keys the last of them has had already.
    had: u8,
}

impl Compiler {
    fn new(text: &[u8]) -> Self {
        Self {
            names: Names::new(text.len()),
            remarks: Vec::new(),
            page_size: None,
            configuration: (None, Vec::new()),
            devices: None,
            device_remarks: Vec::new(),
            count: 0,
        }
    }

    fn finish(self) -> Result<Schema> {
        let Some(devices) = self.devices else {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "description: expected an object with a list `devices`, found none",
            ));
        };
        let (configuration, mut remarks) = self.configuration;
        let room = MAX_DIAGNOSTICS.saturating_sub(remarks.len());
        remarks.extend(self.device_remarks.into_iter().take(room));
        if self.names.full {
            remarks
                .push("the description has more fields and names than fit in memory; the rest is ignored".to_owned());
        }
        Ok(Schema { page_size: self.page_size, configuration, devices, remarks })
    }

    /// Adds a remark; `at` is its position among the remarks.
    fn remark(&mut self, at: usize, what: impl FnOnce() -> String) {
        if at < MAX_DIAGNOSTICS {
            self.remarks.truncate(MAX_DIAGNOSTICS - 1);
            self.remarks.insert(at.min(self.remarks.len()), what());
        }
    }

    fn too_deep(&mut self) {
        let what = || format!("structures nested deeper than {MAX_DEPTH} levels are ignored");
        self.remark(self.remarks.len(), what);
    }

    fn description(&mut self, r: &mut Reader<'_>) -> Read<()> {
        if r.kind()? != Kind::Object {
            return r.skip();
        }
        r.object(|r, key| match key {
            b"page_size" => self.page_size(r),
            b"configuration" => self.configuration(r),
            b"devices" => {
                let list = r.kind()? == Kind::List;
                (self.count, self.device_remarks) = (0, Vec::new());
                self.devices = list.then(Vec::new);
                r.list(|r| self.device(r))?;
                self.devices.iter_mut().for_each(Vec::shrink_to_fit);
                Ok(())
            }
            _ => r.skip(),
        })
    }

    fn page_size(&mut self, r: &mut Reader<'_>) -> Read<()> {
        self.page_size = r.fitting()?;
        Ok(())
    }

    fn configuration(&mut self, r: &mut Reader<'_>) -> Read<()> {
        self.remarks.clear();
        let vmsd = self.vmsd(r, 0)?;
        self.configuration = (vmsd, std::mem::take(&mut self.remarks));
        Ok(())
    }

    fn device(&mut self, r: &mut Reader<'_>) -> Read<()> {
        self.remarks.clear();
        let (mut idstr, mut instance, mut vmsds) = (None, None, Elements::default());
        if r.kind()? == Kind::Object {
            r.object(|r, key| match key {
                b"name" => self.name(r).map(|n| idstr = n),
                b"instance_id" => r.int().map(|n| instance = n),
                _ => self.part(r, key, 0, &mut vmsds),
            })?;
        } else {
            r.skip()?;
        }
        let i = self.count;
        self.count = i.plus(1);
        let room = MAX_DIAGNOSTICS.saturating_sub(self.device_remarks.len());
        let Some(idstr) = idstr else {
            if room > 0 {
                self.device_remarks.push(format!("device {i} of the description has no name"));
            }
            return Ok(());
        };
        let name = short(&idstr);
        self.device_remarks.extend(self.remarks.drain(..).take(room).map(|r| format!("description of {name}: {r}")));
        if self.names.take::<DeviceSchema>(0)
            && let Some(devices) = &mut self.devices
        {
            let vmsd = vmsds.list.into_iter().next().unwrap_or_default();
            self.names.push(devices, DeviceSchema { idstr, instance_id: wrapped(instance.unwrap_or_default()), vmsd });
        }
        Ok(())
    }

    fn name(&mut self, r: &mut Reader<'_>) -> Read<Option<Name>> {
        Ok(r.text()?.map(|t| self.names.name(&t)))
    }

    /// Reads a structure; `None` if the value is not an object.
    fn vmsd(&mut self, r: &mut Reader<'_>, depth: usize) -> Read<Option<Vmsd>> {
        if r.kind()? != Kind::Object {
            return r.skip().map(|()| None);
        }
        if depth >= MAX_DEPTH {
            self.too_deep();
        }
        let mut vmsds = Elements::default();
        r.object(|r, key| self.part(r, key, depth, &mut vmsds))?;
        // an object without any of the keys is a structure all the same
        let vmsd = vmsds.list.into_iter().next();
        Ok(vmsd.or_else(|| self.names.take::<Vmsd>(2).then(Vmsd::default)))
    }

    /// Reads a value that belongs to a structure, or passes over one that does not.
    fn part(&mut self, r: &mut Reader<'_>, key: &[u8], depth: usize, into: &mut Elements) -> Read<()> {
        let bit = match key {
            b"vmsd_name" => 1,
            b"version" => 2,
            b"fields" => 4,
            b"subsections" => 8,
            _ => return r.skip(),
        };
        if depth >= MAX_DEPTH {
            return r.skip();
        }
        if into.list.is_empty() || into.had & bit != 0 {
            if !self.names.take::<Vmsd>(2) || !self.names.push(&mut into.list, Vmsd::default()) {
                return r.skip();
            }
            into.had = 0;
        }
        into.had |= bit;
        let Some(v) = into.list.last_mut() else { return r.skip() };
        match bit {
            1 => v.name = self.name(r)?.unwrap_or_default(),
            2 => v.version = r.int()?.map(wrapped),
            4 => {
                v.described = true;
                v.fields = self.all(r, |c, r| c.field(r, depth))?;
            }
            _ => v.subsections = self.all(r, |c, r| c.vmsd(r, depth.plus(1)))?,
        }
        Ok(())
    }

    /// Reads the items of a list.
    fn all<'r, T>(
        &mut self,
        r: &mut Reader<'r>,
        one: impl Fn(&mut Self, &mut Reader<'r>) -> Read<Option<T>>,
    ) -> Read<Box<[T]>> {
        let mut out = Vec::new();
        r.list(|r| {
            if let Some(item) = one(self, r)? {
                self.names.push(&mut out, item);
            }
            Ok(())
        })?;
        Ok(out.into_boxed_slice())
    }

    fn field(&mut self, r: &mut Reader<'_>, depth: usize) -> Read<Option<Field>> {
        if r.kind()? != Kind::Object || !self.names.take::<Field>(0) {
            return r.skip().map(|()| None);
        }
        let mark = self.remarks.len();
        let deeper = depth.plus(1);
        let (mut name, mut ty, mut size, mut array_len) = (None, None, None, None);
        // `vstruct`, `tmp` and the lists put the inner description in the field's own object, unless it has a
        // `struct`
        let (mut own, mut inside) = (Elements::default(), None);
        r.object(|r, key| {
            match key {
                b"name" => name = self.name(r)?,
                b"type" => ty = r.text()?.map(|t| self.names.ty(&t)),
                b"size" => size = r.fitting()?,
                b"array_len" => array_len = r.fitting()?,
                b"struct" => {
                    self.remarks.truncate(mark);
                    own = Elements::default();
                    inside = Some(self.vmsd(r, deeper)?);
                }
                _ if inside.is_some() => r.skip()?,
                _ => self.part(r, key, deeper, &mut own)?,
            }
            Ok(())
        })?;
        let inner: Box<[Vmsd]> = match inside {
            Some(v) => v.into_iter().collect(),
            None if deeper >= MAX_DEPTH => {
                self.too_deep();
                Box::default()
            }
            None => own.list.into_boxed_slice(),
        };
        let name = name.unwrap_or_else(|| self.names.name(b"unnamed"));
        let size = size.unwrap_or_else(|| {
            self.remark(mark, || format!("field {} has no size", short(&name)));
            0
        });
        let ty = ty.unwrap_or_else(|| FieldType::new("unknown"));
        Ok(Some(Field { name, ty, array_len, size, inner }))
    }
}

/// Old versions print ids as a C `int`, so they may be negative.
fn wrapped(n: i128) -> u32 {
    u32::try_from(n.rem_euclid(1 << 32)).unwrap_or_default()
}

/// Returns the beginning of a name, for a remark.
fn short(name: &Name) -> Name {
    const LONGEST: usize = 255;
    match name.exact().char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", name.exact().get(..end).unwrap_or_default()).into(),
        None => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Schema {
        read(text.as_bytes()).unwrap()
    }

    #[test]
    fn sizes_add_up_over_arrays_and_subsections() {
        let s = schema(
            r#"{"page_size":4096,"devices":[{"name":"cpu","instance_id":-1,"vmsd_name":"cpu","version":12,"fields":[
                {"name":"r","array_len":3,"type":"uint64","size":8},
                {"name":"s","type":"struct","struct":{"vmsd_name":"in","version":1,"fields":[{"name":"x","type":"uint8","size":1}]},"size":1}],
                "subsections":[{"vmsd_name":"cpu/a","version":1,"fields":[{"name":"y","type":"uint32","size":4}]}]}]}"#,
        );
        assert_eq!(s.page_size, Some(4096));
        let d = &s.devices[0];
        assert_eq!(d.instance_id, u32::MAX);
        assert_eq!(d.total(), 24 + 1 + (6 + 5 + 4));
        assert_eq!(d.vmsd.fields[1].inner[0].name, "in");
    }

    #[test]
    fn a_list_has_one_vmsd_per_element_in_the_field_itself() {
        let s = schema(
            r#"{"devices":[{"name":"d","instance_id":0,"vmsd_name":"d","version":1,"fields":[
                {"name":"q","type":"qtailq","vmsd_name":"e","version":1,"fields":[{"name":"a","type":"uint8","size":1}],
                 "vmsd_name":"e","version":1,"fields":[{"name":"b","type":"uint8","size":1}],"size":5}]}]}"#,
        );
        let inner = &s.devices[0].vmsd.fields[0].inner;
        assert_eq!(inner.len(), 2);
        assert_eq!(inner[1].fields[0].name, "b");
    }

    #[test]
    fn a_struct_without_fields_differs_from_one_with_an_empty_list() {
        let s = schema(
            r#"{"devices":[{"name":"d","instance_id":0,"vmsd_name":"d","version":1,"fields":[
                {"name":"css","array_len":256,"type":"struct","struct":{},"size":1},
                {"name":"e","type":"struct","struct":{"vmsd_name":"e","version":1,"fields":[]},"size":0}]}]}"#,
        );
        let f = &s.devices[0].vmsd.fields;
        assert!(!f[0].inner[0].described);
        assert!(f[1].inner[0].described);
    }

    #[test]
    fn nonsense_costs_a_remark() {
        let s = schema(r#"{"devices":[{"instance_id":0},7,{"name":"x","fields":[{"name":"a","type":"uint8"}]}]}"#);
        assert_eq!(s.devices.len(), 1);
        assert_eq!(s.remarks.len(), 3);
        assert!(read(b"null").is_err());
    }
}
