//! The process's environment, read once, here and nowhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Variables that carry proxies; they reach every step and never a key.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// Variable that says where the store is.
pub const ROOT: &str = "RBUILD_ROOT";

/// What the environment says.
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Reads it. Variables that are not UTF-8 are left out: none of ours has such a value.
    pub fn read() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect() }
    }

    /// One variable, if it is set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// One variable that must say something.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// A path in a variable.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.non_empty(name).map(PathBuf::from)
    }

    /// The home directory.
    pub fn home(&self) -> Option<PathBuf> {
        self.path("HOME")
    }

    /// Where users keep settings.
    pub fn config_dir(&self) -> Option<PathBuf> {
        self.path("XDG_CONFIG_HOME").or_else(|| Some(self.home()?.join(".config")))
    }

    /// Where Docker keeps a user's settings.
    pub fn docker_dir(&self) -> Option<PathBuf> {
        self.path("DOCKER_CONFIG").or_else(|| Some(self.home()?.join(".docker")))
    }

    /// Where the store is when no option says it.
    pub fn default_root(&self, is_root: bool) -> Option<PathBuf> {
        if let Some(root) = self.path(ROOT) {
            return Some(root);
        }
        if let Some(data) = self.path("XDG_DATA_HOME") {
            return Some(data.join("rbuild"));
        }
        if is_root {
            return Some("/var/lib/rbuild".into());
        }
        Some(self.home()?.join(".local/share/rbuild"))
    }

    /// The proxy variables that are set, in both spellings.
    pub fn proxies(&self) -> Vec<(String, String)> {
        PROXIES
            .iter()
            .flat_map(|name| [(*name).to_owned(), name.to_lowercase()])
            .filter_map(|name| Some((name.clone(), self.non_empty(&name)?.to_owned())))
            .collect()
    }
}

#[cfg(test)]
impl Environment {
    /// One of a test.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Self { variables: variables.iter().map(owned).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_has_a_default_place() {
        for (variables, is_root, expected) in [
            (&[("HOME", "/home/u")][..], false, Some("/home/u/.local/share/rbuild")),
            (&[("HOME", "/home/u"), ("XDG_DATA_HOME", "/d")], false, Some("/d/rbuild")),
            (&[("HOME", "/root"), ("XDG_DATA_HOME", "/d"), ("RBUILD_ROOT", "/s")], true, Some("/s")),
            (&[("HOME", "/root")], true, Some("/var/lib/rbuild")),
            (&[], false, None),
        ] {
            let found = Environment::of(variables).default_root(is_root);
            assert_eq!(found, expected.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn proxies_are_taken_in_both_spellings() {
        let environment = Environment::of(&[("http_proxy", "a"), ("HTTPS_PROXY", "b"), ("NO_PROXY", "")]);
        assert_eq!(
            environment.proxies(),
            [("http_proxy".to_owned(), "a".to_owned()), ("HTTPS_PROXY".to_owned(), "b".to_owned())]
        );
    }
}
