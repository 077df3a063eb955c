//! The inputs of a vertex.

use graph::{Edge, Input};

/// Inputs by position; equal sources share a place, never that of the root.
#[derive(Debug)]
pub(crate) struct Inputs(Vec<Input>);

impl Inputs {
    /// Begins with the root file system, input 0.
    pub(crate) fn new(root: Option<Edge>) -> Self {
        Self(vec![root])
    }

    /// The place of a source.
    pub(crate) fn place(&mut self, source: Option<Edge>) -> usize {
        match self.0.iter().skip(1).position(|input| *input == source) {
            Some(place) => place + 1,
            None => {
                self.0.push(source);
                self.0.len() - 1
            }
        }
    }

    /// All of them.
    pub(crate) fn into_vec(self) -> Vec<Input> {
        self.0
    }
}
