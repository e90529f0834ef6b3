//! The kinds of differences that `diff` tells apart.

use crate::findings::rules;

rules! {
    MACHINE = "machine": "The machine type is another.";
    TARGET_PAGE = "target-page": "The size of a target page is another, or only one of the streams states it.";
    CAPABILITY_ADDED = "capability-added": "The configuration lists a capability that the first state does not list.";
    CAPABILITY_REMOVED = "capability-removed": "The configuration does not list a capability that the first state lists.";
    UUID = "uuid": "The machine's UUID is another, or only one of the streams has it.";
    CONFIGURATION = "configuration": "Only one of the streams has a configuration section.";
    FOOTERS = "footers": "The sections of only one of the streams have footers.";
    DESCRIPTION = "description": "Only one of the streams has a description of its devices.";
    COMMAND_ADDED = "command-added": "The stream has a command that the first state does not have.";
    COMMAND_REMOVED = "command-removed": "The stream lacks a command that the first state has.";
    COMMAND_MOVED = "command-moved": "A command stands at another place among the commands.";
    COMMAND_PAYLOAD = "command-payload": "A command says something else.";
    SECTION_ADDED = "section-added": "The first state has no such section.";
    SECTION_REMOVED = "section-removed": "The second state has no such section.";
    SECTION_MOVED = "section-moved": "The section stands at another place among the sections.";
    SECTION_INSTANCE = "section-instance": "The section has another instance id.";
    SECTION_KIND = "section-kind": "The section is written in one piece in one state and in several in the other.";
    SECTION_VERSION = "section-version": "The version of the section is another.";
    VMSD_NAME = "vmsd-name": "The structure is described under another name.";
    VMSD_VERSION = "vmsd-version": "The version of a structure inside a section is another.";
    SUBSECTION_ADDED = "subsection-added": "The structure has a subsection that it does not have in the first state.";
    SUBSECTION_REMOVED = "subsection-removed": "The structure lacks a subsection that it has in the first state.";
    SUBSECTION_MOVED = "subsection-moved": "A subsection stands at another place among the subsections.";
    FIELD_ADDED = "field-added": "The structure has a field that it does not have in the first state.";
    FIELD_REMOVED = "field-removed": "The structure lacks a field that it has in the first state.";
    FIELD_MOVED = "field-moved": "A field stands at another place among the fields.";
    FIELD_RENAMED = "field-renamed": "A field of the same type and size stands at the same place under another name.";
    FIELD_TYPE = "field-type": "The type of a field is another.";
    FIELD_SIZE = "field-size": "A field takes another number of bytes.";
    FIELD_VALUE = "field-value": "The value of a field is another.";
    ARRAY_LENGTH = "array-length": "An array has another number of elements.";
    ELEMENT_ADDED = "element-added": "A list has an element more.";
    ELEMENT_REMOVED = "element-removed": "A list has an element less.";
    BLOCK_ADDED = "block-added": "The first state has no such RAM block.";
    BLOCK_REMOVED = "block-removed": "The second state has no such RAM block.";
    BLOCK_RENAMED = "block-renamed": "A RAM block of the same size stands at the same place under another name.";
    BLOCK_MOVED = "block-moved": "A RAM block stands at another place in the list.";
    BLOCK_SIZE = "block-size": "A RAM block has another size.";
    RAM_CHANGED = "ram-changed": "Pages of guest memory hold something else.";
    RAM_ZEROED = "ram-zeroed": "Pages of guest memory that held something are zero.";
    RAM_ONLY_BEFORE = "ram-only-before": "Pages of guest memory are in the first stream only.";
    RAM_ONLY_AFTER = "ram-only-after": "Pages of guest memory are in the second stream only.";
    TOO_MANY = "too-many": "There are more differences than are listed.";
}
