//! Executing a copy.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use graph::{Copy, Unpack};
use layer_store::{Attributes, Content, Entry, FirstNames, Kind};

use super::batch::{Batch, Origin, Waiting};
use super::chmod::Change;
use super::dest::{Dest, Owner, directory_of, parent};
use super::digest::below;
use super::earlier::Earlier;
use super::error::shown;
use super::links::Last;
use super::owner::owner;
use super::plan::{Item, Planned, Role, plan, plan_whole};
use super::tree::Tree;
use super::{FileError, archive};

/// What is done to everything that is copied.
struct Look {
    owner: Option<Owner>,
    mode: Option<Change>,
}

impl Look {
    fn parents_mode(&self) -> u32 {
        self.mode.as_ref().map_or(0o755, Change::for_parents)
    }

    fn parents_owner(&self) -> Owner {
        self.owner.unwrap_or((0, 0))
    }

    /// The attributes that a copy of an entry gets; extended ones are the caller's.
    fn attributes(&self, entry: &Entry) -> Attributes {
        let mut attributes = entry.attributes.clone();
        if let Some((uid, gid)) = self.owner {
            (attributes.uid, attributes.gid) = (uid, gid);
        }
        let is_link = matches!(attributes.kind, Kind::Symlink { .. });
        match &self.mode {
            _ if is_link => attributes.mode = 0o777,
            Some(change) => attributes.mode = change.apply(attributes.mode, attributes.is_dir()),
            None => {}
        }
        attributes
    }
}

/// Copies everything that `copy` names from `tree` into `dest`, which takes files of the earlier layer where it can.
pub(super) fn run(dest: &mut Dest, tree: &Tree, copy: &Copy, earlier: &Earlier) -> Result<(), FileError> {
    let unknown = dest.unknown();
    let look = Look {
        owner: copy.owner.as_ref().map(|spec| owner(dest, spec, unknown)).transpose()?,
        mode: copy.mode.as_ref().map(Change::new).transpose()?,
    };
    if !copy.create_dest_path {
        let real = dest.resolve(&copy.dest)?;
        let directory = parent(&real);
        if dest.lookup(&directory)?.is_none() {
            return Err(FileError::NoParent { path: shown(&directory) });
        }
    }
    plan(tree, copy, &mut |planned| {
        if copy.unpack == Unpack::Detect && unpack(dest, tree, copy, &look, &planned)? {
            return Ok(());
        }
        Copying::start(dest, tree, copy, (&look, earlier), &planned)?.all(&planned)
    })
}

/// Copies a real path and everything below it to the same path, as it is.
pub(super) fn whole(dest: &mut Dest, tree: &Tree, real: &Path) -> Result<(), FileError> {
    let look = Look { owner: None, mode: None };
    let Some(planned) = plan_whole(tree, real)? else { return Ok(()) };
    let earlier = &Earlier::default();
    let (source, target) = (real.into(), real.into());
    let links = dest.first_names();
    let copying =
        Copying { dest, tree, look: &look, earlier, source, target, links, batch: Batch::default() };
    copying.all(&planned)
}

/// Unpacks a source if it is an archive.
fn unpack(
    dest: &mut Dest,
    tree: &Tree,
    copy: &Copy,
    look: &Look,
    planned: &Planned,
) -> Result<bool, FileError> {
    let real = tree.resolve(&planned.source.real, Last::Follow, |_| {})?;
    let Some(Entry { attributes, .. }) = tree.lookup(&real)? else { return Ok(false) };
    if !matches!(attributes.kind, Kind::File { .. }) {
        return Ok(false);
    }
    let Some(archive) = archive::detect(tree, &real)? else { return Ok(false) };
    let target = dest.resolve(&copy.dest)?;
    dest.make_all(&target, 0o755, look.parents_owner())?;
    archive::unpack(dest, &target, archive, look.owner, &real)?;
    Ok(true)
}

/// One source on its way.
struct Copying<'a> {
    dest: &'a mut Dest,
    tree: &'a Tree,
    look: &'a Look,
    earlier: &'a Earlier,
    source: PathBuf,
    target: PathBuf,
    links: FirstNames,
    batch: Batch,
}

impl<'a> Copying<'a> {
    /// Finds out where the source goes, and makes the directories above.
    fn start(
        dest: &'a mut Dest,
        tree: &'a Tree,
        copy: &Copy,
        (look, earlier): (&'a Look, &'a Earlier),
        planned: &Planned,
    ) -> Result<Self, FileError> {
        let (mode, owner) = (look.parents_mode(), look.parents_owner());
        let directory = dest.resolve(&directory_of(&copy.dest))?;
        dest.make_all(&directory, mode, owner)?;
        let mut target = dest.resolve(&copy.dest)?;
        let there = dest.lookup(&target)?.map(|there| there.is_dir());
        let is_directory = planned.source.entry.attributes.is_dir();
        let inside = if is_directory { !copy.dir_contents && there.is_some() } else { there == Some(true) };
        if inside && !planned.source.name.is_empty() {
            target.push(&planned.source.name);
        }
        // A directory whose content is copied is made like its parents: its own metadata stays behind.
        let made = if copy.dir_contents && is_directory && there.is_none() {
            target.clone()
        } else {
            parent(&target)
        };
        dest.make_all(&made, mode, owner)?;
        let source = planned.source.real.clone();
        let links = dest.first_names();
        Ok(Self { dest, tree, look, earlier, source, target, links, batch: Batch::default() })
    }

    fn all(mut self, planned: &Planned) -> Result<(), FileError> {
        let tree = self.tree;
        planned.each(tree, &mut |item| self.item(&item))?;
        self.batch.write(self.dest, self.tree, self.earlier)
    }

    fn item(&mut self, item: &Item) -> Result<(), FileError> {
        let (source, target) = (below(&self.source, &item.path), below(&self.target, &item.path));
        match &item.entry.attributes.kind {
            Kind::Directory => self.directory(item, &source, &target),
            Kind::File { .. } => self.file(item, &source, &target),
            Kind::Symlink { .. } | Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                self.no_directory_at(&source, &target)?;
                self.dest.special(&target, &self.look.attributes(&item.entry))
            }
            Kind::Socket => self.stub(item, &source, &target),
        }
    }

    /// A socket is of use only to those who hold it: a copy is an empty file.
    fn stub(&mut self, item: &Item, source: &Path, target: &Path) -> Result<(), FileError> {
        self.no_directory_at(source, target)?;
        let attributes = Attributes { kind: Kind::File { size: 0 }, ..self.look.attributes(&item.entry) };
        self.dest.file(target, &attributes, Content::Bytes(b""))
    }

    fn directory(&mut self, item: &Item, source: &Path, target: &Path) -> Result<(), FileError> {
        if target.as_os_str().is_empty() {
            return Ok(());
        }
        let there = self.dest.lookup(target)?;
        let Some(there) = there else {
            return self.like_source(item, source, target, BTreeMap::new());
        };
        if !there.is_dir() {
            return Err(FileError::NotADirectory {
                source_path: shown(source),
                dest: shown(target),
                what: describe(&there.kind),
            });
        }
        match item.role {
            // The directory that was named keeps what it has, apart from its time.
            Role::Top => {
                let mtime = item.entry.attributes.mtime;
                self.dest.directory(target, &Attributes { mtime, ..there })
            }
            Role::Chosen => self.like_source(item, source, target, there.xattrs),
            Role::Parent => {
                let mode = item.entry.attributes.mode;
                if mode == there.mode {
                    Ok(())
                } else {
                    self.dest.directory(target, &Attributes { mode, ..there })
                }
            }
        }
    }

    /// Makes or changes a directory after its source; extended attributes that it has stay.
    fn like_source(
        &mut self,
        item: &Item,
        source: &Path,
        target: &Path,
        kept: BTreeMap<OsString, Vec<u8>>,
    ) -> Result<(), FileError> {
        let mut attributes = self.look.attributes(&item.entry);
        attributes.xattrs = kept;
        attributes.xattrs.extend(self.tree.xattrs(source, &item.entry)?);
        self.dest.directory(target, &attributes)
    }

    fn file(&mut self, item: &Item, source: &Path, target: &Path) -> Result<(), FileError> {
        self.no_directory_at(source, target)?;
        if let Some(first) = self.links.of(&item.entry, target)? {
            self.batch.write(self.dest, self.tree, self.earlier)?;
            return self.dest.hardlink(target, &first);
        }
        let origin = match self.tree {
            Tree::Context(_) => Origin::Context,
            Tree::Stack(stack) => Origin::Layer(stack.host(source, &item.entry)),
        };
        let attributes = self.look.attributes(&item.entry);
        let waiting = Waiting { source: source.into(), target: target.into(), attributes, origin };
        self.batch.add(waiting, (&mut *self.dest, self.tree, self.earlier))
    }

    fn no_directory_at(&self, source: &Path, target: &Path) -> Result<(), FileError> {
        if self.dest.lookup(target)?.is_some_and(|there| there.is_dir()) {
            return Err(FileError::IsADirectory { source_path: shown(source), dest: shown(target) });
        }
        Ok(())
    }
}

fn describe(kind: &Kind) -> &'static str {
    match kind {
        Kind::File { .. } => "a file",
        Kind::Directory => "a directory",
        Kind::Symlink { .. } => "a symbolic link",
        Kind::Fifo => "a FIFO",
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => "a device",
        Kind::Socket => "a socket",
    }
}
