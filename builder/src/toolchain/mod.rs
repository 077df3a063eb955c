//! What the plain commands do with images: pull, push, look at them, run them.
//!
//! Everything here is built from the pieces that a build uses; nothing prints.

mod error;
mod inspect;
mod layers;
mod pull;
mod push;
mod run;
mod terminal;

pub use error::ToolError;
pub use inspect::{Inspected, inspect};
pub use layers::{FileReport, LayerReport, layers};
pub use pull::{PulledImage, pull};
pub use push::push;
pub use run::{RunIo, RunOptions, run};
pub use terminal::attach as attach_terminal;
