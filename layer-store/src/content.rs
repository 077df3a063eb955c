//! Content ids: the digest of what a layer changes, without times.
//!
//! In large files zeros count by their number, so that a hole costs nothing and means the same as written zeros.
//! A file that is not large counts by the digest of its content, which may be known without reading it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::attributes::{Attributes, Kind};
use crate::contents::KnownContents;
use crate::copy::{DataRanges, fill, is_zero};
use crate::error::{At, Result};
use crate::walk::{Change, Contents, LayerWalk};
use crate::{ContentId, LayerId, Store};

const PIECE: u64 = 64 << 10;

/// So many pieces are hashed together, on all cores.
const TOGETHER: usize = 32;

/// A file of up to this many bytes counts by the digest of its content, zeros like other bytes.
const WHOLE: u64 = 1 << 20;

impl Store {
    /// The digest of a layer's changes: names, types, modes, owners, sizes, targets, devices, extended
    /// attributes and contents, deleted names and opaque directories; no times, no hard link identity.
    /// It is remembered with the layer.
    pub fn content_id(&self, id: &LayerId) -> Result<ContentId> {
        if let Some(known) = self.present_meta(id)?.content_id {
            return Ok(known);
        }
        let content = of_walk(LayerWalk::with_marks(self, id)?, &self.known_contents(id)?)?;
        self.update_meta(id, &mut |meta| meta.content_id = Some(content))?;
        Ok(content)
    }

    /// The same, from all files as they are now.
    pub(crate) fn content_of(&self, id: &LayerId) -> Result<ContentId> {
        of_walk(self.walk_unproven(id)?, &KnownContents::default())
    }

    /// A walk over a layer as it is, whether it may be used or not.
    pub(crate) fn walk_unproven(&self, id: &LayerId) -> Result<LayerWalk<'static>> {
        Ok(LayerWalk::unnamed(self.layer_dir(id), self.aside(id)?, self.marks()))
    }
}

/// The digest of what a walk visits. Files whose content is known are not read.
pub(crate) fn of_walk(walk: LayerWalk<'_>, known: &KnownContents) -> Result<ContentId> {
    let mut hasher = blake3::Hasher::new();
    walk.with_contents(if known.is_empty() { Contents::Read } else { Contents::Leave }).run(
        &mut |path, change| {
            field(&mut hasher, path.as_os_str().as_bytes());
            of_change(&mut hasher, change, known.get(path))
        },
    )?;
    Ok(ContentId(*hasher.finalize().as_bytes()))
}

/// What counts of a change besides its path. A file whose content is known is not read.
pub(crate) fn of_change(
    hasher: &mut blake3::Hasher,
    change: &Change<'_>,
    known: Option<[u8; 32]>,
) -> Result<()> {
    match change {
        Change::Whiteout => {
            hasher.update(b"w");
            Ok(())
        }
        Change::Entry { attributes, opaque, host, content, .. } => {
            hasher.update(if *opaque { b"o" } else { b"-" });
            entry(hasher, attributes, host, known.or_else(|| content.map(|bytes| blake3::hash(bytes).into())))
        }
    }
}

fn field(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn number(hasher: &mut blake3::Hasher, number: u32) {
    hasher.update(&number.to_le_bytes());
}

fn entry(
    hasher: &mut blake3::Hasher,
    attributes: &Attributes,
    host: &Path,
    known: Option<[u8; 32]>,
) -> Result<()> {
    number(hasher, attributes.mode);
    number(hasher, attributes.uid);
    number(hasher, attributes.gid);
    hasher.update(&(attributes.xattrs.len() as u64).to_le_bytes());
    for (name, value) in &attributes.xattrs {
        field(hasher, name.as_bytes());
        field(hasher, value);
    }
    let mut device = |kind: &[u8], major, minor| {
        hasher.update(kind);
        number(hasher, major);
        number(hasher, minor);
    };
    match &attributes.kind {
        Kind::CharDevice { major, minor } => device(b"c", *major, *minor),
        Kind::BlockDevice { major, minor } => device(b"b", *major, *minor),
        Kind::Directory => {
            hasher.update(b"d");
        }
        Kind::Fifo => {
            hasher.update(b"p");
        }
        Kind::Socket => {
            hasher.update(b"s");
        }
        Kind::Symlink { target } => {
            hasher.update(b"l");
            field(hasher, target.as_os_str().as_bytes());
        }
        Kind::File { size } => {
            hasher.update(b"f");
            hasher.update(&size.to_le_bytes());
            match known {
                Some(digest) if *size <= WHOLE => drop(hasher.update(&digest)),
                Some(_) | None => content(hasher, host, *size)?,
            }
        }
    }
    Ok(())
}

/// The content: of a file that is not large its digest, of another its pieces.
fn content(hasher: &mut blake3::Hasher, host: &Path, size: u64) -> Result<()> {
    if size > WHOLE {
        return pieces(hasher, host, size);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    if size > 0 {
        File::open(host).and_then(|mut file| file.read_to_end(&mut bytes)).at(host)?;
    }
    hasher.update(blake3::hash(&bytes).as_bytes());
    Ok(())
}

/// The content in pieces of one size: those that are not zeros, each with its place.
fn pieces(hasher: &mut blake3::Hasher, host: &Path, size: u64) -> Result<()> {
    let mut file = File::open(host).at(host)?;
    let room = TOGETHER * (size_of::<u64>() + PIECE as usize);
    let mut pieces = Vec::with_capacity(room);
    let mut done = 0;
    for range in DataRanges::of(&File::open(host).at(host)?, size) {
        let (start, end) = range.at(host)?;
        let mut at = (start / PIECE * PIECE).max(done);
        file.seek(SeekFrom::Start(at)).at(host)?;
        while at < end {
            let wanted = usize::try_from(PIECE.min(size - at)).unwrap_or(usize::MAX);
            let (before, begin) = (pieces.len(), pieces.len() + size_of::<u64>());
            pieces.extend_from_slice(&at.to_le_bytes());
            pieces.resize(begin + wanted, 0);
            let filled = fill(&mut file, &mut pieces[begin..]).at(host)?;
            let is_nothing = is_zero(&pieces[begin..begin + filled]);
            pieces.truncate(if is_nothing { before } else { begin + filled });
            if filled == 0 {
                break;
            }
            if pieces.len() + size_of::<u64>() + PIECE as usize > room {
                hasher.update_rayon(&pieces);
                pieces.clear();
            }
            at += filled as u64;
        }
        done = at;
    }
    hasher.update_rayon(&pieces);
    // No piece begins here: what follows is another field.
    hasher.update(&u64::MAX.to_le_bytes());
    Ok(())
}
