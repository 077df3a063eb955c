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

    /// The value with the first or all of the longest matches replaced. Where all are, `$0` and `${0}` in
    /// the replacement stand for the match, `$$` for a dollar sign, and other names for nothing.
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
                    if all {
                        push_template(replacement, &chars[at..at + length], &mut result);
                    } else {
                        result.push_str(replacement);
                    }
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

/// Adds a replacement with what its names stand for. A dollar sign without a name is itself.
fn push_template(template: &str, matched: &[char], result: &mut String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let (braced, text) = rest.strip_prefix('{').map_or((false, rest), |text| (true, text));
        let name = &text[..text.find(|c| !is_name(c)).unwrap_or(text.len())];
        let after = &text[name.len()..];
        let after = if braced { after.strip_prefix('}') } else { Some(after) };
        match after.filter(|_| !name.is_empty()) {
            Some(after) => {
                if name.parse() == Ok(0_usize) && (name == "0" || !name.starts_with('0')) {
                    result.extend(matched);
                }
                rest = after;
            }
            None => result.push('$'),
        }
    }
    result.push_str(rest);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_replacement_of_all_matches() {
        for (replacement, expected) in [
            ("z", "zyz"),
            ("$0$0", "xxyxx"),
            ("[${0}]", "[x]y[x]"),
            ("$$0", "$0y$0"),
            ("\\$0", "\\xy\\x"),
            ("a$1b", "aya"),
            ("$00", "y"),
            ("${0", "${0y${0"),
            ("$-$", "$-$y$-$"),
            ("é$0é", "éyé"),
        ] {
            let pattern = Pattern::parse("x", '\\').unwrap();
            assert_eq!(pattern.replace("xyx", replacement, true), expected, "{replacement}");
        }
        let pattern = Pattern::parse("x", '\\').unwrap();
        assert_eq!(pattern.replace("xyx", "$0$0", false), "$0$0yx");
    }
}
