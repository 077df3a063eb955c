//! What can go wrong with a registry.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use oci::{Digest, DocumentError, Platform, Reference, Repository};
use thiserror::Error;

use crate::RateLimit;

/// A failure, named with its host and subject.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// A file of settings cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of settings makes no sense.
    #[error("{}: {reason}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("HTTP client: {reason}")]
    Setup {
        /// Why.
        reason: String,
    },
    /// The settings forbid this registry.
    #[error("{repository} is blocked by the registry configuration")]
    Blocked {
        /// What was asked for.
        repository: Repository,
    },
    /// The settings forbid this host.
    #[error("{host} is blocked by the registry configuration")]
    BlockedRegistry {
        /// The host.
        host: String,
    },
    /// The host was not reached, or the connection broke.
    #[error("{host}: {subject}: {}{}", causes(source), hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
    Network {
        /// The host.
        host: String,
        /// What was asked for.
        subject: String,
        /// Why.
        source: reqwest::Error,
        /// What else may help: the authorities that were consulted.
        hint: Option<String>,
    },
    /// The thing is not there.
    #[error("{0}")]
    NotFound(Box<Refusal>),
    /// It may not be had: 401 or 403.
    #[error("{0}")]
    Denied(Box<Refusal>),
    /// Too many requests.
    #[error("{0}")]
    Throttled(Box<Refusal>),
    /// Any other refusal.
    #[error("{0}")]
    Failed(Box<Refusal>),
    /// A credential helper failed.
    #[error("credential helper {program} for {host}: {reason}")]
    Helper {
        /// Its program.
        program: String,
        /// The host it was asked about.
        host: String,
        /// What it said.
        reason: String,
    },
    /// A challenge or token that cannot be used.
    #[error("{host}: log-in: {reason}")]
    LogIn {
        /// The registry.
        host: String,
        /// Why.
        reason: String,
    },
    /// An answer that the distribution-spec does not allow.
    #[error("{host}: {subject}: {reason}")]
    Protocol {
        /// The host.
        host: String,
        /// What was asked for.
        subject: String,
        /// What is wrong.
        reason: String,
    },
    /// Other bytes than were asked for.
    #[error("{host}: {subject}: {reason}")]
    Corrupt {
        /// The host.
        host: String,
        /// What was asked for.
        subject: String,
        /// How they differ.
        reason: String,
    },
    /// A transfer that stopped before its end.
    #[error("{host}: {subject}: the transfer stopped after {got} of {size} bytes")]
    Cut {
        /// The host.
        host: String,
        /// What was asked for.
        subject: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that should have come.
        size: u64,
    },
    /// A peer that neither takes bytes nor answers.
    #[error("{host}: {subject}: the connection stalls")]
    Stalled {
        /// The host.
        host: String,
        /// What was asked for.
        subject: String,
    },
    /// A manifest, index or config that cannot be taken.
    #[error("{host}: {subject}: {source}")]
    Document {
        /// The host.
        host: String,
        /// What was asked for.
        subject: String,
        /// Why.
        source: Box<DocumentError>,
    },
    /// An index without an image for the platform.
    #[error("{reference} has no image for {platform}; it has {}", list(available))]
    NoPlatform {
        /// The image.
        reference: Box<Reference>,
        /// What was wanted.
        platform: Box<Platform>,
        /// What there is.
        available: Vec<Platform>,
    },
    /// A blob to push cannot be read.
    #[error("reading {digest} for upload: {source}")]
    Source {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
}

/// What a registry said instead of giving what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The host.
    pub host: String,
    /// What was asked for.
    pub subject: String,
    /// HTTP status.
    pub status: u16,
    /// The code of the distribution-spec: `MANIFEST_UNKNOWN`, `DENIED` …
    pub code: Option<String>,
    /// The registry's own words.
    pub message: Option<String>,
    /// How long it asks us to wait.
    pub retry_after: Option<Duration>,
    /// The limit that was met, where it tells.
    pub limit: Option<RateLimit>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.host, self.subject)?;
        match self.status {
            401 => f.write_str("not authorised (401)")?,
            403 => f.write_str("forbidden (403)")?,
            404 => f.write_str("not found (404)")?,
            413 => f.write_str(
                "too large (413), which usually is the limit of a proxy before it (nginx: client_max_body_size, \
                 Traefik: maxRequestBodyBytes, Cloudflare: 100 MB)",
            )?,
            429 => f.write_str("too many requests (429)")?,
            status => write!(f, "status {status}")?,
        }
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => write!(f, ": {code}: {message}")?,
            (Some(text), None) | (None, Some(text)) => write!(f, ": {text}")?,
            (None, None) => {}
        }
        match (&self.limit, self.retry_after.filter(|_| self.status == 429)) {
            (Some(limit), None) => write!(f, " ({limit})"),
            (Some(limit), Some(_)) if limit.resets.is_some() => write!(f, " ({limit})"),
            (Some(limit), Some(wait)) => write!(f, " ({limit}, more in {} s)", wait.as_secs()),
            (None, Some(wait)) => write!(f, " (again in {} s)", wait.as_secs()),
            (None, None) => Ok(()),
        }
    }
}

impl RegistryError {
    pub(crate) fn refused(refusal: Refusal) -> Self {
        let refusal = Box::new(refusal);
        match refusal.status {
            404 => Self::NotFound(refusal),
            401 | 403 => Self::Denied(refusal),
            429 => Self::Throttled(refusal),
            _ => Self::Failed(refusal),
        }
    }

    pub(crate) fn network(host: &str, subject: &str, source: reqwest::Error, hint: Option<String>) -> Self {
        let source = source.without_url();
        Self::Network { host: host.to_owned(), subject: subject.to_owned(), source, hint }
    }

    pub(crate) fn protocol(host: &str, subject: &str, reason: impl Into<String>) -> Self {
        Self::Protocol { host: host.to_owned(), subject: subject.to_owned(), reason: reason.into() }
    }

    pub(crate) fn corrupt(host: &str, subject: &str, reason: impl Into<String>) -> Self {
        Self::Corrupt { host: host.to_owned(), subject: subject.to_owned(), reason: reason.into() }
    }

    pub(crate) fn log_in(host: &str, reason: impl Into<String>) -> Self {
        Self::LogIn { host: host.to_owned(), reason: reason.into() }
    }

    /// What the registry said, where it said something.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::NotFound(refusal)
            | Self::Denied(refusal)
            | Self::Throttled(refusal)
            | Self::Failed(refusal) => Some(refusal),
            Self::File { .. }
            | Self::Setting { .. }
            | Self::Setup { .. }
            | Self::Blocked { .. }
            | Self::BlockedRegistry { .. }
            | Self::Network { .. }
            | Self::Helper { .. }
            | Self::LogIn { .. }
            | Self::Protocol { .. }
            | Self::Corrupt { .. }
            | Self::Cut { .. }
            | Self::Stalled { .. }
            | Self::Document { .. }
            | Self::NoPlatform { .. }
            | Self::Source { .. } => None,
        }
    }

    /// Whether nobody was reached at all.
    pub(crate) fn is_connecting(&self) -> bool {
        if let Self::Network { source, .. } = self { source.is_connect() } else { false }
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Network { source, .. } => !source.is_builder() && !is_certificate_error(source),
            Self::Cut { .. } | Self::Stalled { .. } | Self::Throttled(_) => true,
            Self::Failed(refusal) => matches!(refusal.status, 408 | 500 | 502..=504),
            Self::File { .. }
            | Self::Setting { .. }
            | Self::Setup { .. }
            | Self::Blocked { .. }
            | Self::BlockedRegistry { .. }
            | Self::NotFound(_)
            | Self::Denied(_)
            | Self::Helper { .. }
            | Self::LogIn { .. }
            | Self::Protocol { .. }
            | Self::Corrupt { .. }
            | Self::Document { .. }
            | Self::NoPlatform { .. }
            | Self::Source { .. } => false,
        }
    }
}

/// A certificate that is not trusted now is not trusted in a second.
pub(crate) fn is_certificate_error(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        // an I/O error passes over what it holds when it is asked for its source
        let mut held = next.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        while let Some(inner) = held {
            if inner.is::<rustls::Error>() {
                return true;
            }
            held = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        }
        cause = next.source();
    }
    false
}

/// reqwest hides the reason in its sources.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text
}

fn list(platforms: &[Platform]) -> String {
    match platforms {
        [] => "none".to_owned(),
        some => some.iter().map(Platform::to_string).collect::<Vec<_>>().join(", "),
    }
}
