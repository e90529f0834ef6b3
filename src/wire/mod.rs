//! From bytes to integers: the [`Source`] of bytes, the [`Cursor`] that walks a stream, the [`Reader`] over a section
//! that is in memory. The only code that turns stream bytes into numbers.
//!
//! Every integer that QEMU's migration core writes is big-endian (`migration/qemu-file.c`, `qemu_put_be*`).

mod cursor;
mod file;
mod pipe;
mod positioned;
mod reader;
mod source;

pub use cursor::Cursor;
pub use file::FileSource;
pub use pipe::PipeSource;
pub use positioned::{read_sparse_at, read_up_to_end, write_all_at};
pub use reader::Reader;
pub use source::{MemorySource, Source};
