//! One place to ask for one repository.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderMap;

use super::certificates::Certificates;

/// How much is asked of a host before it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trust {
    /// HTTPS and a good certificate, on this machine too.
    Strict,
    /// The same; plain HTTP is spoken to this machine, and where settings name it.
    Verified,
    /// Any certificate will do, and so will plain HTTP.
    Insecure,
}

/// A host and the path of a repository on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// As names and credentials have it: `docker.io`, `127.0.0.1:5000`.
    pub(crate) host: String,
    /// The repository there.
    pub(crate) path: String,
    /// How much is asked of its certificate.
    pub(crate) trust: Trust,
    /// What the settings say besides.
    pub(crate) extra: Arc<Extra>,
}

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What only some places have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    /// How it is spoken to, where that is settled.
    pub(crate) scheme: Option<Scheme>,
    /// The path of the API, where it is not `v2`.
    pub(crate) root: Option<String>,
    /// Sent to this place alone.
    pub(crate) headers: HeaderMap,
    /// Besides those in the host's directories.
    pub(crate) certificates: Certificates,
    /// Whose mirror it is: requests tell, so that one host may stand for many (containerd's `ns`).
    pub(crate) mirror_of: Option<String>,
    /// How long connecting may take, where it is not as usual.
    pub(crate) connect_timeout: Option<Duration>,
}

impl Endpoint {
    /// A path of the API, below the scheme and host.
    pub(crate) fn api(&self, path: &str) -> String {
        match self.extra.root.as_deref().unwrap_or("v2") {
            "" => path.to_owned(),
            root => format!("{root}/{path}"),
        }
    }

    /// What it may speak, in the order of trying.
    pub(crate) fn schemes(&self) -> &'static [Scheme] {
        let near = is_loopback(self.authority());
        match (self.trust, self.extra.scheme) {
            (Trust::Strict, _) => &[Scheme::Https],
            (Trust::Verified | Trust::Insecure, Some(Scheme::Http)) => &[Scheme::Http],
            (Trust::Verified | Trust::Insecure, Some(Scheme::Https)) => &[Scheme::Https],
            (Trust::Verified | Trust::Insecure, None) if near => &[Scheme::Http, Scheme::Https],
            (Trust::Insecure, None) => &[Scheme::Https, Scheme::Http],
            (Trust::Verified, None) => &[Scheme::Https],
        }
    }

    /// What is connected to.
    pub(crate) fn authority(&self) -> &str {
        match self.host.as_str() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        }
    }
}

/// Whether a host, with or without port, is this machine. No name is looked up.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if authority.matches(':').count() > 1 => authority,
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
