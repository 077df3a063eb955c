//! Who may ask.
//!
//! Without passwords and TLS anybody on the machine may. A page in a browser is not anybody: requests
//! that a browser says it makes for a page are refused, and so are those that call this registry by a
//! name that is not loopback's, since any name can be made to lead here.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use sha2::{Digest as _, Sha256};

use super::error::ServeError;
use crate::worker::{Permits, blocking};

/// Hashing a password is slow on purpose; strangers must not take all processors by it.
const AT_ONCE: usize = 2;
/// Proven log-ins that are remembered.
const REMEMBERED: usize = 64;

/// Users and hashes of their passwords (`htpasswd -B`). Shows neither.
pub struct Htpasswd(Arc<Users>);

struct Users {
    hashes: HashMap<String, String>,
    /// Digests of log-ins that were right: every request brings one.
    proven: Mutex<HashSet<[u8; 32]>>,
    permits: Permits,
}

impl Htpasswd {
    /// Reads a file of lines `NAME:HASH`, the hashes in bcrypt's form.
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ServeError::File { path: path.to_owned(), source })?;
        let hashes = parse(&text).map_err(|reason| ServeError::Setting { path: path.to_owned(), reason })?;
        Ok(Self(Arc::new(Users { hashes, proven: Mutex::default(), permits: Permits::new(AT_ONCE) })))
    }

    async fn admits(&self, shown: &HeaderValue) -> bool {
        let Some((name, password)) = basic(shown) else { return false };
        let proof: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        if self.proven().contains(&proof) {
            return true;
        }
        let permit = self.0.permits.acquire().await;
        let users = Arc::clone(&self.0);
        let right = blocking(permit, move || match users.hashes.get(&name) {
            Some(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            None => {
                // A name that is unknown takes as long as one that is known.
                if let Some(other) = users.hashes.values().next() {
                    let _ = bcrypt::verify(password, other);
                }
                false
            }
        })
        .await;
        if right {
            let mut proven = self.proven();
            if proven.len() >= REMEMBERED {
                proven.clear();
            }
            proven.insert(proof);
        }
        right
    }

    fn proven(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.0.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names and hashes; no reason shows a hash.
fn parse(text: &str) -> Result<HashMap<String, String>, String> {
    let mut hashes = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let (number, line) = (number + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, hash) = line.split_once(':').ok_or_else(|| format!("line {number} has no colon"))?;
        if !["$2a$", "$2b$", "$2y$"].iter().any(|start| hash.starts_with(start))
            || hash.parse::<bcrypt::HashParts>().is_err()
        {
            return Err(format!(
                "line {number}: the hash of {name} is not bcrypt's (htpasswd -B makes those)"
            ));
        }
        hashes.insert(name.to_owned(), hash.to_owned());
    }
    if hashes.is_empty() {
        return Err("no user in it".to_owned());
    }
    Ok(hashes)
}

/// Name and password of a header.
fn basic(shown: &HeaderValue) -> Option<(String, Vec<u8>)> {
    use base64::Engine as _;
    let text = shown.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8(decoded[..colon].to_vec()).ok()?;
    Some((name, decoded[colon + 1..].to_vec()))
}

/// What becomes of a request.
pub(super) enum Admission {
    /// It is answered.
    Granted,
    /// A password is needed.
    Unknown,
    /// It is refused, whoever asks.
    Denied(&'static str),
}

/// Judges requests.
pub(super) enum Guard {
    /// Who knows a password.
    Passwords(Htpasswd),
    /// Everybody; the certificate says by which names.
    Anybody,
    /// Everybody who calls it by a name of loopback.
    Loopback,
}

impl Guard {
    pub(super) fn new(passwords: Option<Htpasswd>, by_tls: bool) -> Self {
        match passwords {
            Some(passwords) => Self::Passwords(passwords),
            None if by_tls => Self::Anybody,
            None => Self::Loopback,
        }
    }

    pub(super) async fn judge(&self, headers: &HeaderMap) -> Admission {
        if headers.contains_key(ORIGIN) {
            return Admission::Denied("this registry is not for pages in browsers");
        }
        match self {
            Self::Passwords(passwords) => match headers.get(AUTHORIZATION) {
                Some(shown) if passwords.admits(shown).await => Admission::Granted,
                Some(_) | None => Admission::Unknown,
            },
            Self::Anybody => Admission::Granted,
            Self::Loopback => match headers.get(HOST).map(HeaderValue::to_str) {
                None => Admission::Granted,
                Some(Ok(host)) if is_loopback(host) => Admission::Granted,
                Some(_) => Admission::Denied("without TLS this registry answers to loopback's names only"),
            },
        }
    }
}

/// Whether a host with or without its port is loopback's by its name.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("a.localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.0.1", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("a.example", false),
            ("localhost.example:5000", false),
            ("127.0.0.1.example:5000", false),
            ("192.0.2.1:5000", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }

    #[test]
    fn lines_of_other_forms_are_refused_by_their_number() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let good = format!("# users\n\nme:{hash}\n");
        assert_eq!(parse(&good).unwrap().len(), 1);
        for (text, word) in [
            ("", "no user"),
            ("me", "line 1"),
            ("\nme:$apr1$x$y", "line 2"),
            ("me:{SHA}x", "line 1"),
            ("me:$2y$04$short", "line 1"),
        ] {
            let reason = parse(text).unwrap_err();
            assert!(reason.contains(word), "{text}: {reason}");
        }
    }

    #[tokio::test]
    async fn passwords_are_judged() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let hashes = parse(&format!("me:{hash}")).unwrap();
        let users = Users { hashes, proven: Mutex::default(), permits: Permits::new(1) };
        let guard = Guard::Passwords(Htpasswd(Arc::new(users)));
        // me:secret, me:other, you:secret, then forms that are none
        for (shown, good) in [
            (Some("Basic bWU6c2VjcmV0"), true),
            (Some("basic bWU6c2VjcmV0"), true),
            (Some("Basic bWU6b3RoZXI="), false),
            (Some("Basic eW91OnNlY3JldA=="), false),
            (Some("Basic !"), false),
            (Some("Bearer bWU6c2VjcmV0"), false),
            (Some("Basic"), false),
            (None, false),
        ] {
            for _ in 0..2 {
                let mut headers = HeaderMap::new();
                if let Some(shown) = shown {
                    headers.insert(AUTHORIZATION, HeaderValue::from_static(shown));
                }
                let granted = matches!(guard.judge(&headers).await, Admission::Granted);
                assert_eq!(granted, good, "{shown:?}");
            }
        }
    }
}
