//! What answers say: bodies within limits, and refusals in the registry's own words.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use defence::Defence;
use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::limits::RateLimit;
use crate::{Refusal, RegistryError};

const LONGEST_REFUSAL: u64 = 64 << 10;
const LONGEST_MESSAGE: usize = 400;

/// The whole body, unless it is longer than allowed.
pub(crate) async fn read_limited(
    host: &str,
    subject: &str,
    mut response: Response,
    limit: u64,
) -> Result<Bytes, RegistryError> {
    let too_long =
        || RegistryError::corrupt(host, subject, format!("the answer is longer than {limit} bytes"));
    let limit = if defence::stands(Defence::AnswersBounded) { limit } else { u64::MAX };
    let promised = response.content_length();
    if promised.is_some_and(|length| length > limit) {
        return Err(too_long());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|source| RegistryError::network(host, subject, source, None))?
    {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads what is left of an answer nobody needs, so that its connection can serve again.
pub(crate) async fn drain(response: Response) {
    let _ = read_limited("", "", response, LONGEST_REFUSAL).await;
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    errors: Vec<Entry>,
    /// Token servers.
    details: Option<String>,
    message: Option<String>,
    error_description: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    code: Option<String>,
    message: Option<String>,
    detail: Option<serde_json::Value>,
}

/// Reads why something was refused.
pub(crate) async fn refusal(host: &str, subject: &str, response: Response) -> Refusal {
    let status = response.status().as_u16();
    let (retry_after, limit) = patience_asked(status, response.headers());
    let body = read_limited(host, subject, response, LONGEST_REFUSAL).await.unwrap_or_default();
    let (code, message) = words(&body);
    Refusal { host: host.to_owned(), subject: subject.to_owned(), status, code, message, retry_after, limit }
}

/// Code and message of an error body (distribution-spec, "Error Codes"), or the first line of a plain text.
fn words(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(body) else {
        let text = String::from_utf8_lossy(body);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        return (None, line.filter(|line| !line.starts_with('<')).map(clean));
    };
    if let Some(entry) = envelope.errors.into_iter().next() {
        let detail = entry.detail.and_then(|detail| detail.as_str().map(str::to_owned));
        let message = match (entry.message, detail) {
            (Some(message), Some(detail)) if !message.contains(&detail) => {
                Some(format!("{message}: {detail}"))
            }
            (Some(message), _) => Some(message),
            (None, detail) => detail,
        };
        return (entry.code.as_deref().map(clean), message.as_deref().map(clean));
    }
    let message = envelope.details.or(envelope.error_description).or(envelope.message).or(envelope.error);
    (None, message.as_deref().map(clean))
}

/// One line without control characters: it may end up on a terminal.
pub(crate) fn clean(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_MESSAGE).collect()
}

/// How long we shall wait, and the limit that we met.
pub(crate) fn patience_asked(status: u16, headers: &HeaderMap) -> (Option<Duration>, Option<RateLimit>) {
    let now = SystemTime::now();
    let limit = RateLimit::of(headers, now).filter(|_| status == 429);
    (retry_after(headers).or_else(|| limit?.wait(now)), limit)
}

/// Seconds or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let when = httpdate::parse_http_date(text).ok()?;
            Some(when.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals() {
        let check = |body: &str, code: Option<&str>, message: Option<&str>| {
            let (found_code, found_message) = words(body.as_bytes());
            assert_eq!((found_code.as_deref(), found_message.as_deref()), (code, message), "{body}");
        };
        check(
            r#"{"errors":[{"code":"DENIED","message":"no","detail":"why"}]}"#,
            Some("DENIED"),
            Some("no: why"),
        );
        check(
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[{"Type":"repository"}]}]}"#,
            Some("UNAUTHORIZED"),
            Some("authentication required"),
        );
        check(
            r#"{"details":"incorrect username or password"}"#,
            None,
            Some("incorrect username or password"),
        );
        check(r#"{"error":"invalid_grant","error_description":"expired"}"#, None, Some("expired"));
        check("<html>", None, None);
        check("\n plain \u{1b}[31mtext\n more", None, Some("plain  [31mtext"));
        check("", None, None);
    }
}
