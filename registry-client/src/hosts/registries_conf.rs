//! The `registries.conf` format, version 2.

use std::collections::BTreeMap;

use oci::Repository;
use serde::Deserialize;

use super::endpoint::Trust;

/// One `[[registry]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What it is about: `docker.io`, `quay.io/org`, `*.example.com`.
    pub(crate) prefix: String,
    /// What the prefix becomes; empty means itself.
    pub(crate) location: String,
    pub(crate) trust: Trust,
    pub(crate) blocked: bool,
    pub(crate) mirrors: Vec<Mirror>,
}

/// One `[[registry.mirror]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) location: String,
    pub(crate) trust: Trust,
    pub(crate) usage: MirrorUse,
}

/// `pull-from-mirror`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MirrorUse {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

#[derive(Deserialize)]
struct RawFile {
    #[serde(default)]
    registry: Vec<RawRule>,
    registries: Option<toml::Table>,
    #[serde(rename = "unqualified-search-registries")]
    search: Option<Vec<String>>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) rules: Vec<Rule>,
    pub(crate) names: Names,
}

/// What a file says of names without a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// `unqualified-search-registries`, where it is there.
    pub(crate) search: Option<Vec<String>>,
    /// `[aliases]`; `None` takes an earlier one away.
    pub(crate) aliases: BTreeMap<String, Option<Repository>>,
}

impl Names {
    /// These, overruled by a later file.
    pub(crate) fn and(mut self, later: Self) -> Self {
        self.search = later.search.or(self.search);
        self.aliases.extend(later.aliases);
        self
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawRule {
    prefix: Option<String>,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<RawMirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<MirrorUse>,
}

/// What a file says; it is known by `short-name-mode` how several registries to search are told apart, and
/// here they never are.
pub(crate) fn parse(text: &str) -> Result<Settings, String> {
    let file: RawFile = toml::from_str(text).map_err(|error| error.to_string())?;
    if file.registries.is_some() {
        return Err("version 1 of the format ([registries.…]) is not supported".to_owned());
    }
    let rules = file.registry.into_iter().map(rule).collect::<Result<_, _>>()?;
    let aliases = file.aliases.into_iter().map(alias).collect::<Result<_, _>>()?;
    for registry in file.search.iter().flatten() {
        format!("{registry}/x")
            .parse::<Repository>()
            .map_err(|error| format!("unqualified-search-registries: {registry:?}: {}", error.reason))?;
    }
    Ok(Settings { rules, names: Names { search: file.search, aliases } })
}

/// One line of `[aliases]`.
fn alias((name, whole): (String, String)) -> Result<(String, Option<Repository>), String> {
    if whole.is_empty() {
        return Ok((name, None));
    }
    let first = whole.split_once('/').map_or("", |(first, _)| first);
    if first != "localhost" && !first.contains(['.', ':']) {
        return Err(format!("alias {name:?}: {whole:?} does not name its registry"));
    }
    let repository =
        whole.parse().map_err(|error: oci::ReferenceError| format!("alias {name:?}: {error}"))?;
    Ok((name, Some(repository)))
}

fn rule(raw: RawRule) -> Result<Rule, String> {
    let location = location(&raw.location)?;
    let prefix = match raw.prefix.as_deref().map(str::trim).filter(|prefix| !prefix.is_empty()) {
        Some(prefix) => prefix.trim_end_matches('/').to_owned(),
        None => location.clone(),
    };
    if prefix.is_empty() {
        return Err("a [[registry]] has neither prefix nor location".to_owned());
    }
    if let Some(domain) = prefix.strip_prefix("*.")
        && (domain.is_empty() || domain.contains('/'))
    {
        return Err(format!("prefix {prefix:?}: a wildcard stands for subdomains of a host only"));
    }
    if location.is_empty() && !prefix.starts_with("*.") {
        return Err(format!("registry {prefix:?} has no location"));
    }
    let mirrors = raw.mirror.into_iter().map(|raw_mirror| mirror(raw_mirror, raw.mirror_by_digest_only));
    Ok(Rule {
        prefix,
        location,
        trust: trust(raw.insecure),
        blocked: raw.blocked,
        mirrors: mirrors.collect::<Result<_, _>>()?,
    })
}

fn mirror(raw: RawMirror, by_digest_only: bool) -> Result<Mirror, String> {
    let usage = match (raw.pull_from_mirror, by_digest_only) {
        (Some(_), true) => {
            return Err("pull-from-mirror and mirror-by-digest-only exclude each other".to_owned());
        }
        (Some(usage), false) => usage,
        (None, true) => MirrorUse::DigestOnly,
        (None, false) => MirrorUse::All,
    };
    let location = location(&raw.location)?;
    match location.is_empty() {
        true => Err("a mirror has no location".to_owned()),
        false => Ok(Mirror { location, trust: trust(raw.insecure), usage }),
    }
}

fn trust(insecure: bool) -> Trust {
    if insecure { Trust::Insecure } else { Trust::Verified }
}

/// Host and path; a scheme is a mistake, for the flags say how a host is spoken to.
fn location(text: &str) -> Result<String, String> {
    match text.contains("://") {
        true => Err(format!("location {text:?} must not have a scheme")),
        false => Ok(text.trim().trim_end_matches('/').to_owned()),
    }
}

impl Rule {
    /// How long the match is, if it is one.
    pub(crate) fn matches(&self, repository: &Repository) -> Option<usize> {
        if let Some(domain) = self.prefix.strip_prefix("*.") {
            let below = repository.registry.strip_suffix(domain)?.strip_suffix('.')?;
            return (!below.is_empty()).then_some(domain.len());
        }
        let name = repository.to_string();
        let rest = name.strip_prefix(&self.prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(self.prefix.len())
    }

    /// The repository's place at a location: what follows the prefix stays.
    pub(crate) fn rewrite(&self, location: &str, repository: &Repository) -> String {
        let name = repository.to_string();
        if location.is_empty() {
            return name;
        }
        let rest = match self.prefix.starts_with("*.") {
            true => name.strip_prefix(&repository.registry),
            false => name.strip_prefix(&self.prefix),
        };
        format!("{location}{}", rest.unwrap_or_default())
    }
}
