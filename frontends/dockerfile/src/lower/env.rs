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
    /// The first of the variables, as steps get them, and when each of these was set.
    given: (Environment, Vec<usize>),
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
            let (given, places) = &mut self.given;
            if let Ok(kept) = places.binary_search(&place) {
                places.truncate(kept);
                given.truncate(kept);
            }
        }
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.values().map(|variable| variable.0.as_str())
    }

    /// All of it, in order.
    pub(crate) fn all(&mut self) -> Environment {
        let (given, places) = &mut self.given;
        let next = places.last().map_or(0, |last| last + 1);
        for (place, variable) in self.variables.range(next..) {
            given.append(Arc::clone(variable));
            places.push(*place);
        }
        given.clone()
    }
}

/// A `NAME=value` of an image config; without `=` the value is empty.
pub(crate) fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}

/// Where each variable stands in the list of an image config.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed(HashMap<String, usize>);

impl Listed {
    /// Of a list that is there.
    pub(crate) fn of(list: &[String]) -> Self {
        let mut places = HashMap::new();
        for (place, entry) in list.iter().enumerate() {
            places.entry(split(entry).0.to_owned()).or_insert(place);
        }
        Self(places)
    }

    /// Sets a variable in that list, in its old place if it has one.
    pub(crate) fn set(&mut self, list: &mut Vec<String>, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        match self.0.get(name) {
            Some(&place) => list[place] = entry,
            None => {
                self.0.insert(name.to_owned(), list.len());
                list.push(entry);
            }
        }
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

        let mut list = ["key1=val1", "key2", "key1=other"].map(str::to_owned).to_vec();
        let mut listed = Listed::of(&list);
        for (name, value) in [("key2", "x"), ("key1", "y"), ("key3", "z"), ("key3", "w")] {
            listed.set(&mut list, name, value);
        }
        assert_eq!(list, ["key1=y", "key2=x", "key1=other", "key3=w"]);
    }

    #[test]
    fn steps_get_what_is_set_whatever_was_set_before() {
        let (mut env, mut expected) = (Env::default(), Vec::<(String, String)>::new());
        // Every name comes back at other distances, and steps ask in between or do not.
        for number in 0..400_usize {
            let (name, value) = (format!("n{}", number * number % 170), number.to_string());
            env.set(&name, &value);
            expected.retain(|(known, _)| *known != name);
            expected.push((name, value));
            if number % 7 == 0 {
                let gone = format!("n{}", number % 20);
                env.remove(&gone);
                expected.retain(|(known, _)| *known != gone);
            }
            if number % 3 == 0 {
                assert_eq!(env.all(), expected.iter().cloned().collect(), "{number}");
            }
        }
    }
}
