//! The kinds of differences that `diff` distinguishes.

use crate::findings::rules;

rules! {
    MACHINE = "machine": "The machine type differs.";
    TARGET_PAGE = "target-page": "The size of a target page differs, or only one of the streams states it.";
    CAPABILITY_ADDED = "capability-added": "The configuration lists a capability that the first state does not list.";
    CAPABILITY_REMOVED = "capability-removed": "The configuration does not list a capability that the first state lists.";
    UUID = "uuid": "The machine's UUID differs, or only one of the streams has it.";
    CONFIGURATION = "configuration": "Only one of the streams has a configuration section.";
    FOOTERS = "footers": "The sections of only one of the streams have footers.";
    DESCRIPTION = "description": "Only one of the streams has a description of its devices.";
    COMMAND_ADDED = "command-added": "The stream has a command that the first state does not have.";
    COMMAND_REMOVED = "command-removed": "The stream lacks a command that the first state has.";
    COMMAND_MOVED = "command-moved": "A command is at a different position among the commands.";
    COMMAND_PAYLOAD = "command-payload": "A command has a different payload.";
    SECTION_ADDED = "section-added": "The first state does not have this section.";
    SECTION_REMOVED = "section-removed": "The second state does not have this section.";
    SECTION_MOVED = "section-moved": "The section is at a different position among the sections.";
    SECTION_INSTANCE = "section-instance": "The section has a different instance id.";
    SECTION_KIND = "section-kind": "The section is written in one piece in one state and in several in the other.";
    SECTION_VERSION = "section-version": "The version of the section differs.";
    VMSD_NAME = "vmsd-name": "The structure has a different name in the description.";
    VMSD_VERSION = "vmsd-version": "The version of a structure inside a section differs.";
    SUBSECTION_ADDED = "subsection-added": "The structure has a subsection that is missing in the first state.";
    SUBSECTION_REMOVED = "subsection-removed": "The structure lacks a subsection that it has in the first state.";
    SUBSECTION_MOVED = "subsection-moved": "A subsection is at a different position among the subsections.";
    FIELD_ADDED = "field-added": "The structure has a field that is missing in the first state.";
    FIELD_REMOVED = "field-removed": "The structure lacks a field that it has in the first state.";
    FIELD_MOVED = "field-moved": "A field is at a different position among the fields.";
    FIELD_RENAMED = "field-renamed": "A field of the same type and size is at the same position under a different name.";
    FIELD_TYPE = "field-type": "The type of a field differs.";
    FIELD_SIZE = "field-size": "A field has a different size.";
    FIELD_VALUE = "field-value": "The value of a field differs.";
    ARRAY_LENGTH = "array-length": "An array has a different number of elements.";
    ELEMENT_ADDED = "element-added": "A list has an additional element.";
    ELEMENT_REMOVED = "element-removed": "A list lacks an element.";
    BLOCK_ADDED = "block-added": "The first state does not have this RAM block.";
    BLOCK_REMOVED = "block-removed": "The second state does not have this RAM block.";
    BLOCK_RENAMED = "block-renamed": "A RAM block of the same size is at the same position under a different name.";
    BLOCK_MOVED = "block-moved": "A RAM block is at a different position in the list.";
    BLOCK_SIZE = "block-size": "A RAM block has a different size.";
    RAM_CHANGED = "ram-changed": "Pages of guest memory have different content.";
    RAM_ZEROED = "ram-zeroed": "Pages of guest memory that had content before are zero.";
    RAM_ONLY_BEFORE = "ram-only-before": "Pages of guest memory are in the first stream only.";
    RAM_ONLY_AFTER = "ram-only-after": "Pages of guest memory are in the second stream only.";
    TOO_MANY = "too-many": "There are more differences than are listed.";
}
