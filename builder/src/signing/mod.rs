//! Signatures of images as cosign makes them with a key: a small JSON text (the *payload*) names the
//! digest of a manifest, and the signature is over the bytes of that text.
//!
//! - `key`: keys in PEM files, signing and checking;
//! - `sealed`: private keys under a passphrase, as cosign keeps them; `wrapped`: as PKCS #8 has them;
//! - `payload`: the text that is signed;
//! - `manifest`: payloads and signatures as an OCI manifest.
//!
//! Invariants: pure, nothing here does I/O; private keys and passphrases cannot be printed; a signature
//! counts only for the digest that its payload names.
//! Not here: certificates, transparency logs, and keys in hardware or clouds.

mod key;
mod manifest;
mod payload;
mod sealed;
mod wrapped;

pub use key::{KeyError, SigningKey, VerifyingKey};
pub(crate) use manifest::{ARTIFACT_TYPE, Signature, as_manifest, signatures};
pub use payload::{Payload, PayloadError};
pub use sealed::{Passphrase, SealedKeyError};
