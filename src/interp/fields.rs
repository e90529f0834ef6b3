//! The described part: fields, arrays, structures, lists, subsections.

use super::builder::Builder;
use super::custom::{self, FieldContext};
use crate::error::{Error, ErrorKind, Result};
use crate::names::{NULL_POINTER, VALID_POINTER};
use crate::offset::Sure;
use crate::schema::{Field, Vmsd};
use crate::text::Name;
use crate::value::{FieldType, Layout, Node, Record, Value, int, timer, uint};

/// Reads the fields and subsections of a vmsd. Never fails: what does not fit is noted and left as opaque bytes.
pub(super) fn record(b: &mut Builder<'_>, vmsd: &Vmsd) {
    for f in &vmsd.fields {
        if let Err(e) = field(b, f) {
            let why: Box<str> = e.message().into();
            b.note(e.within(f.name.to_string()));
            b.opaque_rest("undecoded", &why);
            break;
        }
    }
    let fields = b.take_fields();
    let fields = merge_runs(b, fields);
    b.set_fields(fields);
    for s in &vmsd.subsections {
        if let Err(e) = subsection(b, s) {
            b.note(e.within(s.name.to_string()));
            break;
        }
    }
}

fn subsection(b: &mut Builder<'_>, s: &Vmsd) -> Result<()> {
    let at = b.offset();
    let (name, version) = match b.peek_subsection() {
        Some((name, version)) if s.name == name => (name, version),
        other => {
            let found = other.map_or_else(|| "other bytes".to_owned(), |(n, _)| format!("subsection {n}"));
            return Err(Error::new(
                ErrorKind::SchemaMismatch,
                format!("expected subsection {}, found {found}", s.name),
            )
            .at(at));
        }
    };
    if s.version.is_some_and(|v| v != version) {
        b.note(
            Error::new(
                ErrorKind::SchemaMismatch,
                format!("subsection version: expected {:?} as described, found {version}", s.version),
            )
            .at(at)
            .within(name.clone()),
        );
    }
    let len = usize::try_from(s.framed_total()).unwrap_or(usize::MAX);
    if len > b.remaining() {
        return Err(Error::truncated(
            at,
            format!("subsection {name}: expected {len} bytes, found {} before the end", b.remaining()),
        ));
    }
    let header = name.len().plus(6);
    let (mut fields, subsections, problem) = b.within(&name, len, |b| {
        b.skip_header(header)?;
        record(b, s);
        Ok(())
    })?;
    fields.shrink_to_fit();
    let range = crate::offset::StreamRange::with_len(at.0, len as u64);
    let r = Record { vmsd: s.name.clone(), version: Some(version), header_bytes: header as u64, fields, subsections };
    let mut node = Node::new(s.name.clone(), FieldType::new("struct"), range, Value::Struct(Box::new(r)));
    node.problem = problem;
    b.push_subsection(node);
    Ok(())
}

/// Reads one entry of a description: a value, or the elements of an array.
fn field(b: &mut Builder<'_>, f: &Field) -> Result<()> {
    let Some(n) = f.array_len else { return element(b, f) };
    let size = f.size;
    let varies = f.ty.layout() == Some(Layout::CountedText);
    let mut count = usize::try_from(n).unwrap_or(usize::MAX);
    if !varies && f.total() > b.remaining() as u64 && size > 0 {
        // as many as there are; the first that fails reports the error
        let whole = (b.remaining() as u64).checked_div(size).unwrap_or_default();
        count = usize::try_from(whole.plus(1)).unwrap_or(usize::MAX);
    }
    b.array_of(f.name.exact(), &f.ty, count, |b| element(b, f))
}

fn element(b: &mut Builder<'_>, f: &Field) -> Result<()> {
    let n = usize::try_from(f.size).unwrap_or(usize::MAX);
    match f.ty.layout() {
        Some(Layout::Bool) if n == 1 => {
            b.typed(&f.name, &f.ty, n, |s, _| (Value::Bool(s.first().is_some_and(|v| *v != 0)), None))
        }
        Some(Layout::Signed) if (1..=8).contains(&n) => b.typed(&f.name, &f.ty, n, |s, _| (Value::Int(int(s)), None)),
        Some(Layout::Unsigned) if (1..=8).contains(&n) => {
            b.typed(&f.name, &f.ty, n, |s, _| (Value::Uint(uint(s)), None))
        }
        Some(Layout::Timer) if n == 8 => b.typed(&f.name, &f.ty, n, |s, _| (Value::Timer(timer(s)), None)),
        Some(Layout::PointerMarker) if n == 1 => b.typed(&f.name, &f.ty, n, |s, blob| match s.first() {
            Some(&NULL_POINTER) => (Value::Null, None),
            Some(&VALID_POINTER) => (Value::Present, None),
            other => {
                let found = other.copied().unwrap_or_default();
                (Value::Opaque(blob), Some(format!("pointer mark: expected 0x30 or 0x31, found {found:#04x}").into()))
            }
        }),
        Some(Layout::CountedText) => {
            let len = usize::from(b.peek(1)?.first().copied().unwrap_or_default());
            b.typed(&f.name, &f.ty, len.plus(1), |s, _| {
                let text = String::from_utf8_lossy(s.get(1..).unwrap_or_default());
                (Value::Text(Name::from(&*text)), None)
            })
        }
        Some(Layout::Struct) => structure(b, f, n),
        Some(Layout::List | Layout::Tree) => list(b, f, n),
        Some(Layout::Custom) => custom_field(b, f, n),
        _ => b.typed(&f.name, &f.ty, n, |_, blob| (Value::Bytes(blob), None)),
    }
}

fn structure(b: &mut Builder<'_>, f: &Field, n: usize) -> Result<()> {
    let Some(vmsd) = f.inner.first().filter(|v| v.described) else {
        if n == 0 {
            return b.typed(&f.name, &f.ty, 0, |_, blob| (Value::Bytes(blob), None));
        }
        let why = "the description does not give this structure's fields";
        let e = Error::new(ErrorKind::SchemaMismatch, why).at(b.offset()).within(f.name.to_string());
        b.note(e);
        return b.typed(&f.name, &f.ty, n, |_, blob| (Value::Opaque(blob), Some(why.into())));
    };
    let at = b.offset();
    let (fields, subsections, problem) = b.within(f.name.exact(), n, |b| {
        record(b, vmsd);
        Ok(())
    })?;
    let range = crate::offset::StreamRange::with_len(at.0, n as u64);
    let r = Record { vmsd: vmsd.name.clone(), version: vmsd.version, header_bytes: 0, fields, subsections };
    let value = Value::Struct(Box::new(r));
    b.push(Node { name: f.name.clone(), ty: f.ty.clone(), range, value, problem })
}

/// Reads a list: `{1, element}* 0`, or a tree: a 32-bit count, `{1, key, value}* 0` (`put_qtailq`, `put_qlist`,
/// `put_gtree` in `migration/vmstate-types.c`). Marks and count are framing; the elements become an array.
fn list(b: &mut Builder<'_>, f: &Field, n: usize) -> Result<()> {
    if n == 0 {
        return b.typed(&f.name, &f.ty, 0, |_, blob| (Value::Bytes(blob), None));
    }
    let tree = f.ty.layout() == Some(Layout::Tree);
    let at = b.offset();
    let (elements, rest, problem) = b.within(f.name.exact(), n, |b| {
        let count = if tree { Some(b.skip_be32()?) } else { None };
        let keyed = count.is_some_and(|c| u64::from(c).times(2) <= f.inner.len() as u64 && c > 0);
        let mut inner = f.inner.iter();
        loop {
            match b.peek(1)?.first() {
                Some(0) => return b.skip_header(1),
                Some(1) => {}
                other => {
                    let found = other.copied().unwrap_or_default();
                    return Err(Error::corrupt(b.offset(), format!("list mark: expected 0 or 1, found {found:#04x}")));
                }
            }
            let key = if keyed { inner.next() } else { None };
            let vmsd = inner.next().ok_or_else(|| {
                Error::new(
                    ErrorKind::SchemaMismatch,
                    format!("the list has more elements than the {} in the description", f.inner.len()),
                )
                .at(b.offset())
            })?;
            b.list_element(f.name.exact(), vmsd, |b| {
                if let Some(k) = key {
                    nested(b, "key", k)?;
                    nested(b, "value", vmsd)
                } else if tree {
                    b.be64("key")?;
                    nested(b, "value", vmsd)
                } else {
                    nested_in_place(b, vmsd)
                }
            })?;
        }
    })?;
    let range = crate::offset::StreamRange::with_len(at.0, n as u64);
    if problem.is_none() {
        return b.push(Node { name: f.name.clone(), ty: f.ty.clone(), range, value: Value::Array(elements), problem });
    }
    // what went wrong is shown as a structure: the decoded elements, then the bytes that were not
    drop((elements, rest));
    let why = problem.clone().unwrap_or_default();
    b.push_opaque(&f.name, &f.ty, range, &why)
}

fn nested(b: &mut Builder<'_>, name: &str, vmsd: &Vmsd) -> Result<()> {
    let n = usize::try_from(vmsd.total()).unwrap_or(usize::MAX);
    let at = b.offset();
    let (fields, subsections, problem) = b.within(name, n, |b| {
        record(b, vmsd);
        Ok(())
    })?;
    let range = crate::offset::StreamRange::with_len(at.0, n as u64);
    let r = Record { vmsd: vmsd.name.clone(), version: vmsd.version, header_bytes: 0, fields, subsections };
    let value = Value::Struct(Box::new(r));
    b.push(Node { name: name.into(), ty: FieldType::new("struct"), range, value, problem })
}

fn nested_in_place(b: &mut Builder<'_>, vmsd: &Vmsd) -> Result<()> {
    let n = usize::try_from(vmsd.total()).unwrap_or(usize::MAX);
    let (fields, subsections, _) = b.within("element", n, |b| {
        record(b, vmsd);
        Ok(())
    })?;
    b.set_fields(fields);
    subsections.into_iter().for_each(|s| b.push_subsection(s));
    Ok(())
}

fn custom_field(b: &mut Builder<'_>, f: &Field, n: usize) -> Result<()> {
    let Some(read) = custom::find(f.ty.exact()) else {
        return b.typed(&f.name, &f.ty, n, |_, blob| (Value::Bytes(blob), None));
    };
    let at = b.offset();
    let context = FieldContext { field: f, size: n };
    let (fields, subsections, problem) = b.within(f.name.exact(), n, |b| read(b, &context))?;
    let range = crate::offset::StreamRange::with_len(at.0, n as u64);
    let r = Record { vmsd: Name::default(), version: None, header_bytes: 0, fields, subsections };
    let value = Value::Struct(Box::new(r));
    b.push(Node { name: f.name.clone(), ty: f.ty.clone(), range, value, problem })
}

/// Joins neighbours of one name into an array: QEMU describes the elements of some arrays one by one, with an index on
/// each up to 9.x, on all but the last in 10.0, and on none in 11.x.
fn merge_runs(b: &Builder<'_>, fields: Vec<Node>) -> Vec<Node> {
    let mut out: Vec<Node> = Vec::with_capacity(fields.len());
    for node in fields {
        let same_name = |l: &&mut Node| l.name == node.name && is_mergeable(l) && is_mergeable(&node);
        let left = match out.last_mut().filter(same_name) {
            Some(last) => append(b, last, node),
            None => Some(node),
        };
        out.extend(left);
    }
    out
}

/// Appends the elements of a node to those of the one before it; returns the node where it cannot be done.
fn append(b: &Builder<'_>, last: &mut Node, node: Node) -> Option<Node> {
    let range = crate::offset::StreamRange::new(last.range.start.0, node.range.end.0);
    if let (Value::Packed(p), Value::Packed(q)) = (&mut last.value, &node.value)
        && p.join(q)
    {
        last.range = range;
        return None;
    }
    // elements of several layouts, or with other bytes between them, are nodes
    if !b.unpack_one(last) {
        return Some(node);
    }
    let mut node = node;
    if !b.unpack_one(&mut node) {
        return Some(node);
    }
    let more = match node.value {
        Value::Array(a) if node.ty.layout() != Some(Layout::List) => a,
        value => vec![Node { value, ..node }],
    };
    if let Value::Array(a) = &mut last.value
        && !matches!(last.ty.layout(), Some(Layout::List | Layout::Tree))
    {
        a.extend(more);
    } else {
        let first = Node {
            name: last.name.clone(),
            ty: last.ty.clone(),
            range: last.range,
            value: std::mem::replace(&mut last.value, Value::Null),
            problem: last.problem.take(),
        };
        let mut a = vec![first];
        a.extend(more);
        // an array of lists must not look like a list itself
        last.ty = if matches!(last.ty.layout(), Some(Layout::List | Layout::Tree)) {
            FieldType::new("struct")
        } else {
            last.ty.clone()
        };
        last.value = Value::Array(a);
    }
    last.range = range;
    None
}

fn is_mergeable(n: &Node) -> bool {
    n.name != "undecoded"
}
