//! What has to be added to one tree to get another, as one layer.

use std::path::Path;

use layer_store::{
    Content, Entry, FirstNames, Kind, LayerId, LayerWriter, Lease, Snapshot, StackView, Store,
};

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
    let (writer, first_names) = (lease.write_layer(lower)?, store.first_names());
    let mut work = Work { below, above, writer, first_names };
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
    first_names: FirstNames,
}

impl Work {
    fn directory(&mut self, dir: &Path, lower: Below) -> Result<(), FileError> {
        let (below, above) = (self.below.clone(), self.above.clone());
        let old = match lower {
            Below::Directory => Some(below.entries(dir)?),
            Below::Nothing => None,
        };
        // What failed stays in front, and is told at the end.
        let mut old = old.into_iter().flatten().peekable();
        for found in above.entries(dir)? {
            let (name, entry) = found?;
            while let Some(gone) = old.next_if(|old| old.as_ref().is_ok_and(|(old, _)| *old < name)) {
                self.writer.whiteout(&dir.join(gone?.0))?;
            }
            let before = old.next_if(|old| old.as_ref().is_ok_and(|(old, _)| *old == name)).transpose()?;
            self.entry(&dir.join(name), &entry, before.map(|(_, entry)| entry).as_ref())?;
        }
        for gone in old {
            self.writer.whiteout(&dir.join(gone?.0))?;
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
        if let Some(first) = self.first_names.of(entry, path)? {
            return Ok(self.writer.hardlink(path, &first)?);
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
