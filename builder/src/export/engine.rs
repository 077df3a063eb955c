//! Images for a Docker engine: an archive, written while the engine reads it.

use std::io;

use registry_client::{Engine, EngineAddress};
use tokio_util::io::SyncIoBridge;

use super::archive::write_archive;
use super::error::ExportError;
use super::layers::free;
use super::layout::LayoutFiles;
use crate::Session;
use crate::worker::blocking;

/// Bytes that wait for the engine at most.
const WAITING: usize = 1 << 20;

/// Has an engine load an image.
pub(super) async fn load(
    session: &Session,
    files: LayoutFiles,
    address: EngineAddress,
) -> Result<(), ExportError> {
    let engine = Engine::at(address)?;
    let (read, write) = tokio::io::duplex(WAITING);
    let store = session.store.clone();
    let writing = blocking(free(), move || {
        let mut sink = SyncIoBridge::new(write);
        write_archive(&files, &store, &mut sink).and_then(|()| sink.shutdown())
    });
    let (written, loaded) = tokio::join!(writing, engine.load(read));
    match (written, loaded) {
        // An engine that does not read any more has said why.
        (Err(error), Err(said)) if error.kind() == io::ErrorKind::BrokenPipe => Err(said.into()),
        (Err(source), _) => Err(ExportError::Archive(source)),
        (Ok(()), loaded) => Ok(loaded?),
    }
}
