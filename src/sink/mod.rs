//! Where pages go: memory images, raw or by guest-physical address.
//!
//! A sink gets pages in the order of the stream ([`crate::ram::PageSink`]), finds their place by a [`Plan`], and hands the
//! bytes to a thread that writes, so that reading the stream and writing the image overlap.

mod copy;
mod file_names;
mod image_file;
mod image_files;
mod naming;
mod page_images;
mod plan;
mod unfinished;
mod writer;

pub use file_names::file_names;
pub use image_file::ImageFile;
pub use image_files::{FileRules, Finished, ImageFiles, Whole};
pub use page_images::{BlockReport, ImageReport, PageImages, Planner};
pub use plan::{Plan, Segment};
pub use unfinished::Unfinished;
