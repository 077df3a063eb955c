//! Names without a registry: Docker Hub's, as Docker has it, or what settings make of them, as Podman and
//! Buildah have it.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::reference::{is_short, split};
use crate::{Reference, ReferenceError, Repository};

/// What names without a registry mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ShortNames {
    /// Docker Hub's.
    #[default]
    DockerHub,
    /// What settings say.
    Settings {
        /// The whole name of a short one, neither with tag or digest.
        aliases: BTreeMap<String, Repository>,
        /// Where other short names are looked for (`quay.io`, `quay.io/team`).
        search: Vec<String>,
    },
}

/// A name that does not say which image is meant.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ShortNameError {
    /// It is none at all.
    #[error(transparent)]
    NoName(#[from] ReferenceError),
    /// Nothing says where to look.
    #[error("{name:?} has no registry, no alias stands for it, and no registries to search are configured")]
    Nowhere {
        /// The name.
        name: String,
    },
    /// It could be in several places, of which anybody may own one.
    #[error("{name:?} may be any of {}: write one in full, or configure an alias", candidates.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// What it may mean.
        candidates: Vec<String>,
    },
}

impl ShortNames {
    /// The image that a name means.
    pub fn complete(&self, text: &str) -> Result<Reference, ShortNameError> {
        let plain: Reference = text.parse()?;
        let (aliases, search) = match self {
            Self::Settings { aliases, search } if is_short(text) => (aliases, search),
            Self::Settings { .. } | Self::DockerHub => return Ok(plain),
        };
        let (name, rest) = split(text);
        if let Some(whole) = aliases.get(name) {
            return Ok(format!("{whole}{rest}").parse::<Reference>()?);
        }
        let name = name.to_owned();
        match search.as_slice() {
            [] => Err(ShortNameError::Nowhere { name }),
            [only] => Ok(format!("{only}/{text}").parse::<Reference>()?),
            several => {
                let candidates = several.iter().map(|registry| format!("{registry}/{text}")).collect();
                Err(ShortNameError::Ambiguous { name, candidates })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_mean_what_settings_say() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        let aliases = || {
            let aliases = [("fedora", "registry.example/fedora"), ("team/app", "quay.io/team/app")];
            aliases.map(|(name, whole)| (name.to_owned(), whole.parse().unwrap())).into()
        };
        let settings = |search: &[&str]| ShortNames::Settings {
            aliases: aliases(),
            search: search.iter().map(|one| (*one).to_owned()).collect(),
        };
        let (hub, one, several, none) = (
            ShortNames::DockerHub,
            settings(&["quay.io"]),
            settings(&["quay.io", "docker.io"]),
            settings(&[]),
        );
        for (names, text, expected) in [
            (&hub, "fedora:41", Some("docker.io/library/fedora:41".to_owned())),
            (&one, "fedora:41", Some("registry.example/fedora:41".to_owned())),
            (&one, "fedora", Some("registry.example/fedora:latest".to_owned())),
            (&one, &*format!("fedora{digest}"), Some(format!("registry.example/fedora{digest}"))),
            (&one, "team/app", Some("quay.io/team/app:latest".to_owned())),
            (&one, "team/other:1", Some("quay.io/team/other:1".to_owned())),
            // Names in full stay.
            (&one, "docker.io/fedora", Some("docker.io/library/fedora:latest".to_owned())),
            (&one, "localhost/fedora", Some("localhost/fedora:latest".to_owned())),
            (&one, "localhost:5000/fedora", Some("localhost:5000/fedora:latest".to_owned())),
            (&settings(&["docker.io"]), "debian", Some("docker.io/library/debian:latest".to_owned())),
            (&several, "fedora", Some("registry.example/fedora:latest".to_owned())),
            (&several, "debian", None),
            (&none, "debian", None),
            (&one, "Fedora", None),
        ] {
            let found = names.complete(text).map(|name| name.to_string());
            assert_eq!(found.clone().ok(), expected, "{text}: {found:?}");
        }
        let error = several.complete("debian:12").unwrap_err().to_string();
        assert!(error.contains("quay.io/debian:12, docker.io/debian:12"), "{error}");
    }
}
