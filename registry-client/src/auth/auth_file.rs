//! Docker's `config.json` and containers' `auth.json`, which share their format.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde::Deserialize;

use crate::{Credential, HelperName, RegistryError, Secret};

/// One file of credentials. Keys are hosts, with or without scheme, and may name a path below a host.
#[derive(Clone, Default)]
pub struct AuthFile {
    path: PathBuf,
    inline: BTreeMap<String, Credential>,
    helpers: BTreeMap<String, HelperName>,
    store: Option<HelperName>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    auths: Option<BTreeMap<String, RawEntry>>,
    creds_store: Option<String>,
    cred_helpers: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawEntry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

impl AuthFile {
    /// Reads a file; `None` where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, RegistryError> {
        match std::fs::read(path) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(RegistryError::File { path: path.to_owned(), source }),
        }
    }

    /// Reads a text; the path is for messages. An empty text is an empty file.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, RegistryError> {
        let fail = |reason: String| RegistryError::Setting { path: path.to_owned(), reason };
        if text.trim_ascii().is_empty() {
            return Ok(Self { path: path.to_owned(), ..Self::default() });
        }
        // serde_json's messages name positions, not values
        let raw: Raw = serde_json::from_slice(text).map_err(|error| {
            fail(format!("not understood (line {}, column {})", error.line(), error.column()))
        })?;
        let mut file = Self { path: path.to_owned(), ..Self::default() };
        for (key, entry) in raw.auths.unwrap_or_default() {
            if let Some(credential) =
                entry.credential().map_err(|reason| fail(format!("auths, {key}: {reason}")))?
            {
                file.inline.insert(normal_key(&key), credential);
            }
        }
        let helper = |name: &str| {
            HelperName::new(name).ok_or_else(|| fail(format!("{name:?} names no credential helper")))
        };
        for (key, name) in raw.cred_helpers.unwrap_or_default() {
            if !name.is_empty() {
                file.helpers.insert(normal_key(&key), helper(&name)?);
            }
        }
        file.store = raw.creds_store.filter(|name| !name.is_empty()).map(|name| helper(&name)).transpose()?;
        Ok(file)
    }

    /// Where it was read from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The helper in charge of a host.
    pub(crate) fn helper(&self, host: &str) -> Option<&HelperName> {
        self.helpers.get(host).or(self.store.as_ref())
    }

    /// The helper in charge of hosts that have none of their own.
    pub(crate) fn store(&self) -> Option<&HelperName> {
        self.store.as_ref()
    }

    /// The hosts that have a helper of their own.
    pub(crate) fn helpers(&self) -> &BTreeMap<String, HelperName> {
        &self.helpers
    }

    /// What the file itself says of a repository: the longest key wins.
    pub(crate) fn inline(&self, host: &str, path: &str) -> Option<(&str, &Credential)> {
        let full = match path.is_empty() {
            true => host.to_owned(),
            false => format!("{host}/{path}"),
        };
        let mut key = full.as_str();
        loop {
            if let Some((key, credential)) = self.inline.get_key_value(key) {
                return Some((key, credential));
            }
            key = &key[..key.rfind('/')?];
        }
    }
}

impl fmt::Debug for AuthFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFile")
            .field("hosts", &self.inline.keys())
            .field("helpers", &self.helpers)
            .finish_non_exhaustive()
    }
}

impl RawEntry {
    fn credential(self) -> Result<Option<Credential>, &'static str> {
        let filled = |secret: Option<Secret>| secret.filter(|secret| !secret.is_empty());
        if let Some(token) = filled(self.registrytoken) {
            return Ok(Some(Credential::Bearer(token)));
        }
        if let Some(token) = filled(self.identitytoken) {
            return Ok(Some(Credential::Identity(token)));
        }
        if let Some(auth) = filled(self.auth) {
            return decode(&auth).map(Some);
        }
        let username = self.username.filter(|name| !name.is_empty());
        Ok(username
            .zip(filled(self.password))
            .map(|(username, password)| Credential::Basic { username, password }))
    }
}

/// `base64(user:password)`; some programs pad with NUL.
fn decode(auth: &Secret) -> Result<Credential, &'static str> {
    let engine = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new()
            .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
    );
    let bytes = engine.decode(auth.reveal().trim()).map_err(|_| "auth is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "auth is not text")?;
    let (username, password) = text.trim_end_matches('\0').split_once(':').ok_or("auth has no colon")?;
    Ok(Credential::Basic { username: username.to_owned(), password: Secret::new(password) })
}

/// One spelling per host: no scheme, no API version, `docker.io` for all of Docker Hub's names.
pub(crate) fn normal_key(key: &str) -> String {
    let key = key.trim();
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    let (host, path) = key.split_once('/').map_or((key, None), |(host, path)| (host, Some(path)));
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    match path {
        Some(path) => format!("{host}/{path}"),
        None => host.to_owned(),
    }
}
