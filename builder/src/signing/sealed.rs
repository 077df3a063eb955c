//! Private keys under a passphrase, as cosign keeps them: JSON that names scrypt with its parameters and
//! NaCl's secretbox, around a PKCS #8 key.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::Aead;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use serde::Deserialize;
use thiserror::Error;

/// scrypt takes 128 · N · r bytes; a key file may ask for this much.
pub(super) const MOST_MEMORY: u64 = 1 << 30;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A passphrase. It cannot be printed.
#[derive(Clone)]
pub struct Passphrase(String);

impl Passphrase {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// Why a key stays closed.
#[derive(Debug, Error)]
pub enum SealedKeyError {
    /// None was given.
    #[error("the key has a passphrase: give it in COSIGN_PASSWORD")]
    NoPassphrase,
    /// It is another one.
    #[error("the passphrase in COSIGN_PASSWORD does not open the key")]
    WrongPassphrase,
    /// The JSON is not cosign's.
    #[error("the key under the passphrase cannot be read: {0}")]
    Form(String),
}

#[derive(Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// The PKCS #8 key inside.
pub(super) fn open(json: &[u8], passphrase: Option<&Passphrase>) -> Result<Vec<u8>, SealedKeyError> {
    let form = |why: &dyn fmt::Display| SealedKeyError::Form(why.to_string());
    let sealed: Sealed = serde_json::from_slice(json).map_err(|error| form(&error))?;
    for (field, found, wanted) in
        [("kdf", &sealed.kdf.name, "scrypt"), ("cipher", &sealed.cipher.name, "nacl/secretbox")]
    {
        if found != wanted {
            return Err(form(&format!("its {field} is {found:?}, not {wanted:?}")));
        }
    }
    let bytes = |field: &str, text: &str| {
        STANDARD.decode(text).map_err(|_| form(&format!("its {field} is no base64")))
    };
    let salt = bytes("salt", &sealed.kdf.salt)?;
    let nonce = bytes("nonce", &sealed.cipher.nonce)?;
    let nonce: [u8; NONCE_BYTES] =
        nonce.try_into().map_err(|_| form(&format!("its nonce has not {NONCE_BYTES} bytes")))?;
    let ciphertext = bytes("ciphertext", &sealed.ciphertext)?;
    let params = params(&sealed.kdf.params).ok_or_else(|| form(&"its parameters of scrypt are too large"))?;
    let passphrase = passphrase.ok_or(SealedKeyError::NoPassphrase)?;
    let mut key = [0; KEY_BYTES];
    scrypt::scrypt(passphrase.reveal().as_bytes(), &salt, &params, &mut key).map_err(|error| form(&error))?;
    XSalsa20Poly1305::new(&key.into())
        .decrypt(&nonce.into(), ciphertext.as_slice())
        .map_err(|_| SealedKeyError::WrongPassphrase)
}

fn params(given: &Params) -> Option<scrypt::Params> {
    let log = u8::try_from(given.n.checked_ilog2()?).ok()?;
    let memory = given.n.checked_mul(128)?.checked_mul(u64::from(given.r))?;
    let fits = given.n.is_power_of_two() && memory <= MOST_MEMORY && given.p <= 16;
    fits.then(|| scrypt::Params::new(log, given.r, given.p).ok()).flatten()
}
