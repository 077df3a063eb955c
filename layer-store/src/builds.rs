//! The journal of builds: what each was, the full logs of its steps, and listings of what they read.
//!
//! A build is written below the lease of its process and gets its name when it ended, so that one which
//! was killed leaves nothing. Listings are named after the digest that stands for them in keys.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::disk::{Durable, give_name, make_dir, read, remove_tree, replace};
use crate::error::{At, Result};
use crate::ids::random_hex;
use crate::step_log::{StepLog, StepLogWriter};
use crate::{Lease, Store};

/// Builds that are kept; the oldest go first.
const BUILDS: usize = 100;
/// Listings that are kept; those that were not written for longest go first.
const LISTINGS: usize = 1000;
const DIRECTORY: &str = "builds";
const LISTED: &str = "listings";
const DOCUMENT: &str = "build.json";

/// Names a build. Later builds have greater names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuildId(String);

impl BuildId {
    /// The id as text: hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an id; `None` where the text is none.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(text.to_ascii_lowercase()))
    }

    fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(0) & 0xffff_ffff_ffff;
        let random = random_hex();
        Self(format!("{millis:012x}{}", &random[..random.len().min(4)]))
    }
}

impl std::fmt::Display for BuildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A build or a listing of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Where.
    pub path: PathBuf,
    /// Bytes that it takes on disk.
    pub bytes: u64,
}

/// A build that goes on. Dropping it leaves nothing.
#[derive(Debug)]
pub struct UnfinishedBuild {
    lease: Lease,
    id: BuildId,
    directory: PathBuf,
    logs: Mutex<HashMap<u32, StepLogWriter>>,
}

impl Lease {
    /// Begins the journal of a build.
    pub fn begin_build(&self) -> Result<UnfinishedBuild> {
        let directory = self.scratch_dir()?;
        Ok(UnfinishedBuild { lease: self.clone(), id: BuildId::new(), directory, logs: Mutex::default() })
    }

    /// Keeps a listing under the digest it belongs to.
    pub fn put_listing(&self, digest: &[u8; 32], listing: &[u8]) -> Result<()> {
        let path = self.listing_place(digest)?;
        replace(&path, &self.scratch("listing"), listing, Durable::No)
    }

    /// The same for one that is written piece by piece.
    pub fn write_listing(
        &self,
        digest: &[u8; 32],
        write: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<()> {
        let (path, scratch) = (self.listing_place(digest)?, self.scratch("listing"));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&scratch).at(&scratch)?;
        let mut writer = BufWriter::new(file);
        let written = write(&mut writer).and_then(|()| writer.flush());
        if let Err(error) = written.and_then(|()| std::fs::rename(&scratch, &path)) {
            std::fs::remove_file(&scratch).ok();
            return Err(error).at(&path);
        }
        Ok(())
    }

    fn listing_place(&self, digest: &[u8; 32]) -> Result<PathBuf> {
        let path = self.store().listing_path(digest);
        for directory in [path.parent().and_then(Path::parent), path.parent()].into_iter().flatten() {
            make_dir(directory)?;
        }
        Ok(path)
    }
}

impl UnfinishedBuild {
    /// Its name.
    pub fn id(&self) -> &BuildId {
        &self.id
    }

    /// Where its files are while it goes on.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Adds to the log of a step.
    pub fn append(&self, step: u32, bytes: &[u8]) -> Result<()> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = match logs.entry(step) {
            Entry::Occupied(log) => log.into_mut(),
            Entry::Vacant(place) => place.insert(StepLogWriter::create(self.directory.join(log_name(step)))?),
        };
        log.append(bytes)
    }

    /// Ends the log of a step that ended; nothing is added to it any more.
    pub fn close(&self, step: u32) -> Result<()> {
        let log = self.logs.lock().unwrap_or_else(PoisonError::into_inner).remove(&step);
        log.map_or(Ok(()), StepLogWriter::finish)
    }

    /// Makes the build visible under its name, and drops the oldest ones.
    pub fn finish(self, document: &[u8]) -> Result<BuildId> {
        let store = self.lease.store();
        let open = std::mem::take(&mut *self.logs.lock().unwrap_or_else(PoisonError::into_inner));
        for log in open.into_values() {
            // A log that cannot be kept costs nothing else.
            drop(log.finish());
        }
        replace(&self.directory.join(DOCUMENT), &self.directory.join("unfinished"), document, Durable::No)?;
        make_dir(&store.at(DIRECTORY))?;
        give_name(&self.directory, &store.at(DIRECTORY).join(self.id.as_str()))?;
        store.trim_builds()?;
        store.trim_states()?;
        Ok(self.id.clone())
    }
}

impl Drop for UnfinishedBuild {
    fn drop(&mut self) {
        let _ = remove_tree(&self.directory);
    }
}

impl Store {
    /// The builds that are kept, the newest first.
    pub fn builds(&self) -> Result<Vec<BuildId>> {
        let directory = self.at(DIRECTORY);
        let names = match std::fs::read_dir(&directory) {
            Ok(entries) => entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).at(&directory),
        };
        let mut all: Vec<BuildId> = names.filter_map(|name| BuildId::parse(&name)).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        Ok(all)
    }

    /// Where the files of a build are.
    pub(crate) fn build_directory(&self, id: &BuildId) -> PathBuf {
        self.at(DIRECTORY).join(id.as_str())
    }

    /// The document of a build; `None` where it is gone.
    pub fn build_document(&self, id: &BuildId) -> Result<Option<Vec<u8>>> {
        read(&self.build_directory(id).join(DOCUMENT))
    }

    /// What a step of a build wrote; `None` where it wrote nothing.
    pub fn step_log(&self, id: &BuildId, step: u32) -> Result<Option<StepLog>> {
        StepLog::open(&self.build_directory(id).join(log_name(step)))
    }

    /// Whether there is a listing for a digest.
    pub fn has_listing(&self, digest: &[u8; 32]) -> bool {
        self.listing_path(digest).exists()
    }

    /// The listing for a digest.
    pub fn listing(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>> {
        read(&self.listing_path(digest))
    }

    /// The same as a file that is open for reading.
    pub fn open_listing(&self, digest: &[u8; 32]) -> Result<Option<File>> {
        let path = self.listing_path(digest);
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at(&path),
        }
    }

    fn listing_path(&self, digest: &[u8; 32]) -> PathBuf {
        let name = blake3::Hash::from(*digest).to_hex();
        self.at(DIRECTORY).join(LISTED).join(name.as_str())
    }

    /// Everything in the journal with its size, what was written longest ago first.
    pub(crate) fn journal(&self) -> Vec<JournalEntry> {
        let top = self.at(DIRECTORY);
        let builds = paths(&top).into_iter().filter(|path| !path.ends_with(LISTED));
        let mut aged: Vec<_> =
            builds.chain(paths(&top.join(LISTED))).map(|path| (written(&path), path)).collect();
        aged.sort_unstable();
        let mut seen = HashSet::new();
        let entry = |path: PathBuf| JournalEntry { bytes: crate::usage::du(&path, &mut seen), path };
        aged.into_iter().map(|(_, path)| path).map(entry).collect()
    }

    fn trim_builds(&self) -> Result<()> {
        for id in self.builds()?.iter().skip(BUILDS) {
            self.discard(&self.build_directory(id))?;
        }
        let listings = paths(&self.at(DIRECTORY).join(LISTED));
        let surplus = listings.len().saturating_sub(LISTINGS);
        if surplus == 0 {
            return Ok(());
        }
        let mut aged: Vec<_> = listings.into_iter().map(|path| (written(&path), path)).collect();
        aged.sort_unstable();
        for (_, path) in aged.into_iter().take(surplus) {
            remove_tree(&path)?;
        }
        Ok(())
    }
}

fn log_name(step: u32) -> String {
    format!("{step}.log")
}

/// What is in a directory; nothing where it cannot be read.
fn paths(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// When something was written last.
fn written(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
