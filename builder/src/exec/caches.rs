//! Cache directories of a step: found by name, set up when new, emptied where a build wants none of
//! what earlier builds left.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use graph::{CacheSharing, Mount, MountKind};
use layer_store::{CacheMount, Kind, Sharing, Snapshot};

use super::error::ExecError;
use super::mounts::input_of;
use super::resources::StepResources;
use crate::Session;
use crate::export::{Ownership, write_tree};

const DEFAULT_MODE: u32 = 0o755;

/// Opens the cache directories of a step, each once, in the order of their names: two steps that want
/// the same two locked ones must not wait for each other. Directories by the target of the mount, and
/// what holds them. `user`: user and group of the step.
pub(super) fn open(
    session: &Session,
    mounts: &[Mount],
    inputs: &[Option<Snapshot>],
    resources: &StepResources,
    user: (u32, u32),
) -> Result<(BTreeMap<String, PathBuf>, Vec<CacheMount>), ExecError> {
    let mut wanted: BTreeMap<String, Wanted<'_>> = BTreeMap::new();
    for mount in mounts {
        if let MountKind::Cache { id, sharing, seed, mode, owner, .. } = &mount.kind {
            let seed = seed.map(|input| input_of(inputs, input, &mount.target)).transpose()?;
            let name = name(id, seed.as_ref(), *mode, *owner);
            let new =
                || Wanted { id, sharing: *sharing, seed, mode: *mode, owner: *owner, targets: Vec::new() };
            wanted.entry(name).or_insert_with(new).targets.push(&mount.target);
        }
    }
    let (mut directories, mut held) = (BTreeMap::new(), Vec::new());
    for (name, Wanted { id, sharing, seed, mode, owner, targets }) in wanted {
        if resources.fresh_caches {
            empty_once(session, id, &name, resources)?;
        }
        let cache = session.lease.cache_mount(&name, sharing_of(sharing))?;
        let directory = cache.dir();
        if cache.is_new() || is_empty(&directory) {
            if let Some(snapshot) = &seed {
                let view = session.store.stack(snapshot)?;
                write_tree(&session.store, &view, Path::new("/"), &directory, Ownership::Keep, None)
                    .map_err(|source| ExecError::Seed { id: id.to_owned(), source })?;
            }
            let made = std::fs::File::open(&directory).map_err(|source| failed(id, &directory, source))?;
            let (uid, gid) = match (owner, &seed) {
                (Some(owner), _) => owner,
                (None, Some(_)) => (0, 0),
                (None, None) => {
                    usual_owner(session, inputs, targets.first().copied().unwrap_or_default(), user)?
                }
            };
            layer_store::give_to(made.as_fd(), &directory, uid, gid)?;
            made.set_permissions(Permissions::from_mode(mode))
                .map_err(|source| failed(id, &directory, source))?;
        }
        for target in targets {
            cache.note_target(target)?;
            directories.insert(target.to_owned(), directory.clone());
        }
        held.push(cache);
    }
    Ok((directories, held))
}

/// A directory that mounts of a step want.
struct Wanted<'a> {
    id: &'a str,
    sharing: CacheSharing,
    seed: Option<Snapshot>,
    mode: u32,
    owner: Option<(u32, u32)>,
    targets: Vec<&'a str>,
}

/// What names a directory: its id, and how it starts out where that is unusual. A mount that asks for
/// another owner gets another directory, as in BuildKit, where such a mount stands on another base.
fn name(id: &str, seed: Option<&Snapshot>, mode: u32, owner: Option<(u32, u32)>) -> String {
    let owner = owner.unwrap_or_default();
    let mut name = id.to_owned();
    if mode != DEFAULT_MODE || owner != (0, 0) {
        name.push_str(&format!("\0{mode:o} {} {}", owner.0, owner.1));
    }
    if let Some(snapshot) = seed {
        let layers: Vec<&str> = snapshot.0.iter().map(layer_store::LayerId::as_str).collect();
        name.push_str(&format!("\0/ {}", layers.join(" ")));
    }
    name
}

/// Who gets a directory for which no owner was asked: the owner of the directory that it covers, else the
/// step's user, who could write nothing there otherwise.
fn usual_owner(
    session: &Session,
    inputs: &[Option<Snapshot>],
    target: &str,
    user: (u32, u32),
) -> Result<(u32, u32), ExecError> {
    let base = inputs.first().cloned().flatten().unwrap_or_default();
    let covered = session.store.stack(&base)?.resolve(Path::new(target))?;
    let directory = covered.filter(|(_, entry)| matches!(entry.attributes.kind, Kind::Directory));
    Ok(directory.map_or(user, |(_, entry)| (entry.attributes.uid, entry.attributes.gid)))
}

fn sharing_of(sharing: CacheSharing) -> Sharing {
    match sharing {
        CacheSharing::Shared => Sharing::Shared,
        CacheSharing::Private => Sharing::Private,
        CacheSharing::Locked => Sharing::Locked,
    }
}

fn failed(id: &str, path: &Path, source: std::io::Error) -> ExecError {
    ExecError::Cache { id: id.to_owned(), path: path.to_owned(), source }
}

/// Empties a directory, once in a build and while nobody uses it.
fn empty_once(session: &Session, id: &str, name: &str, resources: &StepResources) -> Result<(), ExecError> {
    let mut emptied = resources.emptied.lock().unwrap_or_else(PoisonError::into_inner);
    if emptied.contains(name) {
        return Ok(());
    }
    let alone = session.lease.cache_mount(name, Sharing::Locked)?;
    let directory = alone.dir();
    clear(&directory).map_err(|source| failed(id, &directory, source))?;
    emptied.insert(name.to_owned());
    Ok(())
}

/// Removes what is in a directory; links are not followed.
fn clear(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_directories_are_named_by_their_id_alone() {
        assert_eq!(name("/c", None, 0o755, Some((0, 0))), "/c");
        assert_eq!(name("/c", None, 0o755, None), "/c");
        assert_ne!(name("/c", None, 0o700, None), name("/c", None, 0o755, Some((1, 0))));
        let seed = Snapshot::default();
        assert_ne!(name("/c", Some(&seed), 0o755, None), "/c");
    }
}
