//! States of failed steps: the layers that they stand on and left, kept with the build in the journal.
//!
//! A state is a document that the store does not read, and the layers it needs, which no collection takes
//! while the state is kept. States go when their build leaves the journal, when newer ones push them out,
//! or when they are forgotten.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::builds::UnfinishedBuild;
use crate::disk::{Durable, read_json, replace, to_json};
use crate::error::{At, Result, StoreError};
use crate::{BuildId, LayerId, Store};

/// Builds whose states are kept; those of older ones go.
const BUILDS: usize = 10;
const PREFIX: &str = "state-";

/// A state as it is on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    layers: Vec<LayerId>,
    document: serde_json::Value,
}

impl UnfinishedBuild {
    /// Keeps the state of a step, with the layers it needs, once the build is in the journal.
    pub fn keep_state(&self, step: u32, layers: &[LayerId], document: serde_json::Value) -> Result<()> {
        let path = self.directory().join(format!("{PREFIX}{step}"));
        let kept = Kept { layers: layers.to_vec(), document };
        replace(&path, &self.directory().join("unfinished"), &to_json(&path, &kept)?, Durable::No)
    }
}

impl Store {
    /// The steps of a build whose states are kept, in order.
    pub fn states(&self, build: &BuildId) -> Result<Vec<u32>> {
        let mut steps: Vec<u32> = self.state_files(build)?.into_iter().map(|(step, _)| step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// The document of a state; `None` where it is gone or damaged, or a layer of it is.
    pub fn state(&self, build: &BuildId, step: u32) -> Result<Option<serde_json::Value>> {
        let path = self.build_directory(build).join(format!("{PREFIX}{step}"));
        let Some(kept) = read(path)? else { return Ok(None) };
        for layer in &kept.layers {
            if self.layer(layer)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(kept.document))
    }

    /// Forgets all states; how many there were. [`Store::collect`] removes what they alone needed.
    pub fn forget_states(&self) -> Result<usize> {
        self.forget_states_after(0)
    }

    /// Forgets the states of all builds but the newest ones.
    pub(crate) fn trim_states(&self) -> Result<()> {
        self.forget_states_after(BUILDS).map(drop)
    }

    /// Forgets the states of builds after so many that have some.
    fn forget_states_after(&self, keep: usize) -> Result<usize> {
        let (mut kept, mut gone) = (0, 0);
        for build in self.builds()? {
            let files = self.state_files(&build)?;
            if files.is_empty() {
                continue;
            }
            kept += 1;
            if kept <= keep {
                continue;
            }
            for (_, path) in files {
                match std::fs::remove_file(&path) {
                    Ok(()) => gone += 1,
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error).at(&path),
                }
            }
        }
        Ok(gone)
    }

    /// The layers that kept states need.
    pub(crate) fn layers_of_states(&self) -> Result<HashSet<LayerId>> {
        let mut layers = HashSet::new();
        for build in self.builds()? {
            for (_, path) in self.state_files(&build)? {
                layers.extend(read(path)?.into_iter().flat_map(|kept| kept.layers));
            }
        }
        Ok(layers)
    }

    fn state_files(&self, build: &BuildId) -> Result<Vec<(u32, PathBuf)>> {
        let dir = self.build_directory(build);
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).at(&dir),
        };
        let step = |entry: std::fs::DirEntry| {
            let step = entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
            Some((step, entry.path()))
        };
        Ok(entries.filter_map(|entry| step(entry.ok()?)).collect())
    }
}

/// A damaged state is none.
fn read(path: PathBuf) -> Result<Option<Kept>> {
    match read_json::<Kept>(&path) {
        Err(StoreError::Json { .. }) => Ok(None),
        other => other,
    }
}
