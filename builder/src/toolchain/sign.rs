//! Signing images, and checking their signatures.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Descriptor, Digest, ImageDocument, Repository};
use thiserror::Error;
use tokio::io::AsyncReadExt;

use super::artifact::{keep_subject, write_referrer};
use super::error::ToolError;
use super::place::{Content, MadeSource, Place, PlaceError, Source, beside, open_if_there, tag_of, write};
use crate::Session;
use crate::event::StepId;
use crate::request::CompressionChoice;
use crate::signing::{ARTIFACT_TYPE, Payload, Signature, SigningKey, VerifyingKey, as_manifest, signatures};

/// The ending of the tag with signatures.
const ENDING: &str = "sig";
/// No payload is larger.
const LARGEST: u64 = 1 << 20;

/// Where a signature is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureForm {
    /// Beside the image, under the tag `sha256-….sig`, with the earlier ones.
    #[default]
    Tag,
    /// As an artifact that refers to the image.
    Referrer,
}

/// What is signed of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignedParts {
    /// What its name stands for: the manifest or the index.
    #[default]
    Top,
    /// That and every manifest below it.
    All,
}

/// How an image is signed.
#[derive(Clone, Debug, Default)]
pub struct SignOptions {
    /// Which of its documents.
    pub parts: SignedParts,
    /// Where the signature is kept.
    pub form: SignatureForm,
    /// The name that the signature gives the image; that of its place where absent.
    pub identity: Option<Repository>,
    /// Further statements of the signature.
    pub annotations: BTreeMap<String, String>,
    /// How layers of the store's image are packed that were never packed.
    pub compression: CompressionChoice,
}

/// Why an image does not count as signed.
#[derive(Debug, Error)]
pub enum UnsignedError {
    /// It has no signature at all.
    #[error("{place}: {digest} has no signature")]
    None {
        /// The image.
        place: String,
        /// Its digest.
        digest: Digest,
    },
    /// It has signatures, and none of them will do.
    #[error("{place}: none of the {count} signatures of {digest} will do: {reasons}")]
    NoMatch {
        /// The image.
        place: String,
        /// Its digest.
        digest: Digest,
        /// How many there are.
        count: usize,
        /// What is wrong with each.
        reasons: String,
    },
}

/// Signs an image where it is. What is signed already with this key and these statements is not signed
/// again. The signed documents are returned.
///
/// # Errors
/// Where the image is not there, or nothing can be added to its place.
pub async fn sign(
    session: &Session,
    place: &Place,
    key: &SigningKey,
    options: &SignOptions,
    step: StepId,
) -> Result<Vec<Descriptor>, ToolError> {
    let identity = options.identity.as_ref().or(match place {
        Place::Registry(name) | Place::Store(name) => Some(name.repository()),
        Place::Either(name) => return Err(PlaceError::Ambiguous { name: name.familiar() }.into()),
        Place::LayoutArchive { .. } | Place::DockerArchive { .. } | Place::Directory(_) => {
            let reason = "no signature can be added to it; copy it to a registry, the store or a layout";
            return Err(PlaceError::refused(place, reason).into());
        }
        Place::Layout { .. } => None,
    });
    let source = Source::open(session, place, options.compression).await?;
    keep_subject(session, &source, place, step).await?;
    let documents: Vec<ImageDocument> = match options.parts {
        SignedParts::Top => vec![source.top().clone()],
        SignedParts::All => Content::of(&source, None).await?.documents().cloned().collect(),
    };
    let mut signed = Vec::new();
    for document in &documents {
        let payload = Payload::new(identity, document.descriptor().digest.clone(), &options.annotations);
        let payload = payload.to_bytes();
        let signature = Signature::new(&payload, &key.sign(&payload));
        match options.form {
            SignatureForm::Tag => {
                let tag = tag_of(&document.descriptor().digest, ENDING);
                let at = beside(&source, place, &tag)?;
                add(session, &at, (signature, payload), step).await?;
            }
            SignatureForm::Referrer => {
                let new = BTreeMap::from([(signature.layer.digest.clone(), payload)]);
                refer(session, (&source, place), document, signature, new, step).await?;
            }
        }
        signed.push(document.descriptor().clone());
    }
    Ok(signed)
}

/// Adds a signature to those under a tag.
async fn add(
    session: &Session,
    at: &Place,
    (signature, payload): (Signature, Bytes),
    step: StepId,
) -> Result<(), PlaceError> {
    let before = open_if_there(session, at).await?;
    let mut all = match before.as_ref().map(Source::top) {
        Some(ImageDocument::Manifest(manifest)) => signatures(manifest.parsed()),
        Some(ImageDocument::Index(_)) => return Err(PlaceError::refused(at, "it is no list of signatures")),
        None => Vec::new(),
    };
    if all.contains(&signature) {
        return Ok(());
    }
    let mut new = BTreeMap::from([(signature.layer.digest.clone(), payload)]);
    all.push(signature);
    let (manifest, config, raw) = as_manifest(all, None);
    new.insert(config.digest, raw);
    let made = Source::Made(Arc::new(MadeSource {
        shown: at.to_string(),
        top: ImageDocument::Manifest(manifest),
        new,
        stored: None,
        parts: before.into_iter().collect(),
    }));
    write(session, &made, &Content::of(&made, None).await?, at, step).await?;
    Ok(())
}

/// Writes a signature that refers to a document of the image.
async fn refer(
    session: &Session,
    (source, place): (&Source, &Place),
    document: &ImageDocument,
    signature: Signature,
    mut new: BTreeMap<Digest, Bytes>,
    step: StepId,
) -> Result<(), PlaceError> {
    let (manifest, config, raw) = as_manifest(vec![signature], Some(document.descriptor()));
    new.insert(config.digest, raw);
    write_referrer(session, (source, place), manifest, new, step).await?;
    Ok(())
}

/// The payloads of an image's signatures that are by this key, name the image's digest and have these
/// annotations; never none.
///
/// # Errors
/// Where the image is not there, or no signature will do.
pub async fn verify_signature(
    session: &Session,
    place: &Place,
    key: &VerifyingKey,
    annotations: &BTreeMap<String, String>,
) -> Result<Vec<Payload>, ToolError> {
    let source = Source::open(session, place, CompressionChoice::default()).await?;
    let digest = source.top().descriptor().digest.clone();
    let mut reasons = Vec::new();
    let mut good = Vec::new();
    for (holder, signature) in found(session, &source, place, &digest).await? {
        match judge(&holder, &signature, key, &digest, annotations).await? {
            Ok(payload) => good.push(payload),
            Err(reason) => reasons.push(reason),
        }
    }
    let place = source.shown();
    match (good.is_empty(), reasons.len()) {
        (false, _) => Ok(good),
        (true, 0) => Err(UnsignedError::None { place, digest }.into()),
        (true, count) => {
            reasons.dedup();
            Err(UnsignedError::NoMatch { place, digest, count, reasons: reasons.join("; ") }.into())
        }
    }
}

/// All signatures of a document: those under its tag, and those that refer to it.
async fn found(
    session: &Session,
    source: &Source,
    place: &Place,
    digest: &Digest,
) -> Result<Vec<(Source, Signature)>, PlaceError> {
    let mut all = Vec::new();
    let tagged = open_if_there(session, &beside(source, place, &tag_of(digest, ENDING))?).await?;
    if let Some(tagged) = tagged
        && let ImageDocument::Manifest(manifest) = tagged.top()
    {
        all.extend(signatures(manifest.parsed()).into_iter().map(|one| (tagged.clone(), one)));
    }
    for entry in source.referrers(digest).await? {
        if entry.artifact_type() != Some(ARTIFACT_TYPE) {
            continue;
        }
        if let ImageDocument::Manifest(manifest) = source.document(&entry).await? {
            all.extend(signatures(manifest.parsed()).into_iter().map(|one| (source.clone(), one)));
        }
    }
    Ok(all)
}

/// The payload of a signature that will do, or what is wrong with it.
async fn judge(
    holder: &Source,
    signature: &Signature,
    key: &VerifyingKey,
    digest: &Digest,
    annotations: &BTreeMap<String, String>,
) -> Result<Result<Payload, String>, PlaceError> {
    if signature.layer.size > LARGEST {
        return Ok(Err(format!("its payload has {} bytes", signature.layer.size)));
    }
    let mut text = Vec::new();
    let mut reader = holder.blob(&signature.layer).await?;
    reader.read_to_end(&mut text).await.map_err(|error| PlaceError::blob(&signature.layer.digest, error))?;
    let accepted = signature.bytes().is_some_and(|bytes| key.accepts(&text, &bytes));
    if !accepted {
        return Ok(Err("it is by another key".to_owned()));
    }
    let payload = match Payload::parse(&text) {
        Ok(payload) => payload,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if payload.digest() != digest {
        return Ok(Err(format!("it is of {}", payload.digest())));
    }
    match payload.has(annotations) {
        true => Ok(Ok(payload)),
        false => Ok(Err("it lacks the annotations".to_owned())),
    }
}
