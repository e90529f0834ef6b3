//! Sections: matched by name and instance, compared tree by tree.

use std::collections::{HashMap, VecDeque};

use super::found::{Found, Raw, Side};
use super::meaning::Meaning;
use super::stream::{differs, too_many};
use super::tree::Comparer;
use super::{Input, Options, array, rules};
use crate::error::Result;
use crate::findings::sequence::increasing;
use crate::findings::{Aspect, Difference, Report, Subject};
use crate::image::{Device, SaveImage};
use crate::limits::{MAX_DIAGNOSTICS, MAX_DIFFERENCES};
use crate::names::RecordType;
use crate::offset::{StreamRange, Sure};
use crate::stream::Section;
use crate::text::{Name, list};
use crate::value::{Blob, FieldType, Node, Value};

/// Sections of both, in the order of the first; a section that only the second has follows its neighbour there.
struct Pair<'a> {
    before: Option<&'a Section>,
    after: Option<&'a Section>,
    /// Whether only the name was the same.
    other_instance: bool,
    /// The nearest section before it on either side that has not moved, where this one has.
    moved: Option<(Option<&'a Section>, Option<&'a Section>)>,
}

/// Compares the sections of two states.
pub fn compare(a: Input<'_>, b: Input<'_>, options: &Options, report: &mut Report) -> Result<()> {
    // what a truncated state does not reach is not gone
    let is_cut = |i: Input<'_>| i.image.walk().eof.is_none();
    let cut = [is_cut(a), is_cut(b)];
    let mut unreached: [Vec<&Name>; 2] = Default::default();
    for pair in pairs(wanted(a.image, options), wanted(b.image, options)) {
        let Some(s) = pair.before.or(pair.after) else { continue };
        let missing = [pair.before.is_none(), pair.after.is_none()];
        if let Some(side) = (0..2).find(|i| missing.get(*i) == Some(&true) && cut.get(*i) == Some(&true)) {
            if let Some(names) = unreached.get_mut(side) {
                names.push(&s.header.idstr);
            }
            continue;
        }
        // its blocks and pages are compared as `ram`
        if s.header.idstr != "ram" {
            report.compared.push(s.header.label());
        }
        let subject = Subject::section(s.header.idstr.clone(), s.header.instance_id);
        let mut found = frame(&pair, &subject);
        if let (Some(x), Some(y)) = (pair.before, pair.after)
            && x.header.kind == RecordType::FULL
            && y.header.kind == RecordType::FULL
        {
            found.extend(contents((a, x), (b, y), &subject, &mut report.faults)?);
        }
        report.differences.extend(found);
        if report.differences.len() > MAX_DIFFERENCES {
            report.differences.truncate(MAX_DIFFERENCES);
            report.differences.push(too_many());
            break;
        }
    }
    for (input, names) in [a, b].into_iter().zip(unreached).filter(|(_, n)| !n.is_empty()) {
        let n = names.len();
        let what = format!("{}: truncated before {n} sections, which are not compared: {}", input.name, list(names));
        report.faults.push(what);
    }
    Ok(())
}

fn wanted<'a>(image: &'a SaveImage, options: &Options) -> Vec<&'a Section> {
    let vmsd = |s: &Section| image.device_schema(s).map_or(Name::empty(), |d| &d.vmsd.name);
    image
        .walk()
        .sections
        .iter()
        .filter(|s| options.wants(s.header.idstr.exact(), vmsd(s).exact(), Some(s.header.instance_id)))
        .collect()
}

/// Matches sections by name and instance, and by occurrence where those repeat. Of what is left, sections of one name
/// are the same with another instance if both sides have as many of them.
fn pairs<'a>(a: Vec<&'a Section>, b: Vec<&'a Section>) -> Vec<Pair<'a>> {
    let mut of_b: HashMap<(&str, u32), VecDeque<usize>> = HashMap::new();
    for (j, s) in b.iter().enumerate() {
        of_b.entry((s.header.idstr.exact(), s.header.instance_id)).or_default().push_back(j);
    }
    let mut hits: Vec<Option<(usize, bool)>> = a
        .iter()
        .map(|s| of_b.get_mut(&(s.header.idstr.exact(), s.header.instance_id)).and_then(VecDeque::pop_front))
        .map(|j| j.map(|j| (j, false)))
        .collect();
    let mut left_b: HashMap<&str, VecDeque<usize>> = HashMap::new();
    let mut rest: Vec<usize> = of_b.into_values().flatten().collect();
    rest.sort_unstable();
    for j in rest {
        left_b.entry(b.get(j).map_or("", |s| s.header.idstr.exact())).or_default().push_back(j);
    }
    let mut left_a: HashMap<&str, usize> = HashMap::new();
    for (s, _) in a.iter().zip(&hits).filter(|(_, h)| h.is_none()) {
        let n = left_a.entry(s.header.idstr.exact()).or_default();
        n.tally(1);
    }
    left_b.retain(|name, places| left_a.get(name) == Some(&places.len()));
    for (s, hit) in a.iter().zip(&mut hits).filter(|(_, h)| h.is_none()) {
        *hit = left_b.get_mut(s.header.idstr.exact()).and_then(VecDeque::pop_front).map(|j| (j, true));
    }
    in_order(&a, &b, &hits)
}

fn in_order<'a>(a: &[&'a Section], b: &[&'a Section], hits: &[Option<(usize, bool)>]) -> Vec<Pair<'a>> {
    let order: Vec<usize> = hits.iter().flatten().map(|(j, _)| *j).collect();
    let mut kept = increasing(&order).into_iter();
    let kept: Vec<bool> = hits.iter().map(|h| h.is_some() && kept.next() == Some(true)).collect();
    // which sections of the second did not move, and their counterparts in the first
    let mut of_b: Vec<Option<(usize, bool)>> = vec![None; b.len()];
    for (i, (hit, kept)) in hits.iter().zip(&kept).enumerate() {
        if let Some(place) = hit.and_then(|(j, _)| of_b.get_mut(j)) {
            *place = Some((i, *kept));
        }
    }
    let still_b: Vec<bool> = of_b.iter().map(|p| p.is_some_and(|(_, kept)| kept)).collect();
    let (behind_a, behind_b) = (standing_before(a, &kept), standing_before(b, &still_b));
    let mut keyed: Vec<((usize, usize), Pair<'a>)> = Vec::new();
    for (i, ((s, hit), kept)) in a.iter().zip(hits).zip(&kept).enumerate() {
        let mut pair = Pair { before: Some(s), after: None, other_instance: false, moved: None };
        if let Some((j, other_instance)) = hit {
            pair.after = b.get(*j).copied();
            pair.other_instance = *other_instance;
            if !kept {
                pair.moved = Some((behind_a.get(i).copied().flatten(), behind_b.get(*j).copied().flatten()));
            }
        }
        keyed.push(((i, 0), pair));
    }
    let mut last = 0;
    for (j, (s, place)) in b.iter().zip(of_b).enumerate() {
        match place {
            Some((i, _)) => last = i,
            None => {
                let pair = Pair { before: None, after: Some(s), other_instance: false, moved: None };
                keyed.push(((last, j.plus(1)), pair));
            }
        }
    }
    keyed.sort_by_key(|(k, _)| *k);
    keyed.into_iter().map(|(_, p)| p).collect()
}

/// Returns, for each section, the nearest one before it that did not move.
fn standing_before<'a>(all: &[&'a Section], still: &[bool]) -> Vec<Option<&'a Section>> {
    let mut last = None;
    let mut out = Vec::with_capacity(all.len());
    for (s, still) in all.iter().zip(still) {
        out.push(last);
        if *still {
            last = Some(*s);
        }
    }
    out
}

/// Compares what is around the payload.
fn frame(pair: &Pair<'_>, subject: &Subject) -> Vec<Difference> {
    let mut out = Vec::new();
    let aspect = |s: &Section, text: String| Some(Aspect::new(text, Some(s.header.range)));
    let about = |s: &Section| aspect(s, format!("version {}, {} bytes", s.header.version_id, s.bytes));
    let (x, y) = match (pair.before, pair.after) {
        (Some(x), Some(y)) => (x, y),
        (Some(x), None) => {
            return vec![differs(&rules::SECTION_REMOVED, subject.clone(), "the section is gone", about(x), None)];
        }
        (None, Some(y)) => {
            return vec![differs(&rules::SECTION_ADDED, subject.clone(), "the section is new", None, about(y))];
        }
        (None, None) => return out,
    };
    let mut add = |rule, message: &str, text: &dyn Fn(&Section) -> String| {
        out.push(differs(rule, subject.clone(), message, aspect(x, text(x)), aspect(y, text(y))));
    };
    if let Some((p, q)) = pair.moved {
        let behind =
            |s: Option<&Section>| s.map_or_else(|| "first".to_owned(), |s| format!("behind {}", s.header.label()));
        let (p, q) = (behind(p), behind(q));
        add(&rules::SECTION_MOVED, "the section is at a different position", &|s| {
            if std::ptr::eq(s, x) { p.clone() } else { q.clone() }
        });
    }
    if pair.other_instance {
        add(&rules::SECTION_INSTANCE, "the instance id differs", &|s| s.header.instance_id.to_string());
    }
    if x.header.kind != y.header.kind {
        add(&rules::SECTION_KIND, "the section has a different kind", &|s| s.header.kind.to_string());
    }
    if x.header.version_id != y.header.version_id {
        add(&rules::SECTION_VERSION, "the version differs", &|s| s.header.version_id.to_string());
    }
    out
}

/// Compares payloads: as trees where both have a description, as bytes otherwise.
fn contents(
    (a, x): (Input<'_>, &Section),
    (b, y): (Input<'_>, &Section),
    subject: &Subject,
    faults: &mut Vec<String>,
) -> Result<Vec<Difference>> {
    let p = a.image.decode(x)?;
    let q = b.image.decode_beside(y, Some(&p.payload))?;
    for (input, d) in [(a, &p), (b, &q)] {
        let room = MAX_DIAGNOSTICS.saturating_sub(faults.len());
        faults.extend(d.decoded.errors.iter().take(room).map(|e| format!("{}: {e}", input.name)));
    }
    let vmsd = a.image.device_schema(x).map(|d| d.vmsd.name.clone());
    let described = vmsd.is_some() && b.image.device_schema(y).is_some();
    let mut found = Found::default();
    let meaning = Meaning {
        idstr: x.header.idstr.exact(),
        vmsd: vmsd.as_ref().map_or("", Name::exact),
        roots: described.then(|| (p.root(), q.root())),
    };
    let mut comparer = Comparer::new(meaning);
    if described {
        comparer.node(p.root(), q.root(), &mut found);
        if x.header.version_id == y.header.version_id {
            versions(p.root(), q.root(), &mut found);
        }
    } else {
        let (m, n) = (whole(&p), whole(&q));
        comparer.below("data", &mut found, |c, out| {
            let (u, v) = (p.payload.as_slice(), q.payload.as_slice());
            if u.len() == v.len() {
                array::buffer(c, (&m, u), (&n, v), out);
            } else {
                let side = |n: &Node| Some(Side::new(n.text(false), n.range));
                out.push(Raw::new(&rules::FIELD_SIZE, "the size differs", side(&m), side(&n)));
            }
        });
    }
    Ok(found.finish(subject))
}

/// The description has a version for the section too. It is the header's, and only worth a word where that is not so.
fn versions(a: &Node, b: &Node, found: &mut Found) {
    let version = |n: &Node| n.record().and_then(|r| r.version);
    if let (Some(v), Some(w)) = (version(a), version(b))
        && v != w
    {
        let side = |n: &Node, v: u32| Some(Side::new(v.to_string(), n.range));
        let message = "the version in the description differs";
        found.push(Raw::new(&rules::VMSD_VERSION, message, side(a, v), side(b, w)));
    }
}

/// Returns a section's payload as one buffer.
fn whole(d: &Device<'_>) -> Node {
    let bytes: Blob = d.payload.clone();
    let range = StreamRange::with_len(d.section.payload.start.0, bytes.as_slice().len() as u64);
    Node::new("data", FieldType::new("buffer"), range, Value::Bytes(bytes))
}
