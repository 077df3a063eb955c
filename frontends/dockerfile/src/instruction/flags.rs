//! The flags that an instruction knows.

use graph::Diagnostic;

use crate::suggest::with_guess;
use crate::syntax::{Spanned, Statement, Word};

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// `--flag`, `--flag=true`, `--flag=false`.
    Bool,
    /// `--flag=value`, once.
    Value,
    /// `--flag=value`, as often as wanted.
    Values,
}

/// The flags of a statement, checked against those that its instruction knows.
#[derive(Debug)]
pub(super) struct Flags {
    given: Vec<Given>,
}

#[derive(Debug)]
struct Given {
    name: &'static str,
    on: bool,
    value: Word,
}

impl Flags {
    /// Checks the flags of a statement.
    pub fn read(statement: &Statement, known: &[(&'static str, Takes)]) -> Result<Self, Diagnostic> {
        let mut given: Vec<Given> = Vec::new();
        for flag in &statement.flags {
            let next = read_flag(flag, known)?;
            if given.iter().any(|earlier| earlier.name == next.0.name && next.1 != Takes::Values) {
                let message = format!("duplicate flag specified: --{}", next.0.name);
                return Err(Diagnostic::error(message, flag.span));
            }
            given.push(next.0);
        }
        Ok(Self { given })
    }

    /// Takes the value of a flag.
    pub fn value(&mut self, name: &str) -> Option<Word> {
        let at = self.given.iter().position(|flag| flag.name == name)?;
        Some(self.given.remove(at).value)
    }

    /// Takes the values of a flag.
    pub fn values(&mut self, name: &str) -> Vec<Word> {
        let taken = self.given.extract_if(.., |flag| flag.name == name);
        taken.map(|flag| flag.value).collect()
    }

    /// Whether a switch is on, if it was given.
    pub fn switch(&mut self, name: &str) -> Option<bool> {
        let at = self.given.iter().position(|flag| flag.name == name)?;
        Some(self.given.remove(at).on)
    }
}

fn read_flag(flag: &Word, known: &[(&'static str, Takes)]) -> Result<(Given, Takes), Diagnostic> {
    let error = |message: String| Diagnostic::error(message, flag.span);
    let (name, value) = match flag.value.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag.value.as_str(), None),
    };
    let written = format!("--{}", name.trim_start_matches('-'));
    let Some((found, takes)) = known.iter().find(|(known, _)| name.strip_prefix("--") == Some(*known)) else {
        let names: Vec<String> = known.iter().map(|(name, _)| format!("--{name}")).collect();
        let names = names.iter().map(String::as_str);
        return Err(error(with_guess(format!("unknown flag: {name}"), &written, names)));
    };
    let missing = || error(format!("missing a value on flag: {name}"));
    let on = match (takes, value) {
        (Takes::Bool, None) => true,
        (Takes::Bool, Some("")) | (Takes::Value | Takes::Values, None) => return Err(missing()),
        (Takes::Bool, Some(value)) => switch(value)
            .ok_or_else(|| error(format!("expecting boolean value for flag {name}, not: {value}")))?,
        (Takes::Value | Takes::Values, Some(_)) => true,
    };
    let value = Spanned::new(value.unwrap_or_default().to_owned(), flag.span);
    Ok((Given { name: found, on, value }, *takes))
}

fn switch(value: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find_map(|(word, on)| word.eq_ignore_ascii_case(value).then_some(on))
}
