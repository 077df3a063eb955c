//! Private keys from the text of their files: OpenSSH's form, PKCS #8, PKCS #1 and SEC 1.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use num_bigint::BigUint;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use sec1::der::Decode as _;
use ssh_key::private::{EcdsaKeypair, KeypairData, RsaKeypair};

use super::error::Why;
use super::key::{Curve, Key};

/// Longest file that is looked at, as with BuildKit.
const LONGEST: u64 = 100 << 10;

/// Object identifiers of the curves (RFC 5480).
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";

/// The key in a file.
pub(super) fn read(path: &Path) -> Result<Key, Why> {
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut text)).map_err(Why::Read)?;
    if text.len() as u64 > LONGEST {
        return Err(Why::Long);
    }
    parse(&text)
}

/// The key in a text.
pub(super) fn parse(text: &[u8]) -> Result<Key, Why> {
    let text = std::str::from_utf8(text).map_err(|_| Why::NoKey)?.trim_start();
    let begins = |label: &str| text.contains(&format!("-----BEGIN {label}-----"));
    if begins("OPENSSH PRIVATE KEY") {
        return openssh(text);
    }
    if begins("ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Why::Passphrase);
    }
    if begins("DSA PRIVATE KEY") {
        return Err(Why::Kind("ssh-dss".to_owned()));
    }
    if text.starts_with("ssh-")
        || text.starts_with("ecdsa-")
        || text.starts_with("sk-")
        || begins("PUBLIC KEY")
    {
        return Err(Why::Public);
    }
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs1(der)) => {
            RsaKeyPair::from_der(der.secret_pkcs1_der()).map(Key::Rsa).map_err(|why| rsa_refused(&why))
        }
        Ok(PrivateKeyDer::Pkcs8(der)) => pkcs8(der.secret_pkcs8_der()),
        Ok(PrivateKeyDer::Sec1(der)) => sec1_key(der.secret_sec1_der()),
        Ok(_) | Err(_) => Err(Why::NoKey),
    }
}

fn damaged(why: impl std::fmt::Display) -> Why {
    Why::Damaged(why.to_string())
}

/// What ring says of an RSA key; that it is short or long is no damage.
fn rsa_refused(why: &ring::error::KeyRejected) -> Why {
    match why.to_string().as_str() {
        "TooSmall" => Why::Kind("RSA of fewer than 2048 bits".to_owned()),
        "TooLarge" => Why::Kind("RSA of more than 8192 bits".to_owned()),
        other => damaged(other),
    }
}

fn openssh(text: &str) -> Result<Key, Why> {
    let key = ssh_key::PrivateKey::from_openssh(text).map_err(damaged)?;
    match key.key_data() {
        KeypairData::Encrypted(_) => Err(Why::Passphrase),
        KeypairData::Ed25519(pair) => {
            Ed25519KeyPair::from_seed_and_public_key(pair.private.as_ref(), pair.public.as_ref())
                .map(Key::Ed25519)
                .map_err(damaged)
        }
        KeypairData::Ecdsa(EcdsaKeypair::NistP256 { public, private }) => {
            ecdsa(Curve::P256, private.as_slice(), public.as_bytes())
        }
        KeypairData::Ecdsa(EcdsaKeypair::NistP384 { public, private }) => {
            ecdsa(Curve::P384, private.as_slice(), public.as_bytes())
        }
        KeypairData::Rsa(pair) => rsa(pair),
        // The enum may grow; what is not signed with is named alike.
        KeypairData::Dsa(_)
        | KeypairData::Ecdsa(_)
        | KeypairData::SkEcdsaSha2NistP256(_)
        | KeypairData::SkEd25519(_)
        | KeypairData::Other(_)
        | _ => Err(Why::Kind(key.algorithm().as_str().to_owned())),
    }
}

fn ecdsa(curve: Curve, private: &[u8], public: &[u8]) -> Result<Key, Why> {
    EcdsaKeyPair::from_private_key_and_public_key(curve.algorithm(), private, public, &SystemRandom::new())
        .map(|pair| Key::Ecdsa(curve, pair))
        .map_err(damaged)
}

/// OpenSSH leaves out two of the numbers that signing needs; they follow from the others.
fn rsa(pair: &RsaKeypair) -> Result<Key, Why> {
    let bytes = |number: &ssh_key::Mpint| number.as_positive_bytes().map(<[u8]>::to_vec).ok_or(Why::NoKey);
    let (d, p, q) = (bytes(&pair.private.d)?, bytes(&pair.private.p)?, bytes(&pair.private.q)?);
    let exponent = |prime: &[u8]| {
        let one = BigUint::from(1_u8);
        let prime = BigUint::from_bytes_be(prime);
        if prime <= one {
            return Err(Why::Damaged("a prime is missing".to_owned()));
        }
        Ok((BigUint::from_bytes_be(&d) % (prime - one)).to_bytes_be())
    };
    let (dp, dq) = (exponent(&p)?, exponent(&q)?);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: bytes(&pair.public.n)?, e: bytes(&pair.public.e)? },
        qInv: bytes(&pair.private.iqmp)?,
        dP: dp,
        dQ: dq,
        d,
        p,
        q,
    };
    RsaKeyPair::from_components(&components).map(Key::Rsa).map_err(|why| rsa_refused(&why))
}

/// PKCS #8 says inside what it holds; ring takes one kind at a time.
fn pkcs8(der: &[u8]) -> Result<Key, Why> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        return Ok(Key::Ed25519(pair));
    }
    for curve in [Curve::P256, Curve::P384] {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve.algorithm(), der, &SystemRandom::new()) {
            return Ok(Key::Ecdsa(curve, pair));
        }
    }
    RsaKeyPair::from_pkcs8(der).map(Key::Rsa).map_err(|why| match why.to_string().as_str() {
        "WrongAlgorithm" => Why::Kind("of another algorithm".to_owned()),
        _ => rsa_refused(&why),
    })
}

fn sec1_key(der: &[u8]) -> Result<Key, Why> {
    let key = sec1::EcPrivateKey::from_der(der).map_err(damaged)?;
    let curve = key.parameters.and_then(sec1::EcParameters::named_curve).map(|id| id.to_string());
    let curve = match curve.as_deref() {
        Some(P256) => Curve::P256,
        Some(P384) => Curve::P384,
        Some(other) => return Err(Why::Kind(format!("ECDSA on the curve {other}"))),
        None => return Err(Why::Kind("ECDSA on a curve without a name".to_owned())),
    };
    ecdsa(curve, key.private_key, key.public_key.ok_or(Why::Alone)?)
}
