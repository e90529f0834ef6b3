//! Reads bytes and writes nodes in one go, so that no byte is read without a place in the tree.

mod arrays;
mod read;

use std::cell::{Cell, RefCell};

use crate::error::{Error, ErrorKind, Result};
use crate::limits::{MAX_DEPTH, MAX_EMPTY_NODES, MAX_NODES_PER_BYTE, MAX_NODES_PER_DEVICE};
use crate::offset::{StreamOffset, StreamRange, Sure};
use crate::schema::Vmsd;
use crate::text::Name;
use crate::value::{Blob, FieldType, Node, Record, Value};
use crate::wire::Reader;

/// What all builders of one section share.
pub(super) struct Shared<'v> {
    pub(super) idstr: String,
    pub(super) vmsd: &'v Vmsd,
    nodes_left: Cell<usize>,
    max_nodes: usize,
    errors: RefCell<Vec<Error>>,
}

/// Errors that are kept for one section; the nodes carry theirs in any case.
const MAX_ERRORS: usize = 64;

impl<'v> Shared<'v> {
    /// Allows as many nodes as a payload of `bytes` and a description of this size can have honestly,
    /// but not more than `most`.
    pub(super) fn new(idstr: &str, vmsd: &'v Vmsd, bytes: usize, most: usize) -> Self {
        let max_nodes = bytes
            .times(MAX_NODES_PER_BYTE)
            .plus(vmsd.size().times(2))
            .plus(MAX_EMPTY_NODES)
            .min(MAX_NODES_PER_DEVICE)
            .min(most);
        Self {
            max_nodes,
            idstr: idstr.to_owned(),
            vmsd,
            nodes_left: Cell::new(max_nodes),
            errors: RefCell::new(Vec::new()),
        }
    }

    pub(super) fn into_errors(self) -> Vec<Error> {
        self.errors.into_inner()
    }
}

/// What a bounded reader made: fields, subsections, and what went wrong.
type Parts = (Vec<Node>, Vec<Node>, Option<Box<str>>);

/// The frame around a group of nodes: its name and type, and what is written before its first field.
#[derive(Clone, Copy)]
pub(super) struct Frame<'n> {
    name: &'n str,
    ty: &'n str,
    header: usize,
    vmsd: &'n str,
    version: Option<u32>,
}

impl<'n> Frame<'n> {
    /// Creates the frame of a `struct` without a header or a vmsd.
    pub(super) const fn new(name: &'n str) -> Self {
        Self { name, ty: "struct", header: 0, vmsd: "", version: None }
    }

    /// Returns the same with another type.
    pub(super) const fn ty(self, ty: &'n str) -> Self {
        Self { ty, ..self }
    }

    /// Returns the same with so many bytes before the first field.
    pub(super) const fn header(self, header: usize) -> Self {
        Self { header, ..self }
    }

    /// Returns the same for a vmsd with a name and a version.
    pub(super) const fn vmsd(self, vmsd: &'n str, version: Option<u32>) -> Self {
        Self { vmsd, version, ..self }
    }
}

/// The value of a group that is a structure.
pub(super) fn structure(r: Record) -> Value {
    Value::Struct(Box::new(r))
}

/// A position in a section, and the nodes made so far.
///
/// The readers (`u8`, `be32`, …) take bytes, add a node with that name, and return the number for use in later
/// decisions. After an error the nodes before it are kept; the caller turns the rest into one opaque node.
pub struct Builder<'a> {
    reader: Reader<'a>,
    blob: &'a Blob,
    blob_start: usize,
    start: StreamOffset,
    depth: usize,
    path: Vec<String>,
    fields: Vec<Node>,
    subsections: Vec<Node>,
    shared: &'a Shared<'a>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(blob: &'a Blob, base: StreamOffset, shared: &'a Shared<'a>) -> Self {
        Self {
            reader: Reader::new(blob.as_slice(), base),
            blob,
            blob_start: 0,
            start: base,
            depth: 0,
            path: vec![shared.idstr.clone()],
            fields: Vec::new(),
            subsections: Vec::new(),
            shared,
        }
    }

    /// Returns the section's name.
    #[must_use]
    pub fn idstr(&self) -> &str {
        &self.shared.idstr
    }

    /// Returns the description of the whole section.
    #[must_use]
    pub fn device(&self) -> &'a Vmsd {
        self.shared.vmsd
    }

    /// Returns how many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.reader.remaining()
    }

    /// Returns the stream offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> StreamOffset {
        self.reader.offset()
    }

    /// Looks at the next `n` bytes.
    ///
    /// # Errors
    /// `Truncated` when there are fewer; this holds for all readers below.
    pub fn peek(&self, n: usize) -> Result<&'a [u8]> {
        self.reader.peek(n)
    }

    /// Returns the range of all bytes that this builder was given.
    pub(super) fn whole_range(&self) -> StreamRange {
        StreamRange::new(self.start.0, self.offset().0.plus(self.remaining() as u64))
    }

    /// Adds a node.
    ///
    /// # Errors
    /// `LimitExceeded` when the section has too many.
    pub fn push(&mut self, node: Node) -> Result<()> {
        self.count()?;
        self.fields.push(node);
        Ok(())
    }

    fn count(&self) -> Result<()> {
        self.count_many(1)
    }

    fn count_many(&self, n: usize) -> Result<()> {
        match self.shared.nodes_left.get().checked_sub(n) {
            Some(n) => {
                self.shared.nodes_left.set(n);
                Ok(())
            }
            None => Err(Error::new(
                ErrorKind::LimitExceeded,
                format!("the section has more than {} values", self.shared.max_nodes),
            )
            .at(self.offset())),
        }
    }

    /// Groups what `f` reads into a structure.
    ///
    /// # Errors
    /// Those of `f`; the nodes it made before stay in the tree.
    pub fn group(&mut self, name: &str, f: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.framed(Frame::new(name), f, structure)
    }

    /// Groups what `f` reads into an array.
    ///
    /// # Errors
    /// Those of `f`; the nodes it made before stay in the tree.
    pub fn array(&mut self, name: &str, f: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.framed(Frame::new(name), f, |r| Value::Array(r.fields))
    }

    /// Same as [`Builder::group`], for a vmsd with a name and a version that QEMU writes without describing it.
    ///
    /// # Errors
    /// Those of `f`; the nodes it made before stay in the tree.
    pub fn vmsd(
        &mut self,
        name: &str,
        vmsd: &str,
        version: u32,
        f: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.framed(Frame::new(name).vmsd(vmsd, Some(version)), f, structure)
    }

    /// Groups what `f` reads after the header, which is taken first.
    pub(super) fn framed(
        &mut self,
        frame: Frame<'_>,
        f: impl FnOnce(&mut Self) -> Result<()>,
        value: impl FnOnce(Record) -> Value,
    ) -> Result<()> {
        let Frame { name, ty, header, vmsd, version } = frame;
        self.count()?;
        if self.depth >= MAX_DEPTH {
            return Err(Error::new(ErrorKind::LimitExceeded, format!("more than {MAX_DEPTH} levels of structure"))
                .at(self.offset()));
        }
        let start = self.offset();
        self.reader.take(header)?;
        let outer_fields = std::mem::take(&mut self.fields);
        let outer_subsections = std::mem::take(&mut self.subsections);
        self.depth.tally(1);
        self.path.push(name.to_owned());
        let result = f(self);
        self.path.pop();
        self.depth = self.depth.minus(1);
        let fields = std::mem::replace(&mut self.fields, outer_fields);
        let subsections = std::mem::replace(&mut self.subsections, outer_subsections);
        let record = Record { vmsd: vmsd.into(), version, header_bytes: header as u64, fields, subsections };
        let mut node = Node::new(name, FieldType::new(ty), self.reader.since(start), value(record));
        if let Err(e) = &result {
            node.problem = Some(e.message().into());
        }
        self.fields.push(node);
        result
    }

    /// Looks whether a subsection begins here: its name and version.
    #[must_use]
    pub fn peek_subsection(&self) -> Option<(String, u32)> {
        let head = self.peek(2).ok()?;
        let &[0x05, n] = head else { return None };
        let all = self.peek(usize::from(n).checked_add(6)?).ok()?;
        let name = std::str::from_utf8(all.get(2..usize::from(n).plus(2))?).ok()?;
        let version = all.get(usize::from(n).plus(2)..)?;
        if n == 0 || !name.bytes().all(|c| c.is_ascii_graphic()) {
            return None;
        }
        Some((name.to_owned(), u32::from_be_bytes(version.try_into().ok()?)))
    }

    /// Reads a subsection: its framing, then what `f` reads, which gets the version.
    ///
    /// # Errors
    /// `Corrupt` when no subsection of that name begins here, and those of `f`.
    pub fn subsection(&mut self, name: &str, f: impl FnOnce(&mut Self, u32) -> Result<()>) -> Result<()> {
        let version = match self.peek_subsection() {
            Some((found, version)) if found == name => version,
            other => {
                let found = other.map_or_else(|| "none".to_owned(), |(n, _)| n);
                return Err(Error::corrupt(self.offset(), format!("subsection: expected {name}, found {found}")));
            }
        };
        let header = name.len().plus(6);
        let frame = Frame::new(name).header(header).vmsd(name, Some(version));
        let r = self.framed(frame, |b| f(b, version), structure);
        if self.fields.last().is_some_and(|n| n.name == name) {
            self.subsections.extend(self.fields.pop());
        }
        r
    }

    /// Adds all remaining bytes as one opaque node; adds no node if none remain.
    pub fn opaque_rest(&mut self, name: &str, why: &str) {
        let n = self.remaining();
        if n > 0 {
            self.opaque(name, n, why);
        }
    }

    /// Adds `n` bytes, or what is left of them, as an opaque node.
    pub(super) fn opaque(&mut self, name: &str, n: usize, why: &str) {
        let start = self.offset();
        let n = n.min(self.remaining());
        let blob = self.blob.slice(self.blob_start.plus(self.reader.position()), n);
        // the limit on nodes does not hold here: without this node the bytes would be lost
        if self.reader.take(n).is_ok() {
            let range = self.reader.since(start);
            let node = Node::new(name, FieldType::new("buffer"), range, Value::Opaque(blob));
            self.fields.push(node.with_problem(why));
        }
    }

    /// Runs `f`; if it fails, or returns that what it read is implausible, all its effects are undone.
    pub(super) fn attempt(&mut self, f: impl FnOnce(&mut Self) -> Result<bool>) -> Result<bool> {
        let reader = self.reader.clone();
        let (fields, subsections) = (self.fields.len(), self.subsections.len());
        let errors = self.shared.errors.borrow().len();
        let nodes_left = self.shared.nodes_left.get();
        let result = f(self);
        if !matches!(result, Ok(true)) {
            self.reader = reader;
            self.fields.truncate(fields);
            self.subsections.truncate(subsections);
            self.shared.errors.borrow_mut().truncate(errors);
            self.shared.nodes_left.set(nodes_left);
        }
        result
    }

    /// Reads the next `n` bytes by `f` as a structure of its own, whatever `f` makes of them: what it cannot read or leaves
    /// over becomes opaque. Returns whether all went well.
    pub(super) fn part(
        &mut self,
        name: &str,
        vmsd: &str,
        n: usize,
        f: impl FnOnce(&mut Builder<'a>) -> Result<()>,
    ) -> Result<bool> {
        let at = self.offset();
        let (fields, subsections, problem) = self.within(name, n, f)?;
        let range = StreamRange::with_len(at.0, n as u64);
        let record = Record { vmsd: vmsd.into(), version: None, header_bytes: 0, fields, subsections };
        let mut node = Node::new(name, FieldType::new("struct"), range, Value::Struct(Box::new(record)));
        let clean = problem.is_none();
        node.problem = problem;
        self.push(node)?;
        Ok(clean)
    }

    /// Runs `f` on the next `n` bytes alone and returns the nodes it made; bytes that it left over are added as an opaque
    /// node, and its error is noted with the path.
    pub(super) fn within(
        &mut self,
        name: &str,
        n: usize,
        f: impl FnOnce(&mut Builder<'a>) -> Result<()>,
    ) -> Result<Parts> {
        let blob_start = self.blob_start.plus(self.reader.position());
        let reader = self.reader.sub(n)?;
        let mut path = self.path.clone();
        path.push(name.to_owned());
        let mut b = Builder {
            start: reader.offset(),
            reader,
            blob: self.blob,
            blob_start,
            depth: self.depth.plus(1),
            path,
            fields: Vec::new(),
            subsections: Vec::new(),
            shared: self.shared,
        };
        let mut problem: Option<Box<str>> = None;
        let result = if b.depth > MAX_DEPTH {
            Err(Error::new(ErrorKind::LimitExceeded, format!("more than {MAX_DEPTH} levels of structure"))
                .at(b.offset()))
        } else {
            f(&mut b)
        };
        if let Err(e) = result {
            problem = Some(e.message().into());
            b.note(e);
        } else if b.remaining() > 0 {
            let e = Error::new(
                ErrorKind::SchemaMismatch,
                format!("expected {n} bytes, {} of them were not used", b.remaining()),
            )
            .at(b.offset());
            problem = Some(e.message().into());
            b.note(e);
        }
        if let Some(p) = &problem {
            // leftover bytes are placed after the subsections, and children must stay adjacent
            let before = std::mem::take(&mut b.fields);
            b.opaque_rest("undecoded", p);
            let rest = std::mem::replace(&mut b.fields, before);
            b.subsections.extend(rest);
        }
        Ok((b.fields, b.subsections, problem))
    }

    /// Notes an error with the path to here.
    pub(super) fn note(&self, e: Error) {
        let mut errors = self.shared.errors.borrow_mut();
        if errors.len() < MAX_ERRORS {
            let e = e.at(self.offset());
            errors.push(self.path.iter().rev().fold(e, |e, frame| e.within(frame.clone())));
        }
    }

    /// Moves past framing that the record around it counts as its header.
    pub(super) fn skip_header(&mut self, n: usize) -> Result<()> {
        self.reader.take(n).map(drop)
    }

    /// Moves past the count of a tree.
    pub(super) fn skip_be32(&mut self) -> Result<u32> {
        self.reader.be32()
    }

    /// Reads an element of a list after its one-byte mark.
    pub(super) fn list_element(
        &mut self,
        name: &str,
        vmsd: &Vmsd,
        f: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.framed(Frame::new(name).header(1).vmsd(vmsd.name.exact(), vmsd.version), f, structure)
    }

    /// Adds an opaque node over bytes that were read already.
    pub(super) fn push_opaque(&mut self, name: &Name, ty: &FieldType, range: StreamRange, why: &str) -> Result<()> {
        let start = usize::try_from(range.start.since(self.start)).unwrap_or(usize::MAX);
        let len = usize::try_from(range.len()).unwrap_or(usize::MAX);
        let blob = self.blob.slice(self.blob_start.plus(start), len);
        self.push(Node::new(name.clone(), ty.clone(), range, Value::Opaque(blob)).with_problem(why))
    }

    pub(super) fn push_subsection(&mut self, node: Node) {
        self.subsections.push(node);
    }

    /// Reads the next `n` bytes as a leaf of the named type whose value `f` makes.
    pub(super) fn typed(
        &mut self,
        name: &Name,
        ty: &FieldType,
        n: usize,
        f: impl FnOnce(&[u8], Blob) -> (Value, Option<Box<str>>),
    ) -> Result<()> {
        let start = self.offset();
        let blob = self.blob.slice(self.blob_start.plus(self.reader.position()), n);
        let bytes = self.reader.take(n)?;
        let (value, problem) = f(bytes, blob);
        let range = self.reader.since(start);
        self.push(Node { name: name.clone(), ty: ty.clone(), range, value, problem })
    }

    /// Returns the nodes: fields, then subsections.
    pub(super) fn finish_record(mut self) -> (Vec<Node>, Vec<Node>) {
        if self.remaining() > 0 {
            let before = std::mem::take(&mut self.fields);
            let why = format!("the description ends {} bytes before the section does", self.remaining());
            self.note(Error::new(ErrorKind::SchemaMismatch, why.clone()));
            self.opaque_rest("undecoded", &why);
            let rest = std::mem::replace(&mut self.fields, before);
            self.subsections.extend(rest);
        }
        (self.fields, self.subsections)
    }

    /// Removes the fields made so far, to put them back in another shape.
    pub(super) fn take_fields(&mut self) -> Vec<Node> {
        std::mem::take(&mut self.fields)
    }

    pub(super) fn set_fields(&mut self, fields: Vec<Node>) {
        self.fields = fields;
    }
}
