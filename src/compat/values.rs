//! What the values of a section say that a comparison needs: lengths, and the registers that a processor refuses.

use std::collections::HashSet;

use crate::value::{Node, Value};

/// Arrays with more elements than this are registers or the like, and hold no lengths; no length is larger than this; and
/// as many different ones are kept of a section.
const MAX_COUNTED: usize = 64;
const MAX_LENGTH: u64 = 1 << 30;
const MAX_LENGTHS: usize = 4_096;

/// The field with the numbers of an ARM processor's system registers.
pub const CPREG_INDEXES: &str = "cpreg_vmstate_indexes";
const CPREG_VALUES: &str = "cpreg_vmstate_values";

/// Registers that are read of a list. Real processors have some hundreds.
const MAX_REGISTERS: usize = 1 << 16;

/// `SPR_PVR` in `target/ppc/cpu.h`.
pub const SPR_PVR: usize = 287;

/// What the values of a section say.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Values {
    /// Numbers that may be the length of an array or a buffer.
    pub lengths: HashSet<u64>,
    /// The system registers of an ARM processor.
    pub cpregs: Option<CpregList>,
    /// The version register of a PowerPC processor.
    pub pvr: Option<u64>,
}

impl Values {
    pub fn of(root: &Node) -> Self {
        Self { lengths: lengths(root), cpregs: CpregList::of(root), pvr: pvr(root) }
    }
}

/// Returns the numbers in a tree that may be lengths.
fn lengths(root: &Node) -> HashSet<u64> {
    let mut out = HashSet::new();
    add_lengths(root, &mut out);
    out
}

fn add_lengths(root: &Node, out: &mut HashSet<u64>) {
    root.walk(&mut |_, n| {
        if n.is_array() && n.elements().len() > MAX_COUNTED {
            return false;
        }
        if let Value::Packed(_) = n.value {
            n.elements().iter().for_each(|e| add_lengths(&e, out));
        }
        if let Some(v) = n.as_u64().filter(|v| *v <= MAX_LENGTH && out.len() < MAX_LENGTHS) {
            out.insert(v);
        }
        true
    });
}

/// The registers of a processor in a stream.
#[derive(Debug)]
pub struct CpregList {
    pub indexes: Vec<u64>,
    pub values: Vec<u64>,
}

impl CpregList {
    /// Finds them in a processor's tree.
    pub fn of(root: &Node) -> Option<Self> {
        Some(Self { indexes: array(root, CPREG_INDEXES)?, values: array(root, CPREG_VALUES).unwrap_or_default() })
    }
}

fn array(root: &Node, name: &str) -> Option<Vec<u64>> {
    let node = root.record()?.children().find(|n| n.name.ends_with(name))?;
    if !node.is_array() {
        return node.as_u64().map(|v| vec![v]);
    }
    Some(node.elements().first_of_many(MAX_REGISTERS).filter_map(|n| n.as_u64()).collect())
}

/// Returns the version register in a processor's tree.
fn pvr(root: &Node) -> Option<u64> {
    let node = root.child("env.spr").filter(|n| n.is_array())?;
    node.elements().get(SPR_PVR)?.as_u64()
}
