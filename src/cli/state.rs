//! `state`: the typed tree.

use std::io::Write;

use clap::{Args as ClapArgs, ValueEnum};

use super::exit::{Failure, Outcome};
use super::near::did_you_mean;
use super::shared::{InputArgs, QuietArgs};
use super::{open, style};
use crate::image::{Device, SaveImage};
use crate::inspect::Devices;
use crate::render;
use crate::render::state_json::{FindingJson, NodeJson, SCHEMA_VERSION};
use crate::render::tree::{self, Role, TreeOptions};
use crate::text::{Name, list, quoted};
use crate::value::{FieldPath, Node, Value, names_device};

/// How `state` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum StateFormat {
    /// An indented tree for people.
    #[default]
    Tree,
    /// One JSON document (savevm-analyze schema state).
    Json,
    /// One JSON object per device, or per field with --field, and line.
    Jsonl,
}

/// Arguments of `state`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  savevm-analyze state vm.mig
  savevm-analyze state vm.mig --device cpu --field 'env.regs*'
  savevm-analyze state vm.mig --device '*/virtio-net' --offsets --all
  savevm-analyze state vm.mig --format jsonl | jq -r .name")]
pub struct StateArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub warnings: QuietArgs,
    /// Only devices that match by section name or vmsd name, such as cpu, 'cpu (1)' or '*/virtio-net'. Can be repeated.
    #[arg(short, long, value_name = "GLOB")]
    pub device: Vec<String>,
    /// Only fields whose path matches, such as `env.regs[3]` or `parent_obj.config*`. Can be repeated.
    #[arg(long, value_name = "PATH")]
    pub field: Vec<String>,
    /// Print the stream offset of each value.
    #[arg(short = 'v', long, visible_alias = "verbose")]
    pub offsets: bool,
    /// Print long arrays and buffers in full.
    #[arg(short, long)]
    pub all: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: StateFormat,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// Runs `state`.
pub fn run(a: &StateArgs, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let image = open::devices(&a.input.file, &a.input.source)?;
    let fields: Vec<FieldPath> = a.field.iter().map(|f| FieldPath::new(f)).collect();
    let mut printer = Printer::new(a, fields, out);
    printer.begin(&image)?;
    let mut problems = Vec::new();
    let mut hits = 0_usize;
    let beside = Name::from("configuration");
    let globs = with_device_names(&image, &a.device)?;
    let mut missing = Missing::default();
    if let Some(c) = &image.walk().configuration
        && wanted(&globs, &beside, Name::empty(), 0)
    {
        hits += printer.device(&c.node, &beside, 0)?;
        if !a.field.is_empty() {
            missing.offer(&c.node, &beside, 0);
        }
    }
    for section in image.device_sections() {
        let vmsd = image.device_schema(section).map_or(Name::empty(), |d| &d.vmsd.name);
        if !wanted(&globs, &section.header.idstr, vmsd, section.header.instance_id) {
            continue;
        }
        let device = image.decode(section)?;
        hits += printer.device(device.root(), &section.header.idstr, section.header.instance_id)?;
        if !a.field.is_empty() {
            missing.offer(device.root(), &section.header.idstr, section.header.instance_id);
        }
        problems.extend(complaints(&device));
    }
    printer.end(&image, &problems)?;
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let outcome = open::verdict(&image, &problems);
    let unseen: Vec<&String> = a.field.iter().zip(&printer.found).filter(|(_, n)| **n == 0).map(|(f, _)| f).collect();
    match unseen.first() {
        Some(field) if outcome == Outcome::Complete => {
            let e = Failure::Usage(missing.words(field));
            Err(if hits == 0 { e } else { Failure::Partial(Box::new(e)) })
        }
        _ => Ok(outcome),
    }
}

/// The existing fields, for the error about a missing one.
#[derive(Default)]
struct Missing {
    /// The first device that was looked at, and the names of its fields.
    device: Option<(String, Vec<String>)>,
    paths: Vec<String>,
}

impl Missing {
    /// Paths that are kept to find one similar to the wanted one.
    const MOST: usize = 2_000;

    fn offer(&mut self, root: &Node, idstr: &Name, instance: u32) {
        if let (None, Value::Struct(record)) = (&self.device, &root.value) {
            let names = record.children().map(|n| n.name.to_string()).collect();
            self.device = Some((format!("{idstr} ({instance})"), names));
        }
        FieldPath::new("*").visit(root, &mut |path, _| {
            self.paths.push(path.to_owned());
            self.paths.len() < Self::MOST
        });
    }

    fn words(&self, field: &str) -> String {
        let near = did_you_mean(field, self.paths.iter().map(String::as_str));
        match &self.device {
            Some((device, names)) => {
                format!("no field matches {}; {near}the fields of {device} are: {}", quoted(field), names.join(", "))
            }
            None => format!("no field matches {}", quoted(field)),
        }
    }
}

/// Adds the sections of devices that `pci` or `virtio` print under a name that matches no section's.
fn with_device_names(image: &SaveImage, given: &[String]) -> Result<Vec<String>, Failure> {
    let names_a_section = |g: &String| {
        let mut sections = image.device_sections();
        let one = std::slice::from_ref(g);
        wanted(one, &"configuration".into(), Name::empty(), 0)
            || sections.any(|s| {
                let vmsd = image.device_schema(s).map_or(Name::empty(), |d| &d.vmsd.name);
                wanted(one, &s.header.idstr, vmsd, s.header.instance_id)
            })
    };
    let strangers: Vec<&String> = given.iter().filter(|g| !names_a_section(g)).collect();
    let mut globs = given.to_vec();
    if !strangers.is_empty() {
        let found = Devices::find(image, &mut |_| Ok(()))?;
        for g in strangers {
            let pci = found.pci.iter().filter(|d| d.matches(g)).map(|d| &d.section);
            let virtio = found.virtio.iter().filter(|d| d.matches(g)).map(|d| &d.section);
            let sections: Vec<String> = pci.chain(virtio).map(|s| s.exact().to_owned()).collect();
            if sections.is_empty() {
                return Err(no_such_device(image, g));
            }
            globs.extend(sections);
        }
    }
    Ok(globs)
}

/// Returns the failure for a pattern that means no section.
pub(super) fn no_such_device(image: &SaveImage, pattern: &str) -> Failure {
    let sections: Vec<&Name> = image.device_sections().map(|s| &s.header.idstr).collect();
    let short = |n: &&Name| n.exact().rsplit('/').next().unwrap_or_default().to_owned();
    let mut words: Vec<String> =
        sections.iter().map(|n| n.exact().to_owned()).chain(sections.iter().map(short)).collect();
    words.retain(|w| w.chars().all(|c| c.is_ascii_graphic() || c == ' '));
    let near = did_you_mean(pattern, words.iter().map(String::as_str));
    let names = list(sections);
    Failure::Usage(format!("no device matches {}; {near}the sections are: {names}", quoted(pattern)))
}

fn complaints(d: &Device<'_>) -> Vec<crate::error::Error> {
    let copy = |e: &crate::error::Error| {
        let mut c = crate::error::Error::new(e.kind(), e.message());
        if let Some(o) = e.stream_offset() {
            c = c.at(o);
        }
        match e.path() {
            Some(p) => c.within(p),
            None => c,
        }
    };
    d.decoded.errors.iter().map(copy).collect()
}

fn wanted(globs: &[String], idstr: &Name, vmsd: &Name, instance: u32) -> bool {
    let short = idstr.exact().rsplit('/').next().unwrap_or_default();
    globs.is_empty() || globs.iter().any(|g| names_device(g, &[idstr.exact(), short, vmsd.exact()], Some(instance)))
}

struct Printer<'a> {
    out: &'a mut dyn Write,
    format: StateFormat,
    fields: Vec<FieldPath>,
    tree: TreeOptions<'a>,
    first: bool,
    /// How often each of the fields was found.
    found: Vec<usize>,
}

impl<'a> Printer<'a> {
    fn new(a: &StateArgs, fields: Vec<FieldPath>, out: &'a mut dyn Write) -> Self {
        let format = if a.json { StateFormat::Json } else { a.format };
        let tree = TreeOptions { offsets: a.offsets, all: a.all, paint: &style::paint };
        let found = vec![0; fields.len()];
        Self { out, format, fields, tree, first: true, found }
    }

    fn begin(&mut self, image: &SaveImage) -> Result<(), Failure> {
        if self.format == StateFormat::Json {
            let machine = image.walk().configuration.as_ref().map(|c| &c.machine);
            write!(self.out, "{{\"schema_version\":{SCHEMA_VERSION},\"machine\":")?;
            render::compact(&mut *self.out, &machine)?;
            write!(self.out, ",\"devices\":[")?;
        }
        Ok(())
    }

    /// Prints the requested part of a device, and returns how many nodes that were.
    fn device(&mut self, root: &Node, idstr: &Name, instance: u32) -> Result<usize, Failure> {
        let label = format!("{idstr} ({instance})");
        if self.fields.is_empty() {
            match self.format {
                StateFormat::Tree => tree::print(self.out, root, &label, 0, &self.tree)?,
                _ => self.json(root, None, idstr, instance)?,
            }
            return Ok(1);
        }
        let mut hits = 0_usize;
        let mut result = Ok(());
        let fields = std::mem::take(&mut self.fields);
        let mut found = std::mem::take(&mut self.found);
        fields.iter().zip(&mut found).all(|(field, seen)| {
            field.visit(root, &mut |path, node| {
                hits += 1;
                *seen += 1;
                result = self.hit(node, path, (hits == 1).then_some(&*label), (idstr, instance));
                result.is_ok()
            })
        });
        self.fields = fields;
        self.found = found;
        result.map(|()| hits)
    }

    /// Prints a requested field; the first one of a device follows the device's name.
    fn hit(&mut self, node: &Node, path: &str, label: Option<&str>, device: (&Name, u32)) -> Result<(), Failure> {
        if self.format != StateFormat::Tree {
            return self.json(node, Some(path), device.0, device.1);
        }
        if let Some(l) = label {
            writeln!(self.out, "{}", style::paint(Role::Title, l))?;
        }
        Ok(tree::print(self.out, node, path, 1, &self.tree)?)
    }

    fn json(&mut self, node: &Node, path: Option<&str>, idstr: &Name, instance: u32) -> Result<(), Failure> {
        if self.format == StateFormat::Json && !self.first {
            self.out.write_all(b",")?;
        }
        self.first = false;
        let message = NodeJson { node, offsets: self.tree.offsets, path, device: Some((idstr, instance)) };
        render::compact(&mut *self.out, &message)?;
        if self.format == StateFormat::Jsonl {
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn end(&mut self, image: &SaveImage, problems: &[crate::error::Error]) -> Result<(), Failure> {
        if self.format != StateFormat::Json {
            return Ok(());
        }
        let walk = image.walk();
        let mut findings: Vec<FindingJson> = walk.found.list().iter().map(FindingJson::from).collect();
        findings.extend(problems.iter().chain(&walk.stopped).map(FindingJson::from));
        let complete = problems.is_empty() && walk.stopped.is_none();
        write!(self.out, "],\"complete\":{complete},\"diagnostics\":")?;
        render::compact(&mut *self.out, &findings)?;
        writeln!(self.out, "}}")?;
        Ok(())
    }
}
