//! The catalogue of rules.

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as in `# check=skip=NAME`.
    pub name: &'static str,
    /// What it asks for, in one line.
    pub description: &'static str,
    /// When it applies.
    pub status: Status,
    /// Who made it.
    pub origin: Origin,
}

/// When a rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Unless it is skipped.
    On,
    /// When it is asked for: `# check=experimental=NAME`.
    Experimental,
}

/// Who made a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// BuildKit, which has a page about it.
    Documented,
    /// BuildKit.
    BuildKit,
    /// This program.
    Own,
}

impl Rule {
    /// The page about it, if there is one.
    pub fn url(&self) -> Option<String> {
        match self.origin {
            Origin::Documented => {
                Some(format!("https://docs.docker.com/go/dockerfile/rule/{}/", kebab(self.name)))
            }
            Origin::BuildKit | Origin::Own => None,
        }
    }
}

/// All rules, by name.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}

/// `JSONArgsRecommended` is `json-args-recommended`.
fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (position, letter) in letters.iter().enumerate() {
        let begins = position > 0
            && letter.is_uppercase()
            && (letters[position - 1].is_lowercase()
                || letters.get(position + 1).is_some_and(|next| next.is_lowercase()));
        if begins {
            out.push('-');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

const fn on(name: &'static str, description: &'static str) -> Rule {
    Rule { name, description, status: Status::On, origin: Origin::Documented }
}

const fn own(name: &'static str, description: &'static str) -> Rule {
    Rule { name, description, status: Status::Experimental, origin: Origin::Own }
}

/// All rules: BuildKit's in its order, then our own.
pub const RULES: &[Rule] = &[
    on("StageNameCasing", "names of stages are written in lower case"),
    on("FromAsCasing", "FROM and AS are written in the same case"),
    on("NoEmptyContinuation", "a continued line is not followed by an empty one"),
    on("ConsistentInstructionCasing", "all instructions are written in the same case"),
    on("DuplicateStageName", "each stage has a name of its own"),
    on("ReservedStageName", "no stage is called context or scratch"),
    on("JSONArgsRecommended", "CMD and ENTRYPOINT are JSON arrays, so that signals reach the program"),
    on("MaintainerDeprecated", "a label says who maintains the image"),
    on("UndefinedArgInFrom", "variables in FROM are declared before the first FROM"),
    on("WorkdirRelativePath", "the first WORKDIR is absolute"),
    on("UndefinedVar", "variables are declared before they are used"),
    on("MultipleInstructionsDisallowed", "an instruction of which only the last counts is given once"),
    on("LegacyKeyValueFormat", "names and values are joined by an equals sign"),
    Rule {
        name: "InvalidBaseImagePlatform",
        description: "the base image is made for the platform that is built for",
        status: Status::On,
        origin: Origin::BuildKit,
    },
    on("RedundantTargetPlatform", "FROM does not repeat the default platform"),
    on("SecretsUsedInArgOrEnv", "secrets are given by secret mounts"),
    on("InvalidDefaultArgInFrom", "FROM names a valid image when no argument is given"),
    on("FromPlatformFlagConstDisallowed", "FROM takes its platform from an argument"),
    on("CopyIgnoredFile", "what is copied is not left out by the ignore file"),
    Rule {
        name: "InvalidDefinitionDescription",
        description: "a comment above FROM or ARG begins with the name that it describes",
        status: Status::Experimental,
        origin: Origin::Documented,
    },
    on("ExposeProtoCasing", "protocols in EXPOSE are written in lower case"),
    on("ExposeInvalidFormat", "EXPOSE names ports of the container alone"),
    own("UnpinnedBaseImage", "base images are pinned by digest"),
    own(
        "AptListsKept",
        "lists of packages are removed in the step that fetched them, or lie on a cache mount",
    ),
    own("CopyBeforeInstall", "dependencies are installed before all of the context is copied"),
    own("UnusedArg", "each declared argument is used"),
    own("UnusedStage", "each stage is used by another, or is the last"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        for (name, page) in [
            ("StageNameCasing", "stage-name-casing"),
            ("JSONArgsRecommended", "json-args-recommended"),
            ("FromPlatformFlagConstDisallowed", "from-platform-flag-const-disallowed"),
            ("UndefinedArgInFrom", "undefined-arg-in-from"),
        ] {
            let url = format!("https://docs.docker.com/go/dockerfile/rule/{page}/");
            assert_eq!(rule(name).and_then(Rule::url), Some(url), "{name}");
        }
        assert_eq!(rule("UnusedArg").and_then(Rule::url), None);
    }

    #[test]
    fn every_rule_has_one_name() {
        let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
        assert_eq!(RULES.iter().filter(|rule| rule.origin != Origin::Own).count(), 22);
    }
}
