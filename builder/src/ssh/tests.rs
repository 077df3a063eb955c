//! Keys as `ssh-keygen` and `openssl` write them; signatures are checked with ring's other half.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};

use super::destination::KeyFile;
use super::key::strings;
use super::keyring::Keyring;

const DATA: &[u8] = b"what is signed";

/// Takes all strings of a message apart.
fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (part, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        parts.push(part);
        bytes = rest;
    }
    parts
}

fn keyring(name: &str) -> Result<Keyring, String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ssh/keys").join(name);
    Keyring::read(&[KeyFile::anywhere(&path)], "").map_err(|error| error.why.to_string())
}

/// A number without the zero that keeps it positive, in so many bytes.
fn fixed(number: &[u8], length: usize) -> Vec<u8> {
    let digits = number.strip_prefix(&[0]).unwrap_or(number);
    [vec![0; length - digits.len()], digits.to_vec()].concat()
}

/// The first key of a ring, in the words of the protocol.
fn public(keys: &Keyring) -> Vec<u8> {
    let list = keys.answer(&[11]).unwrap();
    assert_eq!(list[..5], [12, 0, 0, 0, 1]);
    let parts = split(&list[5..]);
    assert_eq!(parts[1], b"", "the comment stays here");
    parts[0].to_vec()
}

fn sign(keys: &Keyring, public: &[u8], flags: u32) -> Option<Vec<u8>> {
    let request = [&[13], strings(&[public, DATA]).as_slice(), &flags.to_be_bytes()].concat();
    let answer = keys.answer(&request)?;
    assert_eq!(answer[0], 14);
    Some(split(&answer[1..])[0].to_vec())
}

fn verifies(public: &[u8], signature: &[u8]) -> bool {
    let (key, parts) = (split(public), split(signature));
    let pair = |length| {
        let numbers = split(parts[1]);
        [fixed(numbers[0], length), fixed(numbers[1], length)].concat()
    };
    match parts[0] {
        b"ssh-ed25519" => UnparsedPublicKey::new(&ED25519, key[1]).verify(DATA, parts[1]).is_ok(),
        b"ecdsa-sha2-nistp256" => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key[2]).verify(DATA, &pair(32)).is_ok()
        }
        b"ecdsa-sha2-nistp384" => {
            UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key[2]).verify(DATA, &pair(48)).is_ok()
        }
        name => {
            let padding = match name {
                b"rsa-sha2-256" => &RSA_PKCS1_2048_8192_SHA256,
                b"rsa-sha2-512" => &RSA_PKCS1_2048_8192_SHA512,
                _ => return false,
            };
            let n = fixed(key[2], 256);
            RsaPublicKeyComponents { n: &n, e: &key[1].to_vec() }.verify(padding, DATA, parts[1]).is_ok()
        }
    }
}

#[test]
fn keys_sign_what_their_public_halves_verify() {
    for (name, kind) in [
        ("ed25519", "ssh-ed25519"),
        ("ed25519.pkcs8", "ssh-ed25519"),
        ("p256", "ecdsa-sha2-nistp256"),
        ("p256.pkcs8", "ecdsa-sha2-nistp256"),
        ("p256.sec1", "ecdsa-sha2-nistp256"),
        ("p384", "ecdsa-sha2-nistp384"),
        ("rsa", "ssh-rsa"),
        ("rsa.pkcs1", "ssh-rsa"),
        ("rsa.pkcs8", "ssh-rsa"),
    ] {
        let keys = keyring(name).unwrap();
        let public = public(&keys);
        assert_eq!(split(&public)[0], kind.as_bytes(), "{name}");
        for flags in [2, 4] {
            let signature = sign(&keys, &public, flags).unwrap();
            assert!(verifies(&public, &signature), "{name} {flags}");
        }
        // A signature with SHA-1 is not to be had.
        assert_eq!(sign(&keys, &public, 0).is_none(), kind == "ssh-rsa", "{name}");
    }
}

#[test]
fn one_key_is_the_same_in_every_form() {
    let of = |name: &str| public(&keyring(name).unwrap());
    assert_eq!(of("rsa"), of("rsa.pkcs1"));
    assert_eq!(of("rsa"), of("rsa.pkcs8"));
    assert_eq!(of("p256"), of("p256.pkcs8"));
    assert_eq!(of("p256"), of("p256.sec1"));
}

#[test]
fn other_files_are_told_apart() {
    for (name, why) in [
        ("locked", "protected by a passphrase"),
        ("locked.pem", "protected by a passphrase"),
        ("ed25519.pub", "public key; name the file of the private one"),
        ("p521", "kind ecdsa-sha2-nistp521"),
        ("rsa1024", "kind RSA of fewer than 2048 bits"),
        ("README", "no private key"),
        ("cut", "damaged"),
        ("nothing", "No such file"),
    ] {
        let found = keyring(name).unwrap_err();
        assert!(found.contains(why), "{name}: {found}");
    }
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let keys = keyring("ed25519").unwrap();
    let public = public(&keys);
    let long = [&[13][..], &u32::MAX.to_be_bytes()].concat();
    for request in [&[][..], &[13], &[13, 0, 0], &[17], &[99, 1], &long] {
        assert_eq!(keys.answer(request), None, "{request:?}");
    }
    assert_eq!(sign(&keys, &public[1..], 0), None, "another's key");
}

#[test]
fn keys_do_not_show_in_debug_output() {
    assert_eq!(format!("{:?}", keyring("ed25519").unwrap()), "Keyring of 1");
}
