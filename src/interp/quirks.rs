//! Descriptions that QEMU itself gets wrong, and what the bytes contain instead.
//!
//! The only mistakes known are in arrays of pointers (`vmstate_save_state_v` in `migration/vmstate.c`), where a NULL is one
//! byte 0x30 on the wire whatever the elements are:
//!
//! * up to 9.x a NULL is described with the element's own type; where element 0 is NULL the entry says
//!   `"struct": {}, "size": 1` for the whole array, and the elements that are there are not described at all
//!   (`s390_css.css`); where it is not, the entry says the element's size for all;
//! * 10.0 and 11.x describe runs of NULLs apart, but give a first run of elements the length of the whole array, and give
//!   the NULLs of an array whose elements are described one by one the count of all that is left.
//!
//! In each case the run of entries of one name is read again, element by element: 0x30 is a NULL, anything else an
//! element. The result is accepted only if it ends exactly where the fields after the run begin.

use std::ops::Range;

use crate::names::NULL_POINTER;
use crate::offset::{Sure, total as sum};
use crate::schema::{Field, Vmsd};
use crate::text::Name;
use crate::value::{FieldType, Layout};

/// Returns the vmsd that fits the payload, and the name of the mistake, when the sizes of the given one do not add up or
/// are not known, and reading its arrays of pointers anew makes them fit.
pub(super) fn repair(vmsd: &Vmsd, payload: &[u8]) -> Option<(Vmsd, &'static str)> {
    let len = payload.len() as u64;
    let suspicious = vmsd.fields.iter().any(is_undescribed);
    if vmsd.total() == len && !suspicious {
        return None;
    }
    let mut work = MAX_REREAD;
    let total = vmsd.total();
    let (mut start, mut before) = (0, 0_u64);
    while let Some(first) = vmsd.fields.get(start) {
        let run = vmsd.fields.get(start..)?.iter().take_while(|f| f.name == first.name).count();
        let end = start.plus(run);
        let here = sum(vmsd.fields.get(start..end)?.iter().map(Field::total));
        let after = total.checked_sub(before)?.checked_sub(here)?;
        if let Some(stop) = len.checked_sub(after)
            && let Some(fields) = reread(vmsd, start..end, before..stop, payload, &mut work)
        {
            let mut all = vmsd.fields.get(..start)?.to_vec();
            all.extend(fields);
            all.extend_from_slice(vmsd.fields.get(end..)?);
            let repaired = Vmsd { fields: all.into(), ..vmsd.clone() };
            if repaired.total() == len {
                return Some((repaired, "null-pointers"));
            }
        }
        before = before.plus(here);
        start = end;
    }
    None
}

fn is_undescribed(f: &Field) -> bool {
    f.ty.exact() == "struct" && f.size > 0 && f.inner.first().is_none_or(|v| !v.described)
}

fn is_marker(f: &Field) -> bool {
    f.ty.layout() == Some(Layout::PointerMarker)
}

/// Limit on the elements, and copies of their descriptions field by field, made when entries of one device are read
/// again.
const MAX_REREAD: usize = 1 << 20;

/// Describes the fields of a run, all of one name, by the bytes; `work` is what it may cost.
fn reread(
    vmsd: &Vmsd,
    fields: Range<usize>,
    bytes: Range<u64>,
    payload: &[u8],
    work: &mut usize,
) -> Option<Vec<Field>> {
    let run = vmsd.fields.get(fields)?;
    let first = run.first()?;
    if run.len() < 2 && first.array_len.is_none() {
        return None;
    }
    let (element, size) = match run.iter().find(|f| f.ty.exact() == "struct" && !is_undescribed(f)) {
        Some(f) => (f.inner.first()?.clone(), f.size),
        None => {
            let v = element_of(vmsd.name.exact(), first.name.exact())?;
            let size = v.total();
            (v, size)
        }
    };
    let weight = element.size();
    let stop = bytes.end;
    let mut at = bytes.start;
    let mut out: Vec<Field> = Vec::new();
    while at < stop {
        let null = *payload.get(usize::try_from(at).ok()?)? == NULL_POINTER;
        let step = if null { 1 } else { size };
        if step == 0 {
            return None;
        }
        let copies = out.last().is_none_or(|f| is_marker(f) != null) && !null;
        *work = work.checked_sub(if copies { weight.plus(1) } else { 1 })?;
        match out.last_mut().filter(|f| is_marker(f) == null) {
            Some(f) => f.array_len = Some(f.array_len.unwrap_or(1).saturating_add(1)),
            None => out.push(Field {
                name: first.name.clone(),
                ty: FieldType::new(if null { "nullptr" } else { "struct" }),
                array_len: None,
                size: step,
                inner: if null { Box::default() } else { Box::new([element.clone()]) },
            }),
        }
        at = at.plus(step);
    }
    // each of these mistakes involves a NULL; without one it is a different mistake, and no array fits by chance
    (at == stop && out.iter().any(is_marker)).then_some(out)
}

/// The elements that QEMU up to 9.x does not describe. `s390_css.css` points to images of 256 channel paths of three
/// bytes each: in use, type, is virtual (`hw/s390x/css.c`, `vmstate_css_img` and `vmstate_chp_info`).
fn element_of(vmsd: &str, field: &str) -> Option<Vmsd> {
    if (vmsd, field) != ("s390_css", "css") {
        return None;
    }
    let byte = |name: &str| Field {
        name: name.into(),
        ty: FieldType::new("uint8"),
        array_len: None,
        size: 1,
        inner: Box::default(),
    };
    let path = Vmsd {
        name: "s390_chp_info".into(),
        version: Some(1),
        fields: Box::new([byte("in_use"), byte("type"), byte("is_virtual")]),
        subsections: Box::default(),
        described: true,
    };
    let paths = Field {
        name: "chpids".into(),
        ty: FieldType::new("struct"),
        array_len: Some(256),
        size: 3,
        inner: Box::new([path]),
    };
    let name: Name = "s390_css_img".into();
    Some(Vmsd { name, version: Some(1), fields: Box::new([paths]), subsections: Box::default(), described: true })
}
