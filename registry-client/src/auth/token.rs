//! Token servers (distribution's token and OAuth2 protocols).

use std::time::{Duration, Instant};

use defence::Defence;
use reqwest::header::{AUTHORIZATION, HeaderValue, LOCATION};
use reqwest::{Method, Response, Url};
use serde::Deserialize;

use super::scope::Scopes;
use crate::hosts::endpoint::{Endpoint, is_loopback};
use crate::http::answer::{drain, read_limited, refusal};
use crate::http::reach::Reach;
use crate::http::transport::{Purpose, Transport, authority_of, same_origin};
use crate::{Credential, RegistryError, Secret};

const LARGEST_ANSWER: u64 = 1 << 20;
const DEFAULT_LIFE: u64 = 60;
const MOST_REDIRECTS: usize = 5;
const CLIENT_ID: &str = "rbuild";

/// A token and when to stop using it.
pub(crate) struct Token {
    pub(crate) value: Secret,
    pub(crate) until: Instant,
    /// What the server says it allows.
    pub(crate) granted: Option<Scopes>,
    /// An identity token for the next time.
    pub(crate) renewed: Option<Secret>,
}

/// What to ask a token server.
pub(crate) struct Order<'a> {
    pub(crate) realm: &'a Url,
    /// How far the realm may be.
    pub(crate) reach: Reach,
    pub(crate) service: Option<&'a str>,
    pub(crate) scopes: &'a Scopes,
    pub(crate) credential: Option<&'a Credential>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
    scope: Option<String>,
    refresh_token: Option<Secret>,
}

/// A realm may be asked by HTTPS, or by plain HTTP where the registry itself is spoken to so and the
/// realm is on the same host or this machine.
pub(crate) fn judge_realm(realm: &str, registry: &Url, reach: Reach) -> Result<Url, String> {
    let url = registry.join(realm).map_err(|_| format!("its token server {realm:?} is no URL"))?;
    let near = url.host_str() == registry.host_str() || is_loopback(url.host_str().unwrap_or_default());
    if url.host_str() != registry.host_str() && url.username().is_empty() {
        reach.judge(&url).map_err(|reason| format!("its token server is {reason}"))?;
    }
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => {
            Err(format!("its token server's URL holds credentials ({})", authority_of(&url)))
        }
        "https" => Ok(url),
        "http" if registry.scheme() == "http" && near => Ok(url),
        "http" if !defence::stands(Defence::RealmsNear) => Ok(url),
        _ => Err(format!("its token server {}://{} is not to be trusted", url.scheme(), authority_of(&url))),
    }
}

/// Asks for a token. Without a credential it is an anonymous one.
pub(crate) async fn fetch(
    transport: &Transport,
    endpoint: &Endpoint,
    order: &Order<'_>,
) -> Result<Token, RegistryError> {
    let asked = Instant::now();
    let mut response = ask(transport, endpoint, order, &request(order)).await?;
    if let (404 | 405, Some(form)) = (response.status().as_u16(), password_form(order)) {
        // servers that know OAuth2 alone
        drain(response).await;
        response = ask(transport, endpoint, order, &(Method::POST, order.realm.clone(), form)).await?;
    }
    let host = authority_of(order.realm);
    let subject = format!("token for {}", order.scopes);
    if !response.status().is_success() {
        return Err(RegistryError::refused(refusal(&host, &subject, response).await));
    }
    let body = read_limited(&host, &subject, response, LARGEST_ANSWER).await?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| {
        RegistryError::log_in(
            &endpoint.host,
            format!("the token server {host} answered something that is no token"),
        )
    })?;
    let filled = |token: Option<Secret>| token.filter(|token| !token.is_empty());
    let value = filled(answer.token).or(filled(answer.access_token)).ok_or_else(|| {
        RegistryError::log_in(&endpoint.host, format!("the token server {host} gave no token"))
    })?;
    // a tenth of its life is kept in reserve for clocks and long requests
    let life = answer.expires_in.filter(|seconds| *seconds > 0).unwrap_or(DEFAULT_LIFE).min(24 * 3600);
    let granted = answer.scope.filter(|scope| !scope.is_empty()).map(|scope| Scopes::parse(&scope));
    let until = asked + Duration::from_secs(life) * 9 / 10;
    Ok(Token { value, until, granted, renewed: filled(answer.refresh_token) })
}

/// The request, redirects included; the credential stays with the realm's own host.
async fn ask(
    transport: &Transport,
    endpoint: &Endpoint,
    order: &Order<'_>,
    asked: &(Method, Url, Form),
) -> Result<Response, RegistryError> {
    let (method, mut url, form) = (&asked.0, asked.1.clone(), &asked.2);
    let mut header = match order.credential {
        Some(Credential::Basic { username, password }) if form.is_empty() => {
            Some(super::basic(endpoint, username, password)?)
        }
        Some(Credential::Basic { .. } | Credential::Identity(_) | Credential::Bearer(_)) | None => None,
    };
    let mut reach = order.reach;
    for _ in 0..MOST_REDIRECTS {
        let response = once(transport, endpoint, order, asked, &url, reach, header.as_ref()).await?;
        reach = reach.min(Reach::of(&response));
        let next = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|to| url.join(to).ok());
        match next {
            Some(next) if response.status().is_redirection() && *method == Method::GET => {
                if !same_origin(&next, order.realm) {
                    header = None;
                }
                if next.scheme() != "https" && next.scheme() != order.realm.scheme() {
                    return Err(RegistryError::log_in(
                        &endpoint.host,
                        "its token server redirects away from HTTPS",
                    ));
                }
                url = next;
            }
            Some(_) | None => return Ok(response),
        }
    }
    Err(RegistryError::log_in(&endpoint.host, "its token server redirects without end"))
}

async fn once(
    transport: &Transport,
    endpoint: &Endpoint,
    order: &Order<'_>,
    (method, _, form): &(Method, Url, Form),
    url: &Url,
    reach: Reach,
    header: Option<&HeaderValue>,
) -> Result<Response, RegistryError> {
    let pool = match url.host_str() == transport.base(endpoint).await?.host_str() {
        true => transport.own(url, endpoint, Purpose::Asking)?,
        false => transport.foreign(url, reach, Purpose::Asking)?,
    };
    let mut request = pool.request(method.clone(), url.clone());
    if let Some(header) = header {
        request = request.header(AUTHORIZATION, header.clone());
    }
    if !form.is_empty() {
        request = request.form(form);
    }
    let subject = format!("token for {}", order.scopes);
    request.send().await.map_err(|source| transport.failure(&authority_of(url), &subject, source))
}

/// The fields of a POST.
type Form = Vec<(String, String)>;

/// A password as OAuth2 has it.
fn password_form(order: &Order<'_>) -> Option<Form> {
    let Some(Credential::Basic { username, password }) = order.credential else { return None };
    let pairs = [
        ("grant_type", "password"),
        ("service", order.service.unwrap_or_default()),
        ("client_id", CLIENT_ID),
        ("scope", &order.scopes.to_string()),
        ("username", username),
        ("password", password.reveal()),
    ];
    Some(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

/// An identity token is traded by POST (OAuth2), everything else asks by GET.
fn request(order: &Order<'_>) -> (Method, Url, Form) {
    let mut url = order.realm.clone();
    let service = order.service.unwrap_or_default();
    if let Some(Credential::Identity(token)) = order.credential {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("service", service),
            ("client_id", CLIENT_ID),
            ("scope", &order.scopes.to_string()),
            ("refresh_token", token.reveal()),
        ];
        let form = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        return (Method::POST, url, form.collect());
    }
    {
        let mut query = url.query_pairs_mut();
        if !service.is_empty() {
            query.append_pair("service", service);
        }
        for scope in order.scopes.texts() {
            query.append_pair("scope", &scope);
        }
        if let Some(Credential::Basic { username, .. }) = order.credential {
            query.append_pair("account", username);
        }
    }
    (Method::GET, url, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realms() {
        let check = |realm: &str, registry: &str, good: bool| {
            let registry = Url::parse(registry).expect("a URL");
            assert_eq!(judge_realm(realm, &registry, Reach::Loopback).is_ok(), good, "{realm} of {registry}");
        };
        check("https://auth.docker.io/token", "https://registry-1.docker.io/", true);
        check("http://auth.docker.io/token", "https://registry-1.docker.io/", false);
        check("http://registry.example/token", "https://registry.example/", false);
        check("http://127.0.0.1:1/token", "https://registry.example/", false);
        check("http://127.0.0.1:1/token", "http://127.0.0.1:5000/", true);
        check("http://registry.example:81/token", "http://registry.example/", true);
        check("http://elsewhere.example/token", "http://127.0.0.1:5000/", false);
        check("/token", "https://registry.example/", true);
        check("https://user:pw@auth.example/", "https://registry.example/", false);
        check("file:///etc/passwd", "https://registry.example/", false);
        check("https://", "https://registry.example/", false);
    }
}
