//! What a step writes on: an overlay mount upon the layers, or a copy of their tree.

use std::path::Path;

use layer_store::{ActiveLayer, ActiveRoot, CopiedPart, Snapshot};
use runtime_exec::{Failure, MountSource, ReadOnly, Root, SpawnError, Stage};

use super::error::ExecError;
use super::prepare::lower_dirs;
use super::remark::Remark;
use crate::Session;

/// What the kernel says of a path that leads to nothing.
pub(super) const NOT_THERE: i32 = rustix::io::Errno::NOENT.raw_os_error();

/// How a step gets a tree to write on. Clones share what was said already.
#[derive(Clone, Debug)]
pub enum Snapshotter {
    /// An overlay mount: nothing is copied but what is written.
    Overlay,
    /// A copy of the whole tree, of which the changes are kept.
    Copy(WhyCopies),
}

/// Why steps run on copies.
#[derive(Clone, Debug)]
pub enum WhyCopies {
    /// The user wants it so.
    Asked,
    /// Overlayfs cannot be had; said once.
    Refused(Remark),
}

impl Snapshotter {
    /// Copies, since something refuses overlayfs.
    pub fn refused(cause: String) -> Self {
        let text = format!("steps run on copies of their trees, which is slower: {cause}");
        Self::Copy(WhyCopies::Refused(Remark::new(text)))
    }
}

/// A layer for a step to write upon a snapshot.
pub(crate) fn writable(session: &Session, base: &Snapshot) -> Result<ActiveLayer, ExecError> {
    match &session.host.snapshotter {
        Snapshotter::Overlay => Ok(session.lease.prepare(base)?),
        Snapshotter::Copy(why) => {
            match why {
                WhyCopies::Refused(remark) => remark.say(session),
                WhyCopies::Asked => {}
            }
            Ok(session.lease.copy(base)?)
        }
    }
}

/// The root file system that a layer gives a step.
pub(crate) fn root_of(session: &Session, base: &Snapshot, layer: &ActiveLayer) -> Root {
    match layer.root() {
        ActiveRoot::Overlay { upper, work, .. } => {
            Root::Overlay { lower: lower_dirs(&session.store, base), upper, work }
        }
        ActiveRoot::Directory(copy) => Root::Directory(copy),
    }
}

/// What a mounted part of a snapshot stands on besides the layers.
#[derive(Debug, Default)]
pub(super) struct Held {
    _written: Option<ActiveLayer>,
    _copy: Option<CopiedPart>,
}

impl Held {
    /// A directory that the step has, or writes to.
    pub(super) fn layer(layer: ActiveLayer) -> Self {
        Self { _written: Some(layer), _copy: None }
    }
}

/// A part of a snapshot to mount, and what has to live as long. What a step writes to it is thrown away.
pub(super) fn part(
    session: &Session,
    snapshot: &Snapshot,
    subpath: &str,
    access: ReadOnly,
) -> Result<(MountSource, Held), ExecError> {
    let lower = lower_dirs(&session.store, snapshot);
    let source =
        |scratch| MountSource::Overlay { lower: lower.clone(), subpath: subpath.to_owned(), scratch };
    match (access, &session.host.snapshotter) {
        // One layer alone needs no overlay.
        (ReadOnly::Yes, Snapshotter::Copy(_)) if lower.len() < 2 => Ok((source(None), Held::default())),
        (ReadOnly::Yes, Snapshotter::Overlay) => Ok((source(None), Held::default())),
        (ReadOnly::No, Snapshotter::Overlay) => {
            let layer = session.lease.prepare(snapshot)?;
            Ok((source(Some((layer.upper(), layer.work()))), Held::layer(layer)))
        }
        (ReadOnly::Yes | ReadOnly::No, Snapshotter::Copy(_)) => {
            let missing = || Failure { stage: Stage::Mount, path: subpath.to_owned(), errno: NOT_THERE };
            let copy = session.lease.copy_part(snapshot, Path::new(subpath))?;
            let copy = copy.ok_or_else(|| SpawnError::Setup(missing()))?;
            Ok((MountSource::Directory(copy.path().to_owned()), Held { _written: None, _copy: Some(copy) }))
        }
    }
}
