//! The reference: from the tree to a [`Schema`].

use savevm_analyze::limits::{MAX_DEPTH, MAX_DIAGNOSTICS};
use savevm_analyze::schema::{DeviceSchema, Field, Schema, Vmsd};
use savevm_analyze::text::Name;
use savevm_analyze::value::FieldType;

use super::tree::Json;

const MAX_FIELDS: usize = 8 << 20;

/// Compiles a description; `None` when it has no list of devices.
pub fn compile(json: &Json) -> Option<Schema> {
    let devices = json.key("devices").and_then(Json::items)?;
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
        let Some(name) = d.key("name").and_then(Json::text).map(Name::from) else {
            if schema.remarks.len() < MAX_DIAGNOSTICS {
                schema.remarks.push(format!("device {i} of the description has no name"));
            }
            continue;
        };
        let mut remarks = Remarks { list: Vec::new(), fields_left };
        match vmsd(d, 0, &mut remarks) {
            Some(vmsd) => schema.devices.push(DeviceSchema { idstr: name.clone(), instance_id: instance(d), vmsd }),
            None => remarks.push("cannot be understood".to_owned()),
        }
        fields_left = remarks.fields_left;
        let room = MAX_DIAGNOSTICS.saturating_sub(schema.remarks.len());
        schema.remarks.extend(remarks.list.into_iter().take(room).map(|r| format!("description of {name}: {r}")));
    }
    Some(schema)
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

/// Reads the vmsds whose keys are in one object: one for a structure, one per element for a list.
fn vmsds(pairs: &[(String, Json)], depth: usize, remarks: &mut Remarks) -> Vec<Vmsd> {
    let mut out: Vec<Vmsd> = Vec::new();
    if depth >= MAX_DEPTH {
        remarks.push(format!("structures nested deeper than {MAX_DEPTH} levels are ignored"));
        return out;
    }
    // which of the repeating keys the vmsd that is being read has had already
    let mut had: Vec<&str> = Vec::new();
    for (key, value) in pairs {
        if !matches!(key.as_str(), "vmsd_name" | "version" | "fields" | "subsections") {
            continue;
        }
        if out.is_empty() || had.contains(&key.as_str()) {
            out.push(Vmsd::default());
            had.clear();
        }
        had.push(key);
        let Some(v) = out.last_mut() else { continue };
        match key.as_str() {
            "vmsd_name" => v.name = value.text().unwrap_or_default().into(),
            "version" => v.version = value.int().and_then(|n| u32::try_from(n.rem_euclid(1 << 32)).ok()),
            "fields" => {
                v.described = true;
                let items = value.items().unwrap_or_default();
                v.fields = items.iter().filter_map(|f| field(f, depth, remarks)).collect();
            }
            _ => {
                let items = value.items().unwrap_or_default();
                v.subsections = items.iter().filter_map(|s| vmsd(s, depth + 1, remarks)).collect();
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
    let name: Name = j.key("name").and_then(Json::text).unwrap_or("unnamed").into();
    let ty = FieldType::new(j.key("type").and_then(Json::text).unwrap_or("unknown"));
    let size = number(j, "size").unwrap_or_else(|| {
        remarks.push(format!("field {name} has no size"));
        0
    });
    let deeper = depth.saturating_add(1);
    let inner = match j.key("struct") {
        Some(s) => vmsd(s, deeper, remarks).into_iter().collect(),
        // `vstruct`, `tmp` and the lists describe what is inside in the field's own object
        None => vmsds(pairs, deeper, remarks).into(),
    };
    Some(Field { name, ty, array_len: number(j, "array_len"), size, inner })
}
