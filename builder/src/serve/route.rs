//! Which request is meant. Pure.

use std::collections::BTreeMap;

use hyper::Uri;
use oci::{Digest, Reference, Repository};

use super::answer::Refused;

/// Which names of a list are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// How many; all where absent.
    pub count: Option<usize>,
    /// Those behind this one.
    pub last: Option<String>,
}

/// What a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Catalogue(Page),
    Tags(Repository, Page),
    /// By tag or digest.
    Manifest(Reference),
    Blob(Digest),
    /// Of one artifact type, where one is named.
    Referrers(Repository, Digest, Option<String>),
    /// Path of the repository, and the query.
    Uploads(String, BTreeMap<String, String>),
    /// Path of the repository, the session, and the digest it must have.
    Upload(String, String, Option<Digest>),
}

pub(super) fn parse(uri: &Uri) -> Result<Route, Refused> {
    let query: BTreeMap<String, String> =
        url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let path = uri
        .path()
        .strip_prefix("/v2/")
        .or_else(|| uri.path().strip_prefix("/v2").filter(|rest| rest.is_empty()));
    let path = path.ok_or_else(|| Refused::not_found("NAME_UNKNOWN", "there is nothing but /v2/"))?;
    match path {
        "" => return Ok(Route::Base),
        "_catalog" => return Ok(Route::Catalogue(page(&query)?)),
        _ => {}
    }
    // containerd asks a mirror so: by the path alone, and the host that it stands in for aside.
    let repository = |name: &str| match query.get("ns").filter(|host| !host.is_empty()) {
        Some(host) => repository(&format!("{host}/{name}")),
        None => repository(name),
    };
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Ok(Route::Tags(repository(name)?, page(&query)?));
    }
    if let Some(name) = path.strip_suffix("/blobs/uploads/").or_else(|| path.strip_suffix("/blobs/uploads")) {
        repository(name)?;
        return Ok(Route::Uploads(name.to_owned(), query));
    }
    if let Some((name, id)) = path.rsplit_once("/blobs/uploads/") {
        repository(name)?;
        let digest = query.get("digest").map(|text| digest(text)).transpose()?;
        return Ok(Route::Upload(name.to_owned(), id.to_owned(), digest));
    }
    if let Some((name, text)) = path.rsplit_once("/blobs/") {
        repository(name)?;
        return Ok(Route::Blob(digest(text)?));
    }
    if let Some((name, text)) = path.rsplit_once("/referrers/") {
        return Ok(Route::Referrers(repository(name)?, digest(text)?, query.get("artifactType").cloned()));
    }
    if let Some((name, text)) = path.rsplit_once("/manifests/") {
        let repository = repository(name)?;
        return match text.contains(':') {
            true => Ok(Route::Manifest(repository.with_digest(digest(text)?))),
            false => repository
                .with_tag(text)
                .map(Route::Manifest)
                .map_err(|error| Refused::bad("MANIFEST_INVALID", &error.to_string())),
        };
    }
    Err(Refused::not_found("NAME_UNKNOWN", "there is no such thing"))
}

fn repository(text: &str) -> Result<Repository, Refused> {
    text.parse().map_err(|error: oci::ReferenceError| Refused::bad("NAME_INVALID", &error.to_string()))
}

pub(super) fn digest(text: &str) -> Result<Digest, Refused> {
    text.parse().map_err(|error: oci::DigestError| Refused::bad("DIGEST_INVALID", &error.to_string()))
}

fn page(query: &BTreeMap<String, String>) -> Result<Page, Refused> {
    let count = query
        .get("n")
        .map(|text| text.parse::<usize>().map_err(|_| Refused::bad("UNSUPPORTED", "n is no number")));
    Ok(Page { count: count.transpose()?, last: query.get("last").cloned() })
}

impl Page {
    /// The names of this page, and whether more follow. The names are sorted.
    pub(super) fn cut(&self, mut names: Vec<String>) -> (Vec<String>, bool) {
        if let Some(last) = &self.last {
            names.retain(|name| name > last);
        }
        let wanted = self.count.unwrap_or(names.len());
        let more = names.len() > wanted;
        names.truncate(wanted);
        (names, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_the_spec_says() {
        let hex = "0".repeat(64);
        let is = |path: &str| parse(&path.parse().unwrap()).ok();
        assert_eq!(is("/v2/"), Some(Route::Base));
        assert_eq!(is("/v2/_catalog?n=2").map(|route| matches!(route, Route::Catalogue(_))), Some(true));
        let Some(Route::Manifest(name)) = is("/v2/app/manifests/1") else { panic!("a manifest") };
        assert_eq!(name.to_string(), "docker.io/library/app:1");
        let Some(Route::Manifest(name)) = is(&format!("/v2/a.example/b/manifests/sha256:{hex}")) else {
            panic!("a manifest")
        };
        assert_eq!(name.repository().to_string(), "a.example/b");
        let Some(Route::Manifest(name)) = is("/v2/library/b/manifests/1?ns=docker.io") else {
            panic!("a manifest")
        };
        assert_eq!(name.familiar(), "b:1");
        let Some(Route::Tags(name, _)) = is("/v2/b/tags/list?ns=a.example%3A5000") else { panic!("tags") };
        assert_eq!(name.to_string(), "a.example:5000/b");
        assert!(matches!(is("/v2/a/blobs/uploads/"), Some(Route::Uploads(..))));
        assert!(matches!(is("/v2/a/blobs/uploads/x"), Some(Route::Upload(..))));
        assert!(matches!(is(&format!("/v2/a/blobs/sha256:{hex}")), Some(Route::Blob(_))));
        for bad in [
            "/",
            "/v1/",
            "/v2",
            "/v2x/_catalog",
            "/v2/a",
            "/v2/A/tags/list",
            "/v2/a/blobs/x",
            "/v2/a/manifests/..",
            "/v2/../../etc/manifests/x",
            "/v2/a%2F..%2Fb/manifests/x",
            "/v2//manifests/x",
            "/v2/a/tags/list?n=x",
            "/v2/a/tags/list?n=-1",
            "/v2/b/tags/list?ns=..",
        ] {
            let expected = (bad == "/v2").then_some(Route::Base);
            assert_eq!(is(bad), expected, "{bad}");
        }
    }

    #[test]
    fn pages_follow_one_another() {
        let names = || ["a", "b", "c"].map(str::to_owned).to_vec();
        let page = |count, last: Option<&str>| Page { count, last: last.map(str::to_owned) };
        assert_eq!(page(None, None).cut(names()), (names(), false));
        assert_eq!(page(Some(2), None).cut(names()), (names()[..2].to_vec(), true));
        assert_eq!(page(Some(2), Some("b")).cut(names()), (names()[2..].to_vec(), false));
        assert_eq!(page(Some(0), None).cut(names()), (Vec::new(), true));
    }
}
