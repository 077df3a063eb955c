//! The environment of a process.

use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Variables in order; later ones win. Each is shared by the environments that have it, since a file with
/// many steps has most variables in all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(Vec<Arc<(String, String)>>);

impl Environment {
    /// Adds a variable at the end.
    pub fn push(&mut self, name: String, value: String) {
        self.0.push(Arc::new((name, value)));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|variable| (variable.0.as_str(), variable.1.as_str()))
    }
}

impl FromIterator<Arc<(String, String)>> for Environment {
    fn from_iter<T: IntoIterator<Item = Arc<(String, String)>>>(variables: T) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        variables.into_iter().map(Arc::new).collect()
    }
}

/// A list of pairs.
impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
