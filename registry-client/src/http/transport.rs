//! Connections: pools by trust and purpose, made when first needed, and which scheme a host speaks.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{NoProxy, Proxy, StatusCode, Url};

use super::tls::{Roots, configuration};
use crate::hosts::endpoint::{Endpoint, Trust, is_loopback};
use crate::{ClientOptions, RegistryError};

const NEVER_BY_PROXY: &str = "localhost,127.0.0.0/8,::1";
const LONGEST_PROBE: u64 = 4096;
const DOWN_FOR: Duration = Duration::from_secs(60);

/// Pools and what is known of schemes.
pub(crate) struct Transport {
    options: ClientOptions,
    asking: Pools,
    sending: Pools,
    schemes: Mutex<HashMap<String, Scheme>>,
    down: Mutex<HashMap<String, Instant>>,
}

/// Connections by the trust they were made with.
#[derive(Default)]
struct Pools {
    plain: OnceLock<reqwest::Client>,
    verified: OnceLock<reqwest::Client>,
    unverified: OnceLock<reqwest::Client>,
}

/// What a connection is for. An answer that does not come means a dead peer, unless a body is still
/// being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Requests without a body.
    Asking,
    /// Requests with one.
    Sending,
}

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Transport {
    pub(crate) fn new(options: &ClientOptions) -> Result<Self, RegistryError> {
        if !options.ca_bundles.is_empty() {
            configuration(&Roots::Bundles(&options.ca_bundles))?;
        }
        Ok(Self {
            options: options.clone(),
            asking: Pools::default(),
            sending: Pools::default(),
            schemes: Mutex::default(),
            down: Mutex::default(),
        })
    }

    /// The pool for a URL, for requests without a body.
    pub(crate) fn client(&self, url: &Url, trust: Trust) -> Result<&reqwest::Client, RegistryError> {
        self.pool(url, trust, Purpose::Asking)
    }

    /// The pool for a URL.
    pub(crate) fn pool(
        &self,
        url: &Url,
        trust: Trust,
        purpose: Purpose,
    ) -> Result<&reqwest::Client, RegistryError> {
        let pools = match purpose {
            Purpose::Asking => &self.asking,
            Purpose::Sending => &self.sending,
        };
        let (cell, roots) = match (url.scheme(), trust) {
            ("https", Trust::Verified) => (&pools.verified, Roots::Bundles(&self.options.ca_bundles)),
            ("https", Trust::Insecure) => (&pools.unverified, Roots::Any),
            _ => (&pools.plain, Roots::None),
        };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let made = pool(&self.options, &roots, purpose)?;
        Ok(cell.get_or_init(|| made))
    }

    /// `scheme://authority/` of an endpoint. Where it may be either, the host is asked once.
    pub(crate) async fn base(&self, endpoint: &Endpoint) -> Result<Url, RegistryError> {
        let authority = endpoint.authority();
        let known = self.schemes().get(authority).copied();
        let scheme = match (known, self.candidates(endpoint)) {
            (Some(scheme), _) => scheme,
            (None, [only]) => *only,
            (None, candidates) => {
                let found = self.probe(endpoint, candidates).await?;
                self.schemes().insert(authority.to_owned(), found);
                found
            }
        };
        url(scheme, authority)
    }

    /// Remembers that a mirror could not be connected to.
    pub(crate) fn note_down(&self, endpoint: &Endpoint) {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.insert(endpoint.authority().to_owned(), Instant::now());
    }

    /// Whether a mirror could not be connected to a moment ago.
    pub(crate) fn is_down(&self, endpoint: &Endpoint) -> bool {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.get(endpoint.authority()).is_some_and(|since| since.elapsed() < DOWN_FOR)
    }

    fn schemes(&self) -> std::sync::MutexGuard<'_, HashMap<String, Scheme>> {
        self.schemes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a host may speak, in the order of trying.
    fn candidates(&self, endpoint: &Endpoint) -> &'static [Scheme] {
        let plain = &self.options.plain_http;
        let loopback = is_loopback(endpoint.authority());
        match endpoint.trust {
            _ if plain.hosts.contains(&endpoint.host) => &[Scheme::Http],
            Trust::Insecure if loopback => &[Scheme::Http, Scheme::Https],
            Trust::Insecure => &[Scheme::Https, Scheme::Http],
            Trust::Verified if loopback && plain.loopback => &[Scheme::Http, Scheme::Https],
            Trust::Verified => &[Scheme::Https],
        }
    }

    /// The first scheme in which the host answers; no credential is shown.
    async fn probe(&self, endpoint: &Endpoint, candidates: &[Scheme]) -> Result<Scheme, RegistryError> {
        let mut first_failure = None;
        for scheme in candidates {
            let url = url(*scheme, endpoint.authority())?
                .join("v2/")
                .map_err(|_| bad_host(endpoint.authority()))?;
            match self.client(&url, endpoint.trust)?.get(url).send().await {
                Ok(response) => {
                    if *scheme == Scheme::Https || !wants_tls(response).await {
                        return Ok(*scheme);
                    }
                }
                Err(source) => {
                    let failure = RegistryError::network(&endpoint.host, "connecting", source);
                    first_failure.get_or_insert(failure);
                }
            }
        }
        Err(first_failure.unwrap_or_else(|| {
            RegistryError::protocol(&endpoint.host, "connecting", "it speaks neither HTTP nor HTTPS")
        }))
    }
}

/// Servers that were spoken to without TLS though they want it say so in a 400. The answer is read
/// whole either way, so that its connection can serve again.
async fn wants_tls(response: reqwest::Response) -> bool {
    let bad = response.status() == StatusCode::BAD_REQUEST;
    let body = super::answer::read_limited("", "", response, LONGEST_PROBE).await.unwrap_or_default();
    bad && String::from_utf8_lossy(&body).to_ascii_lowercase().contains("https")
}

fn url(scheme: Scheme, authority: &str) -> Result<Url, RegistryError> {
    Url::parse(&format!("{}://{authority}/", scheme.name())).map_err(|_| bad_host(authority))
}

fn bad_host(authority: &str) -> RegistryError {
    RegistryError::protocol(authority, "connecting", "this is no host name")
}

fn pool(
    options: &ClientOptions,
    roots: &Roots<'_>,
    purpose: Purpose,
) -> Result<reqwest::Client, RegistryError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(configuration(roots)?)
        .user_agent(options.user_agent.clone())
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .http2_adaptive_window(true)
        .connect_timeout(options.connect_timeout)
        .tcp_user_timeout(options.idle_timeout);
    if purpose == Purpose::Asking {
        builder = builder.read_timeout(options.idle_timeout);
    }
    for proxy in proxies(options)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| RegistryError::Setup { reason: error.to_string() })
}

fn proxies(options: &ClientOptions) -> Result<Vec<Proxy>, RegistryError> {
    let given = &options.proxies;
    let direct = match &given.none {
        Some(more) => format!("{NEVER_BY_PROXY},{more}"),
        None => NEVER_BY_PROXY.to_owned(),
    };
    let made = [
        given.http.as_deref().map(Proxy::http::<&str>),
        given.https.as_deref().map(Proxy::https::<&str>),
        given.all.as_deref().map(Proxy::all::<&str>),
    ];
    let named = made.into_iter().flatten().map(|proxy| match proxy {
        Ok(proxy) => Ok(proxy.no_proxy(NoProxy::from_string(&direct))),
        Err(_) => Err(RegistryError::Setup { reason: "a proxy's URL is not understood".to_owned() }),
    });
    named.collect()
}

/// Host and port of a URL.
pub(crate) fn authority_of(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

/// Same scheme, host and port.
pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}
