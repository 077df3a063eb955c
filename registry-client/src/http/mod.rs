//! Requests: connections, redirects, retries and what answers say.

pub(crate) mod answer;
pub(crate) mod call;
pub(crate) mod limits;
mod named_certificate;
mod names;
mod proxies;
pub(crate) mod reach;
pub(crate) mod remarks;
pub(crate) mod retry;
mod tls;
pub(crate) mod transport;
pub(crate) mod watch;

use crate::RegistryError;

/// What becomes a client of a socket of this host or of one that speaks plain HTTP: no TLS, no proxies,
/// no other place than the one that is named.
pub(crate) fn plain() -> Result<reqwest::ClientBuilder, RegistryError> {
    let terms = tls::Terms { roots: tls::Roots::None, client: None };
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls::configuration(&terms)?)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy())
}
