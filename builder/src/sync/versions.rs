//! Conditions on versions, as skopeo's lists have them: `>= 3.12, < 4 || ~2.1`. Pure.

use semver::{Version, VersionReq};

/// A condition. Tags that are no versions do not fulfil it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Versions(Vec<VersionReq>);

impl Versions {
    /// Reads alternatives joined by `||`, each of conditions joined by commas or blanks. A bare version
    /// is that version; what it leaves out may be anything.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        text.split("||").map(alternative).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn lets_through(&self, tag: &str) -> bool {
        version(tag).is_some_and(|version| self.0.iter().any(|one| one.matches(&version)))
    }
}

fn alternative(text: &str) -> Result<VersionReq, String> {
    if text.contains(" - ") {
        return Err(format!("{text:?}: ranges with a dash are not supported, write >= and <="));
    }
    let mut conditions: Vec<String> = Vec::new();
    let mut operator = String::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        let digits = word.find(|letter: char| !"=<>!~^".contains(letter)).unwrap_or(word.len());
        operator.push_str(&word[..digits]);
        let rest = word[digits..].trim_start_matches('v');
        if rest.is_empty() {
            continue;
        }
        if operator.contains('!') {
            return Err(format!("{text:?}: != is not supported"));
        }
        let any = matches!(rest, "*" | "x" | "X");
        let sign = if operator.is_empty() && !any { "=" } else { &operator };
        conditions.push(format!("{sign}{rest}"));
        operator.clear();
    }
    if conditions.is_empty() || !operator.is_empty() {
        return Err(format!("{text:?} is no condition on versions"));
    }
    VersionReq::parse(&conditions.join(", ")).map_err(|error| format!("{text:?}: {error}"))
}

/// A tag as a version: a leading `v` is left out, and absent numbers are 0.
fn version(tag: &str) -> Option<Version> {
    let tag = tag.strip_prefix('v').unwrap_or(tag);
    let end = tag.find(['-', '+']).unwrap_or(tag.len());
    let (numbers, rest) = tag.split_at(end);
    let absent = 3_usize.checked_sub(numbers.split('.').count())?;
    Version::parse(&format!("{numbers}{}{rest}", ".0".repeat(absent))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_let_through() {
        for (condition, yes, no) in [
            (">= 3.12.0", &["3.12", "v3.12.1", "4"][..], &["3.11.9", "latest", "3.12.0-rc1"][..]),
            (">=1.2, <2", &["1.2", "1.9.9"], &["2", "1.1"]),
            (">= 1.2 < 2", &["1.2"], &["2"]),
            ("1.2.3", &["1.2.3", "v1.2.3"], &["1.2.4"]),
            ("1.2", &["1.2", "1.2.9"], &["1.3"]),
            ("~1.2", &["1.2.9"], &["1.3"]),
            ("^1.2", &["1.9"], &["2.0"]),
            ("1.x", &["1.7"], &["2"]),
            ("*", &["1", "7.3"], &["main"]),
            ("<1 || >=3", &["0.9", "3"], &["2"]),
        ] {
            let versions = Versions::parse(condition).unwrap();
            for (tags, expected) in [(yes, true), (no, false)] {
                for tag in tags {
                    assert_eq!(versions.lets_through(tag), expected, "{condition}: {tag}");
                }
            }
        }
        for bad in ["", ">=", "1 - 2", "!= 1", "nonsense", ">= 1 ||"] {
            assert!(Versions::parse(bad).is_err(), "{bad}");
        }
    }
}
