//! The tree of a context: its directories in memory, what they list in few bytes aside.
//!
//! A context may have a million files, of which a build needs one after the other. So a directory has no more than
//! the places of its listing, in pages, and the digests of its files have places after each, to be filled when they are
//! known.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use graph::WalkState;
use layer_store::{Attributes, Entry, Kind, Spill, Time};

use super::ContextError;
use super::digest::ContentDigest;
use super::record::{Listing, Record};
use super::stamp::Stamp;

/// Listings that are at hand.
const AT_HAND: usize = 32;

/// A directory of a context.
#[derive(Debug)]
pub(super) struct Directory {
    /// Filled when first asked for.
    pub(super) children: OnceLock<Children>,
    /// For the rules' verdict on the children.
    pub(super) state: WalkState,
    /// Only here because an exception may reach below it.
    pub(super) excluded: bool,
}

/// What is in a directory.
#[derive(Debug)]
pub(super) struct Children {
    /// Its names, sorted.
    pub(super) pages: Box<[Page]>,
    pub(super) directories: Box<[Directory]>,
    /// Its own extended attributes.
    pub(super) xattrs: BTreeMap<OsString, Vec<u8>>,
}

/// Some names of a directory that follow each other.
#[derive(Debug)]
pub(super) struct Page {
    /// The first of them.
    first: OsString,
    /// Where their listing is, and how long.
    listing: (u64, usize),
}

/// So many names are in one page.
const PAGE: usize = if cfg!(test) { 3 } else { 1 << 10 };

/// One path of a context below its root.
pub(super) struct Node<'a> {
    pub(super) record: Record,
    pub(super) directory: Option<&'a Directory>,
    /// Where its digest belongs.
    digest: u64,
}

impl Directory {
    /// One that was not listed yet.
    pub(super) fn unlisted(state: WalkState, excluded: bool) -> Self {
        Self { children: OnceLock::new(), state, excluded }
    }
}

/// A digest, and before it whether there is one.
const SLOT: usize = 33;

/// Digests with no more bytes between them are read together.
const NEAR: u64 = 4096;

/// Where listings and digests are.
#[derive(Debug)]
pub(super) struct Shelf {
    spill: Spill,
    /// The listings that were read last, the very last first.
    at_hand: Mutex<Vec<(u64, Arc<Listing>)>>,
}

impl Shelf {
    pub(super) fn new(spill: Spill) -> Self {
        Self { spill, at_hand: Mutex::default() }
    }

    /// Begins to put the names of a directory aside.
    pub(super) fn begin(&self) -> Shelving<'_> {
        Shelving { shelf: self, records: Vec::new(), pages: Vec::new(), directories: Vec::new() }
    }

    fn put(&self, records: &[Record]) -> Result<(u64, usize), ContextError> {
        let listing = Listing::of(records);
        let length = listing.bytes().len();
        let mut bytes = listing.bytes().to_vec();
        bytes.resize(length + SLOT * records.len(), 0);
        Ok((self.spill.append(&bytes)?, length))
    }

    pub(super) fn listing(&self, page: &Page) -> Result<Arc<Listing>, ContextError> {
        let (at, length) = page.listing;
        let mut at_hand = self.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(nth) = at_hand.iter().position(|(known, _)| *known == at) {
            at_hand[..=nth].rotate_right(1);
            return Ok(at_hand[0].1.clone());
        }
        let mut bytes = vec![0; length];
        self.spill.read_at(at, &mut bytes)?;
        let listing = Arc::new(Listing::from_bytes(bytes));
        at_hand.truncate(AT_HAND - 1);
        at_hand.insert(0, (at, listing.clone()));
        Ok(listing)
    }

    /// One name of a directory.
    pub(super) fn find<'a>(
        &self,
        children: &'a Children,
        name: &OsStr,
    ) -> Result<Option<Node<'a>>, ContextError> {
        let after = children.pages.partition_point(|page| page.first.as_os_str() <= name);
        let Some(page) = after.checked_sub(1).and_then(|nth| children.pages.get(nth)) else {
            return Ok(None);
        };
        let listing = self.listing(page)?;
        let Some(nth) = listing.find(name) else { return Ok(None) };
        let Some(record) = listing.get(nth) else { return Ok(None) };
        let directory =
            record.is_directory().then(|| children.directories.get(record.number as usize)).flatten();
        let (at, length) = page.listing;
        Ok(Some(Node { record, directory, digest: at + (length + SLOT * nth) as u64 }))
    }

    /// The digests of some names, as far as they are known. Those of neighbours are read together.
    pub(super) fn digests(&self, nodes: &[Node<'_>]) -> Result<Vec<Option<ContentDigest>>, ContextError> {
        let mut found = Vec::with_capacity(nodes.len());
        let mut bytes = Vec::new();
        for near in nodes.chunk_by(|one, next| (1..=NEAR).contains(&next.digest.wrapping_sub(one.digest))) {
            let (start, end) = (near[0].digest, near[near.len() - 1].digest + SLOT as u64);
            bytes.resize((end - start) as usize, 0);
            self.spill.read_at(start, &mut bytes)?;
            found.extend(near.iter().map(|node| {
                let slot = bytes.get((node.digest - start) as usize..)?;
                let (known, digest) = slot.get(..SLOT)?.split_first()?;
                (*known == 1).then(|| digest.try_into().ok()).flatten()
            }));
        }
        Ok(found)
    }

    /// Notes digests of some names. Those of names one after the other are written together.
    pub(super) fn set_digests<'a>(
        &self,
        digests: impl Iterator<Item = (&'a Node<'a>, &'a ContentDigest)>,
    ) -> Result<(), ContextError> {
        let (mut start, mut bytes) = (0, Vec::new());
        for (node, digest) in digests {
            if node.digest != start + bytes.len() as u64 || bytes.len() > NEAR as usize {
                self.spill.write_at(start, &bytes)?;
                (start, bytes) = (node.digest, Vec::new());
            }
            bytes.push(1);
            bytes.extend_from_slice(digest);
        }
        Ok(self.spill.write_at(start, &bytes)?)
    }
}

/// Names of a directory on their way to the shelf.
pub(super) struct Shelving<'a> {
    shelf: &'a Shelf,
    /// Those of a page that is not full.
    records: Vec<Record>,
    pages: Vec<Page>,
    directories: Vec<Directory>,
}

impl Shelving<'_> {
    /// Adds the next name in the order of their bytes, and the directory that it is.
    pub(super) fn add(
        &mut self,
        mut record: Record,
        directory: Option<Directory>,
    ) -> Result<(), ContextError> {
        if let Some(directory) = directory {
            record.number = self.directories.len() as u32;
            self.directories.push(directory);
        }
        self.records.push(record);
        if self.records.len() < PAGE { Ok(()) } else { self.page() }
    }

    fn page(&mut self) -> Result<(), ContextError> {
        if let Some(first) = self.records.first() {
            let first = first.name.clone();
            self.pages.push(Page { first, listing: self.shelf.put(&self.records)? });
            self.records.clear();
        }
        Ok(())
    }

    /// All names are there; `xattrs` are the attributes of the directory itself.
    pub(super) fn finish(mut self, xattrs: BTreeMap<OsString, Vec<u8>>) -> Result<Children, ContextError> {
        self.page()?;
        Ok(Children { pages: self.pages.into(), directories: self.directories.into(), xattrs })
    }
}

/// The tree of files given by value, without those that `hidden` names, and the files by number.
pub(super) fn from_memory(
    files: &BTreeMap<String, Bytes>,
    hidden: impl Fn(&str) -> bool,
    shelf: &Shelf,
) -> Result<(Directory, Vec<Bytes>), ContextError> {
    let mut root = Building::default();
    for (path, bytes) in files {
        let path = graph::path::clean(&format!("/{path}"));
        let path = path.trim_start_matches('/');
        if path.is_empty() || hidden(path) {
            continue;
        }
        let mut at = &mut root;
        for name in path.split('/') {
            at = at.children.entry(name.into()).or_default();
        }
        at.bytes = Some(bytes.clone());
    }
    let mut all = Vec::new();
    Ok((root.finish(shelf, &mut all)?, all))
}

#[derive(Default)]
struct Building {
    children: BTreeMap<OsString, Building>,
    bytes: Option<Bytes>,
}

impl Building {
    fn finish(self, shelf: &Shelf, all: &mut Vec<Bytes>) -> Result<Directory, ContextError> {
        let mut shelving = shelf.begin();
        for (name, mut child) in self.children {
            let mut record = made(name, 0o040755);
            match child.bytes.take() {
                Some(bytes) => {
                    record.stamp.mode = 0o100644;
                    record.stamp.size = bytes.len() as u64;
                    record.number = all.len() as u32;
                    all.push(bytes);
                    shelving.add(record, None)?;
                }
                None => shelving.add(record, Some(child.finish(shelf, all)?))?,
            }
        }
        let directory = Directory::unlisted(WalkState::default(), false);
        let _ = directory.children.set(shelving.finish(BTreeMap::new())?);
        Ok(directory)
    }
}

/// The entry of a context's own directory.
pub(super) fn root(mode: u32, (secs, nanos): (i64, u32)) -> Entry {
    let mut attributes = Attributes::new(Kind::Directory, mode & 0o7777);
    attributes.mtime = Time { secs, nanos };
    Entry { attributes, identity: (0, 0), links: 1 }
}

/// A record of what no file system holds.
fn made(name: OsString, mode: u32) -> Record {
    let stamp = Stamp { dev: 0, ino: 0, size: 0, mtime: (0, 0), ctime: (0, 0), mode };
    Record { name, stamp, links: 1, rdev: (0, 0), target: Vec::new(), number: 0 }
}
