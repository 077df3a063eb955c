//! Writes the directory of a new layer directly, without a mount.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::attributes::{Attributes, Kind};
use crate::contents::ContentsWriter;
use crate::copy::{copy_file, copy_reader};
use crate::disk::{make_dir, remove_tree};
use crate::error::{At, Result};
use crate::layers::{Known, Meta, Origin};
use crate::marks::is_whiteout;
use crate::place::Place;
use crate::sheet::Sheet;
use crate::stop::Stop;
use crate::tree::{Found, Tree, clean};
use crate::truth::{self, Truth};
use crate::view::StackView;
use crate::{FirstNames, LayerId, Lease, Snapshot};

/// Where the content of a new file comes from.
pub enum Content<'a> {
    /// A stream.
    Reader(&'a mut dyn Read),
    /// An open file, from its beginning: shared blocks or an in-kernel copy where possible, holes kept.
    File(&'a File),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A file of a layer of this store ([`StackView::host_path`]). It becomes one name more of that file
    /// where its attributes are the wanted ones, else it is copied.
    HardLinkOf(&'a Path),
}

/// A layer that is being written. Paths are relative to the root of the image, and no link in them is ever
/// followed; parents that neither this layer nor the base has are made `0755 root:root`, dated 1970.
/// Dropping it discards the layer.
#[derive(Debug)]
pub struct LayerWriter {
    lease: Lease,
    dir: PathBuf,
    tree: Tree,
    base: StackView,
    snapshot: Snapshot,
    opaque: bool,
    /// Files of other layers that have a name here, by inode. A second name would be a hard link that the
    /// image does not have: files of two layers that are one inode in the store are two in the image.
    adopted: Arc<Mutex<HashSet<u64>>>,
    known: ContentsWriter,
    /// How many files were made.
    files: u64,
}

impl Lease {
    /// Starts a layer on top of a snapshot.
    pub fn write_layer(&self, base: &Snapshot) -> Result<LayerWriter> {
        let view = self.store().stack(base)?;
        let dir = self.scratch("layer");
        make_dir(&dir)?;
        make_dir(&dir.join("fs"))?;
        let mut tree = Tree::open(&dir.join("fs"), self.store().marks())?;
        tree.directory(Path::new(""), &root_attributes(&view)?)?;
        Ok(LayerWriter {
            lease: self.clone(),
            known: ContentsWriter::new(&dir),
            files: 0,
            dir,
            tree,
            base: view,
            snapshot: base.clone(),
            opaque: false,
            adopted: Arc::default(),
        })
    }
}

/// The root directory of a new layer looks like the one below it.
pub(crate) fn root_attributes(base: &StackView) -> Result<Attributes> {
    let below = base.entry(Path::new(""))?;
    Ok(below.map_or_else(|| Attributes::new(Kind::Directory, 0o755), |entry| entry.attributes))
}

/// What a directory that nobody described looks like: as below, else plain.
pub(crate) fn implied_directory(base: &StackView, path: &Path) -> Result<Attributes> {
    let below = base.entry(path)?.map(|entry| entry.attributes).filter(Attributes::is_dir);
    Ok(below.unwrap_or_else(|| Attributes::new(Kind::Directory, 0o755)))
}

impl LayerWriter {
    fn start(&mut self, path: &Path) -> Result<PathBuf> {
        self.lease.store().go_on()?;
        let path = clean(path)?;
        let base = &self.base;
        self.tree.parents(&path, &mut |dir| implied_directory(base, dir))?;
        Ok(path)
    }

    /// The same for what takes the place of anything that stands there.
    fn replace(&mut self, path: &Path) -> Result<PathBuf> {
        let path = self.start(path)?;
        self.known.forget(&path);
        Ok(path)
    }

    /// Creates a directory, or gives one of this layer new attributes. What lies in it below stays visible.
    pub fn directory(&mut self, path: &Path, attributes: &Attributes) -> Result<()> {
        let path = self.start(path)?;
        let found = self.tree.find(&path)?;
        if found != Found::Directory {
            self.known.forget(&path);
        }
        self.opaque |= matches!(found, Found::Whiteout | Found::Other);
        self.tree.directory(&path, attributes)
    }

    /// Creates a regular file; what stood there in this layer goes.
    pub fn file(&mut self, path: &Path, attributes: &Attributes, content: Content<'_>) -> Result<()> {
        self.new_file(path)?.fill(attributes, content)
    }

    /// Makes room for a regular file; what stood there in this layer goes.
    pub fn new_file(&mut self, path: &Path) -> Result<NewFile> {
        let path = self.replace(path)?;
        self.files += 1;
        let stop = self.lease.store().stopping().clone();
        Ok(NewFile { place: self.tree.place(&path)?, adopted: self.adopted.clone(), stop })
    }

    /// Says what the BLAKE3 digest of a file's content is, which was just written to that path of this layer.
    /// It is kept with the layer, so that nobody needs to read the file for it.
    pub fn content_is(&mut self, path: &Path, digest: [u8; 32]) -> Result<()> {
        self.known.insert(clean(path)?, digest)
    }

    /// Creates a symbolic link; the target is in the attributes.
    pub fn symlink(&mut self, path: &Path, attributes: &Attributes) -> Result<()> {
        let path = self.replace(path)?;
        self.tree.special(&path, attributes)
    }

    /// For files of a source that have several names.
    pub fn first_names(&self) -> FirstNames {
        self.lease.store().first_names()
    }

    /// Gives a file of this layer a second name.
    pub fn hardlink(&mut self, path: &Path, existing: &Path) -> Result<()> {
        let path = self.replace(path)?;
        self.tree.hardlink(&path, &clean(existing)?)
    }

    /// Creates a pipe or a device. A socket is passed over: images have none.
    pub fn special(&mut self, path: &Path, attributes: &Attributes) -> Result<()> {
        self.symlink(path, attributes)
    }

    /// Hides what the layers below hold under that name. What this layer holds there stays.
    pub fn whiteout(&mut self, path: &Path) -> Result<()> {
        let path = self.start(path)?;
        self.opaque |= self.tree.find(&path)? == Found::Directory;
        self.tree.whiteout(&path)
    }

    /// Hides everything that the layers below hold in that directory, which is made if this layer lacks it.
    pub fn opaque(&mut self, path: &Path) -> Result<()> {
        let path = self.start(path)?;
        if self.tree.find(&path)? != Found::Directory {
            let attributes = implied_directory(&self.base, &path)?;
            self.tree.directory(&path, &attributes)?;
        }
        self.opaque = true;
        self.tree.opaque(&path)
    }

    /// Makes a name absent: what this layer holds there goes, what lies below is hidden.
    pub fn remove(&mut self, path: &Path) -> Result<()> {
        let path = clean(path)?;
        self.known.forget(&path);
        self.tree.remove(&path)?;
        if self.base.entry(&path)?.is_some() {
            let path = self.start(&path)?;
            self.tree.whiteout(&path)?;
        }
        Ok(())
    }

    /// What this layer holds at a path; `None`: nothing, or a deleted name.
    pub fn written(&self, path: &Path) -> Result<Option<Attributes>> {
        match self.tree.look(path)? {
            Some(stat) if !is_whiteout(&stat) => {
                truth::read(&self.tree.host().join(path), path, &stat, &self.tree.aside).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }

    /// The base with what was written so far. Directory times are not final yet.
    pub fn view(&self) -> Result<StackView> {
        let aside = Arc::new(self.tree.aside.clone());
        Ok(self.base.with(Sheet::changing(self.tree.host().to_owned(), aside)))
    }

    /// Gives the layer a name.
    pub fn commit(mut self) -> Result<LayerId> {
        self.tree.date_directories()?;
        self.known.finish()?;
        let id = LayerId::random();
        let hides = self.opaque.then(|| self.snapshot.clone());
        // One digest came for each file at most.
        let known = if self.known.count == self.files { Known::All } else { Known::Part };
        let meta = Meta { origin: Origin::Step, hides, known, ..Meta::default() };
        self.lease.publish(&self.dir, &id, &meta, &self.tree.aside)?;
        Ok(id)
    }
}

/// A file of a layer that has its place there, and nothing in it. The files of a layer may be filled side by side,
/// on several threads; one that is dropped is not there.
#[derive(Debug)]
pub struct NewFile {
    place: Place,
    adopted: Arc<Mutex<HashSet<u64>>>,
    stop: Stop,
}

impl NewFile {
    /// Creates it.
    pub fn fill(self, attributes: &Attributes, content: Content<'_>) -> Result<()> {
        let mut content = match content {
            Content::HardLinkOf(host) => return self.link_or_copy(attributes, host),
            other @ (Content::Reader(_) | Content::File(_) | Content::Bytes(_)) => other,
        };
        let (host, stop) = (self.place.host(), &self.stop);
        self.place.create(attributes, Truth::default(), &mut |file| match &mut content {
            Content::Reader(reader) => copy_reader(&mut stop.guard(&mut **reader), file, host).map(drop),
            Content::File(from) => copy_file(from, file, stop).at(host),
            Content::Bytes(bytes) => (&mut &*file).write_all(bytes).at(host),
            Content::HardLinkOf(_) => Ok(()),
        })
    }

    fn link_or_copy(&self, attributes: &Attributes, host: &Path) -> Result<()> {
        let stat = rustix::fs::lstat(host).at(host)?;
        if same_attributes(host, &stat, attributes)?
            && self.is_first(stat.st_ino)
            && self.place.adopt(host)?
        {
            return Ok(());
        }
        let from = File::open(host).at(host)?;
        let copy = &mut |file: &File| copy_file(&from, file, &self.stop).at(self.place.host());
        self.place.create(attributes, Truth::default(), copy)
    }

    fn is_first(&self, inode: u64) -> bool {
        self.adopted.lock().unwrap_or_else(PoisonError::into_inner).insert(inode)
    }
}

fn same_attributes(host: &Path, stat: &rustix::fs::Stat, wanted: &Attributes) -> Result<bool> {
    let found = crate::truth::read(host, Path::new(""), stat, &crate::truth::Aside::new())?;
    let alike = matches!((&found.kind, &wanted.kind), (Kind::File { .. }, Kind::File { .. }));
    Ok(alike && Attributes { kind: wanted.kind.clone(), ..found } == *wanted)
}

impl Drop for LayerWriter {
    fn drop(&mut self) {
        let _ = remove_tree(&self.dir);
    }
}
