//! A small secret for several recipients: JSON Web Encryption (RFC 7516) in its JSON forms, the content by
//! AES-256-GCM, its key by RSA-OAEP or by ECDH-ES with AES key wrap (RFC 7518).

use aes_gcm::aead::Payload;
use aes_gcm::aead::array::Array;
use aes_gcm::{Aes256Gcm, KeyInit, aead::Aead};
use aes_kw::KwAes256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use getrandom::SysRng;
use p256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use rsa::Oaep;
use rsa::rand_core::UnwrapErr;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::keys::{DecryptionKey, RecipientKey};

const CONTENT: &str = "A256GCM";
const RSA_SHA1: &str = "RSA-OAEP";
const RSA_SHA256: &str = "RSA-OAEP-256";
const ECDH: &str = "ECDH-ES+A256KW";
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const WRAPPED_BYTES: usize = KEY_BYTES + 8;

/// Why a JWE cannot be made or opened.
#[derive(Debug, Error)]
pub enum JweError {
    /// It is none, or a form that is not supported.
    #[error("the wrapped key cannot be read: {0}")]
    Form(String),
    /// None of the keys opens it.
    #[error("none of the keys given opens it")]
    NoKey,
    /// The key was wrapped for us, but the content is not what was sealed.
    #[error("the wrapped key was damaged")]
    Damaged,
    /// The kernel gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// A recipient's key cannot wrap it.
    #[error("the key cannot be wrapped for the recipient")]
    Wrap,
}

#[derive(Serialize, Deserialize)]
struct Jwe {
    protected: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unprotected: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recipients: Option<Vec<Recipient>>,
    #[serde(flatten)]
    only: Recipient,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aad: Option<String>,
    iv: String,
    ciphertext: String,
    tag: String,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Recipient {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encrypted_key: Option<String>,
}

/// Seals a secret for recipients.
///
/// # Errors
/// Where a key is too short for it.
pub(super) fn seal(secret: &[u8], recipients: &[RecipientKey]) -> Result<Vec<u8>, JweError> {
    let key: [u8; KEY_BYTES] = random()?;
    let nonce: [u8; NONCE_BYTES] = random()?;
    let mut wrapped = recipients.iter().map(|one| wrap(&key, one)).collect::<Result<Vec<_>, _>>()?;
    let mut header = Map::from_iter([("enc".to_owned(), json!(CONTENT))]);
    // For one recipient the flattened form, all of it protected: some readers take EC keys in it alone.
    let only = match wrapped.as_mut_slice() {
        [one] => {
            header.extend(one.header.take().unwrap_or_default());
            wrapped.pop()
        }
        _ => None,
    };
    let protected = BASE64URL.encode(Value::Object(header).to_string());
    let mut sealed = Aes256Gcm::new(&key.into())
        .encrypt(&nonce.into(), Payload { msg: secret, aad: protected.as_bytes() })
        .map_err(|_| JweError::Wrap)?;
    let tag = sealed.split_off(sealed.len() - TAG_BYTES);
    let jwe = Jwe {
        protected: Some(protected),
        unprotected: None,
        recipients: only.is_none().then_some(wrapped),
        only: only.unwrap_or_default(),
        aad: None,
        iv: BASE64URL.encode(nonce),
        ciphertext: BASE64URL.encode(sealed),
        tag: BASE64URL.encode(tag),
    };
    serde_json::to_vec(&jwe).map_err(|error| JweError::Form(error.to_string()))
}

/// Opens a secret with the first key that can.
///
/// # Errors
/// Where it is no JWE, none of the keys opens it, or it was changed.
pub(super) fn open(text: &[u8], keys: &[DecryptionKey]) -> Result<Vec<u8>, JweError> {
    let jwe: Jwe = serde_json::from_slice(text).map_err(|error| JweError::Form(error.to_string()))?;
    let protected_text = jwe.protected.clone().unwrap_or_default();
    let mut shared = jwe.unprotected.clone().unwrap_or_default();
    if !protected_text.is_empty() {
        let raw = bytes("protected", &protected_text)?;
        let header: Map<String, Value> =
            serde_json::from_slice(&raw).map_err(|error| JweError::Form(error.to_string()))?;
        shared.extend(header);
    }
    if let Some(found) = shared.get("crit").or(shared.get("zip")) {
        return Err(JweError::Form(format!("it asks for {found}")));
    }
    let nonce: [u8; NONCE_BYTES] = sized("iv", &jwe.iv)?;
    let mut sealed = bytes("ciphertext", &jwe.ciphertext)?;
    sealed.extend(sized::<TAG_BYTES>("tag", &jwe.tag)?);
    let aad = match &jwe.aad {
        Some(more) => format!("{protected_text}.{more}"),
        None => protected_text,
    };
    let mut unwrapped = false;
    for recipient in jwe.recipients.as_deref().unwrap_or(std::slice::from_ref(&jwe.only)) {
        let mut header = shared.clone();
        header.extend(recipient.header.clone().unwrap_or_default());
        if header.get("enc").and_then(Value::as_str) != Some(CONTENT) {
            return Err(JweError::Form(format!("its content is not by {CONTENT}")));
        }
        let wrapped = bytes("encrypted_key", recipient.encrypted_key.as_deref().unwrap_or_default())?;
        for key in keys {
            let Some(key) = unwrap(&wrapped, &header, key) else { continue };
            unwrapped = true;
            let payload = Payload { msg: &sealed, aad: aad.as_bytes() };
            if let Ok(secret) = Aes256Gcm::new(&key.into()).decrypt(&nonce.into(), payload) {
                return Ok(secret);
            }
        }
    }
    Err(if unwrapped { JweError::Damaged } else { JweError::NoKey })
}

fn wrap(key: &[u8; KEY_BYTES], recipient: &RecipientKey) -> Result<Recipient, JweError> {
    let (header, wrapped) = match recipient {
        RecipientKey::Rsa(public) => {
            let padding = Oaep::<sha1::Sha1>::new();
            let wrapped = public.encrypt(&mut UnwrapErr(SysRng), padding, key).map_err(|_| JweError::Wrap)?;
            (json!({ "alg": RSA_SHA1 }), wrapped)
        }
        RecipientKey::P256(public) => {
            let own = ephemeral()?;
            let shared = p256::ecdh::diffie_hellman(own.to_nonzero_scalar(), public.as_affine());
            let between = between(shared.raw_secret_bytes(), &[], &[]);
            let mut wrapped = [0; WRAPPED_BYTES];
            KwAes256::new(&between.into()).wrap_key(key, &mut wrapped).map_err(|_| JweError::Wrap)?;
            (json!({ "alg": ECDH, "epk": jwk(&own.public_key()) }), wrapped.to_vec())
        }
    };
    let header = header.as_object().cloned();
    Ok(Recipient { header, encrypted_key: Some(BASE64URL.encode(wrapped)) })
}

/// The content's key, where this key opens it.
fn unwrap(wrapped: &[u8], header: &Map<String, Value>, key: &DecryptionKey) -> Option<[u8; KEY_BYTES]> {
    let algorithm = header.get("alg")?.as_str()?;
    match key {
        DecryptionKey::Rsa(private) => {
            let rng = &mut UnwrapErr(SysRng);
            let opened = match algorithm {
                RSA_SHA1 => private.decrypt_blinded(rng, Oaep::<sha1::Sha1>::new(), wrapped),
                RSA_SHA256 => private.decrypt_blinded(rng, Oaep::<Sha256>::new(), wrapped),
                _ => return None,
            };
            opened.ok()?.try_into().ok()
        }
        DecryptionKey::P256(private) => {
            if algorithm != ECDH || wrapped.len() != WRAPPED_BYTES {
                return None;
            }
            let other = from_jwk(header.get("epk")?)?;
            let part = |name: &str| match header.get(name) {
                Some(text) => BASE64URL.decode(text.as_str()?).ok(),
                None => Some(Vec::new()),
            };
            let shared = p256::ecdh::diffie_hellman(private.to_nonzero_scalar(), other.as_affine());
            let between = between(shared.raw_secret_bytes(), &part("apu")?, &part("apv")?);
            let mut opened = [0; KEY_BYTES];
            KwAes256::new(&between.into()).unwrap_key(wrapped, &mut opened).ok()?;
            Some(opened)
        }
    }
}

/// The key between two parties (RFC 7518, section 4.6.2): one round of the KDF gives all 256 bits.
fn between(shared: &[u8], own: &[u8], other: &[u8]) -> [u8; KEY_BYTES] {
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(shared);
    for part in [ECDH.as_bytes(), own, other] {
        hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.update(256_u32.to_be_bytes());
    hash.finalize().into()
}

fn jwk(key: &p256::PublicKey) -> Value {
    let point = key.to_sec1_point(false);
    let part = |part: Option<&[u8]>| BASE64URL.encode(part.unwrap_or_default());
    let x = point.x().map(|x| x.as_slice());
    let y = point.y().map(|y| y.as_slice());
    json!({ "kty": "EC", "crv": "P-256", "x": part(x), "y": part(y) })
}

fn from_jwk(key: &Value) -> Option<p256::PublicKey> {
    let part =
        |name: &str| -> Option<[u8; 32]> { BASE64URL.decode(key.get(name)?.as_str()?).ok()?.try_into().ok() };
    if key.get("crv")?.as_str()? != "P-256" {
        return None;
    }
    let point = p256::Sec1Point::from_affine_coordinates(&Array(part("x")?), &Array(part("y")?), false);
    p256::PublicKey::from_sec1_point(&point).into_option()
}

/// A key for one message.
fn ephemeral() -> Result<p256::SecretKey, JweError> {
    loop {
        // All but a few of 2^256 numbers are keys.
        if let Ok(key) = p256::SecretKey::from_slice(&random::<32>()?) {
            return Ok(key);
        }
    }
}

/// Random bytes of the kernel.
pub(super) fn random<const N: usize>() -> Result<[u8; N], JweError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(JweError::Random)?;
    Ok(bytes)
}

fn bytes(field: &str, text: &str) -> Result<Vec<u8>, JweError> {
    BASE64URL.decode(text).map_err(|_| JweError::Form(format!("{field} is no base64url")))
}

fn sized<const N: usize>(field: &str, text: &str) -> Result<[u8; N], JweError> {
    bytes(field, text)?.try_into().map_err(|_| JweError::Form(format!("{field} has not {N} bytes")))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
