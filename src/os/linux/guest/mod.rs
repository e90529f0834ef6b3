//! A Linux guest: its kernel's memory, symbols and types, with which every other file of this room reads its structures.

mod object;

use std::ops::Range;

use super::btf::{self, By, Kind, TypeId, Types};
use super::find::{Hints, Located, locate};
use super::globals;
use super::info::Machine;
use super::kallsyms::Symbols;
use super::kernel::Kernel;
use super::vmcoreinfo::Found;
use crate::error::{Error, ErrorKind, Result};
use crate::memory::PhysicalMemory;
use crate::offset::Sure;
use crate::text::Name;
pub use object::{List, Object};

/// A Linux guest whose kernel, symbols and types were found.
///
/// ```no_run
/// use savevm_analyze::SaveImage;
/// use savevm_analyze::inspect;
///
/// # fn main() -> savevm_analyze::error::Result<()> {
/// let image = SaveImage::options().keep_memory(u64::MAX).open("vm.mig")?;
/// let guest = inspect::linux(&image)?;
/// println!("{}", guest.variable("jiffies")?.number()?);
/// println!("{}", guest.variable("init_task")?.member("comm")?.text()?);
/// # Ok(())
/// # }
/// ```
pub struct Guest<'a> {
    kernel: Kernel<'a>,
    symbols: Symbols,
    types: Types,
    place: btf::Place,
    image: Vec<Range<u64>>,
    release: Name,
    steps: Vec<String>,
    found: Option<Found>,
}

impl<'a> Guest<'a> {
    /// Reads the types of a kernel.
    ///
    /// # Errors
    /// `Missing` if the kernel has no types; `Corrupt` for types that contradict themselves; `Io`.
    pub fn new(located: Located<'a>) -> Result<Self> {
        let release = located.release();
        let Located { mut kernel, image, symbols, mut steps, found } = located;
        let start = symbols.named("__start_BTF").next().map(|s| s.address);
        let place = btf::place(&kernel, start, &image)?;
        let types = Types::read(&kernel, place, kernel.word())?;
        let how = match place.by {
            By::Symbol => "by the symbol __start_BTF",
            By::Search => "by a search of the image",
        };
        steps.push(format!("{} types: BTF of {} bytes at {:#x}, found {how}.", types.len(), place.bytes, place.at));
        // on IBM Z, VMCOREINFO does not say how the kernel's page tables begin
        if kernel.machine() == Machine::S390x
            && let (Some(mm), Some(offset)) =
                (symbols.named("init_mm").next(), types.offset("mm_struct", "context.asce"))
        {
            let asce = kernel.number(mm.address.wrapping_add(offset), 8)?;
            steps.push(format!("init_mm.context.asce has the kernel's address space: {asce:#x}."));
            kernel.use_asce(asce);
        }
        Ok(Self { kernel, symbols, types, place, image, release, steps, found })
    }

    /// Finds the kernel, its symbols and its types.
    ///
    /// # Errors
    /// Those of [`locate`] and [`Guest::new`].
    pub fn find(mem: &'a dyn PhysicalMemory, hints: &Hints) -> Result<Self> {
        Self::new(locate(mem, hints)?)
    }

    /// Returns how everything was found, in sentences.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// Returns the VMCOREINFO, if the kernel was found by it.
    #[must_use]
    pub fn vmcoreinfo(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// Returns the kernel's memory.
    #[must_use]
    pub fn kernel(&self) -> &Kernel<'a> {
        &self.kernel
    }

    /// Returns the release, such as `6.1.0-50-cloud-amd64`.
    #[must_use]
    pub fn release(&self) -> Name {
        self.release.clone()
    }

    /// Returns the first two numbers of the release; 0 if it does not begin with them.
    #[must_use]
    pub fn version(&self) -> (u32, u32) {
        let release = self.release();
        let mut parts = release.exact().split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// Returns the symbols.
    #[must_use]
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Returns the types.
    #[must_use]
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// Returns where the types are in memory.
    #[must_use]
    pub fn types_at(&self) -> btf::Place {
        self.place
    }

    /// Returns where the kernel's image is, as it is mapped.
    #[must_use]
    pub fn image(&self) -> &[Range<u64>] {
        &self.image
    }

    /// Returns the address of a symbol.
    ///
    /// # Errors
    /// `Missing` if the kernel has no symbol of that name.
    pub fn symbol(&self, name: &str) -> Result<u64> {
        let found = self.symbols.named(name).next().map(|s| s.address);
        found.ok_or_else(|| Error::new(ErrorKind::Missing, format!("the kernel has no symbol {name}")))
    }

    /// Returns where the per-CPU variables are, of which each processor has a copy elsewhere; `None` if no symbols give it.
    #[must_use]
    pub fn per_cpu_section(&self) -> Option<std::ops::Range<u64>> {
        Some(self.symbol("__per_cpu_start").ok()?..self.symbol("__per_cpu_end").ok()?)
    }

    /// Returns a global variable. BTF does not have the types of all: those of the variables that this tool needs are known.
    ///
    /// # Errors
    /// `Missing` if there is no such symbol; `Unsupported` if its type is not known.
    pub fn variable(&self, name: &str) -> Result<Object<'_>> {
        let address = self.symbol(name)?;
        let id = self.type_of_variable(name).ok_or_else(|| {
            let what = format!("the type of the variable {name} is not known");
            Error::new(ErrorKind::Unsupported, what).hint("give the type: TYPE@SYMBOL or TYPE@ADDRESS")
        })?;
        Ok(Object::new(self, id, address))
    }

    /// Returns the type of a global variable, if it is known.
    #[must_use]
    pub fn type_of_variable(&self, name: &str) -> Option<TypeId> {
        let in_btf = self.types.named(name).find_map(|id| match self.types.kind(id) {
            Kind::Variable { target, .. } => Some(target),
            _ => None,
        });
        in_btf.or_else(|| globals::type_of(name).and_then(|t| self.types.by_words(t)))
    }

    /// Reads text up to the first NUL, or `most` bytes of it.
    ///
    /// # Errors
    /// `Missing` when it does not begin in memory; `Io`.
    pub fn text_at(&self, address: u64, most: u64) -> Result<Name> {
        let mut out = Vec::new();
        let most = usize::try_from(most).unwrap_or(0);
        while out.len() < most {
            let at = address.wrapping_add(out.len() as u64);
            let page = usize::try_from(4096_u64.minus(at & 4095)).unwrap_or(1);
            let mut piece = vec![0; page.min(256).min(most.minus(out.len()))];
            match self.kernel.read(at, &mut piece) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Missing && !out.is_empty() => break,
                Err(e) => return Err(e),
            }
            let end = memchr::memchr(0, &piece);
            out.extend_from_slice(piece.get(..end.unwrap_or(piece.len())).unwrap_or_default());
            if end.is_some() {
                break;
            }
        }
        Ok(Name::from_bytes(&out))
    }

    /// Returns what is at an address, as a value of a type such as `struct task_struct`.
    ///
    /// # Errors
    /// `Missing` if the kernel has no such type.
    pub fn object(&self, type_name: &str, address: u64) -> Result<Object<'_>> {
        let id = self.types.by_words(type_name);
        let id = id.ok_or_else(|| Error::new(ErrorKind::Missing, format!("the kernel has no type {type_name}")))?;
        Ok(Object::new(self, id, address))
    }
}

impl std::fmt::Debug for Guest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guest({} symbols, {} types)", self.symbols.len(), self.types.len())
    }
}
