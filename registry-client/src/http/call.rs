//! One request with its log-in and redirects.

use std::time::Duration;

use defence::Defence;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};

use super::answer::{drain, refusal};
use super::reach::Reach;
use super::transport::{Purpose, authority_of, same_origin};
use super::watch::Watch;
use crate::auth::scope::Scopes;
use crate::hosts::endpoint::Endpoint;
use crate::{Inner, RegistryError};

const MOST_REDIRECTS: usize = 10;
const MOST_LOG_INS: usize = 4;
/// Bytes per second that a registry at least verifies.
const SLOWEST_HASH: u64 = 8 << 20;

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// A path below `/v2/<repository>/`.
    Path(String),
    /// A path below `/v2/`.
    Registry(String),
    /// A URL that the registry gave us.
    Url(Url),
}

/// A request.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) scopes: &'a Scopes,
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    /// Made anew for each try.
    pub(crate) body: Option<&'a (dyn Fn() -> reqwest::Body + Send + Sync)>,
    /// What it is about, for messages.
    pub(crate) subject: &'a str,
    /// How far away a URL may lead that is not the registry's own.
    pub(crate) reach: Reach,
    /// Sees whether the body is taken.
    pub(crate) watch: Watch,
    /// Bytes that the registry reads again before it answers.
    pub(crate) effort: u64,
}

/// Whose a URL is.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    /// The registry's, which the user named.
    Own,
    /// Another's, which the registry named.
    Foreign(Reach),
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        endpoint: &'a Endpoint,
        scopes: &'a Scopes,
        method: Method,
        path: String,
        subject: &'a str,
    ) -> Self {
        Self {
            endpoint,
            scopes,
            method,
            target: Target::Path(path),
            headers: HeaderMap::new(),
            body: None,
            subject,
            reach: Reach::Loopback,
            watch: Watch::new(),
            effort: 0,
        }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The answer as it is, if its status is a success; else the refusal.
    pub(crate) async fn accept(&self, response: Response) -> Result<Response, RegistryError> {
        match response.status().is_success() {
            true => Ok(response),
            false => Err(RegistryError::refused(refusal(&self.endpoint.host, self.subject, response).await)),
        }
    }

    /// Where it goes, at a base.
    fn url(&self, base: &Url) -> Result<Url, RegistryError> {
        let path = match &self.target {
            Target::Path(path) => self.endpoint.api(&format!("{}/{path}", self.endpoint.path)),
            Target::Registry(path) => self.endpoint.api(path),
            Target::Url(url) => return Ok(url.clone()),
        };
        let mut url = base.join(&path).map_err(|_| self.protocol("its path is no URL"))?;
        if let (Some(registry), Target::Path(_)) = (&self.endpoint.extra.mirror_of, &self.target) {
            url.query_pairs_mut().append_pair("ns", registry);
        }
        Ok(url)
    }

    pub(crate) fn protocol(&self, reason: impl Into<String>) -> RegistryError {
        RegistryError::protocol(&self.endpoint.host, self.subject, reason)
    }
}

impl Inner {
    /// Sends, logging in where the answer asks for it. No retries; the status may be anything.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response, RegistryError> {
        if let Some(response) = self.first(call).await? {
            let base = self.transport.base(call.endpoint).await?;
            return self.logged_in(call, &base, None, response).await;
        }
        let base = self.transport.base(call.endpoint).await?;
        let url = call.url(&base)?;
        if !same_origin(&url, &base) && defence::stands(Defence::CredentialsAtHome) {
            return self.follow(call, &base, url, None).await;
        }
        let shown = self.auth.current(&self.transport, call.endpoint, call.scopes).await?;
        let response = self.follow(call, &base, url, shown.as_ref()).await?;
        self.logged_in(call, &base, shown, response).await
    }

    /// Where it is not known yet what a host speaks, the first request tells: sent without a credential,
    /// by what is likely. `None`: a probe must tell, or it is known.
    async fn first(&self, call: &Call<'_>) -> Result<Option<Response>, RegistryError> {
        let Some(guess) = self.transport.guess(call.endpoint)? else { return Ok(None) };
        let own_path = match &call.target {
            Target::Path(_) | Target::Registry(_) => true,
            Target::Url(_) => false,
        };
        if call.body.is_some() || !own_path {
            return Ok(None);
        }
        let url = call.url(&guess)?;
        match self.follow(call, &guess, url, None).await {
            // What wants TLS says so with this status, and not always in words.
            Ok(response) if guess.scheme() == "https" || response.status() != StatusCode::BAD_REQUEST => {
                self.transport.settle(call.endpoint, &guess);
                Ok(Some(response))
            }
            Ok(response) => {
                drain(response).await;
                Ok(None)
            }
            Err(RegistryError::Network { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Answers challenges until the registry has none, or there is nothing better to show.
    async fn logged_in(
        &self,
        call: &Call<'_>,
        base: &Url,
        mut shown: Option<HeaderValue>,
        mut response: Response,
    ) -> Result<Response, RegistryError> {
        // tokens may end while others wait for theirs
        for _ in 0..MOST_LOG_INS {
            if response.status() != StatusCode::UNAUTHORIZED || !same_origin(response.url(), base) {
                break;
            }
            let refused = shown.as_ref();
            let better =
                self.auth.answer(&self.transport, call.endpoint, call.scopes, refused, &response).await?;
            let Some(better) = better.filter(|better| Some(better) != refused) else { break };
            drain(response).await;
            response = self.follow(call, base, call.url(base)?, Some(&better)).await?;
            shown = Some(better);
        }
        Ok(response)
    }

    /// Sends and accepts only success.
    pub(crate) async fn demand(&self, call: &Call<'_>) -> Result<Response, RegistryError> {
        call.accept(self.send(call).await?).await
    }

    /// Sends and follows redirects; the log-in stays with the origin it is for.
    async fn follow(
        &self,
        call: &Call<'_>,
        base: &Url,
        origin: Url,
        shown: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let (mut url, mut reach) = (origin.clone(), call.reach);
        for _ in 0..=MOST_REDIRECTS {
            let home = same_origin(&url, &origin) || !defence::stands(Defence::CredentialsAtHome);
            let place = match same_origin(&url, base) {
                true => Place::Own,
                false => Place::Foreign(reach),
            };
            let response = self.one(call, &url, place, shown.filter(|_| home)).await?;
            match redirect(call, &response) {
                None => return Ok(response),
                Some(next) => {
                    reach = reach.min(Reach::of(&response));
                    url = judge_redirect(call, &url, next)?;
                }
            }
            drain(response).await;
        }
        Err(call.protocol("redirects without end"))
    }

    async fn one(
        &self,
        call: &Call<'_>,
        url: &Url,
        place: Place,
        shown: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let purpose = if call.body.is_some() { Purpose::Sending } else { Purpose::Asking };
        let (pool, host) = match place {
            Place::Own => (self.transport.own(url, call.endpoint, purpose)?, call.endpoint.host.clone()),
            Place::Foreign(reach) => {
                let refused = |error: RegistryError| call.protocol(format!("it sends us away: {error}"));
                reach.judge(url).map_err(|reason| call.protocol(format!("it sends us to {reason}")))?;
                (self.transport.foreign(url, reach, purpose).map_err(refused)?, authority_of(url))
            }
        };
        let mut request = pool.request(call.method.clone(), url.clone());
        if let Place::Own = place {
            request = request.headers(call.endpoint.extra.headers.clone());
        }
        request = request.headers(call.headers.clone());
        if let Some(shown) = shown {
            request = request.header(AUTHORIZATION, shown.clone());
        }
        if let Some(body) = call.body {
            request = request.body(body());
        }
        call.watch.begin();
        let sent = match call.watch.guard(self.limit(call.effort), request.send()).await {
            Some(sent) => sent.map_err(|source| self.transport.failure(&host, call.subject, source)),
            None => Err(RegistryError::Stalled { host: host.clone(), subject: call.subject.to_owned() }),
        };
        if let (Ok(response), Place::Own) = (&sent, place) {
            self.options.remarks.take(&host, response.headers());
        }
        sent
    }

    /// How long a peer may neither take bytes nor answer.
    fn limit(&self, effort: u64) -> Duration {
        let options = &self.options;
        options.connect_timeout + options.idle_timeout * 2 + Duration::from_secs(effort / SLOWEST_HASH)
    }
}

/// Where an answer sends us. Requests with a body are not sent twice.
fn redirect<'r>(call: &Call<'_>, response: &'r Response) -> Option<&'r str> {
    let follows = match response.status().as_u16() {
        301..=303 => call.method == Method::GET || call.method == Method::HEAD,
        307 | 308 => call.body.is_none(),
        _ => false,
    };
    let location = response.headers().get(LOCATION).filter(|_| follows)?;
    location.to_str().ok()
}

/// Only HTTP, and never from HTTPS to plain HTTP.
fn judge_redirect(call: &Call<'_>, from: &Url, location: &str) -> Result<Url, RegistryError> {
    let next = from.join(location).map_err(|_| call.protocol("it redirects to something that is no URL"))?;
    match (from.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        (_, "http") => {
            Err(call.protocol(format!("it redirects from HTTPS to plain HTTP on {}", authority_of(&next))))
        }
        (_, other) => Err(call.protocol(format!("it redirects to {other}://"))),
    }
}
