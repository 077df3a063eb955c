//! A YAML file of what to copy from which registries, as skopeo has it. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use oci::{Reference, Repository};
use regex::Regex;
use registry_client::Secret;
use serde::Deserialize;

use super::error::SyncError;
use super::versions::Versions;

/// What to copy, by registry.
pub struct SyncList {
    /// Its registries, by host.
    pub registries: Vec<Listed>,
}

/// One registry of a list.
pub struct Listed {
    /// Host and port.
    pub host: String,
    /// Name and password for it.
    pub login: Option<(String, Secret)>,
    /// Whether the file says that its certificate may be any, and plain HTTP will do.
    pub insecure: bool,
    pub(super) wanted: Vec<Wanted>,
}

/// Images of one repository.
pub(super) enum Wanted {
    /// This one.
    Image(Reference),
    /// Those with such tags.
    Tags(Repository, Tags),
}

/// Which tags of a repository.
pub(super) enum Tags {
    All,
    Matching(Regex),
    Versions(Versions),
}

impl Tags {
    pub(super) fn lets_through(&self, tag: &str) -> bool {
        match self {
            Tags::All => true,
            Tags::Matching(regex) => regex.is_match(tag),
            Tags::Versions(versions) => versions.lets_through(tag),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    #[serde(default)]
    images: BTreeMap<String, Option<Vec<String>>>,
    #[serde(default)]
    images_by_tag_regex: BTreeMap<String, String>,
    #[serde(default)]
    images_by_semver: BTreeMap<String, String>,
    /// Read by hand: an error must not show what stands there.
    credentials: Option<serde_json::Value>,
    tls_verify: Option<bool>,
    cert_dir: Option<String>,
}

impl SyncList {
    /// Reads a list; the path is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, SyncError> {
        let bad = |reason: String| SyncError::List { path: path.to_owned(), reason };
        // The parser would show the lines around a fault, and with them passwords.
        let written: BTreeMap<String, Written> =
            serde_saphyr::from_str_with_options(text, serde_saphyr::options! { with_snippet: false })
                .map_err(|error| bad(error.to_string()))?;
        let registries = written
            .into_iter()
            .map(|(host, written)| listed(&host, written).map_err(|reason| bad(format!("{host}: {reason}"))))
            .collect::<Result<_, _>>()?;
        Ok(Self { registries })
    }
}

fn listed(host: &str, written: Written) -> Result<Listed, String> {
    if written.cert_dir.is_some() {
        return Err("cert-dir is not supported; put the certificates below certs.d".to_owned());
    }
    let repository = |name: &str| {
        let full = format!("{host}/{name}").parse::<Repository>().map_err(|error| error.to_string())?;
        match full.registry == host {
            true => Ok(full),
            false => Err("this is no registry host".to_owned()),
        }
    };
    let mut wanted = Vec::new();
    for (name, tags) in &written.images {
        let repository = repository(name)?;
        match tags.as_deref() {
            None | Some([]) => wanted.push(Wanted::Tags(repository, Tags::All)),
            Some(tags) => {
                for tag in tags {
                    wanted.push(Wanted::Image(image(&repository, tag)?));
                }
            }
        }
    }
    for (name, text) in &written.images_by_tag_regex {
        let regex = Regex::new(text).map_err(|error| format!("{name}: {error}"))?;
        wanted.push(Wanted::Tags(repository(name)?, Tags::Matching(regex)));
    }
    for (name, text) in &written.images_by_semver {
        let versions = Versions::parse(text).map_err(|reason| format!("{name}: {reason}"))?;
        wanted.push(Wanted::Tags(repository(name)?, Tags::Versions(versions)));
    }
    Ok(Listed {
        host: host.to_owned(),
        login: written.credentials.as_ref().map(login).transpose()?,
        insecure: written.tls_verify == Some(false),
        wanted,
    })
}

fn login(written: &serde_json::Value) -> Result<(String, Secret), String> {
    let text = |key: &str| written.get(key).and_then(serde_json::Value::as_str);
    match (text("username"), text("password"), written.as_object().map(serde_json::Map::len)) {
        (Some(username), Some(password), Some(2)) => Ok((username.to_owned(), Secret::new(password))),
        _ => Err("credentials are a username and a password, both texts, and nothing else".to_owned()),
    }
}

/// An image by tag or digest.
fn image(repository: &Repository, text: &str) -> Result<Reference, String> {
    match text.contains(':') {
        true => {
            let digest = text.parse().map_err(|error: oci::DigestError| error.to_string())?;
            Ok(repository.with_digest(digest))
        }
        false => repository.with_tag(text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SyncList, String> {
        SyncList::parse(Path::new("list.yml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_list_says_what_skopeos_does() {
        let hex = "0".repeat(64);
        let text = format!(
            "registry.example:5000:\n  tls-verify: false\n  credentials:\n    username: me\n    password: secret\n  images:\n    busybox: []\n    nothing:\n    org/redis:\n      - \"1.0\"\n      - \"sha256:{hex}\"\n  images-by-tag-regex:\n    nginx: ^1\\.13\\.[12]-alpine$\n  images-by-semver:\n    alpine: \">= 3.12.0\"\nquay.io:\n  images:\n    coreos/etcd: [latest]\n"
        );
        let list = parse(&text).unwrap();
        let [quay, own] = list.registries.as_slice() else { panic!("two") };
        assert_eq!(
            (&*quay.host, quay.wanted.len(), quay.login.is_some(), quay.insecure),
            ("quay.io", 1, false, false)
        );
        assert_eq!((&*own.host, own.wanted.len(), own.insecure), ("registry.example:5000", 6, true));
        assert_eq!(own.login.as_ref().map(|(name, _)| &**name), Some("me"));
        let shown: Vec<String> = own
            .wanted
            .iter()
            .map(|wanted| match wanted {
                Wanted::Image(image) => image.to_string(),
                Wanted::Tags(repository, tags) => {
                    let through = ["1.13.1-alpine", "3.12.1", "other"];
                    let through: Vec<&str> =
                        through.into_iter().filter(|tag| tags.lets_through(tag)).collect();
                    format!("{repository} {}", through.join(","))
                }
            })
            .collect();
        assert_eq!(
            shown,
            [
                "registry.example:5000/busybox 1.13.1-alpine,3.12.1,other".to_owned(),
                "registry.example:5000/nothing 1.13.1-alpine,3.12.1,other".to_owned(),
                "registry.example:5000/org/redis:1.0".to_owned(),
                format!("registry.example:5000/org/redis@sha256:{hex}"),
                "registry.example:5000/nginx 1.13.1-alpine".to_owned(),
                "registry.example:5000/alpine 3.12.1".to_owned(),
            ]
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_without_a_password() {
        for (text, word) in [
            ("a.example:\n  pictures: {}\n", "pictures"),
            ("a.example:\n  cert-dir: /x\n", "certs.d"),
            ("a.example:\n  images:\n    UPPER: []\n", "lower case"),
            ("a.example:\n  images:\n    a: [\"sha256:x\"]\n", "length"),
            ("a.example:\n  images-by-tag-regex:\n    a: \"(\"\n", "a:"),
            ("a.example:\n  images-by-semver:\n    a: \"!= 1\"\n", "!="),
            ("nohost:\n  images:\n    a: []\n", "no registry host"),
            (
                "a.example:\n  credentials:\n    username: me\n    password: hidden\n    other: x\n",
                "nothing else",
            ),
            ("a.example:\n  credentials: hidden\n", "nothing else"),
            ("a.example:\n  credentials: [hidden\n", "list.yml"),
            ("- a", "list.yml"),
        ] {
            let error = parse(text).map(|_| ()).unwrap_err();
            assert!(error.contains(word) && !error.contains("hidden"), "{text}: {error}");
        }
    }
}
