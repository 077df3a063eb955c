//! Lists that come in pages: followed by `Link`, or by the last name where a full page has no `Link`.

use std::collections::HashSet;

use bytes::Bytes;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, LINK};
use reqwest::{Method, Url};

use crate::auth::scope::Scopes;
use crate::hosts::endpoint::Endpoint;
use crate::http::answer::read_limited;
use crate::http::call::{Call, Target};
use crate::http::transport::same_origin;
use crate::{Client, RegistryError};

/// Names asked for in one page.
pub(super) const PAGE: usize = 1000;
const LARGEST_PAGE: u64 = 16 << 20;
const MOST_PAGES: usize = 10_000;
/// A list that is longer than this in all is not read to memory.
const LARGEST_LIST: usize = 256 << 20;

/// What to list.
pub(super) struct Listing<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) scopes: &'a Scopes,
    /// The first page.
    pub(super) first: Target,
    /// What answers may be; any JSON where it is empty.
    pub(super) accept: Option<HeaderValue>,
    pub(super) subject: &'a str,
}

/// One page as it came.
pub(super) struct Page {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    /// Gets page after page. `take` reads one and says with which name it ends, where the list may go on
    /// without a `Link`.
    pub(super) async fn list(
        &self,
        listing: &Listing<'_>,
        mut take: impl FnMut(Page) -> Result<Option<String>, String> + Send,
    ) -> Result<(), RegistryError> {
        let host = &listing.endpoint.host;
        let mut call =
            Call::new(listing.endpoint, listing.scopes, Method::GET, String::new(), listing.subject);
        if let Some(accept) = &listing.accept {
            call = call.header(ACCEPT, accept.clone());
        }
        call.target = listing.first.clone();
        let (mut seen, mut total) = (HashSet::new(), 0);
        for _ in 0..MOST_PAGES {
            let response = self.0.demand(&call).await?;
            let page = response.url().clone();
            let headers = response.headers().clone();
            let body = read_limited(host, listing.subject, response, LARGEST_PAGE).await?;
            total += body.len();
            let linked = linked(&headers, &page);
            let last = take(Page { headers, body }).map_err(|reason| call.protocol(reason))?;
            let next = match (linked, last) {
                (Some(next), _) => next,
                (None, Some(last)) => after(&page, &last),
                (None, None) => return Ok(()),
            };
            if total > LARGEST_LIST || !seen.insert(next.clone()) {
                break;
            }
            call.target = Target::Url(next);
        }
        Err(call.protocol("pages without end"))
    }
}

/// The same list after a name.
fn after(page: &Url, last: &str) -> Url {
    let kept: Vec<(String, String)> = page
        .query_pairs()
        .filter(|(key, _)| key != "last")
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    let mut next = page.clone();
    next.query_pairs_mut().clear().extend_pairs(kept).append_pair("last", last);
    next
}

/// The next page, on the same host only.
fn linked(headers: &HeaderMap, page: &Url) -> Option<Url> {
    let targets = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let target = targets.flat_map(super::link::parse).find(|link| link.is("next"))?.target.to_owned();
    page.join(&target).ok().filter(|next| same_origin(next, page) && next.username().is_empty())
}
