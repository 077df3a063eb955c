//! `--deny`: which rules are fatal.

use std::collections::BTreeSet;
use std::str::FromStr;

use dockerfile::Deny;

/// `--deny RULE` or `--deny all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenyArg {
    All,
    Rule(&'static str),
}

impl FromStr for DenyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        if let Some(rule) = dockerfile::rule(text) {
            return Ok(Self::Rule(rule.name));
        }
        let names = dockerfile::RULES.iter().map(|rule| rule.name);
        let meant = dockerfile::nearest(text, names);
        let meant = meant.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default();
        Err(format!("there is no rule {text:?}{meant}; docs/checks.md lists them"))
    }
}

/// What `--strict` says.
pub const STRICT: [DenyArg; 2] = [DenyArg::All, DenyArg::Rule("HeredocGoesOn")];

/// What several of them say together.
pub fn together<'a>(given: impl IntoIterator<Item = &'a DenyArg>) -> Deny {
    let mut names = BTreeSet::new();
    let mut all = false;
    for one in given {
        match one {
            DenyArg::All => all = true,
            DenyArg::Rule(name) => drop(names.insert((*name).to_owned())),
        }
    }
    if all { Deny::All(names) } else { Deny::Rules(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_known_by_name() {
        assert_eq!("all".parse(), Ok(DenyArg::All));
        assert_eq!("UnusedArg".parse(), Ok(DenyArg::Rule("UnusedArg")));
        let near = "UnusedArgs".parse::<DenyArg>().unwrap_err();
        assert!(near.contains("did you mean UnusedArg?"), "{near}");
        let unused = BTreeSet::from(["UnusedArg".to_owned()]);
        assert_eq!(together(&[DenyArg::Rule("UnusedArg")]), Deny::Rules(unused.clone()));
        assert_eq!(together(&[DenyArg::Rule("UnusedArg"), DenyArg::All]), Deny::All(unused));
        assert!(STRICT.contains(&DenyArg::Rule(dockerfile::rule("HeredocGoesOn").expect("a rule").name)));
    }
}
