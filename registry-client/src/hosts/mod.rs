//! Which host is asked for a repository: mirrors, rewrites, blocked and insecure registries, as
//! containers' `registries.conf` (version 2) has them; where that says nothing of a repository, as
//! containerd's `hosts.toml` does.

pub(crate) mod certificates;
pub(crate) mod endpoint;
mod hosts_toml;
mod registries_conf;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::{Reference, Repository, ShortNames};

use crate::RegistryError;
use certificates::Certificates;
use endpoint::{Endpoint, Extra, Trust};
use hosts_toml::{Place, Places};
use registries_conf::{MirrorUse, Names, Rule, Settings};

/// What the registry configuration says of hosts. Empty by default.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    rules: Vec<Rule>,
    names: Names,
    verify: Verify,
    /// Words on single hosts; the last one counts.
    by_host: Vec<(String, Verify)>,
    directories: Vec<PathBuf>,
    /// Directories with the certificates of one host.
    certificates_at: Vec<(String, PathBuf)>,
    /// PEM files of authorities for all hosts, beside the usual ones.
    authorities: Vec<PathBuf>,
    extent: Extent,
}

/// Whether there are registries at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Extent {
    #[default]
    All,
    Nowhere,
}

/// Whose word decides how much is asked of registries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// The settings': HTTPS with a good certificate, except for this machine and what they call insecure.
    #[default]
    BySettings,
    /// HTTPS with a good certificate, whatever the settings say, this machine included.
    Always,
    /// Any certificate will do, and plain HTTP where no TLS is spoken, for all registries and for the
    /// places they lead to.
    Never,
}

/// Whether something is asked for by a name that may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullBy {
    Tag,
    Digest,
}

impl PullBy {
    pub(crate) fn of(reference: &Reference) -> Self {
        match reference.digest() {
            Some(_) => Self::Digest,
            None => Self::Tag,
        }
    }
}

impl Hosts {
    /// Reads a `registries.conf` and the `*.conf` files of drop-in directories, by name. What is absent
    /// is skipped; a drop-in replaces earlier tables of the same prefix.
    pub fn load(file: Option<&Path>, drop_in_directories: &[PathBuf]) -> Result<Self, RegistryError> {
        let mut hosts = Self::default();
        let mut files: Vec<PathBuf> = file.map(Path::to_owned).into_iter().collect();
        for directory in drop_in_directories {
            files.extend(drop_ins(directory)?);
        }
        for path in files {
            match std::fs::read_to_string(&path) {
                Ok(text) => hosts = hosts.and(Self::parse(&path, &text)?),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(RegistryError::File { path, source }),
            }
        }
        Ok(hosts)
    }

    /// None at all, for work that must do with what is here: every registry is blocked.
    pub fn nowhere() -> Self {
        Self { extent: Extent::Nowhere, ..Self::default() }
    }

    /// Reads a `registries.conf`; the path is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, RegistryError> {
        let Settings { rules, names } = registries_conf::parse(text)
            .map_err(|reason| RegistryError::Setting { path: path.to_owned(), reason })?;
        Ok(Self { rules, names, ..Self::default() })
    }

    /// These, overruled by later ones of the same prefix.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.rules.retain(|rule| later.rules.iter().all(|other| other.prefix != rule.prefix));
        self.rules.extend(later.rules);
        self.names = self.names.and(later.names);
        self.verify = later.verify;
        self.by_host.extend(later.by_host);
        self.directories.extend(later.directories);
        self.certificates_at.extend(later.certificates_at);
        self.authorities.extend(later.authorities);
        if later.extent == Extent::Nowhere {
            self.extent = later.extent;
        }
        self
    }

    /// What these settings make of names without a registry.
    pub fn short_names(&self) -> ShortNames {
        let known = |(name, whole): (&String, &Option<Repository>)| Some((name.clone(), whole.clone()?));
        ShortNames::Settings {
            aliases: self.names.aliases.iter().filter_map(known).collect(),
            search: self.names.search.clone().unwrap_or_default(),
        }
    }

    /// Looks for certificates and `hosts.toml` in a directory that has one folder per host (`certs.d`), too.
    #[must_use]
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directories.push(directory.into());
        self
    }

    /// The certificates kept for a host.
    pub(crate) fn certificates(&self, host: &str) -> Result<Certificates, RegistryError> {
        let mut found = Certificates::default();
        for (_, directory) in self.certificates_at.iter().rev().filter(|(named, _)| named == host) {
            found = found.and(&certificates::of(directory)?);
        }
        found = found.and(&certificates::find(&self.directories, host)?);
        found.authorities.extend(self.authorities.iter().cloned());
        found.consulted.extend(self.authorities.iter().cloned());
        Ok(found)
    }

    /// Takes the certificates of one host (with its port) from this directory, before all others.
    #[must_use]
    pub fn with_certificates_at(mut self, host: impl Into<String>, directory: impl Into<PathBuf>) -> Self {
        self.certificates_at.push((host.into(), directory.into()));
        self
    }

    /// Trusts the authorities of a PEM file for all registries, beside the usual ones.
    #[must_use]
    pub fn with_authorities(mut self, file: impl Into<PathBuf>) -> Self {
        self.authorities.push(file.into());
        self
    }

    /// The same places, with this word on how much is asked of them.
    #[must_use]
    pub fn verifying(mut self, verify: Verify) -> Self {
        self.verify = verify;
        self
    }

    /// The same places, with this word on one host (with its port), which comes before the one on all.
    #[must_use]
    pub fn verifying_at(mut self, host: impl Into<String>, verify: Verify) -> Self {
        self.by_host.push((host.into(), verify));
        self
    }

    /// What is asked of a place for which the settings ask this much.
    pub(crate) fn trust(&self, host: &str, configured: Trust) -> Trust {
        let own = self.by_host.iter().rev().find(|(named, _)| named == host);
        match own.map_or(self.verify, |(_, verify)| *verify) {
            Verify::BySettings => configured,
            Verify::Always => Trust::Strict,
            Verify::Never => Trust::Insecure,
        }
    }

    /// Where to read a repository, in the order of trying.
    pub(crate) fn for_pull(
        &self,
        repository: &Repository,
        by: PullBy,
    ) -> Result<Vec<Endpoint>, RegistryError> {
        let Some(rule) = self.rule(repository)? else {
            return self.by_hosts_toml(repository, by);
        };
        let suits = |usage: MirrorUse| match usage {
            MirrorUse::All => true,
            MirrorUse::DigestOnly => by == PullBy::Digest,
            MirrorUse::TagOnly => by == PullBy::Tag,
        };
        let mirrors = rule.mirrors.iter().filter(|mirror| suits(mirror.usage));
        let mut endpoints: Vec<Endpoint> = mirrors
            .map(|mirror| self.endpoint(&rule.rewrite(&mirror.location, repository), mirror.trust))
            .collect();
        endpoints.push(self.endpoint(&rule.rewrite(&rule.location, repository), rule.trust));
        Ok(endpoints)
    }

    /// Where to write a repository: rewrites and mirrors are for reading.
    pub(crate) fn for_push(&self, repository: &Repository) -> Result<Endpoint, RegistryError> {
        let Some(rule) = self.rule(repository)? else {
            let server = self.places(&repository.registry)?.server;
            let server = server.filter(|server| server.host == self.plain(repository).authority());
            return Ok(server.map_or_else(|| self.plain(repository), |server| self.at(server, repository)));
        };
        Ok(self.endpoint(&repository.to_string(), rule.trust))
    }

    /// A registry itself, for what is about no repository.
    pub(crate) fn for_registry(&self, host: &str) -> Result<Endpoint, RegistryError> {
        let good = !host.is_empty() && !host.contains(['/', '@', '?', '#', '\\', ' ']);
        if !good {
            return Err(RegistryError::protocol(host, "connecting", "this is no host name"));
        }
        match self.rules.iter().find(|rule| rule.prefix == host) {
            _ if self.extent == Extent::Nowhere => {
                Err(RegistryError::BlockedRegistry { host: host.to_owned() })
            }
            Some(rule) if rule.blocked => Err(RegistryError::BlockedRegistry { host: host.to_owned() }),
            rule => Ok(self.endpoint(host, rule.map_or(Trust::Verified, |rule| rule.trust))),
        }
    }

    /// The rule with the longest prefix.
    fn rule(&self, repository: &Repository) -> Result<Option<&Rule>, RegistryError> {
        let rules = self.rules.iter().filter_map(|rule| Some((rule.matches(repository)?, rule)));
        let best = rules.max_by_key(|(length, _)| *length).map(|(_, rule)| rule);
        match best {
            _ if self.extent == Extent::Nowhere => {
                Err(RegistryError::Blocked { repository: repository.clone() })
            }
            Some(rule) if rule.blocked => Err(RegistryError::Blocked { repository: repository.clone() }),
            other => Ok(other),
        }
    }

    /// Mirrors and server of containerd's settings, where there are any.
    fn by_hosts_toml(&self, repository: &Repository, by: PullBy) -> Result<Vec<Endpoint>, RegistryError> {
        let places = self.places(&repository.registry)?;
        let mirrors = places.mirrors.into_iter().filter(|place| place.suits(by));
        let mut endpoints: Vec<Endpoint> = mirrors.map(|place| self.at(place, repository)).collect();
        endpoints.push(match places.server {
            Some(server) => self.at(server, repository),
            None => self.plain(repository),
        });
        Ok(endpoints)
    }

    fn places(&self, host: &str) -> Result<Places, RegistryError> {
        match hosts_toml::find(&self.directories, &certificates::names(host)) {
            None => Ok(Places::default()),
            Some(path) => hosts_toml::read(&path).map_err(|reason| RegistryError::Setting { path, reason }),
        }
    }

    fn at(&self, place: Place, repository: &Repository) -> Endpoint {
        // credentials of a registry are kept under its own name, however its host is called
        let own = self.plain(repository);
        let (host, mirror_of) = match place.host == own.authority() {
            true => (own.host.clone(), None),
            false => (place.host, Some(repository.registry.clone())),
        };
        let trust = self.trust(&host, place.trust);
        let extra = Extra { mirror_of, ..place.extra };
        Endpoint { host, path: repository.path.clone(), trust, extra: Arc::new(extra) }
    }

    fn plain(&self, repository: &Repository) -> Endpoint {
        self.endpoint(&repository.to_string(), Trust::Verified)
    }

    fn endpoint(&self, place: &str, configured: Trust) -> Endpoint {
        let (host, path) = place.split_once('/').unwrap_or((place, ""));
        let trust = self.trust(host, configured);
        Endpoint { host: host.to_owned(), path: path.to_owned(), trust, extra: Arc::default() }
    }
}

fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    let fail = |source| RegistryError::File { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
