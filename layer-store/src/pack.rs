//! Packs a layer: its canonical archive, compressed, and both digests, in one pass.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use oci::{Algorithm, Compression, Descriptor, DiffId, Digest, Hasher, Hashing, MediaType};
use serde::{Deserialize, Serialize};

use crate::attributes::{Attributes, Kind};
use crate::compress::Compressor;
use crate::error::{At, Result, StoreError};
use crate::first_names::FirstNames;
use crate::layers::{Memo, Meta};
use crate::tar::TarWriter;
use crate::walk::{Change, Contents, LayerWalk};
use crate::{LayerId, Lease, Snapshot};

/// How a layer is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packing {
    /// The compression.
    pub compression: Compression,
    /// Its level; the usual one where absent.
    pub level: Option<i32>,
    /// What the times in the archive are.
    pub times: ArchiveTimes,
}

/// What the times in an archive are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArchiveTimes {
    /// Those of the files.
    Kept,
    /// None is later than this (Unix time).
    NotAfter(i64),
    /// All are this (Unix time).
    Exactly(i64),
}

impl Packing {
    /// No compression, times as they are.
    pub const PLAIN: Self = Self { compression: Compression::None, level: None, times: ArchiveTimes::Kept };
}

/// A layer that was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The digest of the archive. For a layer of an image this is the digest of the canonical archive,
    /// which may be another than the one the image came with.
    pub diff_id: DiffId,
    /// The digest of the packed bytes.
    pub digest: Digest,
    /// How many those are.
    pub size: u64,
    /// How they are compressed.
    pub compression: Compression,
}

impl Packed {
    /// As the layer of an OCI manifest.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(MediaType::OciLayer(self.compression), self.digest.clone(), self.size)
    }
}

#[derive(Serialize, Deserialize)]
struct PackingText {
    compression: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clamp: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<i64>,
}

impl Serialize for Packing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let compression = match self.compression {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        let (clamp, set) = match self.times {
            ArchiveTimes::Kept => (None, None),
            ArchiveTimes::NotAfter(limit) => (Some(limit), None),
            ArchiveTimes::Exactly(time) => (None, Some(time)),
        };
        PackingText { compression: compression.to_owned(), level: self.level, clamp, set }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Packing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = PackingText::deserialize(deserializer)?;
        let compression = match text.compression.as_str() {
            "none" => Compression::None,
            "gzip" => Compression::Gzip,
            "zstd" => Compression::Zstd,
            other => return Err(serde::de::Error::custom(format!("unknown compression {other:?}"))),
        };
        let times = match (text.clamp, text.set) {
            (None, None) => ArchiveTimes::Kept,
            (Some(limit), None) => ArchiveTimes::NotAfter(limit),
            (None, Some(time)) => ArchiveTimes::Exactly(time),
            (Some(_), Some(_)) => return Err(serde::de::Error::custom("both clamp and set")),
        };
        Ok(Self { compression, level: text.level, times })
    }
}

impl Lease {
    /// The digest of a layer's archive: the one it came with, else that of its canonical archive.
    pub fn diff_id(&self, id: &LayerId) -> Result<DiffId> {
        let meta = self.store().present_meta(id)?;
        if let Some(diff) = meta.diff_id {
            return Ok(diff);
        }
        let below = meta.hides.unwrap_or_default();
        Ok(self.pack_into(id, &below, &Packing::PLAIN, &mut io::sink())?.diff_id)
    }

    /// Packs a layer into a blob of the store, unless that was done before and the blob is still here.
    /// `below` is what the layer lies on; it matters only where the layer hides whole directories.
    pub fn pack(&self, id: &LayerId, below: &Snapshot, how: &Packing) -> Result<Packed> {
        let meta = self.store().present_meta(id)?;
        if let Some(packed) = remembered(&meta, below, how)
            && self.store().has_blob(&packed.descriptor())
        {
            return Ok(packed);
        }
        let path = self.scratch("pack");
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).at(&path)?;
        let mut sink = BufWriter::with_capacity(256 << 10, file);
        let packed = self.pack_stream(id, &meta, below, how, &mut sink).and_then(|packed| {
            sink.into_inner().map_err(io::IntoInnerError::into_error).at(&path)?;
            Ok(packed)
        });
        let named = packed.and_then(|packed| {
            self.store().name_blob(&path, &packed.digest, packed.size)?;
            Ok(packed)
        });
        let _ = std::fs::remove_file(&path);
        let packed = named?;
        self.remember(id, &meta, below, how, &packed)?;
        Ok(packed)
    }

    /// Packs a layer into a stream; nothing is stored but the digests.
    pub fn pack_into(
        &self,
        id: &LayerId,
        below: &Snapshot,
        how: &Packing,
        sink: &mut dyn Write,
    ) -> Result<Packed> {
        let meta = self.store().present_meta(id)?;
        let packed = self.pack_stream(id, &meta, below, how, sink)?;
        self.remember(id, &meta, below, how, &packed)?;
        Ok(packed)
    }

    /// What packing a layer that way gave before, without looking whether the blob is here.
    pub fn packed_before(&self, id: &LayerId, below: &Snapshot, how: &Packing) -> Result<Option<Packed>> {
        Ok(remembered(&self.store().present_meta(id)?, below, how))
    }

    pub(crate) fn pack_stream(
        &self,
        id: &LayerId,
        meta: &Meta,
        below: &Snapshot,
        how: &Packing,
        sink: &mut dyn Write,
    ) -> Result<Packed> {
        // Only a layer that hides directories needs to know what lies below.
        let below = if meta.hides.is_some() || meta.origin == crate::Origin::Image {
            below.clone()
        } else {
            Snapshot::default()
        };
        let view = self.store().stack(&below)?;
        // What is not compressed has the digest of its archive.
        let hasher = match how.compression {
            Compression::None => None,
            Compression::Gzip | Compression::Zstd => Some(Hasher::new(Algorithm::Sha256)),
        };
        let counting = Counting { to: sink, hasher, size: 0 };
        let compressor = Compressor::new(how.compression, how.level, counting).map_err(as_sink)?;
        let hashing = Hashing::sha256(compressor);
        let walk = LayerWalk::explicit(self.store(), id, &view)?.with_contents(Contents::Read);
        let hashing = write_archive(
            &walk,
            how.times,
            BufWriter::with_capacity(128 << 10, self.store().stopping().guard(hashing)),
            self.store().first_names(),
        )?;
        let hashing = hashing.into_inner().map_err(|error| as_sink(error.into_error()))?.into_inner();
        let archive = hashing.hasher.finish();
        let mut counting = hashing.inner.finish().map_err(as_sink)?;
        counting.flush().map_err(as_sink)?;
        let digest = counting.hasher.map_or_else(|| archive.clone(), Hasher::finish);
        Ok(Packed { diff_id: DiffId(archive), digest, size: counting.size, compression: how.compression })
    }

    fn remember(
        &self,
        id: &LayerId,
        meta: &Meta,
        below: &Snapshot,
        how: &Packing,
        packed: &Packed,
    ) -> Result<()> {
        let memo = Memo {
            packing: *how,
            diff_id: packed.diff_id.clone(),
            digest: packed.digest.clone(),
            size: packed.size,
            below: meta.hides.is_some().then(|| below.clone()),
        };
        let canonical =
            how.times == ArchiveTimes::Kept && meta.hides.as_ref().is_none_or(|hides| hides == below);
        self.store().update_meta(id, &mut |meta| {
            if !meta.packed.contains(&memo) {
                meta.packed.push(memo.clone());
            }
            if canonical && meta.diff_id.is_none() {
                meta.diff_id = Some(packed.diff_id.clone());
            }
        })
    }
}

fn remembered(meta: &Meta, below: &Snapshot, how: &Packing) -> Option<Packed> {
    let fits = |memo: &&Memo| memo.packing == *how && memo.below.as_ref().is_none_or(|known| known == below);
    meta.packed.iter().rev().find(fits).map(|memo| Packed {
        diff_id: memo.diff_id.clone(),
        digest: memo.digest.clone(),
        size: memo.size,
        compression: how.compression,
    })
}

fn as_sink(source: io::Error) -> StoreError {
    StoreError::Sink { source }
}

/// Writes all changes of a layer as a canonical archive.
fn write_archive<W: Write>(
    walk: &LayerWalk<'_>,
    times: ArchiveTimes,
    to: W,
    mut names: FirstNames,
) -> Result<W> {
    let mut tar = TarWriter::new(to);
    walk.run(&mut |path, change| match change {
        Change::Whiteout => tar.whiteout(path),
        Change::Entry { attributes, host, inode, links, content, .. } => {
            let attributes = archived(attributes, times);
            let may_be_linked =
                *links > 1 && !attributes.is_dir() && !matches!(attributes.kind, Kind::Socket);
            if may_be_linked && let Some(first) = names.first((0, *inode), path)? {
                return tar.hardlink(path, &first, &attributes);
            }
            write_entry(&mut tar, path, &attributes, host, *content)
        }
    })?;
    tar.finish()
}

fn write_entry<W: Write>(
    tar: &mut TarWriter<W>,
    path: &Path,
    attributes: &Attributes,
    host: &Path,
    content: Option<&[u8]>,
) -> Result<()> {
    if !matches!(attributes.kind, Kind::File { .. }) {
        return tar.entry(path, attributes);
    }
    if let Some(content) = content {
        return tar.whole_file(path, attributes, content);
    }
    let file = File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(host)
        .at(host)?;
    tar.file_from(path, attributes, &file)
}

/// What an archive says of a file: without what its headers cannot say.
fn archived(attributes: &Attributes, times: ArchiveTimes) -> Attributes {
    let mut attributes = attributes.clone();
    attributes.xattrs.retain(|name, _| !name.as_encoded_bytes().contains(&b'='));
    match times {
        ArchiveTimes::Kept => {}
        ArchiveTimes::NotAfter(limit) => attributes.mtime.secs = attributes.mtime.secs.min(limit),
        ArchiveTimes::Exactly(time) => attributes.mtime.secs = time,
    }
    attributes
}

/// Counts what passes, and hashes it where it is not what was hashed before.
struct Counting<W> {
    to: W,
    hasher: Option<Hasher>,
    size: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.to.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..count]);
        }
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
