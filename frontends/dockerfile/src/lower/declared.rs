//! The arguments that a stage declares.

use std::collections::HashMap;
use std::sync::Arc;

use graph::Environment;

/// Arguments in the order in which they were first declared, and the value that each has now.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeclaredArguments {
    all: Environment,
    places: HashMap<String, usize>,
    /// How many of them [`Self::take_new`] has given out.
    given_out: usize,
}

impl DeclaredArguments {
    /// Declares an argument.
    pub(crate) fn declare(&mut self, name: &str, value: &str) {
        if !self.contains(name) {
            self.places.insert(name.to_owned(), self.all.len());
            self.all.push(name.to_owned(), value.to_owned());
        }
        self.set(name, value);
    }

    /// Sets the value of an argument, if it is declared.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        if let Some(&place) = self.places.get(name) {
            self.all.replace(place, Arc::new((name.to_owned(), value.to_owned())));
        }
    }

    /// Whether an argument is declared.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Names and values, as they are now.
    pub(crate) fn all(&self) -> Environment {
        self.all.clone()
    }

    /// The names that were not given out before.
    pub(crate) fn take_new(&mut self) -> impl Iterator<Item = &str> {
        let from = std::mem::replace(&mut self.given_out, self.all.len());
        self.all.iter_from(from).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once_and_given_out_once() {
        let mut declared = DeclaredArguments::default();
        declared.declare("a", "1");
        declared.declare("b", "");
        let before = declared.all();
        assert_eq!(declared.take_new().collect::<Vec<_>>(), ["a", "b"]);
        declared.declare("a", "2");
        declared.declare("c", "");
        declared.set("b", "3");
        declared.set("d", "4");
        assert_eq!(declared.all().iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3"), ("c", "")]);
        assert_eq!(before.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "")]);
        assert_eq!(declared.take_new().collect::<Vec<_>>(), ["c"]);
        assert!(declared.contains("b") && !declared.contains("d"));
    }
}
