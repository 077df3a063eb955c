//! Remarks while lowering, and what `# check=` says about them.

use std::collections::BTreeSet;

use graph::{Diagnostic, Span};

use crate::instruction::Instruction;
use crate::lint::rules::{Origin, Status, rule};
use crate::mount::go_bool;

use super::options::Deny;

/// `# check=skip=Rule,…;error=true;experimental=…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CheckOptions {
    skip: Rules,
    experimental: Rules,
    error: bool,
    deny: Rules,
}

/// Some rules, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rules {
    all: bool,
    names: BTreeSet<String>,
}

impl Rules {
    fn parse(text: &str) -> Self {
        match text.trim() {
            "all" => Self { all: true, names: BTreeSet::new() },
            list => Self { all: false, names: list.split(',').map(|rule| rule.trim().to_owned()).collect() },
        }
    }

    fn contain(&self, rule: &str) -> bool {
        self.all || self.names.contains(rule)
    }

    fn add(&mut self, more: &Self) {
        self.all |= more.all;
        self.names.extend(more.names.iter().cloned());
    }
}

impl CheckOptions {
    /// Reads the value of the directive. The error is a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        for part in text.trim().splitn(3, ';').filter(|_| !text.trim().is_empty()) {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("invalid check option {part:?}"))?;
            match key.trim() {
                "skip" => options.skip = Rules::parse(value),
                "experimental" => options.experimental = Rules::parse(value),
                "error" => {
                    options.error = go_bool(value.trim())
                        .ok_or_else(|| format!("invalid check option {part:?}: not a truth value"))?;
                }
                other => return Err(format!("invalid check option {other:?}")),
            }
        }
        Ok(options)
    }

    /// Adds what the caller denies.
    pub(crate) fn denying(mut self, deny: &Deny) -> Self {
        let (all, names) = match deny {
            Deny::All(names) => (true, names),
            Deny::Rules(names) => (false, names),
        };
        self.deny = Rules { all, names: names.clone() };
        self.experimental.names.extend(names.iter().cloned());
        self
    }
}

/// Collects remarks.
#[derive(Debug, Default)]
pub(crate) struct Lint {
    options: CheckOptions,
    /// With what the comments above the current instruction add.
    here: CheckOptions,
    found: Vec<Diagnostic>,
    muted: bool,
}

impl Lint {
    pub(crate) fn new(options: CheckOptions) -> Self {
        Self { here: options.clone(), options, found: Vec::new(), muted: false }
    }

    /// Says nothing more: a further platform would only repeat it.
    pub(crate) fn mute(&mut self) {
        self.muted = true;
    }

    /// Takes what the comments above an instruction say, until the next call.
    pub(crate) fn at(&mut self, comments: &[String]) {
        self.here = self.options.clone();
        let mut values = comments.iter().filter_map(|line| {
            let (key, value) = line.trim_start_matches('#').split_once('=')?;
            key.trim().eq_ignore_ascii_case("check").then(|| value.trim())
        });
        let first = values.next().and_then(|value| value.split(' ').next());
        if let Some(Ok(more)) = first.map(CheckOptions::parse) {
            self.here.skip.add(&more.skip);
            self.here.experimental.add(&more.experimental);
        }
    }

    /// A remark of a rule.
    pub(crate) fn warn(
        &mut self,
        rule: &'static str,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) {
        self.take(Diagnostic::warning(rule, message, span));
    }

    /// A remark made elsewhere.
    pub(crate) fn take(&mut self, remark: Diagnostic) {
        let skipped = |rule| self.here.skip.contain(rule) && !is_never_skipped(rule);
        if !self.muted && !remark.rule.is_some_and(skipped) {
            self.found.push(remark);
        }
    }

    /// Whether any rule that is off by default may be switched on, for the file or an instruction of it.
    pub(crate) fn may_want_experiments(&self, instructions: &[Instruction]) -> bool {
        let rules = &self.options.experimental;
        let above =
            |instruction: &Instruction| instruction.comments.iter().any(|line| line.contains("experimental"));
        rules.all || !rules.names.is_empty() || instructions.iter().any(above)
    }

    /// Whether a rule that is off by default was switched on.
    pub(crate) fn experimental(&self, rule: &str) -> bool {
        self.here.experimental.contain(rule)
    }

    /// All remarks so far.
    pub(crate) fn into_found(self) -> Vec<Diagnostic> {
        self.found
    }

    /// Whether `error=true` is about a rule. `experimental=all` alone does not make a file fail here that BuildKit
    /// builds: a rule of ours has to be named.
    fn ends_builds(&self, name: &str) -> bool {
        rule(name).is_none_or(|rule| match rule.origin {
            Origin::Documented | Origin::BuildKit => true,
            Origin::Own => self.options.experimental.names.contains(name),
        })
    }

    /// All remarks; an error when `error=true` or `--deny` makes some of them fatal.
    pub(crate) fn finish(self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let CheckOptions { error, deny, .. } = &self.options;
        let rules = self.found.iter().filter_map(|remark| remark.rule);
        let fatal = |rule: &&str| *error && self.ends_builds(rule) || deny.contain(rule);
        let fatal: BTreeSet<&str> = rules.filter(fatal).collect();
        if fatal.is_empty() {
            return Ok(self.found);
        }
        let help = match error {
            true => "the check option error=true makes warnings fatal",
            false => {
                "--deny or --strict makes them fatal; `# check=skip=RULE` above an instruction allows it there"
            }
        };
        let names = fatal.into_iter().collect::<Vec<_>>().join(", ");
        let error =
            Diagnostic::error(format!("lint violation found for rules: {names}"), None).with_help(help);
        Err(self.found.into_iter().chain([error]).collect())
    }
}

/// Whoever switches an experimental rule of BuildKit's on cannot skip it: it does not ask there.
fn is_never_skipped(name: &str) -> bool {
    rule(name).is_some_and(|rule| match (rule.status, rule.origin) {
        (Status::Experimental, Origin::BuildKit | Origin::Documented) => true,
        (Status::Experimental, Origin::Own) | (Status::On, _) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let options = CheckOptions::parse("skip=A, B;error=true").expect("valid");
        assert!(options.skip.contain("B") && options.error && !options.skip.contain("C"));
        assert!(CheckOptions::parse("skip=all").expect("valid").skip.contain("C"));
        assert_eq!(CheckOptions::parse(" "), Ok(CheckOptions::default()));
        for bad in ["skip", "x=1", "error=maybe"] {
            assert!(CheckOptions::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn denied_rules_are_fatal_and_skipped_ones_are_not() {
        let denied = |deny: &Deny, check: &str| {
            let mut lint = Lint::new(CheckOptions::parse(check).expect("valid").denying(deny));
            let (Deny::All(named) | Deny::Rules(named)) = deny;
            assert_eq!(lint.experimental("B"), named.contains("B"));
            lint.warn("A", None, "one");
            lint.warn("B", None, "other");
            lint.finish().is_err()
        };
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let rules = |names: &[&str]| Deny::Rules(set(names));
        let all = |names: &[&str]| Deny::All(set(names));
        assert!(!denied(&rules(&[]), ""));
        assert!(denied(&rules(&["B"]), ""));
        assert!(!denied(&rules(&["B"]), "skip=B"));
        assert!(!denied(&rules(&["C"]), ""));
        assert!(denied(&all(&[]), "skip=B"));
        assert!(denied(&all(&["B"]), "skip=A"));
        assert!(!denied(&all(&[]), "skip=all"));
    }

    #[test]
    fn rules_of_our_own_are_fatal_where_they_are_named() {
        let fatal = |check: &str| {
            let mut lint = Lint::new(CheckOptions::parse(check).expect("valid"));
            lint.warn("UnusedArg", None, "one");
            lint.finish().is_err()
        };
        assert!(!fatal("experimental=all;error=true"));
        assert!(fatal("experimental=UnusedArg;error=true"));
    }

    #[test]
    fn collecting() {
        let mut lint = Lint::new(CheckOptions::parse("skip=A;error=1").expect("valid"));
        lint.warn("A", None, "skipped");
        lint.at(&[" check=skip=B".to_owned()]);
        lint.warn("B", None, "skipped here");
        lint.at(&[]);
        assert!(lint.found.is_empty());
        lint.warn("B", None, "kept");
        let found = lint.finish().expect_err("warnings are fatal");
        assert_eq!(found.last().map(|last| last.message.as_str()), Some("lint violation found for rules: B"));
    }
}
