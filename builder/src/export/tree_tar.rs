//! The files of a tree as one tar.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use layer_store::tar::TarWriter;
use layer_store::{Attributes, Entry, FirstNames, Kind, StackView, Store, StoreError, Time, Walk};

use super::error::TreeError;
use super::trees::PlacedTree;

/// Writes trees, each below its directory. Directories that several have are those of the first.
pub(crate) fn write_tar(store: &Store, trees: &[PlacedTree], sink: &mut dyn Write) -> Result<(), TreeError> {
    let mut tar = TarWriter::new(sink);
    let mut directories: HashSet<PathBuf> = HashSet::new();
    for PlacedTree { directory: prefix, view, clamp, more } in trees {
        let clamp = *clamp;
        if !prefix.as_os_str().is_empty()
            && let Some(root) = view.lookup(Path::new("/"))?
        {
            tar.entry(prefix, &clamped(&root.attributes, clamp))?;
        }
        let mut names = store.first_names();
        view.walk(Path::new("/"), &mut |path, entry| {
            let relative = path.strip_prefix("/").unwrap_or(path);
            if relative.as_os_str().is_empty() {
                return Ok(Walk::Continue);
            }
            let name = prefix.join(relative);
            if entry.attributes.is_dir() && trees.len() > 1 && !directories.insert(name.clone()) {
                return Ok(Walk::Continue);
            }
            write_entry(&mut tar, view, path, &name, entry, &mut names, clamp)?;
            Ok(Walk::Continue)
        })?;
        for (name, content) in more {
            let size = content.len() as u64;
            let mut attributes = Attributes::new(Kind::File { size }, 0o644);
            attributes.mtime.secs = clamp.unwrap_or(0);
            tar.file(&prefix.join(name), &attributes, &mut content.as_slice())?;
        }
    }
    tar.finish()?;
    Ok(())
}

fn write_entry(
    tar: &mut TarWriter<&mut dyn Write>,
    view: &StackView,
    real: &Path,
    name: &Path,
    entry: &Entry,
    names: &mut FirstNames,
    clamp: Option<i64>,
) -> Result<(), StoreError> {
    let attributes = clamped(&entry.attributes, clamp);
    match &attributes.kind {
        Kind::File { .. } => {
            if let Some(first) = names.of(entry, name)? {
                return tar.hardlink(name, &first, &attributes);
            }
            tar.file_from(name, &attributes, &view.open(real)?)
        }
        Kind::Socket => Ok(()),
        Kind::Directory
        | Kind::Symlink { .. }
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. } => tar.entry(name, &attributes),
    }
}

fn clamped(attributes: &Attributes, clamp: Option<i64>) -> Attributes {
    let mut attributes = attributes.clone();
    if let Some(clamp) = clamp.filter(|clamp| attributes.mtime.secs >= *clamp) {
        attributes.mtime = Time { secs: clamp, nanos: 0 };
    }
    attributes
}
