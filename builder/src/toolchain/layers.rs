//! An image's layers, with what made them and what is in them.

use std::io::Read;
use std::path::{Path, PathBuf};

use layer_store::tar::TarReader;
use layer_store::{Kind, LayerId, Lease, Packing, Snapshot, open_layer_stream};
use oci::{Compression, Descriptor, DiffId, Document, History, ImageConfig, Manifest, Platform, Reference};

use super::error::ToolError;
use crate::Session;
use crate::image::{stored_document, stored_variant};
use crate::worker::{Permit, blocking};

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// One layer.
#[derive(Clone, Debug)]
pub struct LayerReport {
    /// Digest of its tar.
    pub diff_id: DiffId,
    /// Its blob, where it has been packed.
    pub blob: Option<Descriptor>,
    /// Size of all its files.
    pub size: u64,
    /// What made it.
    pub history: Option<History>,
    /// What it adds, changes and removes, in the order of its archive.
    pub files: Vec<FileReport>,
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Where.
    pub path: PathBuf,
    /// As in `ls -l`: `-`, `d`, `l`, `p`, `c`, `b`; `h` a further name of a file; `x` a removal; `o`
    /// a directory whose former content is removed.
    pub kind: char,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size of a file.
    pub size: u64,
    /// Where a link leads.
    pub target: Option<PathBuf>,
}

/// The layers of an image of the store, bottom first.
pub async fn layers(
    session: &Session,
    name: &Reference,
    platform: &Platform,
) -> Result<Vec<LayerReport>, ToolError> {
    let (session, name, platform) = (session.clone(), name.clone(), platform.clone());
    blocking(Permit::free(), move || report(&session, &name, &platform)).await
}

fn report(session: &Session, name: &Reference, platform: &Platform) -> Result<Vec<LayerReport>, ToolError> {
    let image = session.store.image(name)?.ok_or_else(|| ToolError::NoImage { name: name.clone() })?;
    let variant = stored_variant(&image, platform)
        .ok_or_else(|| ToolError::NoVariant { name: name.clone(), platform: platform.clone() })?;
    let config: Option<Document<ImageConfig>> = stored_document(&session.store, name, &variant.config)?;
    let config = config.ok_or_else(|| ToolError::NoImage { name: name.clone() })?.into_parsed();
    let manifest: Option<Document<Manifest>> = match &variant.manifest {
        Some(manifest) => stored_document(&session.store, name, manifest)?,
        None => None,
    };
    let blobs = manifest.map(|manifest| manifest.into_parsed().layers).unwrap_or_default();
    let history: Vec<&History> = config.history.iter().filter(|entry| !entry.empty_layer).collect();
    let mut below = Snapshot::default();
    let mut reports = Vec::new();
    for (position, id) in variant.snapshot.0.iter().enumerate() {
        let files = files(&session.lease, id, &below)?;
        let diff_id = match config.rootfs.diff_ids.get(position) {
            Some(diff_id) => diff_id.clone(),
            None => session.lease.diff_id(id)?,
        };
        reports.push(LayerReport {
            diff_id,
            blob: blobs.get(position).cloned(),
            size: files.iter().map(|file| file.size).sum(),
            history: history.get(position).map(|entry| (*entry).clone()),
            files,
        });
        below = below.with(id.clone());
    }
    Ok(reports)
}

/// Reads a layer's archive: its own blob, or one packed for nobody but us.
fn files(lease: &Lease, id: &LayerId, below: &Snapshot) -> Result<Vec<FileReport>, ToolError> {
    for blob in lease.known_blobs(id)? {
        if let Some(file) = lease.store().open_blob(&blob.digest)? {
            let form = blob.media_type.compression().unwrap_or(Compression::None);
            return entries(open_layer_stream(form, Box::new(file)));
        }
    }
    let failed = |source| ToolError::Archive { layer: id.to_string(), source };
    let (reader, mut writer) = std::io::pipe().map_err(failed)?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || lease.pack_into(id, below, &Packing::PLAIN, &mut writer));
        let entries = entries(Box::new(reader));
        let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        packed?;
        entries
    })
}

fn entries(tar: Box<dyn Read + Send>) -> Result<Vec<FileReport>, ToolError> {
    let mut reader = TarReader::new(tar);
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let (kind, size, target) = match (&entry.link, &entry.attributes.kind) {
            (Some(link), _) => ('h', 0, Some(link.0.clone())),
            (None, Kind::File { size }) => ('-', *size, None),
            (None, Kind::Directory) => ('d', 0, None),
            (None, Kind::Symlink { target }) => ('l', 0, Some(target.clone())),
            (None, Kind::Fifo) => ('p', 0, None),
            (None, Kind::CharDevice { .. }) => ('c', 0, None),
            (None, Kind::BlockDevice { .. }) => ('b', 0, None),
            (None, Kind::Socket) => continue,
        };
        let attributes = &entry.attributes;
        let plain = FileReport {
            path: entry.path.components().collect(),
            kind,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            size,
            target,
        };
        all.push(removal(&plain.path).unwrap_or(plain));
    }
    // What is left behind the end belongs to the archive as well; the packer writes it.
    std::io::copy(&mut reader.into_inner(), &mut std::io::sink())
        .map_err(|source| ToolError::Archive { layer: "archive".to_owned(), source })?;
    Ok(all)
}

/// What a whiteout removes.
fn removal(path: &Path) -> Option<FileReport> {
    let name = path.file_name()?.to_str()?;
    let parent = path.parent().unwrap_or(Path::new(""));
    let (path, kind) = match name.strip_prefix(WHITEOUT) {
        Some(_) if name == OPAQUE => (parent.to_owned(), 'o'),
        Some(removed) => (parent.join(removed), 'x'),
        None => return None,
    };
    Some(FileReport { path, kind, mode: 0, uid: 0, gid: 0, size: 0, target: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_name_what_they_remove() {
        let check = |path: &str, expected: Option<(&str, char)>| {
            let found = removal(Path::new(path)).map(|report| (report.path, report.kind));
            assert_eq!(found, expected.map(|(path, kind)| (PathBuf::from(path), kind)), "{path}");
        };
        check("etc/.wh.passwd", Some(("etc/passwd", 'x')));
        check("etc/.wh..wh..opq", Some(("etc", 'o')));
        check(".wh.a", Some(("a", 'x')));
        check("etc/passwd", None);
    }
}
