//! Keys and signatures beside the test vectors of their standards, and keys under a passphrase.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use super::*;
use crate::signing::{Passphrase, SealedKeyError};

/// Made by libsodium and Python's scrypt from the key `SCALAR`; the passphrase is `hello`.
const SEALED: &str = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo0MDk2LCJyIjo4
LCJwIjoxfSwic2FsdCI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHhBUkVoTVVGUllY
R0JrYUd4d2RIaDg9In0sImNpcGhlciI6eyJuYW1lIjoibmFjbC9zZWNyZXRib3gi
LCJub25jZSI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHhBUkVoTVVGUllYIn0sImNp
cGhlcnRleHQiOiJpZ0E3VVl4bkVrbkc2dCtIdklueDBvZFo4ekFGZ3VHdGk2Q3ZW
MzMvempBOEc1WVcwTkhLV1gyN09LVGpFTElzM2dUZmhXVlp3bzFwYzBVVmhnNjIx
VEV3V1V2UXRyWnQxSjZOaFhnRXRwbFJxSTA1czdySmsyUERpK3JsOEFiT2JQSDZD
UGdQcSthalVzUDZUR1pEQlVmN3JwL25rakNNcWZIdFFTMHAxK29ZZnJHRnJrMkww
aEtxU3UyZ1RPSm1TUHRCbHFEc1NXZlBMUT09In0=
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAERxw+dYxJBChbun5TEY7Q9SSt6wdX
0lvS+Oew1236cUzdUg96yoqLkXrMN/Ud6PDJu+OthYOC5wLcJaEtCfeoWA==
-----END PUBLIC KEY-----
";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn p256_signs_as_rfc_6979_says() {
    let scalar = bytes("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    let key = SigningKey::P256(Box::new(p256::ecdsa::SigningKey::from_slice(&scalar).unwrap()));
    let signature = p256::ecdsa::DerSignature::try_from(key.sign(b"sample").as_slice()).unwrap();
    let signature = p256::ecdsa::Signature::try_from(signature).unwrap();
    let expected = bytes(
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    );
    assert_eq!(signature.to_bytes().to_vec(), expected);
    let public = key.verifying_key();
    assert!(public.accepts(b"sample", &key.sign(b"sample")));
    assert!(!public.accepts(b"Sample", &key.sign(b"sample")));
    assert!(!public.accepts(b"sample", &expected), "the signature must be in DER");
}

#[test]
fn ed25519_signs_as_rfc_8032_says_and_takes_both_forms() {
    let seed = |hex: &str| ed25519_dalek::SigningKey::from_bytes(&bytes(hex).try_into().unwrap());
    let plain = seed("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7");
    let key = SigningKey::Ed25519(Box::new(plain));
    let expected = bytes(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
         18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    );
    assert_eq!(key.sign(&[0xaf, 0x82]), expected);
    assert!(key.verifying_key().accepts(&[0xaf, 0x82], &expected));

    let hashed = seed("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42");
    let public = VerifyingKey::Ed25519(Box::new(hashed.verifying_key()));
    let of_hash = bytes(
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41\
         31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
    );
    assert!(public.accepts(b"abc", &of_hash));
    assert!(!public.accepts(b"abd", &of_hash));
}

#[test]
fn a_key_under_a_passphrase_opens_with_that_one_alone() {
    let public = VerifyingKey::from_pem(PUBLIC.as_bytes()).unwrap();
    let open =
        |words: Option<&str>| SigningKey::from_pem(SEALED.as_bytes(), words.map(Passphrase::new).as_ref());
    assert_eq!(open(Some("hello")).unwrap().verifying_key(), public);
    let older = SEALED.replace("SIGSTORE", "COSIGN");
    let older = SigningKey::from_pem(older.as_bytes(), Some(&Passphrase::new("hello"))).unwrap();
    assert_eq!(older.verifying_key(), public);
    assert!(matches!(open(None), Err(KeyError::Sealed(SealedKeyError::NoPassphrase))));
    assert!(matches!(open(Some("hell")), Err(KeyError::Sealed(SealedKeyError::WrongPassphrase))));
    assert_eq!(
        format!("{:?} {:?}", open(Some("hello")), Passphrase::new("hello")),
        "Ok(SigningKey) Passphrase"
    );
}

#[test]
fn hostile_parameters_of_scrypt_are_refused() {
    let block = pem::parse(SEALED).unwrap();
    let json = String::from_utf8(block.contents().to_vec()).unwrap();
    for (from, to) in [
        (r#""N":4096"#, r#""N":4611686018427387904"#),
        (r#""N":4096"#, r#""N":4097"#),
        (r#""N":4096"#, r#""N":0"#),
        (r#""r":8"#, r#""r":4294967295"#),
        (r#""p":1"#, r#""p":4294967295"#),
        ("scrypt", "pbkdf2"),
        ("nacl/secretbox", "aes"),
        ("AAEC", "AA"),
    ] {
        let changed = pem::Pem::new(block.tag(), json.replace(from, to));
        let found = SigningKey::from_pem(pem::encode(&changed).as_bytes(), Some(&Passphrase::new("hello")));
        assert!(matches!(found, Err(KeyError::Sealed(SealedKeyError::Form(_)))), "{from} {to}: {found:?}");
    }
}

#[test]
fn what_is_no_such_key_is_named() {
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (text, said) in [
        ("", "no key in PEM form"),
        ("nothing", "no key in PEM form"),
        (certificate, "it holds \"CERTIFICATE\""),
        (PUBLIC, "it holds \"PUBLIC KEY\""),
        (damaged, "damaged"),
    ] {
        let error = SigningKey::from_pem(text.as_bytes(), None).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    let error = VerifyingKey::from_pem(SEALED.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("a public key"), "{error}");
}
