//! Any URL, for `ADD https://…`: no registry, no credentials, the same door to the network.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Response, Url};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;

use crate::http::answer::patience_asked;
use crate::http::reach::Reach;
use crate::http::transport::{Purpose, authority_of, same_origin};
use crate::{Client, Refusal, RegistryError};

const MOST_REDIRECTS: usize = 10;

/// An answer whose body is still to be read. Its status may be any that is not a failure of the moment.
pub struct HttpResponse {
    status: u16,
    url: Url,
    headers: HeaderMap,
    length: Option<u64>,
    body: StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>,
}

impl HttpResponse {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Where the answer came from, after redirects.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// A header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long the body is said to be.
    pub fn length(&self) -> Option<u64> {
        self.length
    }
}

impl std::fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpResponse")
            .field("status", &self.status)
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl AsyncRead for HttpResponse {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.body).poll_read(context, buffer)
    }
}

impl Client {
    /// Gets a URL, redirects followed, with headers such as `If-None-Match`; log-ins among them stay with
    /// the URL's own host. Connecting is tried again; a
    /// body that breaks off is an error of reading it.
    pub async fn get_url(&self, url: &Url, headers: &[(&str, &str)]) -> Result<HttpResponse, RegistryError> {
        let host = authority_of(url);
        let mut given = HeaderMap::new();
        for (name, value) in headers {
            let pair = HeaderName::try_from(*name).ok().zip(HeaderValue::try_from(*value).ok());
            let (name, value) =
                pair.ok_or_else(|| RegistryError::protocol(&host, name, "this is no header"))?;
            given.insert(name, value);
        }
        self.0.patience.retry(|| self.get_once(url, &given)).await
    }

    async fn get_once(&self, start: &Url, headers: &HeaderMap) -> Result<HttpResponse, RegistryError> {
        let (mut url, mut reach) = (start.clone(), None);
        for _ in 0..=MOST_REDIRECTS {
            let (host, subject) = (authority_of(&url), path_of(&url));
            if !matches!(url.scheme(), "http" | "https") {
                return Err(RegistryError::protocol(
                    &host,
                    &subject,
                    format!("{}:// is not fetched", url.scheme()),
                ));
            }
            let mut headers = headers.clone();
            if !same_origin(&url, start) {
                [AUTHORIZATION, COOKIE].iter().for_each(|secret| drop(headers.remove(secret)));
            }
            let pool = match reach {
                None => self.0.transport.named(&url)?,
                Some(reach) => self.0.transport.foreign(&url, reach, Purpose::Asking)?,
            };
            let sent = pool.get(url.clone()).headers(headers).send().await;
            let response = sent.map_err(|source| self.0.transport.failure(&host, &subject, source))?;
            match next(&response)? {
                Some(to) => {
                    let own = same_origin(&to, start);
                    let far = reach.unwrap_or(Reach::Loopback).min(Reach::of(&response));
                    reach = (!own).then_some(far);
                    url = without_foreign_user(to, start);
                }
                None => return answer(response, &host, &subject),
            }
        }
        Err(RegistryError::protocol(&authority_of(start), &path_of(start), "redirects without end"))
    }
}

/// A user name in a URL is for its own host.
fn without_foreign_user(mut to: Url, start: &Url) -> Url {
    if !same_origin(&to, start) {
        let _ = to.set_username("");
        let _ = to.set_password(None);
    }
    to
}

fn next(response: &Response) -> Result<Option<Url>, RegistryError> {
    if !matches!(response.status().as_u16(), 301..=303 | 307 | 308) {
        return Ok(None);
    }
    let Some(to) = response.headers().get(LOCATION) else { return Ok(None) };
    let (host, subject) = (authority_of(response.url()), path_of(response.url()));
    let to = to.to_str().ok().and_then(|to| response.url().join(to).ok());
    to.map(Some)
        .ok_or_else(|| RegistryError::protocol(&host, &subject, "it redirects to something that is no URL"))
}

fn answer(response: Response, host: &str, subject: &str) -> Result<HttpResponse, RegistryError> {
    let status = response.status().as_u16();
    if matches!(status, 408 | 429 | 500 | 502..=504) {
        let (retry_after, limit) = patience_asked(status, response.headers());
        return Err(RegistryError::refused(Refusal {
            host: host.to_owned(),
            subject: subject.to_owned(),
            status,
            code: None,
            message: None,
            retry_after,
            limit,
        }));
    }
    Ok(HttpResponse {
        status,
        url: response.url().clone(),
        headers: response.headers().clone(),
        length: response.content_length(),
        body: StreamReader::new(
            response.bytes_stream().map_err(|error| io::Error::other(error.without_url())).boxed(),
        ),
    })
}

/// The path only: queries may hold signatures.
fn path_of(url: &Url) -> String {
    url.path().to_owned()
}
