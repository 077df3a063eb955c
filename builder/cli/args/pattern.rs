//! Regular expressions that choose among names.

use std::str::FromStr;

use clap::Args;

/// A regular expression of an option.
#[derive(Clone, Debug)]
struct Pattern(regex::Regex);

/// Options of commands that list names.
#[derive(Clone, Debug, Args)]
pub struct ChoiceArgs {
    /// List only what this regular expression finds; may be repeated, and one is enough
    #[arg(long, value_name = "REGEX")]
    include: Vec<Pattern>,
    /// Leave out what this regular expression finds; may be repeated
    #[arg(long, value_name = "REGEX")]
    exclude: Vec<Pattern>,
}

impl ChoiceArgs {
    /// Whether a name is listed.
    pub fn takes(&self, name: &str) -> bool {
        let found = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.0.is_match(name));
        (self.include.is_empty() || found(&self.include)) && !found(&self.exclude)
    }
}

impl FromStr for Pattern {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        regex::Regex::new(text).map(Self)
    }
}
