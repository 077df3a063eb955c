//! One layer: its annotations, and its bytes both ways.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use layer_store::{Lease, StoreError};
use oci::{Descriptor, Digest};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

use super::jwe::{self, JweError, random};
use super::keys::{DecryptionKey, RecipientKey};

const KEYS: &str = "org.opencontainers.image.enc.keys.";
const JWE: &str = "org.opencontainers.image.enc.keys.jwe";
const PUBLIC: &str = "org.opencontainers.image.enc.pubopts";
const ANNOTATIONS: &str = "org.opencontainers.image.enc.";
const CIPHER: &str = "AES_256_CTR_HMAC_SHA256";
const NONCE: &str = "nonce";
const PIECE: usize = 256 << 10;

type Counter = ctr::Ctr128BE<aes::Aes256>;

/// Why a layer is not encrypted or decrypted.
#[derive(Debug, Error)]
pub enum LayerCipherError {
    /// Not a layer in plain text.
    #[error("{digest} is {media_type}, which cannot be encrypted")]
    NoLayer {
        /// The blob.
        digest: Digest,
        /// What it is.
        media_type: String,
    },
    /// Its annotations cannot be read.
    #[error("encrypted layer {digest}: {reason}")]
    Form {
        /// The layer.
        digest: Digest,
        /// What is wrong.
        reason: String,
    },
    /// Its key stays closed.
    #[error("encrypted layer {digest}: {source}")]
    Key {
        /// The layer.
        digest: Digest,
        /// Why.
        source: JweError,
    },
    /// Its bytes are not those that were encrypted.
    #[error("encrypted layer {digest} was changed after it was encrypted")]
    Changed {
        /// The layer.
        digest: Digest,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What anyone may know of an encrypted layer.
#[derive(Serialize, Deserialize)]
struct Public {
    cipher: String,
    hmac: String,
    #[serde(default)]
    cipheroptions: Option<BTreeMap<String, String>>,
}

/// What the recipients know.
#[derive(Serialize, Deserialize)]
struct Private {
    symkey: String,
    digest: Digest,
    #[serde(default)]
    cipheroptions: Option<BTreeMap<String, String>>,
}

/// The secret of one layer, opened.
pub(crate) struct LayerSecret {
    key: [u8; 32],
    nonce: [u8; 16],
    hmac: Vec<u8>,
    /// The layer as it is in plain text.
    pub plain: Descriptor,
}

impl std::fmt::Debug for LayerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LayerSecret of {}", self.plain.digest)
    }
}

/// Whether a layer is encrypted.
pub(crate) fn is_encrypted(layer: &Descriptor) -> bool {
    layer.media_type.decrypted().is_some()
}

/// Encrypts a layer into the store; its new descriptor.
pub(crate) fn encrypt(
    lease: &Lease,
    layer: &Descriptor,
    mut from: impl Read,
    recipients: &[RecipientKey],
) -> io::Result<Result<Descriptor, LayerCipherError>> {
    let digest = layer.digest.clone();
    let Some(media_type) = layer.media_type.encrypted() else {
        let media_type = layer.media_type.to_string();
        return Ok(Err(LayerCipherError::NoLayer { digest, media_type }));
    };
    let (key, nonce): ([u8; 32], [u8; 16]) = match (random(), random()) {
        (Ok(key), Ok(nonce)) => (key, nonce),
        (Err(source), _) | (_, Err(source)) => return Ok(Err(LayerCipherError::Key { digest, source })),
    };
    let mut writer = lease.blob().map_err(io::Error::other)?;
    let mac = crypt(&mut from, &mut writer, &key, &nonce, Direction::Encrypt)?;
    let hmac = mac.finalize().into_bytes();
    let private = Private {
        symkey: STANDARD.encode(key),
        digest: layer.digest.clone(),
        cipheroptions: Some(BTreeMap::from([(NONCE.to_owned(), STANDARD.encode(nonce))])),
    };
    let public = Public {
        cipher: CIPHER.to_owned(),
        hmac: STANDARD.encode(hmac),
        cipheroptions: Some(BTreeMap::new()),
    };
    let sealed = match jwe::seal(&serde_json::to_vec(&private)?, recipients) {
        Ok(sealed) => sealed,
        Err(source) => return Ok(Err(LayerCipherError::Key { digest, source })),
    };
    let (digest, size) = writer.commit().map_err(io::Error::other)?;
    let mut encrypted = Descriptor { media_type, digest, size, ..layer.clone() };
    encrypted.annotations.insert(JWE.to_owned(), STANDARD.encode(sealed));
    encrypted.annotations.insert(PUBLIC.to_owned(), STANDARD.encode(serde_json::to_vec(&public)?));
    Ok(Ok(encrypted))
}

/// Opens the secret of an encrypted layer.
///
/// # Errors
/// Where its annotations cannot be read, or none of the keys opens it.
pub(crate) fn opened(layer: &Descriptor, keys: &[DecryptionKey]) -> Result<LayerSecret, LayerCipherError> {
    let digest = || layer.digest.clone();
    let form = |reason: String| LayerCipherError::Form { digest: digest(), reason };
    let media_type = layer.media_type.decrypted().ok_or_else(|| form("it is not encrypted".to_owned()))?;
    let annotation = |name: &str| layer.annotations.get(name);
    let wrapped = annotation(JWE).ok_or_else(|| form(without_jwe(layer)))?;
    let public = annotation(PUBLIC).ok_or_else(|| form(format!("it has no annotation {PUBLIC}")))?;
    let decoded =
        |name: &str, text: &str| STANDARD.decode(text).map_err(|_| form(format!("its {name} is no base64")));
    let public: Public = serde_json::from_slice(&decoded(PUBLIC, public)?)
        .map_err(|error| form(format!("{PUBLIC}: {error}")))?;
    if public.cipher != CIPHER {
        return Err(form(format!("its cipher is {:?}, not {CIPHER}", public.cipher)));
    }
    let mut outcome = Err(JweError::NoKey);
    // One JWE for each time that recipients were added.
    for one in wrapped.split(',') {
        outcome = jwe::open(&decoded(JWE, one)?, keys);
        if outcome.is_ok() {
            break;
        }
    }
    let private = outcome.map_err(|source| LayerCipherError::Key { digest: digest(), source })?;
    let private: Private =
        serde_json::from_slice(&private).map_err(|error| form(format!("its key: {error}")))?;
    let options = [private.cipheroptions, public.cipheroptions];
    let nonce = options.iter().flatten().find_map(|options| options.get(NONCE));
    let nonce = nonce.ok_or_else(|| form("it has no nonce".to_owned()))?;
    let mut plain = Descriptor { media_type, digest: private.digest, size: layer.size, ..layer.clone() };
    plain.annotations.retain(|name, _| !name.starts_with(ANNOTATIONS));
    Ok(LayerSecret {
        key: decoded("key", &private.symkey)?
            .try_into()
            .map_err(|_| form("its key has not 32 bytes".to_owned()))?,
        nonce: decoded(NONCE, nonce)?
            .try_into()
            .map_err(|_| form("its nonce has not 16 bytes".to_owned()))?,
        hmac: decoded("HMAC", &public.hmac)?,
        plain,
    })
}

fn without_jwe(layer: &Descriptor) -> String {
    let others: Vec<&str> = layer.annotations.keys().filter_map(|name| name.strip_prefix(KEYS)).collect();
    match others.is_empty() {
        true => "it names no recipients".to_owned(),
        false => format!("its key is wrapped by {}; jwe alone is supported", others.join(", ")),
    }
}

/// Decrypts a layer into the store, under the digest that its secret names.
pub(crate) fn decrypt(
    lease: &Lease,
    layer: &Descriptor,
    mut from: impl Read,
    secret: &LayerSecret,
) -> io::Result<Result<(), LayerCipherError>> {
    let plain = &secret.plain;
    let mut writer = lease.blob_of(plain.digest.algorithm()).map_err(io::Error::other)?;
    let mac = crypt(&mut from, &mut writer, &secret.key, &secret.nonce, Direction::Decrypt)?;
    if mac.verify_slice(&secret.hmac).is_err() {
        return Ok(Err(LayerCipherError::Changed { digest: layer.digest.clone() }));
    }
    Ok(writer.commit_as(plain).map(|_| ()).map_err(LayerCipherError::from))
}

#[derive(Clone, Copy)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// Passes bytes through the cipher; the HMAC is over what is encrypted.
fn crypt(
    from: &mut impl Read,
    to: &mut impl Write,
    key: &[u8; 32],
    nonce: &[u8; 16],
    direction: Direction,
) -> io::Result<Hmac<Sha256>> {
    let mut cipher = Counter::new(key.into(), nonce.into());
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).map_err(io::Error::other)?;
    let mut piece = vec![0; PIECE];
    loop {
        let length = match from.read(&mut piece) {
            Ok(0) => return Ok(mac),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = &mut piece[..length];
        if let Direction::Decrypt = direction {
            mac.update(piece);
        }
        cipher.apply_keystream(piece);
        if let Direction::Encrypt = direction {
            mac.update(piece);
        }
        to.write_all(piece)?;
    }
}
