//! The catalogue of rules.

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as in `# check=skip=NAME`.
    pub name: &'static str,
    /// What it asks for, in one line. For a rule of BuildKit's it is what BuildKit prints, since programs
    /// read it.
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
    on("StageNameCasing", "Stage names should be lowercase"),
    on("FromAsCasing", "The 'as' keyword should match the case of the 'from' keyword"),
    on("NoEmptyContinuation", "Empty continuation lines will become errors in a future release"),
    on(
        "ConsistentInstructionCasing",
        "All commands within the Dockerfile should use the same casing (either upper or lower)",
    ),
    on("DuplicateStageName", "Stage names should be unique"),
    on("ReservedStageName", "Reserved words should not be used as stage names"),
    on(
        "JSONArgsRecommended",
        "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    ),
    on(
        "MaintainerDeprecated",
        "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    ),
    on("UndefinedArgInFrom", "FROM command must use declared ARGs"),
    on(
        "WorkdirRelativePath",
        "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    ),
    on("UndefinedVar", "Variables should be defined before their use"),
    on(
        "MultipleInstructionsDisallowed",
        "Multiple instructions of the same type should not be used in the same stage",
    ),
    on("LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used"),
    Rule {
        name: "InvalidBaseImagePlatform",
        description: "Base image platform does not match expected target platform",
        status: Status::On,
        origin: Origin::BuildKit,
    },
    on(
        "RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    ),
    on("SecretsUsedInArgOrEnv", "Sensitive data should not be used in the ARG or ENV commands"),
    on(
        "InvalidDefaultArgInFrom",
        "Default value for global ARG results in an empty or invalid base image name",
    ),
    on("FromPlatformFlagConstDisallowed", "FROM --platform flag should not use a constant value"),
    on("CopyIgnoredFile", "Attempting to Copy file that is excluded by .dockerignore"),
    Rule {
        name: "InvalidDefinitionDescription",
        description: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
        status: Status::Experimental,
        origin: Origin::Documented,
    },
    on("ExposeProtoCasing", "Protocol in EXPOSE instruction should be lowercase"),
    on(
        "ExposeInvalidFormat",
        "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    ),
    own("UnpinnedBaseImage", "base images are pinned by digest"),
    own(
        "AptListsKept",
        "lists of packages are removed in the step that fetched them, or lie on a cache mount",
    ),
    own("CopyBeforeInstall", "dependencies are installed before all of the context is copied"),
    own("UnusedArg", "each declared argument is used"),
    own("HeredocGoesOn", "scripts in heredocs end with the first command that fails"),
    own("CopyShape", "directories of several sources are kept by one COPY --parents"),
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
