//! Trees of the kernel (`include/linux/rbtree.h`).

use super::guest::Object;
use crate::error::{Error, ErrorKind, Result};

/// Returns the structures in a tree from its first node on, in the order of the tree; `root` is the pointer to the topmost node.
///
/// # Errors
/// `Missing` when a node is not in memory; `Corrupt` for a tree that goes in circles or has more than `most` nodes; `Io`.
pub(super) fn nodes<'g>(root: &Object<'g>, structure: &str, member: &str, most: usize) -> Result<Vec<Object<'g>>> {
    let mut out = Vec::new();
    let mut above: Vec<Object<'g>> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut at = *root;
    loop {
        // go down on the left
        while at.number()? != 0 {
            let node = at.target()?;
            if seen.len() >= most || !seen.insert(node.address()) {
                let what = format!(
                    "the tree from {:#x} goes in circles, or has more nodes than are looked at",
                    root.address()
                );
                return Err(Error::new(ErrorKind::Corrupt, what));
            }
            above.push(node);
            at = node.member("rb_left")?;
        }
        let Some(node) = above.pop() else { return Ok(out) };
        out.push(node.container(structure, member)?);
        at = node.member("rb_right")?;
    }
}
