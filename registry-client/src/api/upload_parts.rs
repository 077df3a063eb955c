//! Sending a blob: small ones in one request, others so that a broken transfer goes on where the registry
//! says it stands.
//!
//! All of a blob is sent in one PATCH first, as every registry takes it. Where that is too much (413), or
//! requests break without progress, it goes in smaller pieces. How small is remembered for the host.

use std::sync::PoisonError;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::manifest::digest_header;
use super::source::{Part, Trouble, body};
use super::upload::{Session, Upload, session};
use super::upload_notes::Note;
use crate::http::call::{Call, Target};
use crate::http::transport::same_origin;
use crate::{Client, RegistryError};

/// Blobs up to this size go in one PUT.
const SMALL: u64 = 64 << 10;
/// Pieces do not get smaller than this.
const SMALLEST_PIECE: u64 = 64 << 10;
/// What a first refusal of a large piece leads to, at most.
const LARGE_PIECE: u64 = 32 << 20;

/// A blob on its way up.
struct Sending<'a> {
    client: &'a Client,
    upload: &'a Upload<'a>,
    note: Note,
    session: Session,
    /// What the registry has.
    offset: u64,
    /// The most to send in one request.
    piece: u64,
    /// Failures since the last progress.
    failures: u32,
    /// Sessions that were begun.
    sessions: u32,
    /// Whether the bytes of this session came in several pieces.
    mended: bool,
}

/// Whether a blob still has to be sent after a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    GoOn,
    /// The registry has it: only its answer was lost.
    There,
}

impl Client {
    /// Sends a blob through a session, which may be there from a mount that did not succeed.
    pub(super) async fn send_blob(
        &self,
        upload: &Upload<'_>,
        given: Option<Session>,
    ) -> Result<(), RegistryError> {
        let size = upload.descriptor.size;
        let limit = self.piece(upload).unwrap_or(u64::MAX);
        if size <= SMALL.min(limit) {
            return self.send_whole(upload, given).await;
        }
        let note = Note::of(self.0.options.upload_notes.as_deref(), upload);
        let (session, offset) = match (given, self.noted(upload, &note).await) {
            (_, Noted::GoOn(session, offset)) => (session, offset),
            (_, Noted::There) => {
                note.remove();
                return Ok(());
            }
            (Some(session), Noted::Nothing) => (session, 0),
            (None, Noted::Nothing) => (self.0.patience.retry(|| self.start(upload)).await?, 0),
        };
        let base = self.0.transport.base(&upload.endpoint).await?;
        if !same_origin(&session.url, &base) {
            // storage behind a registry knows PUT, if it knows uploads at all
            return self.send_whole(upload, Some(session)).await;
        }
        note.write(&session);
        let mended = offset > 0;
        let sending = Sending {
            client: self,
            upload,
            note,
            session,
            offset,
            piece: limit,
            failures: 0,
            sessions: 1,
            mended,
        };
        sending.run().await
    }

    /// Sends all in one PUT.
    async fn send_whole(&self, upload: &Upload<'_>, given: Option<Session>) -> Result<(), RegistryError> {
        let given = std::sync::Mutex::new(given);
        let part = Part { start: 0, length: upload.descriptor.size, ends: true };
        let once = || async {
            let given = given.lock().unwrap_or_else(PoisonError::into_inner).take();
            let session = match given {
                Some(session) => session,
                None => self.start(upload).await?,
            };
            match self.close(upload, &session, part).await {
                // the session is gone, or the answer to an earlier try was lost
                Err(error) if error.is_transient() || status(&error) == Some(404) => {
                    let there = || self.blob_is_at(&upload.endpoint, &upload.scopes, upload.descriptor);
                    match self.0.patience.retry(there).await {
                        Ok(true) => Ok(()),
                        Ok(false) | Err(_) => Err(error),
                    }
                }
                outcome => outcome,
            }
        };
        self.0.patience.retry(once).await
    }

    /// What became of a session that another process left.
    async fn noted(&self, upload: &Upload<'_>, note: &Note) -> Noted {
        let Some(url) = note.read() else { return Noted::Nothing };
        match self.0.transport.base(&upload.endpoint).await {
            Ok(base) if same_origin(&url, &base) => {}
            Ok(_) | Err(_) => return Noted::Nothing,
        }
        let session = Session { url, reach: crate::http::reach::Reach::Public, least: 0 };
        match self.0.patience.retry(|| self.stands(upload, &session)).await {
            // One without a byte saves nothing, and what its owner sent last may still come in.
            Ok((session, offset)) if (1..=upload.descriptor.size).contains(&offset) => {
                Noted::GoOn(session, offset)
            }
            // What ended it may have come in after we asked for the blob.
            Err(error) if status(&error) == Some(404) => {
                let there = || self.blob_is_at(&upload.endpoint, &upload.scopes, upload.descriptor);
                match self.0.patience.retry(there).await {
                    Ok(true) => Noted::There,
                    Ok(false) | Err(_) => Noted::Nothing,
                }
            }
            Ok(_) | Err(_) => Noted::Nothing,
        }
    }

    /// Where an upload stands.
    async fn stands(&self, upload: &Upload<'_>, at: &Session) -> Result<(Session, u64), RegistryError> {
        let mut call =
            Call::new(&upload.endpoint, &upload.scopes, Method::GET, String::new(), &upload.subject);
        (call.target, call.reach) = (Target::Url(at.url.clone()), at.reach);
        let response = self.0.demand(&call).await?;
        if response.status() != StatusCode::NO_CONTENT && !response.headers().contains_key(RANGE) {
            return Err(call.protocol("it does not say where the upload stands"));
        }
        let offset = reached(&response).unwrap_or(0);
        Ok((follow(&call, &response, at)?, offset))
    }

    /// Sends a part by PATCH; where the registry then stands.
    async fn patch(
        &self,
        upload: &Upload<'_>,
        at: &Session,
        part: Part,
    ) -> Result<(Session, u64), RegistryError> {
        let mut call =
            Call::new(&upload.endpoint, &upload.scopes, Method::PATCH, String::new(), &upload.subject);
        (call.target, call.reach) = (Target::Url(at.url.clone()), at.reach);
        call.headers = length_and_type(part.length);
        // a stream of everything has no range: some registries only know those
        if part.start > 0 || !part.ends {
            let range = format!("{}-{}", part.start, part.start + part.length - 1);
            let range = HeaderValue::try_from(range).map_err(|_| call.protocol("no range"))?;
            call.headers.insert(CONTENT_RANGE, range);
        }
        let (trouble, watch) = (Trouble::default(), call.watch.clone());
        let make = || body(upload.source, part, &watch, &trouble);
        call.body = Some(&make);
        let outcome = self.0.demand(&call).await;
        if let Some(source) = trouble.take() {
            return Err(RegistryError::Source { digest: upload.descriptor.digest.clone(), source });
        }
        let response = outcome?;
        let sent = part.start + part.length;
        let offset = reached(&response).filter(|reached| *reached <= sent).unwrap_or(sent);
        Ok((follow(&call, &response, at)?, offset))
    }

    /// Ends an upload by PUT, with the bytes that are left.
    async fn close(&self, upload: &Upload<'_>, at: &Session, rest: Part) -> Result<(), RegistryError> {
        let mut url = at.url.clone();
        url.query_pairs_mut().append_pair("digest", &upload.descriptor.digest.to_string());
        let mut call =
            Call::new(&upload.endpoint, &upload.scopes, Method::PUT, String::new(), &upload.subject);
        (call.target, call.reach) = (Target::Url(url), at.reach);
        call.headers = length_and_type(rest.length);
        call.effort = upload.descriptor.size;
        let (trouble, watch) = (Trouble::default(), call.watch.clone());
        let make = || match rest.length {
            0 if upload.descriptor.size > 0 => reqwest::Body::from(bytes::Bytes::new()),
            _ => body(upload.source, rest, &watch, &trouble),
        };
        call.body = Some(&make);
        let outcome = self.0.demand(&call).await;
        if let Some(source) = trouble.take() {
            return Err(RegistryError::Source { digest: upload.descriptor.digest.clone(), source });
        }
        match digest_header(outcome?.headers()) {
            Some(stored)
                if stored != upload.descriptor.digest
                    && stored.algorithm() == upload.descriptor.digest.algorithm() =>
            {
                Err(RegistryError::corrupt(
                    &upload.endpoint.host,
                    &upload.subject,
                    format!("it stored {stored}"),
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The most that a host was seen to take at once.
    fn piece(&self, upload: &Upload<'_>) -> Option<u64> {
        let pieces = self.0.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.get(&upload.endpoint.host).copied()
    }
}

/// What became of a session that another process left.
enum Noted {
    /// The registry has it, up to this offset.
    GoOn(Session, u64),
    /// It was ended, and the blob is there.
    There,
    /// There was none, or it is gone.
    Nothing,
}

impl Sending<'_> {
    async fn run(mut self) -> Result<(), RegistryError> {
        let size = self.upload.descriptor.size;
        loop {
            let step = match self.offset < size {
                true => self.send_piece().await,
                false => {
                    let nothing = Part { start: size, length: 0, ends: true };
                    match self.client.close(self.upload, &self.session, nothing).await {
                        Ok(()) => return self.finish(),
                        Err(error) => Err(error),
                    }
                }
            };
            let Err(error) = step else { continue };
            match self.recover(error).await {
                Ok(After::GoOn) => {}
                Ok(After::There) => return self.finish(),
                Err(error) => {
                    self.abort(&error).await;
                    return Err(error);
                }
            }
        }
    }

    /// Cancels what nobody will go on with: bytes that are not the blob's. Other sessions stay for the
    /// process that takes them up.
    async fn abort(self, why: &RegistryError) {
        if matches!(why, RegistryError::Source { .. }) || status(why) == Some(400) {
            self.note.remove();
            let Upload { endpoint, scopes, subject, .. } = self.upload;
            self.client.close_upload(endpoint, scopes, subject, self.session).await;
        }
    }

    fn finish(self) -> Result<(), RegistryError> {
        self.note.remove();
        Ok(())
    }

    async fn send_piece(&mut self) -> Result<(), RegistryError> {
        let left = self.upload.descriptor.size - self.offset;
        let length = left.min(self.piece.max(self.session.least));
        let part = Part { start: self.offset, length, ends: length == left };
        let (session, offset) = self.client.patch(self.upload, &self.session, part).await?;
        self.take_up(session, offset);
        Ok(())
    }

    /// Goes on from where the registry says it stands.
    fn take_up(&mut self, session: Session, offset: u64) {
        let moved = session.url != self.session.url;
        self.session = session;
        if moved {
            self.note.write(&self.session);
        }
        if offset > self.offset {
            self.failures = 0;
        }
        self.mended |= offset > 0 && offset < self.upload.descriptor.size;
        self.offset = offset.min(self.upload.descriptor.size);
    }

    /// Finds out how to go on after a failure, or gives it back.
    async fn recover(&mut self, error: RegistryError) -> Result<After, RegistryError> {
        let ended = self.offset >= self.upload.descriptor.size;
        match status(&error) {
            Some(413) => {
                if !self.shrink(LARGE_PIECE) {
                    return Err(error);
                }
                return self.ask_or_begin().await;
            }
            Some(404) => {
                if ended && self.is_there().await {
                    return Ok(After::There);
                }
                return self.begin(error).await;
            }
            // bytes that were pieced together may be wrong where those of one go are not
            Some(400) if ended && self.mended => return self.begin(error).await,
            Some(400 | 416) if !ended => {
                self.failures += 1;
                if self.failures >= 2 {
                    return self.begin(error).await;
                }
                return self.ask_or_begin().await;
            }
            Some(_) | None => {}
        }
        let before = self.offset;
        self.failures += 1;
        self.client.0.patience.pause(self.failures, error).await?;
        if ended && self.is_there().await {
            return Ok(After::There);
        }
        let after = self.ask_or_begin().await?;
        // a refusal may be lost in a connection that the registry closes at once
        if !ended && self.offset <= before && self.failures >= 2 {
            self.shrink(LARGE_PIECE);
        }
        Ok(after)
    }

    /// Asks where the upload stands. Who does not say gets a new one.
    async fn ask_or_begin(&mut self) -> Result<After, RegistryError> {
        let (client, upload) = (self.client, self.upload);
        let asked = client.0.patience.retry(|| client.stands(upload, &self.session)).await;
        match asked {
            Ok((session, offset)) => {
                self.take_up(session, offset);
                Ok(After::GoOn)
            }
            // nobody is there to begin anew with; the session may be, later
            Err(error) if error.is_transient() => Err(error),
            Err(error) => self.begin(error).await,
        }
    }

    /// A new session, after the old one was lost; as often as there are tries.
    async fn begin(&mut self, lost: RegistryError) -> Result<After, RegistryError> {
        if self.sessions >= self.client.0.options.retry.attempts {
            return Err(lost);
        }
        self.sessions += 1;
        let (client, upload) = (self.client, self.upload);
        let fresh = client.0.patience.retry(|| client.start(upload)).await?;
        let old = std::mem::replace(&mut self.session, fresh);
        if status(&lost) == Some(400) {
            client.close_upload(&upload.endpoint, &upload.scopes, &upload.subject, old).await;
        }
        self.note.write(&self.session);
        (self.offset, self.mended) = (0, false);
        Ok(After::GoOn)
    }

    async fn is_there(&self) -> bool {
        let (client, upload) = (self.client, self.upload);
        let asked = client
            .0
            .patience
            .retry(|| client.blob_is_at(&upload.endpoint, &upload.scopes, upload.descriptor));
        asked.await.unwrap_or(false)
    }

    /// Halves the pieces; false where they are as small as they may be.
    fn shrink(&mut self, most: u64) -> bool {
        let left = self.upload.descriptor.size - self.offset;
        let smaller = (self.piece.min(left) / 2).min(most);
        if smaller < SMALLEST_PIECE.max(self.session.least) {
            return false;
        }
        self.piece = smaller;
        let mut pieces = self.client.0.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.insert(self.upload.endpoint.host.clone(), smaller);
        true
    }
}

fn status(error: &RegistryError) -> Option<u16> {
    error.refusal().map(|refusal| refusal.status)
}

/// How many bytes the registry has: one more than the end of its `Range`, which is `0-0` for none, too.
fn reached(response: &Response) -> Option<u64> {
    let text = response.headers().get(RANGE)?.to_str().ok()?;
    let text = text.trim();
    let (start, end) = text.strip_prefix("bytes=").unwrap_or(text).split_once('-')?;
    match (start.trim().parse::<u64>().ok()?, end.trim().parse::<u64>().ok()?) {
        (0, 0) => Some(0),
        (0, end) => end.checked_add(1),
        _ => None,
    }
}

/// Where to send what follows: a `Location`, or the same place.
fn follow(call: &Call<'_>, response: &Response, at: &Session) -> Result<Session, RegistryError> {
    if !response.headers().contains_key(LOCATION) {
        return Ok(Session { url: at.url.clone(), ..*at });
    }
    let next = session(call, response)?;
    Ok(Session { least: next.least.max(at.least), reach: next.reach.min(at.reach), ..next })
}

fn length_and_type(size: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers
}
