//! The tree of a context: its directories in memory, what they list in few bytes aside.
//!
//! A context may have a million files, of which a build needs one after the other. So a directory has no more than
//! the place of its listing, and the digests of its files have places after it, to be filled when they are known.

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
    /// Where the listing is, and how long.
    listing: (u64, usize),
    pub(super) directories: Box<[Directory]>,
}

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

    /// Puts a listing aside. Records are sorted by name, and directories numbered as they are in `directories`.
    pub(super) fn put(
        &self,
        records: &[Record],
        directories: Vec<Directory>,
    ) -> Result<Children, ContextError> {
        let listing = Listing::of(records);
        let length = listing.bytes().len();
        let mut bytes = listing.bytes().to_vec();
        bytes.resize(length + SLOT * records.len(), 0);
        let at = self.spill.append(&bytes)?;
        Ok(Children { listing: (at, length), directories: directories.into() })
    }

    pub(super) fn listing(&self, children: &Children) -> Result<Arc<Listing>, ContextError> {
        let (at, length) = children.listing;
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
        let listing = self.listing(children)?;
        let Some(nth) = listing.find(name) else { return Ok(None) };
        let Some(record) = listing.get(nth) else { return Ok(None) };
        let directory =
            record.is_directory().then(|| children.directories.get(record.number as usize)).flatten();
        let (at, length) = children.listing;
        Ok(Some(Node { record, directory, digest: at + (length + SLOT * nth) as u64 }))
    }

    pub(super) fn digest(&self, node: &Node<'_>) -> Result<Option<ContentDigest>, ContextError> {
        let mut slot = [0; SLOT];
        self.spill.read_at(node.digest, &mut slot)?;
        let (known, digest) = slot.split_at(1);
        Ok((known == [1]).then(|| digest.try_into().unwrap_or_default()))
    }

    pub(super) fn set_digest(&self, node: &Node<'_>, digest: &ContentDigest) -> Result<(), ContextError> {
        let mut slot = [1; SLOT];
        slot[1..].copy_from_slice(digest);
        Ok(self.spill.write_at(node.digest, &slot)?)
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
        let (mut records, mut directories) = (Vec::new(), Vec::new());
        for (name, mut child) in self.children {
            let mut record = made(name, 0o040755);
            match child.bytes.take() {
                Some(bytes) => {
                    record.stamp.mode = 0o100644;
                    record.stamp.size = bytes.len() as u64;
                    record.number = all.len() as u32;
                    all.push(bytes);
                }
                None => {
                    record.number = directories.len() as u32;
                    directories.push(child.finish(shelf, all)?);
                }
            }
            records.push(record);
        }
        let directory = Directory::unlisted(WalkState::default(), false);
        let _ = directory.children.set(shelf.put(&records, directories)?);
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
