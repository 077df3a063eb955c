//! What a tag stands for, asked once by all that ask at the same time.
//!
//! Who asks claims the question first, and who waited for that takes what was answered meanwhile. An answer
//! serves a run of the program that had begun before the registry was asked, never a later one: what was
//! pushed before a build began is seen by it. The last answer stays, for when a registry allows no more.

use std::time::{Duration, SystemTime};

use layer_store::{Answer, CacheKey, Claim};
use oci::{Descriptor, Reference};

use super::error::ImageError;
use crate::Session;
use crate::worker::{Permit, blocking, claim};

/// Who has the claim may wait for a registry that is not there; others then ask for themselves.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a name stands for now.
pub(super) async fn resolve(session: &Session, reference: &Reference) -> Result<Descriptor, ImageError> {
    let question = question(session, reference)?;
    let _claim = claimed(session, question).await;
    if let Some(answer) = read(session, question).await
        && (session.lease.began()..=SystemTime::now()).contains(&answer.asked)
    {
        return Ok(answer.descriptor);
    }
    let asked = SystemTime::now();
    let descriptor = session.client.resolve(reference).await?;
    let (lease, answer) = (session.lease.clone(), Answer { descriptor: descriptor.clone(), asked });
    // Where it cannot be kept, others ask for themselves.
    let _ = blocking(Permit::free(), move || lease.put_answer(&question, &answer)).await;
    Ok(descriptor)
}

/// The right to fetch the documents of a pinned name, after all who fetch them now.
pub(super) async fn turn(session: &Session, pinned: &Reference) -> Result<Option<Claim>, ImageError> {
    Ok(claimed(session, question(session, pinned)?).await)
}

async fn claimed(session: &Session, question: CacheKey) -> Option<Claim> {
    tokio::time::timeout(LONGEST_WAIT, claim(&session.store, question)).await.ok().flatten()
}

/// What it stood for when the registry was asked last.
pub(super) async fn last(session: &Session, reference: &Reference) -> Option<Answer> {
    read(session, question(session, reference).ok()?).await
}

async fn read(session: &Session, question: CacheKey) -> Option<Answer> {
    let store = session.store.clone();
    blocking(Permit::free(), move || store.answer(&question)).await
}

/// Not the key of any step.
fn question(session: &Session, reference: &Reference) -> Result<CacheKey, ImageError> {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(b"rbuild what a name stands for 1\0")
        .update(session.client.terms_of(reference)?.as_bytes());
    Ok(CacheKey(*hasher.finalize().as_bytes()))
}
