//! The tree below the layer that is written, for many questions about the same directories.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use layer_store::{Attributes, StackView};

use super::FileError;

/// So many names of a directory are looked up one by one; after that it is listed as a whole.
const SINGLE_LOOKUPS: u32 = 16;

/// The merged tree of the base.
pub(super) struct Base {
    view: StackView,
    asked: RefCell<HashMap<PathBuf, Asked>>,
}

/// What was asked about a directory so far.
enum Asked {
    Times(u32),
    Listed(HashMap<OsString, Attributes>),
}

impl Base {
    pub(super) fn new(view: StackView) -> Self {
        Self { view, asked: RefCell::default() }
    }

    /// What is at a real path.
    pub(super) fn lookup(&self, path: &Path) -> Result<Option<Attributes>, FileError> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return self.single(path);
        };
        let mut asked = self.asked.borrow_mut();
        if !asked.contains_key(directory) {
            asked.insert(directory.into(), Asked::Times(0));
        }
        let Some(about) = asked.get_mut(directory) else { return self.single(path) };
        match about {
            Asked::Listed(names) => return Ok(names.get(name).cloned()),
            Asked::Times(times) if *times < SINGLE_LOOKUPS => {
                *times += 1;
                return self.single(path);
            }
            Asked::Times(_) => {}
        }
        let names = self.list(directory)?;
        let found = names.get(name).cloned();
        *about = Asked::Listed(names);
        Ok(found)
    }

    fn single(&self, path: &Path) -> Result<Option<Attributes>, FileError> {
        Ok(self.view.lookup(path)?.map(|entry| entry.attributes))
    }

    fn list(&self, directory: &Path) -> Result<HashMap<OsString, Attributes>, FileError> {
        let is_directory = self.single(directory)?.is_some_and(|found| found.is_dir());
        let entries = if is_directory { self.view.read_dir(directory)? } else { Vec::new() };
        Ok(entries.into_iter().map(|(name, entry)| (name, entry.attributes)).collect())
    }

    /// Opens a file at a real path.
    pub(super) fn open(&self, path: &Path) -> Result<File, FileError> {
        Ok(self.view.open(path)?)
    }
}
