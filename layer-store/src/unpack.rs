//! Unpacks the archive of an image's layer into a layer directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci::{ChainId, DiffId, Hasher};

use crate::attributes::{Attributes, Kind};
use crate::blobs::expect;
use crate::contents::ContentsWriter;
use crate::disk::{make_dir, remove_tree};
use crate::error::{At, Result, StoreError};
use crate::layers::{Known, Meta, Origin};
use crate::stop::Stoppable;
use crate::tar::{TarBody, TarReader};
use crate::tree::{Found, Tree, clean};
use crate::view::StackView;
use crate::walk::LayerWalk;
use crate::writer::implied_directory;
use crate::{ContentId, KnownContents, LayerId, Lease, Snapshot};

const WHITEOUT: &[u8] = b".wh.";
const METADATA: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// An archive that was read to its end.
#[derive(Debug)]
pub enum Unpacked {
    /// The layer stands for itself.
    Complete(LayerId),
    /// The layer needs what lies below it.
    NeedsBelow(PendingLayer),
}

/// A layer that implies directories it does not describe, or has hard links to files below. Dropping it
/// discards it.
#[derive(Debug)]
pub struct PendingLayer {
    unpacking: Box<Unpacking>,
    diff: DiffId,
}

/// A layer directory that an archive is unpacked into.
#[derive(Debug)]
struct Unpacking {
    lease: Lease,
    dir: PathBuf,
    tree: Tree,
    implied: BTreeSet<PathBuf>,
    /// By name: the file below that it leads to.
    links_below: BTreeMap<PathBuf, PathBuf>,
    contents: ContentsWriter,
    known: Known,
}

impl Lease {
    /// Unpacks an uncompressed archive. The stream is read to its end and compared with the diff ID.
    pub fn unpack(&self, tar: &mut dyn Read, diff: &DiffId) -> Result<Unpacked> {
        let mut unpacking = self.read_whole(tar, diff)?;
        if unpacking.implied.is_empty() && unpacking.links_below.is_empty() {
            let id = LayerId::from_diff(diff);
            unpacking.publish(&id, &of_image(diff))?;
            return Ok(Unpacked::Complete(id));
        }
        Ok(Unpacked::NeedsBelow(PendingLayer { unpacking: Box::new(unpacking), diff: diff.clone() }))
    }

    /// Unpacks an archive that stands for itself into a layer with this name and document.
    pub(crate) fn unpack_named(
        &self,
        tar: &mut dyn Read,
        id: &LayerId,
        diff: &DiffId,
        meta: &Meta,
    ) -> Result<()> {
        let mut unpacking = self.read_whole(tar, diff)?;
        let gap = unpacking.implied.first().or(unpacking.links_below.keys().next());
        if let Some(gap) = gap {
            return Err(StoreError::archive(gap, "needs what lies below the layer"));
        }
        unpacking.publish(id, meta)
    }

    /// The content id of the layer that an archive gives. Nothing is kept. `None`: it needs what lies below,
    /// and that is not there.
    pub(crate) fn content_of_archive(
        &self,
        tar: &mut dyn Read,
        diff: &DiffId,
        below: &Snapshot,
    ) -> Result<Option<ContentId>> {
        let mut unpacking = self.read_whole(tar, diff)?;
        let Ok(view) = self.store().stack(below) else { return Ok(None) };
        if unpacking.fill_gaps(&view).is_err() {
            return Ok(None);
        }
        let aside = std::mem::take(&mut unpacking.tree.aside);
        let walk = LayerWalk::unnamed(unpacking.dir.join("fs"), aside.into(), self.store().marks());
        crate::content::of_walk(walk, &KnownContents::default()).map(Some)
    }

    fn read_whole(&self, tar: &mut dyn Read, diff: &DiffId) -> Result<Unpacking> {
        let mut unpacking = Unpacking::start(self)?;
        let mut reader = TarReader::new(Hashing {
            from: self.store().stopping().guard(tar),
            hasher: Hasher::new(diff.0.algorithm()),
            size: 0,
        });
        unpacking.read(&mut reader)?;
        let mut hashing = reader.into_inner();
        std::io::copy(&mut hashing, &mut std::io::sink()).map_err(|source| StoreError::Stream { source })?;
        expect(&diff.0, hashing.hasher.finish())?;
        Ok(unpacking)
    }
}

impl PendingLayer {
    /// Fills the gaps from the layers below and names the layer after its chain ID.
    pub fn complete(mut self, below: &Snapshot, chain: &ChainId) -> Result<LayerId> {
        let view = self.unpacking.lease.store().stack(below)?;
        self.unpacking.fill_gaps(&view)?;
        let id = LayerId::from_chain(chain);
        self.unpacking.publish(&id, &of_image(&self.diff))?;
        Ok(id)
    }
}

/// A layer whose archive is longer than this is hostile.
const ARCHIVE_LIMIT: u64 = 1 << 40;

struct Hashing<'a> {
    from: Stoppable<&'a mut dyn Read>,
    hasher: Hasher,
    size: u64,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        if self.size > ARCHIVE_LIMIT {
            return Err(std::io::Error::other("longer than 1 TiB, as no layer is"));
        }
        Ok(count)
    }
}

/// What the last component of an entry's name makes of it.
enum Mark {
    None,
    Whiteout(PathBuf),
    Opaque(PathBuf),
    Metadata,
}

impl Unpacking {
    fn start(lease: &Lease) -> Result<Self> {
        let dir = lease.scratch("unpack");
        make_dir(&dir)?;
        make_dir(&dir.join("fs"))?;
        let mut tree = Tree::open(&dir.join("fs"), lease.store().marks())?;
        tree.directory(Path::new(""), &Attributes::new(Kind::Directory, 0o755))?;
        Ok(Self {
            lease: lease.clone(),
            contents: ContentsWriter::new(&dir),
            dir,
            tree,
            implied: BTreeSet::new(),
            links_below: BTreeMap::new(),
            known: Known::All,
        })
    }

    fn read<R: Read>(&mut self, reader: &mut TarReader<R>) -> Result<()> {
        while let Some(entry) = reader.next_entry()? {
            let path = clean(&entry.path)
                .map_err(|_| StoreError::archive(&entry.path, "the name leads out of the image"))?;
            let named = |error| named(error, &path);
            match mark(&path)? {
                Mark::Metadata => {}
                Mark::Whiteout(hidden) => self.whiteout(&hidden).map_err(named)?,
                Mark::Opaque(dir) => self.opaque(&dir).map_err(named)?,
                Mark::None => match entry.link {
                    Some(target) => self.hard_link(&path, &target.0).map_err(named)?,
                    None => self.entry(&path, &entry.attributes, entry.body).map_err(named)?,
                },
            }
        }
        Ok(())
    }

    fn parents(&mut self, path: &Path) -> Result<()> {
        let implied = &mut self.implied;
        self.tree.parents(path, &mut |dir| {
            implied.insert(dir.to_owned());
            Ok(Attributes::new(Kind::Directory, 0o755))
        })
    }

    fn forget(&mut self, path: &Path) {
        // Names below a path follow it at once.
        let links = self.links_below.range(path.to_owned()..).map(|(link, _)| link);
        let links: Vec<PathBuf> = links.take_while(|link| link.starts_with(path)).cloned().collect();
        links.iter().for_each(|link| drop(self.links_below.remove(link)));
        let dirs = self.implied.range(path.to_owned()..).take_while(|dir| dir.starts_with(path));
        let dirs: Vec<PathBuf> = dirs.cloned().collect();
        for dir in dirs {
            self.implied.remove(&dir);
        }
    }

    fn entry(&mut self, path: &Path, attributes: &Attributes, body: TarBody<'_>) -> Result<()> {
        self.parents(path)?;
        match &attributes.kind {
            Kind::Directory => {
                self.implied.remove(path);
                self.links_below.remove(path);
                self.tree.directory(path, attributes)
            }
            Kind::File { .. } => {
                self.replace(path)?;
                let (mut body, mut digest) = (Some(body), None);
                self.tree.file(path, attributes, &mut |file| {
                    digest = body.take().map(|body| body.write_to(file, path)).transpose()?.flatten();
                    Ok(())
                })?;
                match digest {
                    Some(digest) => self.contents.insert(path.to_owned(), digest),
                    None => {
                        self.known = Known::Part;
                        Ok(())
                    }
                }
            }
            Kind::Symlink { .. }
            | Kind::Fifo
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Socket => {
                self.replace(path)?;
                self.tree.special(path, attributes)
            }
        }
    }

    fn replace(&mut self, path: &Path) -> Result<()> {
        if path.as_os_str().is_empty() {
            return Err(StoreError::path(path, "the root of an image is a directory"));
        }
        self.forget(path);
        self.contents.forget(path);
        Ok(())
    }

    fn hard_link(&mut self, path: &Path, target: &Path) -> Result<()> {
        let target = clean(target)
            .map_err(|_| StoreError::archive(path, "a hard link that leads out of the image"))?;
        self.replace(path)?;
        self.parents(path)?;
        match self.tree.find(&target)? {
            Found::Other => self.tree.hardlink(path, &target),
            Found::Directory | Found::Whiteout => {
                Err(StoreError::archive(path, "a hard link to something that is no file"))
            }
            Found::Nothing => {
                self.tree.remove(path)?;
                let target = self.links_below.get(&target).cloned().unwrap_or(target);
                self.links_below.insert(path.to_owned(), target);
                Ok(())
            }
        }
    }

    fn whiteout(&mut self, hidden: &Path) -> Result<()> {
        self.parents(hidden)?;
        if self.links_below.contains_key(hidden) {
            return Ok(());
        }
        self.tree.whiteout(hidden)
    }

    fn opaque(&mut self, dir: &Path) -> Result<()> {
        // As if it held something: it is implied where the archive does not describe it.
        self.parents(&dir.join("content"))?;
        self.tree.opaque(dir)
    }

    fn fill_gaps(&mut self, below: &StackView) -> Result<()> {
        for dir in std::mem::take(&mut self.implied) {
            let attributes = implied_directory(below, &dir)?;
            self.tree.directory(&dir, &attributes)?;
        }
        for (link, target) in std::mem::take(&mut self.links_below) {
            self.known = Known::Part;
            self.link_below(below, &link, &target).map_err(|error| named(error, &link))?;
        }
        Ok(())
    }

    fn link_below(&mut self, below: &StackView, link: &Path, target: &Path) -> Result<()> {
        let real = below.resolve_parents(target)?;
        let entry = below.entry(&real)?.filter(|entry| !entry.attributes.is_dir());
        let entry =
            entry.ok_or_else(|| StoreError::archive(link, "a hard link to a file that does not exist"))?;
        let host = below.host_path(&real)?;
        let attributes = entry.attributes;
        if !matches!(attributes.kind, Kind::File { .. }) {
            return self.tree.special(link, &attributes);
        }
        if self.tree.place(link)?.adopt(&host)? {
            return Ok(());
        }
        let from = below.open(&real)?;
        let stop = self.lease.store().stopping();
        self.tree.file(link, &attributes, &mut |file| crate::copy::copy_file(&from, file, stop).at(link))
    }

    fn publish(&mut self, id: &LayerId, meta: &Meta) -> Result<()> {
        self.tree.date_directories()?;
        self.contents.finish()?;
        self.lease.publish(&self.dir, id, &Meta { known: self.known, ..meta.clone() }, &self.tree.aside)
    }
}

impl Drop for Unpacking {
    fn drop(&mut self) {
        let _ = remove_tree(&self.dir);
    }
}

/// The document of a layer of an image.
fn of_image(diff: &DiffId) -> Meta {
    Meta { origin: Origin::Image, diff_id: Some(diff.clone()), ..Meta::default() }
}

/// An error about a path, told as one about the entry of the archive.
fn named(error: StoreError, entry: &Path) -> StoreError {
    if let StoreError::Path { path, reason } = &error {
        let place = if path == entry { String::new() } else { format!("{} ", path.display()) };
        return StoreError::archive(entry, format!("{place}{reason}"));
    }
    error
}

fn mark(path: &Path) -> Result<Mark> {
    let Some(name) = path.file_name() else { return Ok(Mark::None) };
    let dir = path.parent().unwrap_or(Path::new(""));
    if dir.iter().any(|part| part.as_bytes().starts_with(METADATA)) {
        return Ok(Mark::Metadata);
    }
    if dir.iter().any(|part| part.as_bytes().starts_with(WHITEOUT)) {
        return Err(StoreError::archive(path, "something below the mark of a deleted name"));
    }
    let name = name.as_bytes();
    if name == OPAQUE {
        return Ok(Mark::Opaque(dir.to_owned()));
    }
    if name.starts_with(METADATA) {
        return Ok(Mark::Metadata);
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Mark::None),
        Some(b"" | b"." | b"..") => {
            Err(StoreError::archive(path, "the mark of a deleted name without a name"))
        }
        Some(hidden) => Ok(Mark::Whiteout(dir.join(std::ffi::OsStr::from_bytes(hidden)))),
    }
}
