//! Patterns of `${name#pattern}` and its kin: `*` any characters, `?` any one, `\` before either
//! or itself for the character. Brackets mean nothing special. Neither wildcard matches a line
//! feed.

use super::Fault;

/// A parsed pattern.
pub(super) struct Pattern {
    items: Vec<Item>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    Literal(char),
    One,
    Many,
}

impl Item {
    fn matches(self, c: char) -> bool {
        match self {
            Self::Literal(wanted) => wanted == c,
            Self::One | Self::Many => c != '\n',
        }
    }
}

/// Where to trim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Start,
    Finish,
}

impl Pattern {
    /// Reads a pattern. The escape before `/` and `}` only kept those from ending it, and goes.
    pub fn parse(text: &str, escape: char) -> Result<Self, Fault> {
        let mut items = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if (c == escape || c == '\\') && matches!(chars.peek(), Some('/' | '}')) {
                continue;
            }
            items.push(match c {
                '*' => Item::Many,
                '?' => Item::One,
                '\\' => match chars.next() {
                    Some(literal @ ('*' | '?' | '\\')) => Item::Literal(literal),
                    other => {
                        let escaped = other.map(String::from).unwrap_or_default();
                        return Err(Fault::Pattern { pattern: text.to_owned(), escaped });
                    }
                },
                other => Item::Literal(other),
            });
        }
        Ok(Self { items })
    }

    /// The value without what the pattern matches at one end.
    pub fn trim(mut self, value: &str, end: End, longest: bool) -> String {
        let mut chars: Vec<char> = value.chars().collect();
        if end == End::Finish {
            chars.reverse();
            self.items.reverse();
        }
        let lengths = self.match_lengths(&chars);
        let length = if longest { lengths.last() } else { lengths.first() };
        chars.drain(..length.copied().unwrap_or(0));
        if end == End::Finish {
            chars.reverse();
        }
        chars.into_iter().collect()
    }

    /// The value with the first or all of the longest matches replaced.
    pub fn replace(&self, value: &str, replacement: &str, all: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut at = 0;
        let mut replaced = 0;
        let mut after_match = false;
        while at <= chars.len() {
            let possible = all || replaced == 0;
            let length = if possible { self.match_lengths(&chars[at..]).last().copied() } else { None };
            // An empty match right after another match is part of it.
            match length.filter(|length| *length > 0 || !after_match) {
                Some(length) => {
                    result.push_str(replacement);
                    replaced += 1;
                    at += length;
                    after_match = length > 0;
                    if length > 0 {
                        continue;
                    }
                }
                None => after_match = false,
            }
            result.extend(chars.get(at));
            at += 1;
        }
        result
    }

    /// The lengths of every match at the start, in order.
    fn match_lengths(&self, chars: &[char]) -> Vec<usize> {
        let mut ends = vec![0];
        for item in &self.items {
            ends = match item {
                Item::Literal(_) | Item::One => {
                    let matches = |end: &usize| chars.get(*end).is_some_and(|c| item.matches(*c));
                    ends.into_iter().filter(matches).map(|end| end + 1).collect()
                }
                Item::Many => spread(&ends, chars),
            };
        }
        ends
    }
}

/// The positions that `*` can reach from some positions, all in order.
fn spread(from: &[usize], chars: &[char]) -> Vec<usize> {
    let mut reached = Vec::new();
    for start in from {
        if reached.last() >= Some(start) {
            continue;
        }
        let length = chars[*start..].iter().take_while(|c| Item::Many.matches(**c)).count();
        reached.extend(*start..=start + length);
    }
    reached
}
