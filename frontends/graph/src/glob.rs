//! Go's `filepath.Match`: the patterns of `COPY` and `ADD`.

use thiserror::Error;

/// A pattern that breaks the grammar.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("syntax error in pattern {0:?}")]
pub struct BadGlob(pub String);

/// A pattern that was read: `*` and `?` match anything but `/`, `[a-z]` and `[^a]` one character,
/// a backslash takes the next character as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Literal(char),
    /// One character but `/`.
    Any,
    /// Any number of characters but `/`.
    Star,
    Class(Class),
}

/// A set of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) negated: bool,
    pub(crate) ranges: Vec<(char, char)>,
}

impl Class {
    pub(crate) fn contains(&self, c: char) -> bool {
        self.ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != self.negated
    }
}

impl Glob {
    /// Reads a pattern; a malformed one is refused whatever it is held against.
    pub fn new(pattern: &str) -> Result<Self, BadGlob> {
        let mut chars = pattern.chars().peekable();
        let mut tokens = Vec::new();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::Any,
                '[' => Token::Class(class(&mut chars).ok_or_else(|| BadGlob(pattern.to_owned()))?),
                '\\' => Token::Literal(chars.next().ok_or_else(|| BadGlob(pattern.to_owned()))?),
                literal => Token::Literal(literal),
            });
        }
        Ok(Self(tokens))
    }

    /// Whether a class has a range that runs backwards, which nothing is in.
    pub(crate) fn has_backward_range(&self) -> bool {
        let backward = |class: &Class| class.ranges.iter().any(|(low, high)| low > high);
        self.0.iter().any(|token| matches!(token, Token::Class(class) if backward(class)))
    }

    /// When a class may match a `/`, as a star or a question mark never does: how many `/` a name that the
    /// pattern matches has at most.
    pub fn slashes_with_classes(&self) -> Option<usize> {
        let crossing = |token: &&Token| matches!(token, Token::Class(class) if class.contains('/'));
        let classes = self.0.iter().filter(crossing).count();
        let plain = self.0.iter().filter(|token| **token == Token::Literal('/')).count();
        (classes > 0).then_some(classes + plain)
    }

    /// Whether the whole name matches. A byte that is no UTF-8 counts as one U+FFFD.
    pub fn matches(&self, name: &[u8]) -> bool {
        let name: Vec<char> = decode(name).collect();
        let (mut token, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match self.0.get(token) {
                None if at == name.len() => return true,
                Some(Token::Star) => {
                    retry = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(one) if name.get(at).is_some_and(|&c| one.accepts(c)) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                None | Some(_) => {}
            }
            // Let the last star take one character more.
            match retry {
                Some((star, from)) if name.get(from).is_some_and(|&c| c != '/') => {
                    retry = Some((star, from + 1));
                    token = star + 1;
                    at = from + 1;
                }
                Some(_) | None => return false,
            }
        }
    }
}

impl Token {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == c,
            Self::Any => c != '/',
            Self::Class(class) => class.contains(c),
            Self::Star => false,
        }
    }
}

/// Reads a class after its `[`. `None` when it is malformed.
pub(crate) fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Class> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Some(Class { negated, ranges });
        }
        let low = member(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() { member(chars)? } else { low };
        ranges.push((low, high));
    }
}

fn member(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

/// The characters of a name; bytes that are no UTF-8 become U+FFFD one by one.
pub(crate) fn decode(name: &[u8]) -> impl Iterator<Item = char> + '_ {
    name.utf8_chunks().flat_map(|chunk| {
        chunk.valid().chars().chain(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER))
    })
}

/// Whether `name` matches `pattern` as a whole, as Go's `filepath.Match` on Unix says.
pub fn glob(pattern: &str, name: &[u8]) -> Result<bool, BadGlob> {
    Ok(Glob::new(pattern)?.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        let cases = [
            ("*", "", true),
            ("*", ".env", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXb/c", false),
            ("*/x", "d/x", true),
            ("*/x", "x", false),
            ("a[[]0].txt", "a[0].txt", true),
            ("a[^b]c", "a/c", true),
            ("?", "é", true),
            ("\\*", "*", true),
            ("[a-c][^a-c]", "bz", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(glob(pattern, name.as_bytes()), Ok(expected), "{pattern} {name}");
        }
        assert_eq!(glob("a?", b"a\xff"), Ok(true));
        for bad in ["[", "[]a]", "[a-]", "a\\", "[^", "[-x]", "[a-b-c]", "x[a"] {
            assert!(glob(bad, b"zzz").is_err(), "{bad}");
        }
    }
}
