//! Listing tags, page by page.

use oci::Repository;
use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, Url};
use serde::Deserialize;

use crate::auth::scope::Scopes;
use crate::hosts::PullBy;
use crate::hosts::endpoint::Endpoint;
use crate::http::answer::read_limited;
use crate::http::call::{Call, Target};
use crate::http::transport::same_origin;
use crate::{Client, RegistryError};

const LARGEST_PAGE: u64 = 16 << 20;
const MOST_PAGES: usize = 10_000;

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

impl Client {
    /// All tags of a repository, in the registry's order.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>, RegistryError> {
        self.pull(repository, PullBy::Tag, |endpoint| self.tags_at(endpoint)).await
    }

    async fn tags_at(&self, endpoint: Endpoint) -> Result<Vec<String>, RegistryError> {
        let (scopes, subject) = (Scopes::pull(&endpoint.path), format!("tags of {}", endpoint.path));
        let mut tags = Vec::new();
        let mut target = Target::Path("tags/list?n=1000".to_owned());
        for _ in 0..MOST_PAGES {
            let mut call = Call::new(&endpoint, &scopes, Method::GET, String::new(), &subject);
            call.target = target;
            let response = self.0.demand(&call).await?;
            let next = next_page(response.headers(), response.url());
            let body = read_limited(&endpoint.host, &subject, response, LARGEST_PAGE).await?;
            let page: Page =
                serde_json::from_slice(&body).map_err(|_| call.protocol("the list is not understood"))?;
            tags.extend(page.tags.unwrap_or_default());
            match next {
                Some(next) => target = Target::Url(next),
                None => return Ok(tags),
            }
        }
        Err(RegistryError::protocol(&endpoint.host, &subject, "pages without end"))
    }
}

/// `Link: <…>; rel="next"` (RFC 8288), on the same host only.
fn next_page(headers: &HeaderMap, page: &Url) -> Option<Url> {
    let text = headers.get(LINK)?.to_str().ok()?;
    let (target, parameters) = text.trim().strip_prefix('<')?.split_once('>')?;
    if !parameters.to_ascii_lowercase().replace('"', "").contains("rel=next") {
        return None;
    }
    page.join(target).ok().filter(|next| same_origin(next, page))
}
