//! Logging in: challenges are answered as they come, and what was learnt is kept for each host.

pub(crate) mod auth_file;
mod challenge;
pub(crate) mod credentials;
mod grant;
pub(crate) mod helper;
pub(crate) mod scope;
pub(crate) mod secret;
pub(crate) mod storage;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, Url};

use crate::hosts::endpoint::Endpoint;
use crate::http::reach::Reach;
use crate::http::transport::{Transport, authority_of};
use crate::{Credential, CredentialSource, Credentials, LogInMethod, RegistryError, Secret};
use challenge::Challenge;
use scope::Scopes;

/// Credentials, and the tokens they bought.
pub(crate) struct Auth {
    credentials: Credentials,
    hosts: Mutex<HashMap<String, Arc<HostState>>>,
}

/// What is known of one host.
#[derive(Default)]
struct HostState {
    scheme: Mutex<Option<Scheme>>,
    passes: Mutex<HashMap<(String, Scopes), Slot>>,
    /// An identity token, and the one that its server gave in its stead.
    renewed: Mutex<Option<(Secret, Secret)>>,
}

/// A pass, or the place for one; locked while it is being had.
type Slot = Arc<tokio::sync::Mutex<Option<Pass>>>;

/// How a host was seen to want log-ins.
#[derive(Clone)]
enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String>, reach: Reach },
}

/// An `Authorization` header, for as long as it holds.
#[derive(Clone)]
struct Pass {
    header: HeaderValue,
    until: Option<Instant>,
    scopes: Scopes,
    source: Option<CredentialSource>,
    granted: Option<Scopes>,
}

/// What can be told of a log-in.
pub(crate) struct Told {
    pub(crate) source: Option<CredentialSource>,
    pub(crate) method: LogInMethod,
    pub(crate) granted: Option<Vec<String>>,
}

impl Pass {
    fn holds(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl Auth {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Self { credentials, hosts: Mutex::default() }
    }

    /// What to show a host before it asks: nothing, until it was seen to ask.
    pub(crate) async fn current(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let state = self.state(endpoint);
        let Some(scheme) = lock(&state.scheme).clone() else {
            return Ok(None);
        };
        let slot = state.slot(endpoint, scopes);
        let mut pass = slot.lock().await;
        if !pass.as_ref().is_some_and(Pass::holds) {
            let wanted = pass.as_ref().map_or_else(|| scopes.clone(), |old| old.scopes.clone());
            *pass = self.obtain(transport, endpoint, &scheme, wanted).await?;
        }
        Ok(pass.as_ref().map(|pass| pass.header.clone()))
    }

    /// What to show a host that refused us with a challenge; `None` where there is nothing better.
    pub(crate) async fn answer(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
        scopes: &Scopes,
        refused: Option<&HeaderValue>,
        response: &Response,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let Some((scheme, demanded)) = self.judge(transport, endpoint, response).await? else {
            return Ok(None);
        };
        let state = self.state(endpoint);
        *lock(&state.scheme) = Some(scheme.clone());
        let slot = state.slot(endpoint, scopes);
        let mut pass = slot.lock().await;
        let wanted = scopes.union(&demanded);
        let newer = pass.as_ref().is_some_and(|pass| pass.holds() && Some(&pass.header) != refused);
        if !newer {
            let was_basic = refused.is_some() && matches!(scheme, Scheme::Basic);
            if was_basic {
                return Ok(None);
            }
            *pass = self.obtain(transport, endpoint, &scheme, wanted).await?;
        }
        Ok(pass.as_ref().map(|pass| pass.header.clone()))
    }

    /// The challenge to answer, bearer before basic, and the scopes it names.
    async fn judge(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
        response: &Response,
    ) -> Result<Option<(Scheme, Scopes)>, RegistryError> {
        let texts =
            response.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let mut challenges: Vec<Challenge> = texts.flat_map(challenge::parse).collect();
        challenges.sort_by_key(|challenge| matches!(challenge, Challenge::Basic));
        match challenges.into_iter().next() {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(Some((Scheme::Basic, Scopes::default()))),
            Some(Challenge::Bearer { realm, service, scope }) => {
                let base = transport.base(endpoint).await?;
                let reach = Reach::of(response);
                let realm = token::judge_realm(&realm, &base, reach)
                    .map_err(|reason| RegistryError::log_in(&endpoint.host, reason))?;
                let demanded = scope.as_deref().map(Scopes::parse).unwrap_or_default();
                Ok(Some((Scheme::Bearer { realm, service, reach }, demanded)))
            }
        }
    }

    async fn obtain(
        &self,
        transport: &Transport,
        endpoint: &Endpoint,
        scheme: &Scheme,
        scopes: Scopes,
    ) -> Result<Option<Pass>, RegistryError> {
        let found = self.credentials.find(&endpoint.host, &endpoint.path).await?;
        let (credential, source) = found.map(|found| (found.credential, found.source)).unzip();
        let pass = |header| Pass { header, until: None, scopes: scopes.clone(), source, granted: None };
        match (scheme, credential) {
            (_, Some(Credential::Bearer(token))) => {
                Ok(Some(Pass { granted: grant::of_token(token.reveal()), ..pass(bearer(endpoint, &token)?) }))
            }
            (Scheme::Basic, Some(Credential::Basic { username, password })) => {
                Ok(Some(pass(basic(endpoint, &username, &password)?)))
            }
            (Scheme::Basic, Some(Credential::Identity(_))) => Err(RegistryError::log_in(
                &endpoint.host,
                "it wants a password, and an identity token is all there is",
            )),
            (Scheme::Basic, None) => Ok(None),
            (Scheme::Bearer { realm, service, reach }, credential) => {
                let state = self.state(endpoint);
                let credential = match (credential, lock(&state.renewed).clone()) {
                    (Some(Credential::Identity(old)), Some((of, newer))) if of == old => {
                        Some(Credential::Identity(newer))
                    }
                    (credential, _) => credential,
                };
                let order = token::Order {
                    realm,
                    reach: *reach,
                    service: service.as_deref(),
                    scopes: &scopes,
                    credential: credential.as_ref(),
                };
                let token = token::fetch(transport, endpoint, &order).await?;
                if let (Some(Credential::Identity(old)), Some(newer)) = (&credential, token.renewed) {
                    let mut renewed = lock(&state.renewed);
                    // the one that is kept stays the name of those that replace it
                    let first = renewed.take().map_or_else(|| old.clone(), |(first, _)| first);
                    *renewed = Some((first, newer));
                }
                let granted = token.granted.or_else(|| grant::of_token(token.value.reveal()));
                let until = Some(token.until);
                Ok(Some(Pass { until, granted, ..pass(bearer(endpoint, &token.value)?) }))
            }
        }
    }

    /// How a host let us in, after it was asked.
    pub(crate) async fn tell(&self, endpoint: &Endpoint, scopes: &Scopes) -> Result<Told, RegistryError> {
        let state = self.state(endpoint);
        let method = match &*lock(&state.scheme) {
            None => LogInMethod::None,
            Some(Scheme::Basic) => LogInMethod::Basic,
            Some(Scheme::Bearer { realm, .. }) => LogInMethod::Token(authority_of(realm)),
        };
        let slot = state.slot(endpoint, scopes);
        let pass = slot.lock().await.clone();
        let source = match &pass {
            Some(pass) => pass.source.clone(),
            None => self.credentials.find(&endpoint.host, &endpoint.path).await?.map(|found| found.source),
        };
        let granted = pass.and_then(|pass| pass.granted).map(|granted| granted.texts().collect());
        Ok(Told { source, method, granted })
    }

    fn state(&self, endpoint: &Endpoint) -> Arc<HostState> {
        lock(&self.hosts).entry(endpoint.host.clone()).or_default().clone()
    }
}

impl HostState {
    /// One place per path and scopes, so that many requests share one log-in.
    fn slot(&self, endpoint: &Endpoint, scopes: &Scopes) -> Slot {
        lock(&self.passes).entry((endpoint.path.clone(), scopes.clone())).or_default().clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn basic(
    endpoint: &Endpoint,
    username: &str,
    password: &Secret,
) -> Result<HeaderValue, RegistryError> {
    let pair = format!("{username}:{}", password.reveal());
    header(endpoint, format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn bearer(endpoint: &Endpoint, token: &Secret) -> Result<HeaderValue, RegistryError> {
    header(endpoint, format!("Bearer {}", token.reveal()))
}

fn header(endpoint: &Endpoint, text: String) -> Result<HeaderValue, RegistryError> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| RegistryError::log_in(&endpoint.host, "the token is not fit for a header"))?;
    value.set_sensitive(true);
    Ok(value)
}
