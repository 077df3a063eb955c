//! Blobs on their way in. A session lives as long as the server, or until nobody asked for it for an
//! hour; its bytes get their name once they have the digest that was promised.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming as Body;
use hyper::header::{CONTENT_RANGE, HeaderMap, HeaderName, LOCATION, RANGE};
use hyper::{Request, StatusCode};
use layer_store::{BlobWriter, StoreError};
use oci::{Descriptor, Digest, MediaType};
use tokio::sync::OwnedMutexGuard;

use super::Shared;
use super::answer::{Answer, Refused, empty, with};
use super::read::CONTENT_DIGEST;
use super::route::digest;
use crate::image::{Incoming, Outgoing};
use crate::worker::{Permit, blocking};

const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");
const PIECE: usize = 128 << 10;
/// Sessions at once.
const MOST: usize = 256;
/// How long a session is kept that nobody asks for.
const FORGOTTEN: Duration = Duration::from_secs(3600);
/// How long a client may send nothing, and how long another request for a session waits for it.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// What has come so far.
struct Upload {
    writer: BlobWriter,
    size: u64,
}

/// What came of a piece.
enum Piece {
    /// It does not start where the session ends; the answer says where that is.
    Elsewhere(Answer),
    /// All of it is here.
    Written(Upload),
}

/// Empty while a request writes, and when all is over.
type Slot = Arc<tokio::sync::Mutex<Option<Upload>>>;

struct Open {
    /// Path of the repository.
    path: String,
    slot: Slot,
    asked: Instant,
}

/// The sessions that are open.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Open>>);

impl Uploads {
    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, path: &str, id: &str, upload: Upload) -> Result<(), Refused> {
        let mut sessions = self.sessions();
        sessions.retain(|_, open| open.asked.elapsed() < FORGOTTEN || open.slot.try_lock().is_err());
        if sessions.len() >= MOST {
            return Err(Refused::too_many("too many uploads at once"));
        }
        let slot = Arc::new(tokio::sync::Mutex::new(Some(upload)));
        sessions.insert(id.to_owned(), Open { path: path.to_owned(), slot, asked: Instant::now() });
        Ok(())
    }

    /// Waits until no other request writes to a session: the one of a connection that broke may not have
    /// noticed yet.
    async fn hold(&self, path: &str, id: &str) -> Result<OwnedMutexGuard<Option<Upload>>, Refused> {
        let slot = {
            let mut sessions = self.sessions();
            let open = sessions.get_mut(id).filter(|open| open.path == path).ok_or_else(unknown)?;
            open.asked = Instant::now();
            Arc::clone(&open.slot)
        };
        match tokio::time::timeout(SILENCE, slot.lock_owned()).await {
            Ok(held) if held.is_some() => Ok(held),
            Ok(_) => Err(unknown()),
            Err(_) => Err(Refused::too_many("another request writes to this upload")),
        }
    }

    fn end(&self, id: &str) {
        self.sessions().remove(id);
    }
}

fn unknown() -> Refused {
    Refused::not_found("BLOB_UPLOAD_UNKNOWN", "no such upload")
}

impl Shared {
    /// Opens a session, mounts a blob that the store has, or takes a whole blob at once.
    pub(super) async fn start_upload(
        &self,
        path: &str,
        query: &BTreeMap<String, String>,
        request: Request<Body>,
    ) -> Result<Answer, Refused> {
        if let Some(mount) = query.get("mount") {
            let wanted = digest(mount)?;
            if self.has(&wanted).await? {
                return Ok(created(path, &wanted));
            }
        }
        let lease = self.session.lease.clone();
        let writer = blocking(Permit::free(), move || lease.blob()).await.map_err(Refused::own)?;
        let upload = Upload { writer, size: 0 };
        if let Some(text) = query.get("digest") {
            let wanted = digest(text)?;
            let (upload, broken) = written(upload, request).await?;
            return match broken {
                None => finish(path, upload, &wanted).await,
                Some(error) => Err(broke(&error)),
            };
        }
        let id = new_id().map_err(Refused::own)?;
        self.uploads.begin(path, &id, upload)?;
        Ok(accepted(StatusCode::ACCEPTED, path, &id, 0))
    }

    /// How far a session is.
    pub(super) async fn upload_status(&self, path: &str, id: &str) -> Result<Answer, Refused> {
        let held = self.uploads.hold(path, id).await?;
        let size = held.as_ref().map(|upload| upload.size).ok_or_else(unknown)?;
        Ok(accepted(StatusCode::NO_CONTENT, path, id, size))
    }

    /// Takes a piece. What came before a connection broke stays.
    pub(super) async fn more_upload(
        &self,
        path: &str,
        id: &str,
        request: Request<Body>,
    ) -> Result<Answer, Refused> {
        let mut held = self.uploads.hold(path, id).await?;
        match continued(&mut held, path, id, request).await? {
            Piece::Elsewhere(answer) => Ok(answer),
            Piece::Written(upload) => {
                let size = upload.size;
                *held = Some(upload);
                Ok(accepted(StatusCode::ACCEPTED, path, id, size))
            }
        }
    }

    /// Takes the last piece, and names the blob if it is what it should be.
    pub(super) async fn end_upload(
        &self,
        path: &str,
        id: &str,
        wanted: Option<Digest>,
        request: Request<Body>,
    ) -> Result<Answer, Refused> {
        let wanted = wanted.ok_or_else(|| Refused::bad("DIGEST_INVALID", "the digest is not given"))?;
        let mut held = self.uploads.hold(path, id).await?;
        match continued(&mut held, path, id, request).await? {
            Piece::Elsewhere(answer) => Ok(answer),
            Piece::Written(upload) => {
                self.uploads.end(id);
                finish(path, upload, &wanted).await
            }
        }
    }

    /// Closes a session.
    pub(super) async fn drop_upload(&self, path: &str, id: &str) -> Result<Answer, Refused> {
        let mut held = self.uploads.hold(path, id).await?;
        let upload = held.take();
        self.uploads.end(id);
        blocking(Permit::free(), move || drop(upload)).await;
        Ok(empty(StatusCode::NO_CONTENT))
    }

    async fn has(&self, wanted: &Digest) -> Result<bool, Refused> {
        let (store, wanted) = (self.session.store.clone(), wanted.clone());
        let found = blocking(Permit::free(), move || store.open_blob(&wanted)).await;
        Ok(found.map_err(Refused::own)?.is_some())
    }
}

/// Writes the next piece of a session. Where its body breaks off, the session keeps what came.
async fn continued(
    held: &mut Option<Upload>,
    path: &str,
    id: &str,
    request: Request<Body>,
) -> Result<Piece, Refused> {
    let size = held.as_ref().map(|upload| upload.size).ok_or_else(unknown)?;
    if starts_elsewhere(request.headers(), size) {
        return Ok(Piece::Elsewhere(elsewhere(path, id, size)));
    }
    let upload = held.take().ok_or_else(unknown)?;
    let (upload, broken) = written(upload, request).await?;
    match broken {
        None => Ok(Piece::Written(upload)),
        Some(error) => {
            *held = Some(upload);
            Err(broke(&error))
        }
    }
}

/// Appends a body; why it broke off, if it did.
async fn written(upload: Upload, request: Request<Body>) -> Result<(Upload, Option<io::Error>), Refused> {
    let (outgoing, incoming) = Incoming::channel();
    let writing = blocking(Permit::free(), move || append(upload, incoming));
    let (fed, taken) = futures::future::join(feed(request.into_body(), outgoing), writing).await;
    let (upload, broken) = taken.map_err(Refused::own)?;
    Ok((upload, fed.err().or(broken)))
}

async fn feed(mut body: Body, outgoing: Outgoing) -> io::Result<()> {
    loop {
        let frame = tokio::time::timeout(SILENCE, body.frame());
        let Some(frame) = frame.await.map_err(|_| io::Error::other("the client was silent for too long"))?
        else {
            break;
        };
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data()
            && !outgoing.send(data).await
        {
            return Ok(());
        }
    }
    outgoing.end().await;
    Ok(())
}

/// A body that breaks off is no failure of writing.
fn append(mut upload: Upload, mut incoming: Incoming) -> io::Result<(Upload, Option<io::Error>)> {
    let mut buffer = vec![0; PIECE];
    loop {
        match incoming.read(&mut buffer) {
            Ok(0) => return Ok((upload, None)),
            Ok(count) => {
                upload.writer.write_all(&buffer[..count])?;
                upload.size += count as u64;
            }
            Err(error) => return Ok((upload, Some(error))),
        }
    }
}

async fn finish(path: &str, upload: Upload, wanted: &Digest) -> Result<Answer, Refused> {
    let promised = Descriptor::new(MediaType::Other(String::new()), wanted.clone(), upload.size);
    match blocking(Permit::free(), move || upload.writer.commit_as(&promised)).await {
        Ok(()) => Ok(created(path, wanted)),
        Err(error @ (StoreError::Mismatch { .. } | StoreError::Length { .. })) => {
            Err(Refused::bad("DIGEST_INVALID", &error.to_string()))
        }
        Err(error) => Err(Refused::own(error)),
    }
}

fn broke(error: &io::Error) -> Refused {
    Refused::bad("BLOB_UPLOAD_INVALID", &error.to_string())
}

fn created(path: &str, blob: &Digest) -> Answer {
    let answer = with(empty(StatusCode::CREATED), LOCATION, &format!("/v2/{path}/blobs/{blob}"));
    with(answer, CONTENT_DIGEST, &blob.to_string())
}

fn accepted(status: StatusCode, path: &str, id: &str, size: u64) -> Answer {
    stands(empty(status), path, id, size)
}

fn elsewhere(path: &str, id: &str, size: u64) -> Answer {
    let reason = "the piece does not start where the last one ended";
    stands(Refused::range("BLOB_UPLOAD_INVALID", reason).into_answer(), path, id, size)
}

/// Where a session is, and how far. As Docker's registry writes it, an empty one is at `0-0`, too.
fn stands(answer: Answer, path: &str, id: &str, size: u64) -> Answer {
    let answer = with(answer, LOCATION, &format!("/v2/{path}/blobs/uploads/{id}"));
    with(with(answer, RANGE, &format!("0-{}", size.saturating_sub(1))), UPLOAD, id)
}

/// Whether a piece says that it starts elsewhere than where the last one ended.
fn starts_elsewhere(headers: &HeaderMap, size: u64) -> bool {
    let Some(range) = headers.get(CONTENT_RANGE) else { return false };
    let start = range.to_str().ok().and_then(|range| {
        range.trim_start_matches("bytes ").split('-').next().and_then(|text| text.parse::<u64>().ok())
    });
    start != Some(size)
}

fn new_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
