//! The tree below the layer that is written, for many questions about the same directories.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use layer_store::{Attributes, StackView};

use super::FileError;

/// So many names of a directory are looked up one by one; after that it is listed as a whole.
const SINGLE_LOOKUPS: u32 = 16;

/// A directory with more names is never listed.
const MOST_NAMES: usize = if cfg!(test) { 40 } else { 1 << 12 };

/// So many names of all directories are kept; then what was asked is forgotten.
const KEPT_NAMES: usize = if cfg!(test) { 100 } else { 1 << 15 };

/// The merged tree of the base.
pub(super) struct Base {
    view: StackView,
    asked: RefCell<HashMap<PathBuf, Asked>>,
    /// Names in all that was listed.
    names: Cell<usize>,
}

/// What was asked about a directory so far.
enum Asked {
    Times(u32),
    Listed(HashMap<OsString, Attributes>),
    /// It has too many names.
    Wide,
}

impl Base {
    pub(super) fn new(view: StackView) -> Self {
        Self { view, asked: RefCell::default(), names: Cell::default() }
    }

    /// What is at a real path.
    pub(super) fn lookup(&self, path: &Path) -> Result<Option<Attributes>, FileError> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return self.single(path);
        };
        let mut asked = self.asked.borrow_mut();
        match asked.get_mut(directory) {
            Some(Asked::Listed(names)) => return Ok(names.get(name).cloned()),
            Some(Asked::Times(times)) if *times < SINGLE_LOOKUPS => {
                *times += 1;
                return self.single(path);
            }
            Some(Asked::Wide) => return self.single(path),
            Some(Asked::Times(_)) => {}
            None => {
                asked.insert(directory.into(), Asked::Times(1));
                return self.single(path);
            }
        }
        let Some(names) = self.list(directory)? else {
            asked.insert(directory.into(), Asked::Wide);
            return self.single(path);
        };
        let found = names.get(name).cloned();
        self.names.set(self.names.get() + names.len());
        if self.names.get() > KEPT_NAMES {
            // Copies go from one directory to the next, and seldom back.
            self.names.set(names.len());
            asked.clear();
        }
        asked.insert(directory.into(), Asked::Listed(names));
        Ok(found)
    }

    fn single(&self, path: &Path) -> Result<Option<Attributes>, FileError> {
        Ok(self.view.lookup(path)?.map(|entry| entry.attributes))
    }

    /// What is in a directory; `None` where that is too much.
    fn list(&self, directory: &Path) -> Result<Option<HashMap<OsString, Attributes>>, FileError> {
        let mut names = HashMap::new();
        if !self.single(directory)?.is_some_and(|found| found.is_dir()) {
            return Ok(Some(names));
        }
        for found in self.view.entries(directory)? {
            let (name, entry) = found?;
            names.insert(name, entry.attributes);
            if names.len() > MOST_NAMES {
                return Ok(None);
            }
        }
        Ok(Some(names))
    }

    /// Opens a file at a real path.
    pub(super) fn open(&self, path: &Path) -> Result<File, FileError> {
        Ok(self.view.open(path)?)
    }
}
