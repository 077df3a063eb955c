//! The members of a tar, found in one pass and read in place afterwards.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use layer_store::tar::TarReader;
use layer_store::{Kind, Lease};

use super::error::PlaceError;
use super::span::Span;
use crate::file::PackedForm;

/// No layout has more files.
const MOST: usize = 1 << 20;
/// How often a link may lead to a link.
const MOST_LINKS: usize = 8;

/// Regular members by their cleaned name, and where links lead.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    files: BTreeMap<PathBuf, Span>,
    links: BTreeMap<PathBuf, PathBuf>,
}

struct Counting<R> {
    from: R,
    at: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.at.set(self.at.get() + count as u64);
        Ok(count)
    }
}

impl Members {
    /// Reads the headers of a tar. One that is compressed is first unpacked below the lease.
    pub(super) fn read(path: &Path, lease: &Lease) -> Result<Self, PlaceError> {
        let plain = plain(path, lease)?;
        Self::listed(path, plain)
    }

    /// Reads a tar that comes only once; it is kept below the lease.
    pub(super) fn of_stream(stream: impl Read, shown: &Path, lease: &Lease) -> Result<Self, PlaceError> {
        let kept = kept(stream, lease).map_err(|source| PlaceError::io(shown, source))?;
        Self::listed(shown, kept)
    }

    fn listed(path: &Path, plain: PathBuf) -> Result<Self, PlaceError> {
        let file = File::open(&plain).map_err(|source| PlaceError::io(path, source))?;
        let at = Rc::new(Cell::new(0));
        let mut reader =
            TarReader::new(Counting { from: BufReader::with_capacity(1 << 20, file), at: Rc::clone(&at) });
        let mut members = Self::default();
        loop {
            let found =
                reader.next_entry().map_err(|error| PlaceError::refused(path.display(), error.to_string()));
            let Some(entry) = found? else { return Ok(members) };
            if members.files.len() + members.links.len() > MOST {
                return Err(PlaceError::refused(path.display(), "it has more files than any image"));
            }
            let name = clean(&entry.path);
            match (&entry.link, &entry.attributes.kind) {
                (Some(target), _) => drop(members.links.insert(name, clean(&target.0))),
                (None, Kind::File { size }) => {
                    let span = Span { path: plain.clone(), start: at.get(), size: *size };
                    members.files.insert(name, span);
                }
                (None, Kind::Symlink { target }) => {
                    let beside = name.parent().unwrap_or(Path::new("")).join(target);
                    members.links.insert(name, clean(&beside));
                }
                (
                    None,
                    Kind::Directory
                    | Kind::Fifo
                    | Kind::Socket
                    | Kind::CharDevice { .. }
                    | Kind::BlockDevice { .. },
                ) => {}
            }
        }
    }

    /// A member by its name, links followed.
    pub(super) fn find(&self, name: &str) -> Option<&Span> {
        let mut name = clean(Path::new(name));
        for _ in 0..MOST_LINKS {
            match (self.files.get(&name), self.links.get(&name)) {
                (Some(span), _) => return Some(span),
                (None, Some(target)) => name.clone_from(target),
                (None, None) => return None,
            }
        }
        None
    }
}

/// The name without `.`, `..` and a leading `/`; it is only ever a key.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => drop(clean.pop()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    clean
}

/// The tar itself, or an unpacked copy of it.
fn plain(path: &Path, lease: &Lease) -> Result<PathBuf, PlaceError> {
    let failed = |source| PlaceError::io(path, source);
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(PlaceError::refused(path.display(), "it is a directory, not a tar"));
    }
    let mut file = File::open(path).map_err(failed)?;
    if !metadata.is_file() {
        return kept(file, lease).map_err(failed);
    }
    let form = PackedForm::of(&start(&mut file).map_err(failed)?);
    if form == PackedForm::Plain {
        return Ok(path.to_owned());
    }
    file.rewind().and_then(|()| kept(file, lease)).map_err(failed)
}

fn start(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    stream.take(PackedForm::START).read_to_end(&mut start)?;
    Ok(start)
}

/// Unpacks a stream into a file below the lease.
fn kept(mut stream: impl Read, lease: &Lease) -> io::Result<PathBuf> {
    let start = start(&mut stream)?;
    let copy = lease.scratch_dir().map_err(io::Error::other)?.join("archive.tar");
    let mut tar = PackedForm::of(&start).reader(io::BufReader::new(io::Cursor::new(start).chain(stream)))?;
    let mut out = File::create(&copy)?;
    io::copy(&mut tar, &mut out)?;
    out.flush()?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_keys_and_lead_nowhere() {
        for (name, expected) in [("./a/b", "a/b"), ("/a", "a"), ("../../etc/x", "etc/x"), ("a/../b", "b")] {
            assert_eq!(clean(Path::new(name)), PathBuf::from(expected));
        }
    }
}
