//! Variables in order.

/// Variables and their values; what was set last stands last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Env(Vec<(String, String)>);

impl Env {
    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Sets a variable and moves it to the end.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Forgets a variable.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    /// The names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// All of it.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
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
