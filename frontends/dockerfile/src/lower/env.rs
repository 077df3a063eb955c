//! Variables in order.

use std::collections::HashMap;

/// Variables and their values; what was set last stands last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Env {
    /// Values, and when they were set.
    values: HashMap<String, (usize, String)>,
    /// How often anything was set.
    times: usize,
}

impl Env {
    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(_, value)| value.as_str())
    }

    /// Sets a variable and moves it to the end.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.values.insert(name.to_owned(), (self.times, value.to_owned()));
        self.times += 1;
    }

    /// Forgets a variable.
    pub(crate) fn remove(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.in_order().into_iter().map(|(name, _)| name)
    }

    /// All of it, in order.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        self.in_order().into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn in_order(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(usize, &str, &str)> =
            self.values.iter().map(|(name, (time, value))| (*time, name.as_str(), value.as_str())).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, name, value)| (name, value)).collect()
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
