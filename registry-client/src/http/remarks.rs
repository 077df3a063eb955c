//! What registries remark beside their answers (`Warning`, distribution-spec, "Warnings"): shown to the
//! user, each remark once, and no reason to do anything else.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{HeaderMap, WARNING};

use super::answer::clean;

/// The most remarks that are shown: they come from foreign hosts.
const MOST: usize = 32;
/// What the specification gives a remark before its words: code and agent.
const BEFORE: &str = "299 - ";

/// Hears remarks. Clones share what was heard.
#[derive(Clone, Default)]
pub struct Remarks {
    tell: Option<Arc<dyn Fn(String) + Send + Sync>>,
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl Remarks {
    /// Tells each remark, with the name of its host, to a function, which must not block.
    pub fn to(tell: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self { tell: Some(Arc::new(tell)), told: Arc::default() }
    }

    /// Takes the remarks of an answer.
    pub(crate) fn take(&self, host: &str, headers: &HeaderMap) {
        let Some(tell) = &self.tell else { return };
        for value in headers.get_all(WARNING) {
            for words in value.to_str().map(words).unwrap_or_default() {
                let remark = format!("{host}: {words}");
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.len() < MOST && told.insert(remark.clone()) {
                    tell(remark);
                }
            }
        }
    }
}

impl fmt::Debug for Remarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remarks").finish_non_exhaustive()
    }
}

/// The quoted words of a header's remarks, in one line each. What follows one that makes no sense is dropped.
fn words(header: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = header.trim_start();
    while let Some((text, after)) = rest.strip_prefix(BEFORE).and_then(quoted) {
        if !text.trim().is_empty() {
            all.push(clean(&text));
        }
        let Some(next) = after.trim_start().strip_prefix(',') else { break };
        rest = next.trim_start();
    }
    all
}

/// A text in quotation marks, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut found = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((found, &inner[at + 1..])),
            '\\' => found.push(characters.next()?.1),
            _ => found.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_headers() {
        for (header, expected) in [
            (r#"299 - "This tag is going away""#, vec!["This tag is going away"]),
            (r#"299 - "one", 299 - "a \"b\", c""#, vec!["one", "a \"b\", c"]),
            (r#"199 - "other code""#, vec![]),
            (r#"299 agent "other agent""#, vec![]),
            (r#"299 - "open"#, vec![]),
            (r#"299 - "ends in a backslash\"#, vec![]),
            (r#"299 - "  ""#, vec![]),
            (r#"299 - "good" nonsense, 299 - "lost""#, vec!["good"]),
            ("299 - \"tab\tand\u{1b}[31m\"", vec!["tab and [31m"]),
            ("", vec![]),
        ] {
            assert_eq!(words(header), expected, "{header}");
        }
    }

    #[test]
    fn each_remark_is_told_once_and_not_without_end() {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = heard.clone();
        let remarks = Remarks::to(move |text| noted.lock().expect("unpoisoned").push(text));
        let mut headers = HeaderMap::new();
        let mut add = |text: &str| {
            headers.append(WARNING, format!("299 - \"{text}\"").parse().expect("a header"));
            headers.clone()
        };
        add("one");
        let two = add("two");
        remarks.take("a", &two);
        remarks.clone().take("a", &two);
        remarks.take("b", &two);
        assert_eq!(*heard.lock().expect("unpoisoned"), ["a: one", "a: two", "b: one", "b: two"]);
        for number in 0..100 {
            remarks.take("a", &add(&number.to_string()));
        }
        assert_eq!(heard.lock().expect("unpoisoned").len(), MOST);
    }
}
