//! The full-screen browser of an image's layers and files.

mod draw;
mod rows;
#[cfg(test)]
mod samples;
mod screen;
mod state;
mod tree;
mod wasted;

pub use screen::show;
pub use state::State;
