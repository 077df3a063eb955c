//! The lines of the caller's `known_hosts` that are about one host.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::destination::Destination;

/// Those of a text that name a destination, names behind a hash included.
pub(super) fn about(text: &str, to: &Destination) -> String {
    let name = match to.port {
        None | Some(22) => to.host.clone(),
        Some(port) => format!("[{}]:{port}", to.host),
    };
    text.lines().filter(|line| names(line, &name)).flat_map(|line| [line, "\n"]).collect()
}

/// Whether a line is about a name. ssh looks at it again, so a `!name` need not be understood here.
fn names(line: &str, name: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let mut first = words.next().unwrap_or_default();
    if first.starts_with('@') {
        first = words.next().unwrap_or_default();
    }
    first.split(',').any(|known| match known.strip_prefix("|1|") {
        Some(hashed) => hides(hashed, name).unwrap_or(false),
        None => {
            graph::Glob::new(&known.replace('[', "\\[")).is_ok_and(|known| known.matches(name.as_bytes()))
        }
    })
}

/// Whether `SALT|HASH` is a name.
fn hides(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &STANDARD.decode(salt).ok()?);
    Some(hmac::verify(&key, name.as_bytes(), &STANDARD.decode(hash).ok()?).is_ok())
}
