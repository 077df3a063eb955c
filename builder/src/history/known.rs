//! What the journal knows of cache keys: which step of which build file has them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use layer_store::{Result, Store};

use super::{Kind, load};

/// A step that a cache key belongs to, as the last build that had it saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownStep {
    /// The build file: as it was named, else the one in the context.
    pub file: PathBuf,
    /// The kind of its op.
    pub kind: Kind,
    /// The step's title, which begins with its stage in brackets.
    pub title: String,
    /// Number of the first line of its instruction.
    pub line: Option<usize>,
}

impl KnownStep {
    /// The stage, from a title such as `[base 1/2] RUN true`.
    pub fn stage(&self) -> Option<&str> {
        let inside = self.title.strip_prefix('[')?.split_once(']')?.0;
        let (stage, number) = inside.rsplit_once(' ')?;
        number.contains('/').then_some(stage)
    }
}

/// Steps by their definition keys in hexadecimal, from all builds of the journal.
pub fn known_steps(store: &Store) -> Result<HashMap<String, KnownStep>> {
    let mut known = HashMap::new();
    for id in store.builds()? {
        let Some(build) = load(store, &id)? else { continue };
        for step in build.steps {
            let Some(parts) = step.parts else { continue };
            known.entry(parts.key).or_insert_with(|| KnownStep {
                file: file_of(&build.asked.subject),
                kind: parts.kind,
                title: step.title,
                line: step.instruction.map(|(_, line)| line),
            });
        }
    }
    Ok(known)
}

/// The build file of what was asked for.
fn file_of(subject: &[String]) -> PathBuf {
    let named = subject.iter().find_map(|word| word.strip_prefix("-f "));
    let context = subject.first().map(String::as_str).unwrap_or_default();
    named.map_or_else(|| Path::new(context).join("Dockerfile"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_from_titles() {
        for (title, stage) in [
            ("[base 1/2] COPY a b", Some("base")),
            ("[linux/arm64 base 12/20] RUN [ -e /x ]", Some("linux/arm64 base")),
            ("[internal] load build context", None),
            ("export", None),
        ] {
            let step =
                KnownStep { file: PathBuf::new(), kind: Kind::Other, title: title.to_owned(), line: None };
            assert_eq!(step.stage(), stage, "{title}");
        }
    }

    #[test]
    fn the_build_file_is_the_named_one_or_that_of_the_context() {
        let check = |words: &[&str], file: &str| {
            let subject: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(file_of(&subject), Path::new(file), "{words:?}");
        };
        check(&["/c"], "/c/Dockerfile");
        check(&["/c", "--target x"], "/c/Dockerfile");
        check(&["/c", "-f other"], "other");
    }
}
