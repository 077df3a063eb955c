//! Executing the actions that copy nothing: directories and files with given content.

use graph::{MkDir, MkFile};
use layer_store::{Attributes, Content, Kind, Time};

use super::FileError;
use super::dest::{Dest, parent};
use super::error::shown;
use super::owner::{Unknown, owner};

/// Makes a directory. A `USER` that the tree does not know is no reason to fail: nothing runs yet.
pub(super) fn directory(dest: &mut Dest, action: &MkDir) -> Result<(), FileError> {
    let made_for = action.owner.as_ref().map(|spec| owner(dest, spec, Unknown::Root)).transpose()?;
    let made_for = made_for.unwrap_or((0, 0));
    let real = dest.resolve(&action.path)?;
    if !action.parents {
        let above = parent(&real);
        if dest.lookup(&above)?.is_none() {
            return Err(FileError::NoParent { path: shown(&above) });
        }
    }
    let made = action.created.map(|secs| Time { secs, nanos: 0 });
    dest.make_all_at(&real, action.mode, made_for, made)
}

/// Makes a file, or gives an existing one new content. Missing directories above it are made.
pub(super) fn file(dest: &mut Dest, action: &MkFile) -> Result<(), FileError> {
    let unknown = dest.unknown();
    let made_for = action.owner.as_ref().map(|spec| owner(dest, spec, unknown)).transpose()?;
    let real = dest.resolve(&action.path)?;
    dest.make_all(&parent(&real), 0o755, (0, 0))?;
    let kind = Kind::File { size: action.content.len() as u64 };
    let mut attributes = match dest.lookup(&real)? {
        Some(there) if there.is_dir() => {
            return Err(FileError::IsADirectory { source_path: action.path.clone(), dest: shown(&real) });
        }
        Some(there) if matches!(there.kind, Kind::File { .. }) => Attributes { kind, ..there },
        Some(_) | None => Attributes::new(kind, action.mode & 0o777),
    };
    if let Some((uid, gid)) = made_for {
        (attributes.uid, attributes.gid) = (uid, gid);
    }
    attributes.mtime = dest.now();
    dest.file(&real, &attributes, Content::Bytes(&action.content))
}
