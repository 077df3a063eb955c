//! One layer of a merged tree, and what a process knows of the layers it has opened.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{At, Result, StoreError};
use crate::truth::{Aside, get_xattr};
use crate::{LayerId, Store};

/// One layer of a view.
#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) host: PathBuf,
    pub(crate) aside: Arc<Aside>,
    top: Top,
}

/// The names in a layer's root directory. Most lookups end there in most layers.
#[derive(Debug)]
enum Top {
    /// It is still written to: ask the disk each time.
    Changing,
    /// It is published, and so the same for ever.
    Fixed(OnceLock<Names>),
}

#[derive(Debug)]
struct Names {
    /// `None`: too many to be kept.
    names: Option<HashSet<OsString>>,
    opaque: bool,
}

/// So many names are kept.
const MOST_NAMES: usize = 1 << 12;

impl Sheet {
    /// A layer that is being written.
    pub(crate) fn changing(host: PathBuf, aside: Arc<Aside>) -> Self {
        Self { host, aside, top: Top::Changing }
    }

    fn fixed(host: PathBuf, aside: Arc<Aside>) -> Self {
        Self { host, aside, top: Top::Fixed(OnceLock::new()) }
    }

    /// Whether the layer may hold this real path: `false` is certain.
    pub(crate) fn may_hold(&self, path: &Path, opaque: &OsStr) -> Result<bool> {
        match (path.iter().next(), self.names(opaque)?) {
            (Some(first), Some(Names { names: Some(names), .. })) => Ok(names.contains(first)),
            (Some(_), Some(Names { names: None, .. })) => Ok(true),
            (None, _) | (_, None) => Ok(true),
        }
    }

    /// Whether its root directory hides everything below. `opaque` is the name of the attribute.
    pub(crate) fn hides_all(&self, opaque: &OsStr) -> Result<bool> {
        match self.names(opaque)? {
            Some(known) => Ok(known.opaque),
            None => is_opaque(&self.host, opaque),
        }
    }

    fn names(&self, opaque: &OsStr) -> Result<Option<&Names>> {
        let Top::Fixed(known) = &self.top else { return Ok(None) };
        if let Some(known) = known.get() {
            return Ok(Some(known));
        }
        let mut names = Some(HashSet::new());
        for entry in std::fs::read_dir(&self.host).at(&self.host)? {
            let name = entry.at(&self.host)?.file_name();
            names = names.filter(|names| names.len() < MOST_NAMES);
            let Some(names) = &mut names else { break };
            names.insert(name);
        }
        let read = Names { names, opaque: is_opaque(&self.host, opaque)? };
        Ok(Some(known.get_or_init(|| read)))
    }
}

/// Whether a directory carries the mark that hides what is below.
pub(crate) fn is_opaque(host: &Path, opaque: &OsStr) -> Result<bool> {
    Ok(get_xattr(host, opaque)?.is_some_and(|value| value == b"y"))
}

/// The layers a process has opened, each with the state its directory had then.
#[derive(Debug, Default)]
pub(crate) struct Sheets(Mutex<HashMap<LayerId, (State, Arc<Sheet>)>>);

/// Changes with every document that is written or removed beside the layer's files.
type State = (u64, i64, i64);

impl Store {
    /// A layer that is here and whole; `None` where it is absent or damaged. Its documents are read again
    /// only where they changed since: a build of many steps asks for the same layers at each.
    pub(crate) fn sheet(&self, id: &LayerId) -> Result<Option<Arc<Sheet>>> {
        let dir = self.layer_path(id);
        let state = match std::fs::symlink_metadata(&dir) {
            Ok(found) => (found.ino(), found.ctime(), found.ctime_nsec()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at(&dir),
        };
        let known = |sheets: &HashMap<LayerId, (State, Arc<Sheet>)>| {
            sheets.get(id).filter(|(then, _)| *then == state).map(|(_, sheet)| sheet.clone())
        };
        if let Some(sheet) = known(&self.0.sheets.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Some(sheet));
        }
        if self.meta(id)?.is_none() {
            return Ok(None);
        }
        let aside = match self.aside(id) {
            Ok(aside) => aside,
            Err(StoreError::AbsentLayer { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let sheet = Arc::new(Sheet::fixed(self.layer_dir(id), aside));
        let mut sheets = self.0.sheets.0.lock().unwrap_or_else(PoisonError::into_inner);
        sheets.insert(id.clone(), (state, sheet.clone()));
        Ok(Some(sheet))
    }
}
