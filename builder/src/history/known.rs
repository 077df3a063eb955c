//! What the journal knows of cache keys: which step of which build file has them.

use std::collections::HashMap;

use layer_store::{Result, Store};

use super::load;

/// A step that a cache key belongs to, as the last build that had it saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownStep {
    /// What was built: context, file, target.
    pub subject: Vec<String>,
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
                subject: build.asked.subject.clone(),
                title: step.title,
                line: step.instruction.map(|(_, line)| line),
            });
        }
    }
    Ok(known)
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
            let step = KnownStep { subject: Vec::new(), title: title.to_owned(), line: None };
            assert_eq!(step.stage(), stage, "{title}");
        }
    }
}
