//! The environment of a process.

use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};

/// Variables in a block.
const BLOCK: usize = 64;

/// Variables in order; later ones win.
///
/// They lie in blocks, which the environments of a file share: a file with many steps has most variables in all of
/// them, and one more variable costs a step no more than one block. All blocks but the last are full, so that equal
/// lists have equal blocks.
#[derive(Clone, Debug, Default)]
pub struct Environment(Vec<Arc<Block>>);

#[derive(Clone, Debug, Default)]
struct Block {
    variables: Vec<Arc<(String, String)>>,
    digest: OnceLock<[u8; 32]>,
}

impl Environment {
    /// Adds a variable at the end.
    pub fn push(&mut self, name: String, value: String) {
        self.append(Arc::new((name, value)));
    }

    /// Adds a variable that others have, too.
    pub fn append(&mut self, variable: Arc<(String, String)>) {
        match self.0.last_mut() {
            Some(last) if last.variables.len() < BLOCK => changed(last).push(variable),
            Some(_) | None => {
                let block = Block { variables: vec![variable], digest: OnceLock::new() };
                self.0.push(Arc::new(block));
            }
        }
    }

    /// Puts another variable in place of one.
    ///
    /// # Panics
    /// When there is none at that place.
    pub fn replace(&mut self, place: usize, variable: Arc<(String, String)>) {
        changed(&mut self.0[place / BLOCK])[place % BLOCK] = variable;
    }

    /// Forgets all but the first variables.
    pub fn truncate(&mut self, length: usize) {
        self.0.truncate(length.div_ceil(BLOCK));
        let before = self.0.len().saturating_sub(1) * BLOCK;
        match self.0.last_mut() {
            Some(last) if before + last.variables.len() > length => changed(last).truncate(length - before),
            Some(_) | None => {}
        }
    }

    /// How many variables there are.
    pub fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * BLOCK + last.variables.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter_from(0)
    }

    /// The same without so many at the beginning.
    pub fn iter_from(&self, place: usize) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.0.iter().skip(place / BLOCK).flat_map(|block| &block.variables);
        variables.skip(place % BLOCK).map(|variable| (variable.0.as_str(), variable.1.as_str()))
    }

    /// Stands for the whole list: two lists have one digest if they are equal, however they came about.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(self.len() as u64).to_le_bytes());
        for block in &self.0 {
            hasher.update(block.digest());
        }
        *hasher.finalize().as_bytes()
    }
}

/// The variables of a block that no longer is what it was.
fn changed(block: &mut Arc<Block>) -> &mut Vec<Arc<(String, String)>> {
    let block = Arc::make_mut(block);
    block.digest = OnceLock::new();
    &mut block.variables
}

impl Block {
    fn digest(&self) -> &[u8; 32] {
        self.digest.get_or_init(|| {
            let mut hasher = blake3::Hasher::new();
            for variable in &self.variables {
                for text in [&variable.0, &variable.1] {
                    hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
                }
            }
            *hasher.finalize().as_bytes()
        })
    }
}

impl PartialEq for Environment {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Environment {}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        let mut all = Self::default();
        variables.into_iter().for_each(|(name, value)| all.push(name, value));
        all
    }
}

/// A list of pairs.
impl Serialize for Environment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(numbers: impl IntoIterator<Item = usize>) -> Environment {
        numbers.into_iter().map(|number| (format!("n{number}"), "x".to_owned())).collect()
    }

    #[test]
    fn equal_lists_have_one_digest_however_they_came_about() {
        for (length, kept) in [(1, 0), (64, 63), (65, 64), (65, 65), (200, 128), (200, 127), (200, 1)] {
            let mut all = list(0..length);
            let (whole, shared) = (all.digest(), all.clone());
            all.truncate(kept);
            assert_eq!((all.len(), all.is_empty()), (kept, kept == 0));
            assert_eq!((&all, all.digest()), (&list(0..kept), list(0..kept).digest()), "{length} {kept}");
            (kept..length).for_each(|number| all.push(format!("n{number}"), "x".to_owned()));
            assert_eq!((&all, all.digest()), (&shared, whole), "{length} {kept}");
            all.replace(kept.min(length - 1), Arc::new(("other".to_owned(), String::new())));
            assert_ne!(all.digest(), whole);
            assert_eq!(shared.digest(), whole);
            assert_eq!(shared.iter_from(kept).count(), length - kept);
        }
    }

    #[test]
    fn what_differs_has_another_digest() {
        let pair = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into_iter().collect();
        let lists: [Environment; 7] = [
            Environment::default(),
            pair("a", "b"),
            pair("ab", ""),
            pair("", "ab"),
            list([1, 2]),
            list([2, 1]),
            list([1, 2, 1]),
        ];
        let digests: std::collections::BTreeSet<_> = lists.iter().map(Environment::digest).collect();
        assert_eq!(digests.len(), lists.len());
    }
}
