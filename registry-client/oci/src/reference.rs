//! Names of images.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Digest;
use crate::reference_grammar::{is_domain, is_path, is_tag};

const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_OLD: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";
const LONGEST_PATH: usize = 255;

/// A text that names no image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no image name: {reason}")]
pub struct ReferenceError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Registry host and path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    /// Host and port: `docker.io`, `127.0.0.1:5000`.
    pub registry: String,
    /// Path: `library/alpine`.
    pub path: String,
}

impl Repository {
    /// The image under a tag.
    pub fn with_tag(&self, tag: &str) -> Result<Reference, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError { text: tag.to_owned(), reason: "not a tag" });
        }
        Ok(Reference { repository: self.clone(), tag: Some(tag.to_owned()), digest: None })
    }

    /// The image under a digest.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { repository: self.clone(), tag: None, digest: Some(digest) }
    }

    /// As Docker shows it: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        if self.registry != DOCKER_HUB {
            return self.to_string();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(name) if !name.contains('/') => name.to_owned(),
            Some(_) | None => self.path.clone(),
        }
    }
}

/// An image name in full (`docker.io/library/alpine:latest`), by tag, digest or both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Host and path.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag; `latest` where the text named neither tag nor digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same name pinned to a digest; the tag stays.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The same repository under another tag, without a digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        self.repository.with_tag(tag)
    }

    /// As Docker shows it: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        let mut text = self.repository.familiar();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }
}

/// Registry and path of a name without tag and digest, short names completed.
fn split_name(name: &str) -> Result<Repository, &'static str> {
    let (registry, path) = match name.split_once('/') {
        Some((DOCKER_HUB_OLD, path)) => (DOCKER_HUB, path),
        Some((first, path)) if names_a_host(first) => (first, path),
        Some(_) | None => (DOCKER_HUB, name),
    };
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("the repository must be lower case");
    }
    if !is_domain(registry) {
        return Err("not a registry host");
    }
    if !is_path(path) {
        return Err("not a repository path");
    }
    let path = match registry == DOCKER_HUB && !path.contains('/') {
        true => format!("{OFFICIAL}{path}"),
        false => path.to_owned(),
    };
    if path.len() > LONGEST_PATH {
        return Err("the repository is longer than 255 characters");
    }
    Ok(Repository { registry: registry.to_owned(), path })
}

/// The first part of a name is a host if it could not be a path, or looks like a host.
fn names_a_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase())
}

/// Whether a name does not say at which registry it is.
pub(crate) fn is_short(text: &str) -> bool {
    !text.split_once('/').is_some_and(|(first, _)| names_a_host(first))
}

/// A name, and its tag and digest with their signs.
pub(crate) fn split(text: &str) -> (&str, &str) {
    let end = text.find('@').unwrap_or(text.len());
    let (name, _) = split_tag(&text[..end]);
    text.split_at(name.len())
}

/// Cuts the tag off: a colon after the last slash.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rfind(':') {
        Some(at) if !text[at..].contains('/') => (&text[..at], Some(&text[at + 1..])),
        Some(_) | None => (text, None),
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    if text.is_empty() {
        return Err("empty");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|error| error.reason)?)),
        None => (text, None),
    };
    let (name, tag) = split_tag(rest);
    if name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("64 hexadecimal digits are an image id");
    }
    let repository = split_name(name)?;
    let tag = match (tag, &digest) {
        (Some(tag), _) if is_tag(tag) => Some(tag.to_owned()),
        (Some(_), _) => return Err("not a tag"),
        (None, None) => Some(DEFAULT_TAG.to_owned()),
        (None, Some(_)) => None,
    };
    Ok(Reference { repository, tag, digest })
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|reason| ReferenceError { text: text.to_owned(), reason })
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        split_name(text).map_err(|reason| ReferenceError { text: text.to_owned(), reason })
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl TryFrom<String> for Repository {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl From<Repository> for String {
    fn from(repository: Repository) -> Self {
        repository.to_string()
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}
