//! Keys that answer as an agent does: they are listed, and one of them signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::destination::{Destination, KeyFile};
use super::error::KeyError;
use super::key::{Key, strings};
use super::known_hosts;
use super::parse;

/// Message numbers of the agent's protocol.
const LIST: u8 = 11;
const LISTED: u8 = 12;
const SIGN: u8 = 13;
const SIGNED: u8 = 14;

/// Private keys, read from their files. They are never printed.
pub struct Keyring {
    keys: Vec<(Vec<u8>, Key)>,
    /// Destinations, and the place of the key for each.
    bound: Vec<(Destination, usize)>,
    known_hosts: String,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring of {}", self.keys.len())
    }
}

impl Keyring {
    /// Reads keys, in the order in which they are offered. Of the lines of `known_hosts`, those are kept that are about
    /// a host for which a key is.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no private key, or is one behind a passphrase.
    pub fn read(files: &[KeyFile], known_hosts: &str) -> Result<Self, KeyError> {
        let key = |file: &KeyFile| {
            let key = parse::read(&file.path).map_err(|why| KeyError { path: file.path.clone(), why })?;
            Ok((key.public(), key))
        };
        let keys = files.iter().map(key).collect::<Result<_, _>>()?;
        let bound = |(place, file): (usize, &KeyFile)| file.destination.clone().map(|to| (to, place));
        let bound: Vec<_> = files.iter().enumerate().filter_map(bound).collect();
        let known_hosts = bound.iter().map(|(to, _)| known_hosts::about(known_hosts, to)).collect();
        Ok(Self { keys, bound, known_hosts })
    }

    /// Destinations, each with the public half of its key as a line.
    pub(super) fn bound(&self) -> impl Iterator<Item = (&Destination, String)> {
        self.bound.iter().map(|(to, place)| {
            let (public, _) = &self.keys[*place];
            let kind = string(&mut public.as_slice()).map(String::from_utf8_lossy).unwrap_or_default();
            (to, format!("{kind} {}", STANDARD.encode(public)))
        })
    }

    /// What the caller knows of the hosts, in the form of ssh's own file.
    pub(super) fn known_hosts(&self) -> &str {
        &self.known_hosts
    }

    /// The answer to a request, both without their length; `None` if it is refused.
    pub(crate) fn answer(&self, request: &[u8]) -> Option<Vec<u8>> {
        let (kind, mut rest) = request.split_first()?;
        match *kind {
            LIST => {
                let mut answer = vec![LISTED];
                answer.extend_from_slice(&u32::try_from(self.keys.len()).ok()?.to_be_bytes());
                // The comment of a key often names a person and a machine: no business of the step's.
                self.keys.iter().for_each(|(public, _)| answer.extend(strings(&[public, b""])));
                Some(answer)
            }
            SIGN => {
                let public = string(&mut rest)?;
                let data = string(&mut rest)?;
                let flags = u32::from_be_bytes(rest.try_into().ok()?);
                let (_, key) = self.keys.iter().find(|(known, _)| known == public)?;
                let mut answer = vec![SIGNED];
                answer.extend(strings(&[&key.sign(data, flags)?]));
                Some(answer)
            }
            _ => None,
        }
    }
}

/// Takes a string from the front of a message.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = after;
    Some(text)
}
