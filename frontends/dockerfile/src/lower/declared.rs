//! The arguments that a stage declares.

use std::collections::HashMap;

/// Arguments in the order in which they were first declared; of one that is declared again, the later value.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeclaredArguments {
    all: Vec<(String, Option<String>)>,
    places: HashMap<String, usize>,
    /// How many of them [`Self::take_new`] has given out.
    given_out: usize,
}

impl DeclaredArguments {
    /// Declares an argument.
    pub(crate) fn declare(&mut self, name: &str, value: Option<String>) {
        match self.places.get(name) {
            Some(&place) => self.all[place].1 = value,
            None => {
                self.places.insert(name.to_owned(), self.all.len());
                self.all.push((name.to_owned(), value));
            }
        }
    }

    /// Whether an argument is declared.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Names and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.all.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// The names that were not given out before.
    pub(crate) fn take_new(&mut self) -> impl Iterator<Item = &String> {
        let from = std::mem::replace(&mut self.given_out, self.all.len());
        self.all[from..].iter().map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once_and_given_out_once() {
        let mut declared = DeclaredArguments::default();
        declared.declare("a", Some("1".to_owned()));
        declared.declare("b", None);
        assert_eq!(declared.take_new().collect::<Vec<_>>(), ["a", "b"]);
        declared.declare("a", Some("2".to_owned()));
        declared.declare("c", None);
        assert_eq!(declared.iter().collect::<Vec<_>>(), [("a", Some("2")), ("b", None), ("c", None)]);
        assert_eq!(declared.take_new().collect::<Vec<_>>(), ["c"]);
        assert!(declared.contains("b") && !declared.contains("d"));
    }
}
