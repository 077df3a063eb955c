//! Regular expressions that choose among names.

use std::str::FromStr;

/// A regular expression of an option.
#[derive(Clone, Debug)]
pub struct Pattern(regex::Regex);

impl Pattern {
    /// Whether one of the first is found in a name, or there are none, and none of the second.
    pub fn lets_through(include: &[Self], exclude: &[Self], name: &str) -> bool {
        let found = |patterns: &[Self]| patterns.iter().any(|pattern| pattern.0.is_match(name));
        (include.is_empty() || found(include)) && !found(exclude)
    }
}

impl FromStr for Pattern {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        regex::Regex::new(text).map(Self)
    }
}
