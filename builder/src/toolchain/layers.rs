//! An image's layers, with what made them and what is in them.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use layer_store::tar::TarReader;
use layer_store::{DeadFile, Kind, LayerId, Lease, Packing, Snapshot, open_layer_stream};
use oci::{Compression, Descriptor, DiffId, History};

use super::error::ToolError;
use super::file_list::{FileList, FileWriter};
use super::opened::OpenImage;
use super::wasted::Wasted;
use crate::Session;
use crate::worker::{Permit, blocking};

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// One layer.
#[derive(Clone, Debug)]
pub struct LayerReport {
    /// Digest of its tar.
    pub diff_id: DiffId,
    /// Its blob: the manifest's, else the smallest compressed one that is known.
    pub blob: Option<Descriptor>,
    /// Size of all its files.
    pub size: u64,
    /// Size of those files of it that the image does not show, because a layer above removes or replaces
    /// them.
    pub wasted: u64,
    /// How many those files are.
    pub hidden_count: usize,
    /// Those that are among the largest [`MOST_HIDDEN`](super::MOST_HIDDEN) of the image, the largest first.
    pub hidden: Vec<DeadFile>,
    /// What made it.
    pub history: Option<History>,
    /// What it adds, changes and removes, in the order of its archive.
    pub files: FileList,
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

/// The layers of an image, bottom first.
pub async fn layers(session: &Session, image: &OpenImage) -> Result<Vec<LayerReport>, ToolError> {
    let (session, image) = (session.clone(), image.clone());
    blocking(Permit::free(), move || report(&session, &image)).await
}

fn report(session: &Session, image: &OpenImage) -> Result<Vec<LayerReport>, ToolError> {
    let blobs = image.manifest.as_ref().map(|manifest| manifest.layers.as_slice()).unwrap_or_default();
    let history: Vec<&History> = image.config.history.iter().filter(|entry| !entry.empty_layer).collect();
    let mut below = Snapshot::default();
    let mut reports = Vec::new();
    for (position, id) in image.snapshot.0.iter().enumerate() {
        let files = files(&session.lease, id, &below)?;
        let diff_id = match image.config.rootfs.diff_ids.get(position) {
            Some(diff_id) => diff_id.clone(),
            None => session.lease.diff_id(id)?,
        };
        let blob = match blobs.get(position) {
            Some(blob) => Some(blob.clone()),
            None => compressed(session.lease.known_blobs(id)?),
        };
        reports.push(LayerReport {
            diff_id,
            blob,
            size: files.size,
            wasted: 0,
            hidden_count: 0,
            hidden: Vec::new(),
            history: history.get(position).map(|entry| (*entry).clone()),
            files: files.finish()?,
        });
        below = below.with(id.clone());
    }
    let mut wasted = Wasted::default();
    image.view.dead_files(0, &mut |file| {
        reports[file.layer].wasted += file.size;
        reports[file.layer].hidden_count += 1;
        wasted.add(file);
        Ok(())
    })?;
    for file in wasted.largest() {
        reports[file.layer].hidden.push(file);
    }
    Ok(reports)
}

/// Pairs of layers of which the second hides files of the first that have content. Only layers above the first
/// `base` ones count, and are counted from there.
pub(crate) fn hiding_layers(
    lease: &Lease,
    snapshot: &Snapshot,
    base: usize,
) -> Result<BTreeSet<(usize, usize)>, ToolError> {
    let mut pairs = BTreeSet::new();
    lease.store().stack(snapshot)?.dead_files(base, &mut |file| {
        if file.size > 0 {
            pairs.insert((file.layer - base, file.by - base));
        }
        Ok(())
    })?;
    Ok(pairs)
}

/// The smallest compressed form. A plain one was only made for its digest.
fn compressed(blobs: Vec<Descriptor>) -> Option<Descriptor> {
    let is_compressed = |blob: &Descriptor| blob.media_type.compression() != Some(Compression::None);
    blobs.into_iter().filter(is_compressed).min_by_key(|blob| blob.size)
}

/// Reads a layer's archive: its own blob, or one packed for nobody but us.
fn files(lease: &Lease, id: &LayerId, below: &Snapshot) -> Result<FileWriter, ToolError> {
    let aside = FileWriter::new(lease.store().spill());
    for blob in lease.known_blobs(id)? {
        if let Some(file) = lease.store().open_blob(&blob.digest)? {
            let form = blob.media_type.compression().unwrap_or(Compression::None);
            return entries(open_layer_stream(form, Box::new(file)), aside);
        }
    }
    let failed = |source| ToolError::Archive { layer: id.to_string(), source };
    let (reader, mut writer) = std::io::pipe().map_err(failed)?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || lease.pack_into(id, below, &Packing::PLAIN, &mut writer));
        let entries = entries(Box::new(reader), aside);
        let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        packed?;
        entries
    })
}

fn entries(tar: Box<dyn Read + Send>, mut aside: FileWriter) -> Result<FileWriter, ToolError> {
    let mut reader = TarReader::new(tar);
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
        aside.add(&removal(&plain.path).unwrap_or(plain))?;
    }
    // What is left behind the end belongs to the archive as well; the packer writes it.
    std::io::copy(&mut reader.into_inner(), &mut std::io::sink())
        .map_err(|source| ToolError::Archive { layer: "archive".to_owned(), source })?;
    Ok(aside)
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
