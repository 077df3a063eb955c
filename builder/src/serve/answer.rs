//! Answers, and errors in the form of the distribution-spec.

use std::io;

use bytes::Bytes;
use futures::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, WARNING, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

const PIECE: usize = 128 << 10;
/// In letters, before they are quoted; clients take 4096 bytes of all remarks.
const LONGEST_REMARK: usize = 1024;

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// Why a request is not answered with what it asks for.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }

    pub(super) fn bad(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(super) fn not_found(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub(super) fn denied(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "DENIED", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "a name and password of this registry is needed")
    }

    pub(super) fn too_large(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    pub(super) fn too_many(message: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", message)
    }

    pub(super) fn unsupported() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "that cannot be done here")
    }

    pub(super) fn range(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, code, message)
    }

    /// Something here that is not the client's fault.
    pub(super) fn own(error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", &error.to_string())
    }

    pub(super) fn into_answer(self) -> Answer {
        let errors = json!({"errors": [{"code": self.code, "message": self.message, "detail": null}]});
        let answer = with_status(json(&errors), self.status);
        match self.status {
            StatusCode::UNAUTHORIZED => {
                with(answer, WWW_AUTHENTICATE, "Basic realm=\"rbuild\", charset=\"UTF-8\"")
            }
            _ => answer,
        }
    }
}

pub(super) fn json(value: &Value) -> Answer {
    bytes(value.to_string().into(), "application/json")
}

/// A whole document.
pub(super) fn bytes(content: Bytes, media_type: &str) -> Answer {
    let length = content.len();
    let answer = Response::new(Full::new(content).map_err(|never| match never {}).boxed_unsync());
    let answer = with(answer, CONTENT_LENGTH, &length.to_string());
    with(answer, CONTENT_TYPE, media_type)
}

/// A stream of known length.
pub(super) fn stream(reader: impl AsyncRead + Send + 'static, length: u64) -> Answer {
    let frames = ReaderStream::with_capacity(reader, PIECE).map_ok(Frame::data);
    let answer = Response::new(StreamBody::new(frames).boxed_unsync());
    let answer = with(answer, CONTENT_LENGTH, &length.to_string());
    with(answer, CONTENT_TYPE, "application/octet-stream")
}

/// Headers alone.
pub(super) fn empty(status: StatusCode) -> Answer {
    let answer = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    with(with_status(answer, status), CONTENT_LENGTH, "0")
}

/// The same headers, for a HEAD.
pub(super) fn without_body(answer: Answer) -> Answer {
    answer.map(|_| Empty::new().map_err(|never| match never {}).boxed_unsync())
}

pub(super) fn with_status(mut answer: Answer, status: StatusCode) -> Answer {
    *answer.status_mut() = status;
    answer
}

/// Adds a remark to a request that was answered, for clients that show such.
pub(super) fn remark(answer: Answer, text: &str) -> Answer {
    let shown = |letter: char| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '?' };
    let text: String = text.chars().take(LONGEST_REMARK).map(shown).collect();
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    with(answer, WARNING, &format!("299 - \"{quoted}\""))
}

/// Adds a header. What cannot stand in one is left out.
pub(super) fn with(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}
