//! One place to ask for one repository.

use std::net::IpAddr;

/// Whether a certificate must be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trust {
    /// It must.
    Verified,
    /// Any will do, and so will plain HTTP.
    Insecure,
}

/// A host and the path of a repository on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    /// As names and credentials have it: `docker.io`, `127.0.0.1:5000`.
    pub(crate) host: String,
    /// The repository there.
    pub(crate) path: String,
    /// How much is asked of its certificate.
    pub(crate) trust: Trust,
}

impl Endpoint {
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
