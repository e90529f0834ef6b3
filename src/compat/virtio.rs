//! The features that a guest and a virtio device agreed on.
//!
//! `virtio_set_features_nocheck` in `hw/virtio/virtio.c` fails on a feature that the target's device does not offer. A stream
//! tells what was agreed, not what is offered, so that a difference is a hint and no proof.

use super::side::SectionFacts;
use crate::difference::{Difference, Subject};

/// Compares the agreed features of two devices.
pub fn compare(_subject: &Subject, _saved: &SectionFacts, _target: &SectionFacts, _out: &mut Vec<Difference>) {}
