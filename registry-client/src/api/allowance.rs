//! How much a registry lets us read.

use std::time::SystemTime;

use oci::Reference;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap};

use super::manifest::{ACCEPTED, path};
use crate::auth::scope::Scopes;
use crate::hosts::PullBy;
use crate::hosts::endpoint::Endpoint;
use crate::http::answer::clean;
use crate::http::call::Call;
use crate::http::limits::RateLimit;
use crate::{Client, RegistryError};

/// Docker Hub says with this header whom it counts: an address, or a user's number.
const COUNTED: &str = "docker-ratelimit-source";

/// What a registry says of the pulls that it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullAllowance {
    /// Who was asked: the first mirror that answers, or the registry itself.
    pub host: String,
    /// Its limit; `None` where it tells none.
    pub limit: Option<RateLimit>,
    /// Whom it counts, where it tells that.
    pub counted: Option<String>,
}

impl Client {
    /// Asks who would be asked for an image how many pulls are left. One HEAD, which counts as no pull; that
    /// the limit is reached is an answer, too, and not waited for.
    pub async fn pull_allowance(&self, reference: &Reference) -> Result<PullAllowance, RegistryError> {
        let at = |endpoint: Endpoint| async move {
            let (scopes, subject) = (Scopes::pull(&endpoint.path), format!("pull limit of {reference}"));
            let call = Call::new(&endpoint, &scopes, Method::HEAD, path(reference), &subject)
                .header(ACCEPT, ACCEPTED);
            let response = self.0.send(&call).await?;
            let (limit, counted) = told(response.headers());
            if response.status().as_u16() != 429 || limit.is_none() {
                call.accept(response).await?;
            }
            Ok(PullAllowance { host: endpoint.host.clone(), limit, counted })
        };
        self.pull(reference.repository(), PullBy::of(reference), at).await
    }
}

fn told(headers: &HeaderMap) -> (Option<RateLimit>, Option<String>) {
    let counted = headers.get(COUNTED).and_then(|value| value.to_str().ok()).map(clean);
    (RateLimit::of(headers, SystemTime::now()), counted.filter(|text| !text.is_empty()))
}
