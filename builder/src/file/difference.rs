//! What has to be added to one tree to get another, as one layer.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use layer_store::{Content, Entry, Kind, LayerId, LayerWriter, Lease, Snapshot, StackView, Store};

use super::FileError;

/// Writes the difference between two trees as a layer that lies on the lower one. Names that the
/// upper tree lacks are removed. Files of the upper tree are not copied: they get a further name.
pub fn difference(
    store: &Store,
    lease: &Lease,
    lower: &Snapshot,
    upper: &Snapshot,
) -> Result<LayerId, FileError> {
    let (below, above) = (store.stack(lower)?, store.stack(upper)?);
    let mut work = Work { below, above, writer: lease.write_layer(lower)?, first_names: HashMap::new() };
    let root = Path::new("");
    if let (Some(new), old) = (work.above.lookup(root)?, work.below.lookup(root)?)
        && old.is_none_or(|old| old.attributes != new.attributes)
    {
        work.writer.directory(root, &new.attributes)?;
    }
    work.directory(root, Below::Directory)?;
    Ok(work.writer.commit()?)
}

/// Whether the lower tree has the directory, too.
#[derive(Clone, Copy)]
enum Below {
    Directory,
    Nothing,
}

struct Work {
    below: StackView,
    above: StackView,
    writer: LayerWriter,
    /// Where the first name of a file with several names was written.
    first_names: HashMap<(usize, u64), PathBuf>,
}

impl Work {
    fn directory(&mut self, dir: &Path, below: Below) -> Result<(), FileError> {
        let mut old: BTreeMap<OsString, Entry> = match below {
            Below::Directory => self.below.read_dir(dir)?.into_iter().collect(),
            Below::Nothing => BTreeMap::new(),
        };
        for (name, entry) in self.above.read_dir(dir)? {
            let path = dir.join(&name);
            let before = old.remove(&name);
            self.entry(&path, &entry, before.as_ref())?;
        }
        for name in old.into_keys() {
            self.writer.whiteout(&dir.join(name))?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, entry: &Entry, before: Option<&Entry>) -> Result<(), FileError> {
        if !entry.attributes.is_dir() {
            return match before {
                Some(before) if self.is_the_same(path, entry, before)? => Ok(()),
                Some(_) | None => self.write(path, entry),
            };
        }
        let before = before.filter(|before| before.attributes.is_dir());
        if before.is_none_or(|before| before.attributes != entry.attributes) {
            self.writer.directory(path, &entry.attributes)?;
        }
        self.directory(path, if before.is_some() { Below::Directory } else { Below::Nothing })
    }

    /// Whether both trees have the very file of one layer.
    fn is_the_same(&self, path: &Path, entry: &Entry, before: &Entry) -> Result<bool, FileError> {
        Ok(entry.attributes == before.attributes
            && self.above.host_path(path)? == self.below.host_path(path)?)
    }

    fn write(&mut self, path: &Path, entry: &Entry) -> Result<(), FileError> {
        if entry.links > 1 {
            if let Some(first) = self.first_names.get(&entry.identity) {
                return Ok(self.writer.hardlink(path, first)?);
            }
            self.first_names.insert(entry.identity, path.to_owned());
        }
        match &entry.attributes.kind {
            Kind::File { .. } => {
                let host = self.above.host_path(path)?;
                self.writer.file(path, &entry.attributes, Content::HardLinkOf(&host))?;
            }
            Kind::Symlink { .. } => self.writer.symlink(path, &entry.attributes)?,
            Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Socket => {
                self.writer.special(path, &entry.attributes)?;
            }
            Kind::Directory => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
