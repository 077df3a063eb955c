//! Encrypted layers as ocicrypt, skopeo and containerd have them: the layer's bytes by AES-256 in counter
//! mode with an HMAC, and the key of each layer wrapped for its recipients in a JWE in an annotation.
//!
//! - `keys`: keys of recipients in PEM files (RSA, and EC on P-256);
//! - `jwe`: a small secret for several recipients (RFC 7516);
//! - `layer`: the annotations, and encrypting and decrypting the bytes.
//!
//! Invariants: keys cannot be printed; nothing that was decrypted becomes a blob before its HMAC and its
//! digest were held against it; what is random comes from the kernel.
//! Not here: PKCS #7, PGP, PKCS #11 and key providers; passphrases of private keys.

mod jwe;
mod keys;
mod layer;

pub use jwe::JweError;
pub use keys::{DecryptionKey, EncryptionKeyError, RecipientKey};
pub use layer::LayerCipherError;
pub(crate) use layer::{decrypt, encrypt, is_encrypted, opened};
