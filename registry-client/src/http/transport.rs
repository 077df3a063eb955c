//! Connections: pools by trust and purpose, made when first needed, and which scheme a host speaks.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::{Proxy, StatusCode, Url};

use super::names::{Lookup, Names};
use super::proxies::Choice;
use super::reach::Reach;
use super::tls::{Roots, Terms, configuration};
use crate::error::is_certificate_error;
use crate::hosts::certificates::Certificates;
use crate::hosts::endpoint::{Endpoint, Scheme, Trust};
use crate::{ClientOptions, RegistryError};

const LONGEST_PROBE: u64 = 4096;
const DOWN_FOR: Duration = Duration::from_secs(60);

/// Pools and what is known of schemes.
pub(crate) struct Transport {
    options: ClientOptions,
    pools: Mutex<HashMap<Kind, reqwest::Client>>,
    names: Names,
    proxies: Choice,
    /// The proxies' names.
    proxy_hosts: Arc<BTreeSet<String>>,
    schemes: Mutex<HashMap<String, Scheme>>,
    down: Mutex<HashMap<String, Instant>>,
}

/// What sets connections apart.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    /// Absent for plain HTTP.
    tls: Option<(Trust, Option<Certificates>)>,
    purpose: Purpose,
    reach: Option<Reach>,
    /// How long connecting may take, where it is not as usual.
    connect: Option<Duration>,
}

/// What a connection is for. An answer that does not come means a dead peer, unless a body is still
/// being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Requests without a body.
    Asking,
    /// Requests with one.
    Sending,
}

impl Transport {
    pub(crate) fn new(options: &ClientOptions) -> Result<Self, RegistryError> {
        if !options.ca_bundles.is_empty() {
            let roots = Roots::Bundles { named: &options.ca_bundles, own: &[] };
            configuration(&Terms { roots, client: None })?;
        }
        let proxies = Choice::new(&options.proxies)?;
        Ok(Self {
            options: options.clone(),
            pools: Mutex::default(),
            names: Names::default(),
            proxy_hosts: Arc::new(proxies.hosts().map(str::to_owned).collect()),
            proxies,
            schemes: Mutex::default(),
            down: Mutex::default(),
        })
    }

    /// The pool for a place that the user named.
    pub(crate) fn own(
        &self,
        url: &Url,
        endpoint: &Endpoint,
        purpose: Purpose,
    ) -> Result<reqwest::Client, RegistryError> {
        let tls = match url.scheme() {
            "https" => {
                let kept = self.options.hosts.certificates(&endpoint.host)?;
                Some((endpoint.trust, Some(kept.and(&endpoint.extra.certificates))))
            }
            _ => None,
        };
        self.pool(Kind { tls, purpose, reach: None, connect: endpoint.extra.connect_timeout })
    }

    /// The pool for a place that the user named by its URL alone.
    pub(crate) fn named(&self, url: &Url) -> Result<reqwest::Client, RegistryError> {
        let tls = match url.scheme() {
            "https" => Some((Trust::Verified, Some(self.options.hosts.certificates(&authority_of(url))?))),
            _ => None,
        };
        self.pool(Kind { tls, purpose: Purpose::Asking, reach: None, connect: None })
    }

    /// The pool for a place that a server named: its certificate must be good unless the user asks for no
    /// verifying at all, and its addresses within reach.
    pub(crate) fn foreign(
        &self,
        url: &Url,
        reach: Reach,
        purpose: Purpose,
    ) -> Result<reqwest::Client, RegistryError> {
        reach.judge(url).map_err(|reason| {
            RegistryError::protocol(&authority_of(url), "connecting", format!("it leads to {reason}"))
        })?;
        let tls = match url.scheme() {
            "https" => {
                let trust = self.options.hosts.trust(&authority_of(url), Trust::Verified);
                Some((trust, Some(self.options.hosts.certificates(&authority_of(url))?)))
            }
            _ => None,
        };
        self.pool(Kind { tls, purpose, reach: Some(reach), connect: None })
    }

    fn pool(&self, mut kind: Kind) -> Result<reqwest::Client, RegistryError> {
        if let Some((_, certificates)) = &mut kind.tls
            && certificates.as_ref().is_some_and(Certificates::is_empty)
        {
            // hosts without certificates of their own share connections
            *certificates = None;
        }
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = pools.get(&kind) {
            return Ok(client.clone());
        }
        let names = self.names.clone();
        let lookup = Lookup { names, reach: kind.reach, proxies: self.proxy_hosts.clone() };
        let made = pool(&self.options, &kind, lookup, &self.proxies)?;
        pools.insert(kind, made.clone());
        Ok(made)
    }

    /// All places that were looked at for authorities, for who wonders why none vouches for a host.
    pub(crate) fn authorities(&self, host: &str) -> String {
        let named = self.options.ca_bundles.iter().map(PathBuf::as_path);
        let system = super::tls::system_bundle().filter(|_| self.options.ca_bundles.is_empty());
        let bundles = named.chain(system).map(|path| path.display().to_string());
        let found = self.options.hosts.certificates(host).unwrap_or_default();
        let directories = found.consulted.iter().map(|directory| match directory.exists() {
            true => directory.display().to_string(),
            false => format!("{} (absent)", directory.display()),
        });
        let all: Vec<String> = bundles.chain(directories).collect();
        match all.is_empty() {
            true => "no authority is known".to_owned(),
            false => format!("authorities were looked for in {}", all.join(", ")),
        }
    }

    /// A failure to reach a host; where it is about a certificate, with the places of authorities.
    pub(crate) fn failure(&self, host: &str, subject: &str, source: reqwest::Error) -> RegistryError {
        let hint = is_certificate_error(&source).then(|| self.authorities(host));
        RegistryError::network(host, subject, source, hint)
    }

    /// `scheme://authority/` of an endpoint. Where it may be either, the host is asked once.
    pub(crate) async fn base(&self, endpoint: &Endpoint) -> Result<Url, RegistryError> {
        let authority = endpoint.authority();
        let known = self.schemes().get(authority).copied().filter(|_| endpoint.extra.scheme.is_none());
        let scheme = match (known, endpoint.schemes()) {
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

    /// The likely base of an endpoint, where it may be either and the host was not asked yet.
    pub(crate) fn guess(&self, endpoint: &Endpoint) -> Result<Option<Url>, RegistryError> {
        let authority = endpoint.authority();
        match endpoint.schemes() {
            [likely, _, ..] if !self.schemes().contains_key(authority) => url(*likely, authority).map(Some),
            _ => Ok(None),
        }
    }

    /// Remembers that a guess was right.
    pub(crate) fn settle(&self, endpoint: &Endpoint, guess: &Url) {
        let scheme = if guess.scheme() == "https" { Scheme::Https } else { Scheme::Http };
        self.schemes().insert(endpoint.authority().to_owned(), scheme);
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

    /// The first scheme in which the host answers; no credential is shown.
    async fn probe(&self, endpoint: &Endpoint, candidates: &[Scheme]) -> Result<Scheme, RegistryError> {
        // The one to tell: where somebody listens and speaks no HTTP, what came of HTTPS says more.
        let mut failure: Option<(RegistryError, bool)> = None;
        for scheme in candidates {
            let url = url(*scheme, endpoint.authority())?
                .join(&endpoint.api(""))
                .map_err(|_| bad_host(endpoint.authority()))?;
            match self.own(&url, endpoint, Purpose::Asking)?.get(url).send().await {
                Ok(response) => {
                    if *scheme == Scheme::Https || !wants_tls(response).await {
                        return Ok(*scheme);
                    }
                }
                Err(source) => {
                    let listens = *scheme == Scheme::Http && !source.is_connect();
                    if failure.as_ref().is_none_or(|(_, listened)| *listened) {
                        failure = Some((self.failure(&endpoint.host, "connecting", source), listens));
                    }
                }
            }
        }
        Err(failure.map(|(error, _)| error).unwrap_or_else(|| {
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
    kind: &Kind,
    lookup: Lookup,
    proxies: &Choice,
) -> Result<reqwest::Client, RegistryError> {
    let named = &options.ca_bundles;
    let terms = match &kind.tls {
        None => Terms { roots: Roots::None, client: None },
        Some((trust, certificates)) => {
            let own = certificates.as_ref().map_or(&[][..], |found| &found.authorities[..]);
            let roots = match trust {
                Trust::Strict | Trust::Verified => Roots::Bundles { named, own },
                Trust::Insecure => Roots::Any,
            };
            let client = certificates.as_ref().and_then(|found| found.client.as_ref());
            Terms { roots, client: client.map(|(certificate, key)| (&**certificate, &**key)) }
        }
    };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(configuration(&terms)?)
        .user_agent(options.user_agent.clone())
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .dns_resolver(Arc::new(lookup))
        .http2_adaptive_window(true)
        .connect_timeout(kind.connect.unwrap_or(options.connect_timeout))
        .tcp_user_timeout(options.idle_timeout);
    if kind.purpose == Purpose::Asking {
        builder = builder.read_timeout(options.idle_timeout);
    }
    if !proxies.is_none() {
        let proxies = proxies.clone();
        builder = builder.proxy(Proxy::custom(move |url| proxies.of(url)));
    }
    builder.build().map_err(|error| RegistryError::Setup { reason: error.to_string() })
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
