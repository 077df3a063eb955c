//! `ADD` of an archive: told by its content, unpacked into a directory of the destination.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use layer_store::tar::{TarEntry, TarReader};
use layer_store::{Content, Kind, StoreError};

use super::FileError;
use super::dest::{Dest, Owner, parent};
use super::error::shown;
use super::links::{Last, clean};
use super::tree::Tree;
use crate::context::OpenFile;

/// A file whose first tar header could be read.
pub(super) struct Archive {
    file: OpenFile,
    form: Form,
}

/// How a tar is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Form {
    /// As many first bytes as tell it.
    pub(crate) const START: u64 = 10;

    /// What the first ten bytes say.
    pub(crate) fn of(start: &[u8]) -> Self {
        const MAGIC: [(&[u8], Form); 4] = [
            (&[0x1f, 0x8b, 0x08], Form::Gzip),
            (b"BZh", Form::Bzip2),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Form::Xz),
            (&[0x28, 0xb5, 0x2f, 0xfd], Form::Zstd),
        ];
        let skippable = start.len() >= 4 && start[0] & 0xf0 == 0x50 && start[1..4] == [0x2a, 0x4d, 0x18];
        if skippable {
            return Form::Zstd;
        }
        MAGIC.iter().find(|(magic, _)| start.starts_with(magic)).map_or(Form::Plain, |(_, form)| *form)
    }

    /// Unpacks.
    pub(crate) fn reader<'a>(self, raw: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Form::Plain => Box::new(raw),
            Form::Gzip => Box::new(flate2::read::MultiGzDecoder::new(raw)),
            Form::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(raw)),
            Form::Xz => Box::new(liblzma::read::XzDecoder::new_multi_decoder(raw)),
            Form::Zstd => Box::new(zstd::Decoder::new(raw)?),
        })
    }
}

impl Archive {
    /// A file in the form that its first bytes tell.
    fn of(file: OpenFile) -> io::Result<Self> {
        let mut archive = Self { file, form: Form::Plain };
        let mut start = Vec::new();
        archive.stream()?.take(Form::START).read_to_end(&mut start)?;
        archive.form = Form::of(&start);
        Ok(archive)
    }

    /// The tar stream from its beginning.
    fn stream(&self) -> io::Result<Box<dyn Read + '_>> {
        match &self.file {
            OpenFile::File(opened) => self.form.reader(from_start(&opened.file)?),
            OpenFile::Stored(file) => self.form.reader(from_start(file)?),
            OpenFile::Bytes(bytes) => self.form.reader(Cursor::new(bytes)),
        }
    }
}

fn from_start(mut file: &File) -> io::Result<io::BufReader<&File>> {
    file.rewind()?;
    Ok(io::BufReader::with_capacity(128 * 1024, file))
}

/// Whether the file at a real path is an archive: its first header must be one of a tar.
pub(super) fn detect(tree: &Tree, path: &Path) -> Result<Option<Archive>, FileError> {
    let failed = |source| FileError::Read { path: shown(path), source };
    let archive = Archive::of(tree.open_file(path)?).map_err(failed)?;
    let begins = match archive.stream() {
        Ok(stream) => matches!(TarReader::new(stream).next_entry(), Ok(Some(_))),
        Err(_) => false,
    };
    Ok(begins.then_some(archive))
}

/// The time of the newest file in an archive, plain or compressed. `None`: it is no archive, or a
/// damaged one, or has no file.
pub(crate) fn newest_in_archive(file: File) -> Option<i64> {
    let archive = Archive::of(OpenFile::Stored(file)).ok()?;
    let mut reader = TarReader::new(archive.stream().ok()?);
    let mut newest = None;
    while let Some(entry) = reader.next_entry().ok()? {
        if let Kind::File { .. } = entry.attributes.kind {
            newest = newest.max(Some(entry.attributes.mtime.secs));
        }
    }
    newest
}

/// Unpacks into a directory that exists. Links in it, and links that the archive brings, are
/// followed with that directory as their root, so nothing is written outside of it.
pub(super) fn unpack(
    dest: &mut Dest,
    root: &Path,
    archive: Archive,
    owner: Option<Owner>,
    path: &Path,
) -> Result<(), FileError> {
    let bad = |reason: String| FileError::Archive { path: shown(path), reason };
    {
        let stream = archive.stream().map_err(|error| bad(error.to_string()))?;
        let mut reader = TarReader::new(stream);
        let mut unpacking = Unpacking { dest, root, owner, archive: path };
        while let Some(entry) = reader.next_entry().map_err(|error| bad(error.to_string()))? {
            unpacking.entry(entry).map_err(|error| at_fault(error, &bad))?;
        }
    }
    match &archive.file {
        OpenFile::File(opened) => Ok(opened.check()?),
        OpenFile::Stored(_) | OpenFile::Bytes(_) => Ok(()),
    }
}

/// What cannot be read is the archive's fault, not the store's.
fn at_fault(error: FileError, bad: &dyn Fn(String) -> FileError) -> FileError {
    let FileError::Store(error) = error else { return error };
    if let StoreError::Stream { source } = &error {
        bad(source.to_string())
    } else if let StoreError::Archive { entry, reason } = &error {
        bad(format!("entry {entry:?}: {reason}"))
    } else {
        FileError::Store(error)
    }
}

struct Unpacking<'a> {
    dest: &'a mut Dest,
    root: &'a Path,
    owner: Option<Owner>,
    archive: &'a Path,
}

impl Unpacking<'_> {
    fn entry(&mut self, mut entry: TarEntry<'_>) -> Result<(), FileError> {
        let written = clean(&entry.path);
        let mut attributes = entry.attributes.clone();
        if let Some((uid, gid)) = self.owner {
            (attributes.uid, attributes.gid) = (uid, gid);
        }
        // The directory that is unpacked into exists already and stays as it is.
        if written.as_os_str().is_empty() {
            return Ok(());
        }
        let path = self.place(&written)?;
        self.dest.make_all(&parent(&path), 0o755, (0, 0))?;
        self.make_way(&path, attributes.is_dir() && entry.link.is_none())?;
        if let Some(existing) = &entry.link {
            let existing = self.place(&clean(&existing.0))?;
            return self.link(&path, &existing);
        }
        match &attributes.kind {
            Kind::Directory => self.dest.directory(&path, &attributes),
            Kind::File { .. } => self.dest.file(&path, &attributes, Content::Reader(&mut entry.body)),
            Kind::Symlink { .. }
            | Kind::Fifo
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Socket => self.dest.special(&path, &attributes),
        }
    }

    /// Where an entry goes: links in the directories above it are followed.
    fn place(&self, path: &Path) -> Result<PathBuf, FileError> {
        self.dest.resolve_below(self.root, path, Last::Keep)
    }

    /// Removes what an entry replaces: everything but a directory under a directory.
    fn make_way(&mut self, path: &Path, directory: bool) -> Result<(), FileError> {
        match self.dest.lookup(path)? {
            Some(there) if there.is_dir() != directory => self.dest.remove(path),
            Some(_) | None => Ok(()),
        }
    }

    fn link(&mut self, path: &Path, existing: &Path) -> Result<(), FileError> {
        let missing = || FileError::Archive {
            path: shown(self.archive),
            reason: format!("{} is a hard link to {}, which is no file", shown(path), shown(existing)),
        };
        let there = self.dest.lookup(existing)?.ok_or_else(missing)?;
        match there.kind {
            Kind::File { .. } if path == existing => Ok(()),
            Kind::File { .. } => {
                self.dest.copy_up(existing)?;
                self.dest.hardlink(path, existing)
            }
            Kind::Symlink { .. } | Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                self.dest.special(path, &there)
            }
            Kind::Directory | Kind::Socket => Err(missing()),
        }
    }
}
