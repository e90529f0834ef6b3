//! From the JSON to a [`Schema`].

use super::json::Json;
use super::{DeviceSchema, Field, Schema, Vmsd};
use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_DEPTH, MAX_DIAGNOSTICS, MAX_FIELDS};
use crate::text::Name;
use crate::value::FieldType;

/// Compiles a description. A device that makes no sense costs a remark, not the others.
///
/// # Errors
/// `Corrupt` when the JSON has no list of devices.
pub fn compile(json: &Json) -> Result<Schema> {
    let devices = json.key("devices").and_then(Json::items).ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "description: expected an object with a list `devices`, found none")
    })?;
    let mut schema = Schema {
        page_size: json.key("page_size").and_then(Json::int).and_then(|n| u64::try_from(n).ok()),
        ..Schema::default()
    };
    let mut fields_left = MAX_FIELDS;
    if let Some(c) = json.key("configuration") {
        let mut remarks = Remarks { list: Vec::new(), fields_left };
        schema.configuration = vmsd(c, 0, &mut remarks);
        fields_left = remarks.fields_left;
        schema.remarks.extend(remarks.list);
    }
    for (i, d) in devices.iter().enumerate() {
        let Some(name) = d.key("name").and_then(Json::text) else {
            if schema.remarks.len() < MAX_DIAGNOSTICS {
                schema.remarks.push(format!("device {i} of the description has no name"));
            }
            continue;
        };
        let mut remarks = Remarks { list: Vec::new(), fields_left };
        match vmsd(d, 0, &mut remarks) {
            Some(vmsd) => schema.devices.push(DeviceSchema { idstr: name.into(), instance_id: instance(d), vmsd }),
            None => remarks.push("cannot be understood".to_owned()),
        }
        fields_left = remarks.fields_left;
        let room = MAX_DIAGNOSTICS.saturating_sub(schema.remarks.len());
        schema.remarks.extend(remarks.list.into_iter().take(room).map(|r| format!("description of {name}: {r}")));
    }
    Ok(schema)
}

/// What was odd, and how many fields may still come.
struct Remarks {
    list: Vec<String>,
    fields_left: usize,
}

impl Remarks {
    fn push(&mut self, what: String) {
        if self.list.len() < MAX_DIAGNOSTICS {
            self.list.push(what);
        }
    }
}

/// Old versions print the id as a C `int`, so that it may be negative.
fn instance(d: &Json) -> u32 {
    let n = d.key("instance_id").and_then(Json::int).unwrap_or_default();
    u32::try_from(n.rem_euclid(1 << 32)).unwrap_or_default()
}

fn number<T: TryFrom<i128>>(j: &Json, key: &str) -> Option<T> {
    j.key(key).and_then(Json::int).and_then(|n| T::try_from(n).ok())
}

fn vmsd(j: &Json, depth: usize, remarks: &mut Remarks) -> Option<Vmsd> {
    vmsds(j.pairs()?, depth, remarks).into_iter().next().or_else(|| Some(Vmsd::default()))
}

/// Reads the vmsds whose keys stand in one object: one for a structure, one per element for a list.
fn vmsds(pairs: &[(Name, Json)], depth: usize, remarks: &mut Remarks) -> Vec<Vmsd> {
    let mut out: Vec<Vmsd> = Vec::new();
    if depth >= MAX_DEPTH {
        remarks.push(format!("structures nested deeper than {MAX_DEPTH} are not looked into"));
        return out;
    }
    // which of the repeating keys the vmsd that is being read has had already
    let mut had: Vec<&str> = Vec::new();
    for (key, value) in pairs {
        if !matches!(key.exact(), "vmsd_name" | "version" | "fields" | "subsections") {
            continue;
        }
        if out.is_empty() || had.contains(&key.exact()) {
            out.push(Vmsd::default());
            had.clear();
        }
        had.push(key.exact());
        let Some(v) = out.last_mut() else { continue };
        match key.exact() {
            "vmsd_name" => v.name = value.text().cloned().unwrap_or_default(),
            "version" => v.version = value.int().and_then(|n| u32::try_from(n.rem_euclid(1 << 32)).ok()),
            "fields" => {
                v.described = true;
                let items = value.items().unwrap_or_default();
                v.fields = items.iter().filter_map(|f| field(f, depth, remarks)).collect();
            }
            _ => {
                for s in value.items().unwrap_or_default() {
                    v.subsections.extend(self::vmsd(s, depth.saturating_add(1), remarks));
                }
            }
        }
    }
    out
}

fn field(j: &Json, depth: usize, remarks: &mut Remarks) -> Option<Field> {
    let pairs = j.pairs()?;
    let Some(left) = remarks.fields_left.checked_sub(1) else {
        remarks.push(format!("the description has more than {MAX_FIELDS} fields"));
        return None;
    };
    remarks.fields_left = left;
    let name = j.key("name").and_then(Json::text).cloned().unwrap_or_else(|| "unnamed".into());
    let ty = FieldType::new(j.key("type").and_then(Json::text).map_or("unknown", Name::exact));
    let size = number(j, "size").unwrap_or_else(|| {
        remarks.push(format!("field {name} has no size"));
        0
    });
    let deeper = depth.saturating_add(1);
    let inner = match j.key("struct") {
        Some(s) => vmsd(s, deeper, remarks).into_iter().collect(),
        // `vstruct`, `tmp` and the lists describe what is inside in the field's own object
        None => vmsds(pairs, deeper, remarks),
    };
    Some(Field { name, ty, array_len: number(j, "array_len"), index: number(j, "index"), size, inner })
}

#[cfg(test)]
mod tests {
    use super::super::parse_json;
    use super::*;

    fn schema(text: &str) -> Schema {
        compile(&parse_json(text.as_bytes()).unwrap().0).unwrap()
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
    fn a_struct_without_fields_is_told_from_one_with_none() {
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
        assert!(compile(&Json::Null).is_err());
    }
}
