//! The kinds of findings of `compat`; their words are part of the interface.

use crate::findings::{Rule, Severity, rules};

/// A rule, and the severity of what it found.
#[derive(Clone, Copy)]
pub(super) struct Graded {
    pub(super) rule: &'static Rule,
    pub(super) severity: Severity,
}

impl Rule {
    pub(super) const fn with(&'static self, severity: Severity) -> Graded {
        Graded { rule: self, severity }
    }

    pub(super) const fn harmless(&'static self) -> Graded {
        self.with(Severity::Harmless)
    }

    pub(super) const fn may_break(&'static self) -> Graded {
        self.with(Severity::MayBreak)
    }

    pub(super) const fn breaks(&'static self) -> Graded {
        self.with(Severity::Breaks)
    }
}

rules! {
    MACHINE = "machine-type": "The two sides are of different machine types.";
    CONFIGURATION = "configuration": "The configuration section exists on one side only, or differs.";
    COMMAND = "command": "The stream has a command that the target does not know.";
    FOOTER = "section-footers": "Section footers exist on one side only.";
    PAGE_SIZE = "target-page-size": "The target page sizes differ.";
    RAM_MISSING = "ram-block-unknown": "The target has no RAM block of this name.";
    RAM_SIZE = "ram-block-size": "The RAM block has a different size on the target.";
    RAM_EXTRA = "ram-block-not-sent": "The target has a RAM block that the stream does not fill.";
    DEVICES_ONLY = "devices-only": "One side holds the state of devices only.";
    RUN_STATE = "run-state": "QEMU does not know the run state of the stream.";
    SECTION_UNKNOWN = "section-unknown": "The target has no such section, or no such instance of it.";
    SECTION_EXTRA = "section-not-sent": "The target has a section that the stream does not have; it keeps its state after reset.";
    UNCHECKED = "unchecked": "Neither input shows how the target reads these parts.";
    VERSION_NEW = "version-too-new": "The stream has a newer version than the target knows.";
    VERSION_OLD = "version-too-old": "The stream has an older version than the target's oldest.";
    VERSION_OTHER = "version-other": "The versions differ, and neither input shows whether the target still reads the older one.";
    SUBSECTION_UNKNOWN = "subsection-unknown": "The stream has a subsection that the target does not know.";
    SUBSECTION_EXTRA = "subsection-not-sent": "The target has sent a subsection that the stream does not have.";
    LAYOUT = "layout": "The fields of the two sides have different sizes, so that what follows is misread.";
    LAYOUT_CONDITION = "layout-condition": "The target reads a field under a condition that the dump does not contain.";
    FIELD_NAME = "field-name": "The fields have different names or boundaries; the total size is the same.";
    LIST_LENGTH = "list-length": "A list is longer than the target can take.";
    TOO_MANY = "too-many": "There are more findings than are listed.";
    CPREG = "cpreg-list": "The stream has ARM system registers that the target does not know.";
    PVR = "processor-version": "The processors have different versions, which the target rejects unless it treats them as one family.";
    PCI_CONFIG = "pci-config": "The configuration space of a PCI device differs in bits that the guest cannot change.";
    VIRTIO_QUEUE = "virtio-queue-size": "A virtio queue is larger than the target's device has room for.";
    VIRTIO_FEATURES = "virtio-features": "The guest uses virtio features that the target's device may not offer.";
}
