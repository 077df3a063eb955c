//! Digests of files of a layer that were known when it was written: neither its content id nor the next layer of
//! its kind needs those files read.
//!
//! They lie in `contents` beside the layer's files, sorted by path: for each file its path, a zero, and the digest.
//! What they say is never more than a hint for what is read otherwise; `store check` reads the files. Neither who
//! writes nor who reads has more than a few of them in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{At, Result};
use crate::{LayerId, Store};

/// The name of the document beside a layer's files.
pub(crate) const DOCUMENT: &str = "contents";

/// So many files are read at once.
const BLOCK: usize = 128;

type Digest = [u8; 32];

/// BLAKE3 digests of the contents of files, by their paths in a layer. Not all files need be there.
#[derive(Debug, Default)]
pub struct KnownContents(Option<Document>);

/// A document that is sorted, and where to begin to read in it.
#[derive(Debug)]
struct Document {
    file: File,
    /// The first path of each block, and where the block begins.
    blocks: Vec<(PathBuf, u64)>,
    end: u64,
    /// The block that was read last.
    last: Mutex<Option<(usize, BTreeMap<PathBuf, Digest>)>>,
}

impl KnownContents {
    /// The digest of a file's content.
    pub fn get(&self, path: &Path) -> Option<Digest> {
        self.0.as_ref()?.get(path)
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Document {
    /// `None`: it is damaged.
    fn open(file: File) -> Option<Self> {
        let mut blocks = Vec::new();
        let mut records = Records::of(&file);
        let mut before: Option<PathBuf> = None;
        let mut at = 0;
        for number in 0.. {
            let Some((path, _)) = records.next().ok()? else { break };
            if before.as_ref().is_some_and(|before| *before >= path) {
                return None;
            }
            if number % BLOCK == 0 {
                blocks.push((path.clone(), at));
            }
            at += size(&path);
            before = Some(path);
        }
        Some(Self { file, blocks, end: at, last: Mutex::default() })
    }

    fn get(&self, path: &Path) -> Option<Digest> {
        let block = self.blocks.partition_point(|(first, _)| first.as_path() <= path).checked_sub(1)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((known, files)) if *known == block => files.get(path).copied(),
            Some(_) | None => {
                let files = self.read(block)?;
                let found = files.get(path).copied();
                *last = Some((block, files));
                found
            }
        }
    }

    fn read(&self, block: usize) -> Option<BTreeMap<PathBuf, Digest>> {
        let (_, start) = self.blocks.get(block)?;
        let end = self.blocks.get(block + 1).map_or(self.end, |(_, start)| *start);
        let mut bytes = vec![0; usize::try_from(end - start).ok()?];
        self.file.read_exact_at(&mut bytes, *start).ok()?;
        let mut records = Records(&bytes[..]);
        let mut files = BTreeMap::new();
        while let Some((path, digest)) = records.next().ok()? {
            files.insert(path, digest);
        }
        Some(files)
    }
}

fn size(path: &Path) -> u64 {
    (path.as_os_str().len() + 1 + 32) as u64
}

/// Reads one file after the other.
struct Records<R>(R);

impl<'a> Records<BufReader<&'a File>> {
    fn of(file: &'a File) -> Self {
        Self(BufReader::with_capacity(64 << 10, file))
    }
}

impl<R: BufRead> Records<R> {
    fn next(&mut self) -> io::Result<Option<(PathBuf, Digest)>> {
        let mut path = Vec::new();
        if self.0.read_until(0, &mut path)? == 0 {
            return Ok(None);
        }
        if path.pop() != Some(0) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut digest = [0; 32];
        self.0.read_exact(&mut digest)?;
        Ok(Some((OsString::from_vec(path).into(), digest)))
    }
}

fn write_one(to: &mut impl Write, path: &Path, digest: &Digest) -> io::Result<()> {
    to.write_all(path.as_os_str().as_bytes())?;
    to.write_all(&[0])?;
    to.write_all(digest)
}

/// The document of a layer that is being written. Files come in the order of their paths, as a rule, and then go
/// straight to it.
#[derive(Debug)]
pub(crate) struct ContentsWriter {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    /// The greatest path in the file.
    greatest: PathBuf,
    /// What came out of order.
    late: BTreeMap<PathBuf, Digest>,
    /// What the file says of these paths and all below them does not hold.
    gone: BTreeSet<PathBuf>,
    /// How many digests came.
    pub(crate) count: u64,
}

impl ContentsWriter {
    /// Of the layer in this directory.
    pub(crate) fn new(layer: &Path) -> Self {
        Self {
            path: layer.join(DOCUMENT),
            file: None,
            greatest: PathBuf::new(),
            late: BTreeMap::new(),
            gone: BTreeSet::new(),
            count: 0,
        }
    }

    /// Notes the digest of a file. What was said of the path before must have been forgotten.
    pub(crate) fn insert(&mut self, path: PathBuf, digest: Digest) -> Result<()> {
        self.count += 1;
        if path <= self.greatest || path.ancestors().any(|above| self.gone.contains(above)) {
            self.late.insert(path, digest);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let new = File::options().read(true).write(true).create_new(true).open(&self.path);
                self.file.insert(BufWriter::with_capacity(64 << 10, new.at(&self.path)?))
            }
        };
        write_one(file, &path, &digest).at(&self.path)?;
        self.greatest = path;
        Ok(())
    }

    /// Forgets a path and all below it.
    pub(crate) fn forget(&mut self, path: &Path) {
        // What is below a path is greater than it.
        if path <= self.greatest.as_path() && self.file.is_some() {
            crate::tree::forget_below(&mut self.late, path);
            self.gone.insert(path.to_owned());
        }
    }

    /// Completes the document.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error).at(&self.path)?;
        if self.late.is_empty() && self.gone.is_empty() {
            return Ok(());
        }
        let unsorted = self.path.with_extension("unsorted");
        std::fs::rename(&self.path, &unsorted).at(&self.path)?;
        self.merge(file).at(&self.path)?;
        std::fs::remove_file(&unsorted).at(&unsorted)
    }

    fn merge(&mut self, mut from: File) -> io::Result<()> {
        io::Seek::rewind(&mut from)?;
        let mut records = Records::of(&from);
        let mut late = std::mem::take(&mut self.late).into_iter().peekable();
        let mut to = BufWriter::new(File::create_new(&self.path)?);
        while let Some((path, digest)) = records.next()? {
            if path.ancestors().any(|above| self.gone.contains(above)) {
                continue;
            }
            while let Some((path, digest)) = late.next_if(|(late, _)| *late < path) {
                write_one(&mut to, &path, &digest)?;
            }
            write_one(&mut to, &path, &digest)?;
        }
        for (path, digest) in late {
            write_one(&mut to, &path, &digest)?;
        }
        to.flush()
    }
}

impl Store {
    /// What is known of the contents of a layer's files.
    pub fn known_contents(&self, id: &LayerId) -> Result<KnownContents> {
        let path = self.layer_path(id).join(DOCUMENT);
        match File::open(&path) {
            // What is left of a damaged document is nothing.
            Ok(file) => Ok(KnownContents(Document::open(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KnownContents::default()),
            Err(error) => Err(error).at(&path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
    }

    /// What is said of paths in whatever order is found again, and nothing that was forgotten.
    #[test]
    fn contents_come_back_whatever_order_they_came_in() {
        let name = |number: usize| PathBuf::from(format!("d{}/f{number:04}", number / 200));
        let all: Vec<usize> = (0..1000).collect();
        let backwards: Vec<usize> = all.iter().rev().copied().collect();
        let halves: Vec<usize> = (500..1000).chain(0..500).collect();
        for order in [&all, &backwards, &halves] {
            for forgotten in [&[][..], &["d1", "d2/f0500", "d4", "nothing"]] {
                let dir = tempfile::tempdir().unwrap();
                let mut writer = ContentsWriter::new(dir.path());
                for &number in order {
                    writer.forget(&name(number));
                    writer.insert(name(number), digest(number)).unwrap();
                }
                forgotten.iter().for_each(|path| writer.forget(Path::new(path)));
                if !forgotten.is_empty() {
                    writer.insert(name(800), digest(7)).unwrap();
                }
                writer.finish().unwrap();
                let document = Document::open(File::open(dir.path().join(DOCUMENT)).unwrap()).unwrap();
                for number in (0..1000).rev() {
                    let gone = forgotten.iter().any(|path| name(number).starts_with(path));
                    let expected = match number {
                        800 if !forgotten.is_empty() => Some(digest(7)),
                        _ => (!gone).then(|| digest(number)),
                    };
                    assert_eq!(document.get(&name(number)), expected, "{number}");
                }
                assert_eq!(document.get(Path::new("d0")), None);
                assert_eq!(document.get(Path::new("z")), None);
                assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
            }
        }
    }
}
