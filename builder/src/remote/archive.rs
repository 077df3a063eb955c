//! An archive as the context.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use graph::{Copy, FileAction, Unpack};
use layer_store::tar::TarReader;
use layer_store::{LayerId, Snapshot};

use super::{RemoteError, context};
use crate::Session;
use crate::context::scan;
use crate::file::{Again, FileInput, run_file};
use crate::plan::Extra;
use crate::request::LocalContext;
use crate::worker::{Permit, blocking};

/// The name that a fetched or given archive has while it is unpacked.
pub(super) const NAME: &str = "context";

/// Whether a file that begins with these bytes is a tar, or compressed like one.
pub fn is_archive(start: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    magics.iter().any(|magic| start.starts_with(magic))
        || matches!(TarReader::new(start).next_entry(), Ok(Some(_)))
}

/// Unpacks an archive, plain or compressed, as a context.
pub async fn archive_context(
    session: &Session,
    what: &str,
    archive: Box<dyn Read + Send>,
) -> Result<LocalContext, RemoteError> {
    let extra = Extra::before(session.events.clone());
    let step = extra.begin(format!("unpack {what}"), None).await;
    let result = {
        let (session, what) = (session.clone(), what.to_owned());
        blocking(Permit::free(), move || from_stream(&session, &what, archive)).await
    };
    extra.end(step, &result).await;
    context(session, Snapshot(vec![result?]))
}

fn from_stream(
    session: &Session,
    what: &str,
    mut archive: Box<dyn Read + Send>,
) -> Result<LayerId, RemoteError> {
    let dir = session.lease.scratch_dir()?;
    let path = dir.join(NAME);
    let failed = |source| RemoteError::Io { path: path.clone(), source };
    let mut file = std::fs::File::create_new(&path).map_err(failed)?;
    std::io::copy(&mut archive, &mut file).map_err(|source| RemoteError::Io { path: what.into(), source })?;
    drop(file);
    let scan = scan(&LocalContext::Directory(dir.clone()), &[], &session.store.stat_index())?;
    let result = unpack(session, what, FileInput::Context(Arc::new(scan)), NAME);
    // What cannot be removed now goes with the lease.
    drop(std::fs::remove_dir_all(&dir));
    result
}

/// Unpacks a file at the root of a tree into a layer.
pub(super) fn unpack(
    session: &Session,
    what: &str,
    input: FileInput,
    name: &str,
) -> Result<LayerId, RemoteError> {
    let copy = Copy {
        input: 1,
        source: format!("/{name}"),
        dest: "/".to_owned(),
        wildcard: false,
        allow_empty_wildcard: false,
        follow_symlinks: false,
        dir_contents: false,
        create_dest_path: false,
        owner: None,
        mode: None,
        exclude: Vec::new(),
        parents: false,
        unpack: Unpack::Detect,
        required: true,
    };
    let (store, empty) = (&session.store, Snapshot::default());
    let inputs = [FileInput::Snapshot(empty.clone()), input];
    let layer = run_file(
        store,
        &session.lease,
        &[FileAction::Copy(Box::new(copy))],
        &empty,
        &inputs,
        Again::Nothing,
    )?
    .layer;
    // What is no archive was copied as it is.
    let entries = store.stack(&Snapshot(vec![layer.clone()]))?.read_dir(Path::new(""))?;
    if matches!(entries.as_slice(), [(only, entry)] if only == name && !entry.attributes.is_dir()) {
        return Err(RemoteError::NoArchive { what: what.to_owned() });
    }
    Ok(layer)
}
