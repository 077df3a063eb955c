//! What a token allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Resources and the actions on them: `repository:library/alpine` with `pull`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    /// To read a repository.
    pub(crate) fn pull(path: &str) -> Self {
        Self::default().and(path, &["pull"])
    }

    /// To write a repository.
    pub(crate) fn push(path: &str) -> Self {
        Self::default().and(path, &["pull", "push"])
    }

    /// To delete from a repository.
    pub(crate) fn delete(path: &str) -> Self {
        Self::default().and(path, &["pull", "delete"])
    }

    /// To list the repositories of a registry.
    pub(crate) fn catalog() -> Self {
        Self::parse("registry:catalog:*")
    }

    /// These, and actions on another repository.
    pub(crate) fn and(mut self, path: &str, actions: &[&str]) -> Self {
        let resource = format!("repository:{path}");
        self.0.entry(resource).or_default().extend(actions.iter().map(|action| (*action).to_owned()));
        self
    }

    /// Those of a challenge.
    pub(crate) fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for scope in text.split_ascii_whitespace() {
            if let Some((resource, actions)) = scope.rsplit_once(':') {
                let actions = actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned);
                scopes.0.entry(resource.to_owned()).or_default().extend(actions);
            }
        }
        scopes
    }

    /// Both.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (resource, actions) in &other.0 {
            all.0.entry(resource.clone()).or_default().extend(actions.iter().cloned());
        }
        all
    }

    /// One text for each resource.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(resource, actions)| {
            let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.texts().collect::<Vec<_>>().join(" "))
    }
}
