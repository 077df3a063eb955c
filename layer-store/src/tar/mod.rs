//! Tar archives: one reader for all of them, and one writer of canonical ones.

mod acl;
mod header;
mod holes;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use reader::{HardLinkTarget, TarBody, TarEntry, TarReader};
pub use writer::TarWriter;

pub(crate) const BLOCK: usize = 512;
