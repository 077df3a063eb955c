//! `$name` and the forms of `${name…}`.

use super::lexer::Lexer;
use super::pattern::{End, Pattern};
use super::{Escapes, Fault};

impl Lexer<'_> {
    /// Reads a `$` and what belongs to it.
    pub(super) fn dollar(&mut self) -> Result<String, Fault> {
        self.next();
        if self.take_if('{') {
            return self.braced();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        match self.value(&name) {
            None if self.keeps_unset() => Ok(format!("${name}")),
            value => Ok(value.unwrap_or_default()),
        }
    }

    /// A name: digits, or one special character, or letters, digits and underscores.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let Some(first) = self.peek() else {
            return name;
        };
        if matches!(first, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
            self.next();
            return first.to_string();
        }
        let positional = first.is_numeric();
        while let Some(c) = self.peek() {
            let belongs = if positional { c.is_numeric() } else { c.is_alphanumeric() || c == '_' };
            if !belongs {
                break;
            }
            name.push(c);
            self.next();
        }
        name
    }

    fn braced(&mut self) -> Result<String, Fault> {
        match self.peek() {
            None => return Err(Fault::MissingBrace),
            Some('{' | '}' | ':') => return Err(Fault::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        match self.next() {
            None => Err(Fault::MissingBrace),
            Some('}') => match self.value(&name) {
                None if self.keeps_unset() => Ok(format!("${{{name}}}")),
                value => Ok(value.unwrap_or_default()),
            },
            Some('/') => self.replace(&name),
            Some(':') => {
                let operator = self.next().ok_or(Fault::MissingBrace)?;
                self.conditional(&name, operator, EmptyIs::Unset)
            }
            Some(end @ ('#' | '%')) => self.trim(&name, end),
            Some(operator) => self.conditional(&name, operator, EmptyIs::Set),
        }
    }

    fn conditional(&mut self, name: &str, operator: char, empty: EmptyIs) -> Result<String, Fault> {
        let written = match empty {
            EmptyIs::Unset => format!(":{operator}"),
            EmptyIs::Set => operator.to_string(),
        };
        if !matches!(operator, '-' | '+' | '?') {
            return Err(Fault::Modifier(written));
        }
        let word = self.nested('}', Escapes::Remove, Fault::MissingBrace)?;
        let value = self.value(name);
        if value.is_none() && self.keeps_unset() {
            return Ok(format!("${{{name}{written}{word}}}"));
        }
        let unset = value.is_none();
        let value = value.filter(|value| empty == EmptyIs::Set || !value.is_empty());
        match (operator, value) {
            ('-', value) => Ok(value.unwrap_or(word)),
            ('+', value) => Ok(value.map(|_| word).unwrap_or_default()),
            (_, Some(value)) => Ok(value),
            (_, None) => {
                let usual = if unset { "is not allowed to be unset" } else { "is not allowed to be empty" };
                let message = if word.is_empty() { usual.to_owned() } else { word };
                Err(Fault::Required { name: name.to_owned(), message })
            }
        }
    }

    /// `#` and `##` cut the start off, `%` and `%%` the end; doubled, as much as matches.
    fn trim(&mut self, name: &str, end: char) -> Result<String, Fault> {
        let word = self.nested('}', Escapes::Keep, Fault::MissingBrace)?;
        let value = self.value(name);
        if value.is_none() && self.keeps_unset() {
            return Ok(format!("${{{name}{end}{word}}}"));
        }
        let value = value.unwrap_or_default();
        let (pattern, longest) = word.strip_prefix(end).map_or((word.as_str(), false), |rest| (rest, true));
        let pattern = Pattern::parse(pattern, self.escape())?;
        let end = if end == '#' { End::Start } else { End::Finish };
        Ok(pattern.trim(&value, end, longest))
    }

    /// `/pattern/replacement`: the first match, or with `//` every one.
    fn replace(&mut self, name: &str) -> Result<String, Fault> {
        let all = self.take_if('/');
        let pattern = self.nested('/', Escapes::Keep, Fault::MissingSlash)?;
        let replacement = self.nested('}', Escapes::Keep, Fault::MissingBrace)?;
        let value = self.value(name);
        if value.is_none() && self.keeps_unset() {
            let slash = if all { "//" } else { "/" };
            return Ok(format!("${{{name}{slash}{pattern}/{replacement}}}"));
        }
        let pattern = Pattern::parse(&pattern, self.escape())?;
        Ok(pattern.replace(&value.unwrap_or_default(), &replacement, all))
    }
}

/// Whether a variable that is set to nothing counts as set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EmptyIs {
    Set,
    Unset,
}
