//! Variables in order.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use graph::Environment;

/// Variables and their values; what was set last stands last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Env {
    /// By name: when it was set.
    places: HashMap<String, usize>,
    /// Names and values, by when they were set.
    variables: BTreeMap<usize, Arc<(String, String)>>,
    /// How often anything was set.
    times: usize,
}

impl Env {
    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(self.places.get(name)?).map(|variable| variable.1.as_str())
    }

    /// Sets a variable and moves it to the end.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.places.insert(name.to_owned(), self.times);
        self.variables.insert(self.times, Arc::new((name.to_owned(), value.to_owned())));
        self.times += 1;
    }

    /// Forgets a variable.
    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(place) = self.places.remove(name) {
            self.variables.remove(&place);
        }
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.values().map(|variable| variable.0.as_str())
    }

    /// All of it, in order.
    pub(crate) fn all(&self) -> Environment {
        self.variables.values().cloned().collect()
    }
}

/// A `NAME=value` of an image config; without `=` the value is empty.
pub(crate) fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}

/// Sets a variable in the list of an image config, in its old place if it has one.
pub(crate) fn set_in_list(list: &mut Vec<String>, name: &str, value: &str) {
    let entry = format!("{name}={value}");
    match list.iter_mut().find(|old| split(old).0 == name) {
        Some(old) => *old = entry,
        None => list.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order() {
        let mut env = Env::default();
        for (name, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
            env.set(name, value);
        }
        assert_eq!(env.names().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(env.get("a"), Some("3"));

        let mut list = vec!["key1=val1".to_owned(), "key2".to_owned()];
        set_in_list(&mut list, "key2", "x");
        set_in_list(&mut list, "key1", "y");
        set_in_list(&mut list, "key3", "z");
        assert_eq!(list, ["key1=y", "key2=x", "key3=z"]);
    }
}
