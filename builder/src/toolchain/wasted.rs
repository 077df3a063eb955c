//! Files that are in an image and cannot be seen.

use layer_store::DeadFile;

/// Of all files that are hidden, so many are named.
pub const MOST_HIDDEN: usize = 10_000;

/// Keeps the largest files.
#[derive(Default)]
pub(super) struct Wasted(Vec<DeadFile>);

impl Wasted {
    pub(super) fn add(&mut self, file: DeadFile) {
        self.0.push(file);
        if self.0.len() > 2 * MOST_HIDDEN {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.0.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.path.cmp(&other.path)));
        self.0.truncate(MOST_HIDDEN);
    }

    /// The largest first.
    pub(super) fn largest(mut self) -> Vec<DeadFile> {
        self.cut();
        self.0
    }
}
