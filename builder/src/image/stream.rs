//! One layer's blob on its way: from the network into the blob store and, in the same pass, through
//! the decompressor into its layer directory.
//!
//! The network is async and unpacking is blocking; a bounded channel joins them. The end is told
//! explicitly, so that a transfer that was dropped is never taken for a short one.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use futures::StreamExt;
use layer_store::{BlobWriter, Lease, StagedBlob, Store, Unpacked, open_layer_stream};
use oci::{Compression, Descriptor, DiffId, Hasher, Repository};
use registry_client::{HadBytes, RegistryError};
use tokio::sync::mpsc;

use super::error::ImageError;
use super::progress::{Progress, short};
use crate::Session;
use crate::event::StepId;
use crate::worker::{Permit, blocking};

/// Pieces that may wait between network and disk.
const WAITING: usize = 16;

enum Piece {
    Data(Bytes),
    End,
}

/// The blocking end of the channel.
pub(crate) struct Incoming {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

/// The async end of the channel. Dropped before its end is told, it makes the other end fail.
pub(crate) struct Outgoing(mpsc::Sender<Piece>);

impl Outgoing {
    /// Hands bytes over; `false`: nobody takes them any more.
    pub(crate) async fn send(&self, bytes: Bytes) -> bool {
        self.0.send(Piece::Data(bytes)).await.is_ok()
    }

    /// Tells that all bytes were handed over.
    pub(crate) async fn end(&self) {
        let _ = self.0.send(Piece::End).await;
    }
}

impl Incoming {
    /// Both ends.
    pub(crate) fn channel() -> (Outgoing, Self) {
        let (sender, pieces) = mpsc::channel(WAITING);
        (Outgoing(sender), Self { pieces, current: Bytes::new(), ended: false })
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(bytes)) => self.current = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the transfer stopped")),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Writes what is read from `source` to `copy` as well.
struct Tee<R> {
    source: R,
    copy: BlobWriter,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.copy.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// A reader that stays ours while a decompressor owns a handle to it.
struct Shared<R>(std::sync::Arc<std::sync::Mutex<R>>);

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).read(buffer)
    }
}

/// Gets a layer's blob, from the store or the registry, and unpacks it.
pub(super) async fn fetch_and_unpack(
    session: &Session,
    repository: &Repository,
    blob: &Descriptor,
    diff: &DiffId,
    step: StepId,
) -> Result<Unpacked, ImageError> {
    let stored = {
        let (store, blob) = (session.store.clone(), blob.clone());
        blocking(Permit::free(), move || match store.has_blob(&blob) {
            true => store.open_blob(&blob.digest),
            false => Ok(None),
        })
        .await?
    };
    let (lease, descriptor, diff) = (session.lease.clone(), blob.clone(), diff.clone());
    if let Some(file) = stored {
        let (lease, descriptor, diff) = (lease.clone(), descriptor.clone(), diff.clone());
        let unpacked = blocking(Permit::free(), move || {
            match unpack(&lease, &descriptor, &diff, Box::new(file)) {
                // A damaged blob counts as absent, and the registry may have it whole.
                Err(ImageError::Unpack { .. }) if is_damaged(lease.store(), &descriptor)? => {
                    lease.store().forget_blob(&descriptor.digest)?;
                    Ok(None)
                }
                unpacked => unpacked.map(Some),
            }
        });
        if let Some(unpacked) = unpacked.await? {
            return Ok(unpacked);
        }
    }
    let taken = |writer: BlobWriter| {
        let (lease, descriptor, diff) = (lease.clone(), descriptor.clone(), diff.clone());
        move |incoming| unpack_and_store(&lease, writer, &descriptor, &diff, incoming)
    };
    resumed(session, repository, blob, step, taken).await
}

/// Whether the store's bytes are not those of their digest. Where they are, it is the manifest that is
/// wrong about the blob, and other images need it as it is.
fn is_damaged(store: &Store, blob: &Descriptor) -> Result<bool, ImageError> {
    let failed = |source| ImageError::Layer { blob: blob.clone(), source };
    let Some(mut file) = store.open_blob(&blob.digest)? else { return Ok(true) };
    let mut hasher = Hasher::new(blob.digest.algorithm());
    io::copy(&mut file, &mut hasher).map_err(failed)?;
    Ok(hasher.finish() != blob.digest)
}

/// Makes sure that a blob is in the store.
pub(crate) async fn ensure_blob(
    session: &Session,
    repository: &Repository,
    blob: &Descriptor,
    step: StepId,
) -> Result<(), ImageError> {
    let (store, descriptor) = (session.store.clone(), blob.clone());
    if blocking(Permit::free(), move || store.has_blob(&descriptor)).await {
        return Ok(());
    }
    let taken = |mut writer: BlobWriter| {
        let descriptor = blob.clone();
        move |mut incoming: Incoming| {
            io::copy(&mut incoming, &mut writer)
                .map_err(|source| ImageError::Layer { blob: descriptor.clone(), source })?;
            Ok(writer.commit_as(&descriptor)?)
        }
    };
    resumed(session, repository, blob, step, taken).await
}

/// Fetches a blob for a place outside of the store; what an earlier process had of it is not fetched again.
pub(crate) async fn staged_blob(
    session: &Session,
    repository: &Repository,
    blob: &Descriptor,
    step: StepId,
) -> Result<StagedBlob, ImageError> {
    let taken = |mut writer: BlobWriter| {
        let descriptor = blob.clone();
        move |mut incoming: Incoming| {
            io::copy(&mut incoming, &mut writer)
                .map_err(|source| ImageError::Layer { blob: descriptor.clone(), source })?;
            Ok(writer.stage_as(&descriptor)?)
        }
    };
    resumed(session, repository, blob, step, taken).await
}

/// Fetches a blob, or what is missing of it where an earlier process was stopped. A part that turns out to
/// be of other bytes is fetched again as a whole.
async fn resumed<T, F>(
    session: &Session,
    repository: &Repository,
    blob: &Descriptor,
    step: StepId,
    taken: impl Fn(BlobWriter) -> F,
) -> Result<T, ImageError>
where
    T: Send + 'static,
    F: FnOnce(Incoming) -> Result<T, ImageError> + Send + 'static,
{
    loop {
        let (lease, known) = (session.lease.clone(), blob.clone());
        let writer = blocking(Permit::free(), move || lease.known_blob(&known)).await?;
        let (hasher, length) = writer.had();
        let had = HadBytes { hasher, length };
        match transfer(session, repository, blob, had, step, taken(writer)).await {
            Err(error) if is_corrupt(&error) => {
                let (store, digest) = (session.store.clone(), blob.digest.clone());
                blocking(Permit::free(), move || store.forget_partial(&digest)).await?;
                if length == 0 {
                    return Err(error);
                }
            }
            other => return other,
        }
    }
}

/// Whether the bytes were not those of the digest, or make no sense.
fn is_corrupt(error: &ImageError) -> bool {
    matches!(error, ImageError::Registry(RegistryError::Corrupt { .. }) | ImageError::Unpack { .. })
}

/// Runs a download and what takes it side by side. The download's error comes first: the other
/// only says that it stopped.
async fn transfer<T: Send + 'static>(
    session: &Session,
    repository: &Repository,
    blob: &Descriptor,
    had: HadBytes,
    step: StepId,
    take: impl FnOnce(Incoming) -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let (outgoing, incoming) = Incoming::channel();
    let taking = blocking(Permit::free(), move || take(incoming));
    let (fed, taken) =
        futures::future::join(feed(session, repository, blob, had, step, outgoing), taking).await;
    fed?;
    taken
}

async fn feed(
    session: &Session,
    repository: &Repository,
    blob: &Descriptor,
    had: HadBytes,
    step: StepId,
    outgoing: Outgoing,
) -> Result<(), ImageError> {
    let mut progress = Progress::new(session.events.clone(), step, short(&blob.digest), Some(blob.size));
    progress.add(had.length);
    let mut body = session.client.rest_of_blob(repository, blob, had).await?.into_stream();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|error| broken(error, blob))?;
        progress.add(bytes.len() as u64);
        if !outgoing.send(bytes).await {
            // The taker gave up and says why.
            return Ok(());
        }
    }
    outgoing.end().await;
    progress.finish();
    Ok(())
}

/// The registry's error inside an I/O error.
fn broken(error: io::Error, blob: &Descriptor) -> ImageError {
    match error.downcast::<registry_client::RegistryError>() {
        Ok(inner) => ImageError::Registry(inner),
        Err(source) => ImageError::Layer { blob: blob.clone(), source },
    }
}

fn unpack_and_store(
    lease: &Lease,
    copy: BlobWriter,
    blob: &Descriptor,
    diff: &DiffId,
    incoming: Incoming,
) -> Result<Unpacked, ImageError> {
    let had = copy.read_had()?;
    let shared = std::sync::Arc::new(std::sync::Mutex::new(Tee { source: incoming, copy }));
    let all = had.chain(Shared(std::sync::Arc::clone(&shared)));
    let unpacked = unpack(lease, blob, diff, Box::new(all))?;
    let failed = |source| ImageError::Layer { blob: blob.clone(), source };
    // The decompressor may stop before the last bytes; the blob has them all.
    io::copy(&mut Shared(std::sync::Arc::clone(&shared)), &mut io::sink()).map_err(failed)?;
    let tee = std::sync::Arc::into_inner(shared)
        .and_then(|mutex| mutex.into_inner().ok())
        .ok_or_else(|| failed(io::Error::other("the unpacker keeps its input")))?;
    tee.copy.commit_as(blob)?;
    Ok(unpacked)
}

fn unpack(
    lease: &Lease,
    blob: &Descriptor,
    diff: &DiffId,
    packed: Box<dyn Read + Send>,
) -> Result<Unpacked, ImageError> {
    let compression = blob.media_type.compression().unwrap_or(Compression::None);
    let mut tar = open_layer_stream(compression, packed);
    lease.unpack(&mut tar, diff).map_err(|source| ImageError::Unpack { blob: blob.clone(), source })
}
