//! Rules and messages.

use crate::instruction::parse;

/// Rule, message and marked text of each remark.
fn found(text: &str) -> Vec<(&'static str, String, String)> {
    let file = parse(text.as_bytes()).unwrap();
    let remarks = super::of_each(&file.instructions).into_iter().chain(super::of_all(&file.instructions));
    let remarks = remarks.map(|remark| remark.diagnostic);
    let row = |d: graph::Diagnostic| {
        let span = d.span.unwrap();
        (d.rule.unwrap(), d.message, text[span.start..span.end].to_owned())
    };
    remarks.map(row).collect()
}

fn row(rule: &'static str, message: &str, text: &str) -> (&'static str, String, String) {
    (rule, message.to_owned(), text.to_owned())
}

#[test]
fn rules() {
    assert_eq!(found("FROM a AS b\nRUN c\n# x\nRUN d"), []);
    assert_eq!(
        found("FROM a AS BuildStage"),
        [row("StageNameCasing", "Stage name 'BuildStage' should be lowercase", "FROM a AS BuildStage")]
    );
    assert_eq!(
        found("FROM a as b"),
        [row("FromAsCasing", "'as' and 'FROM' keywords' casing do not match", "FROM a as b")]
    );
    assert_eq!(
        found("arg x\nFROM a\nRUN b\ncopy c d"),
        [row(
            "ConsistentInstructionCasing",
            "Command 'copy' should match the case of the command majority (uppercase)",
            "copy c d"
        )]
    );
    assert_eq!(
        found("From a As b\nrun c"),
        [row(
            "ConsistentInstructionCasing",
            "Command 'From' should match the case of the command majority (lowercase)",
            "From a As b"
        )]
    );
    assert_eq!(
        found("FROM a\nMAINTAINER me"),
        [row(
            "MaintainerDeprecated",
            "Maintainer instruction is deprecated in favor of using label",
            "MAINTAINER me"
        )]
    );
}

#[test]
fn descriptions() {
    let rule = "InvalidDefinitionDescription";
    assert_eq!(found("# b the b\nFROM a AS b\n# old\n\n#\nARG c\n# d x\nARG c d"), []);
    assert_eq!(
        found("# the b\nFROM a AS b\n# x\nARG c\n# y\nARG c d"),
        [
            row(rule, "Comment for FROM should follow the format: `# b <description>`", "FROM a AS b"),
            row(rule, "Comment for ARG should follow the format: `# c <description>`", "ARG c"),
            row(rule, "Comment for ARG should follow the format: `# <arg_key> <description>`", "ARG c d"),
        ]
    );
}

/// Rules of our own that find something.
fn own(text: &str) -> Vec<(&'static str, usize)> {
    let file = parse(text.as_bytes()).unwrap();
    let own = super::own_remarks(&file.instructions).into_iter();
    own.map(|remark| {
        assert!(remark.experimental, "rules of our own have to be asked for");
        let rule = remark.diagnostic.rule.and_then(super::rules::rule);
        assert_eq!(rule.map(|rule| rule.origin), Some(super::rules::Origin::Own));
        let line = 1 + text[..remark.diagnostic.span.unwrap().start].matches('\n').count();
        (remark.diagnostic.rule.unwrap(), line)
    })
    .collect()
}

#[test]
fn rules_of_our_own() {
    let pinned = format!("FROM a@sha256:{}\n", "0".repeat(64));
    type Case<'a> = (&'a str, String, &'a [(&'a str, usize)]);
    let cases: &[Case<'_>] = &[
        ("pinned", pinned.clone(), &[]),
        ("a tag", "FROM a:1\n".to_owned(), &[("UnpinnedBaseImage", 1)]),
        ("a stage, scratch, a variable", "FROM scratch AS b\nFROM b\nFROM $x\n".to_owned(), &[("UnusedStage", 2)]),
        ("lists kept", format!("{pinned}RUN apt-get update && apt-get install -y x\n"), &[("AptListsKept", 2)]),
        ("lists kept, with options", format!("{pinned}RUN apt-get -q -y update\n"), &[("AptListsKept", 2)]),
        (
            "lists removed",
            format!("{pinned}RUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*\n"),
            &[],
        ),
        ("lists on a mount", format!("{pinned}RUN --mount=type=cache,target=/var/lib/apt apt-get update\n"), &[]),
        ("lists in a heredoc", format!("{pinned}RUN <<E\napt-get update\nE\n"), &[("AptListsKept", 2)]),
        ("copied first", format!("{pinned}COPY . /app\nRUN npm ci\n"), &[("CopyBeforeInstall", 2)]),
        ("copied after", format!("{pinned}COPY package.json /app/\nRUN npm ci\nCOPY . /app\n"), &[]),
        ("copied from a stage", format!("{pinned}COPY --from=x . /app\nRUN npm ci\n"), &[]),
        ("an argument nobody uses", format!("ARG a\n{pinned}ARG b=1\nRUN echo $c\n"), &[("UnusedArg", 1), ("UnusedArg", 3)]),
        ("arguments that are used", format!("ARG a\nARG b=$a\n{pinned}ARG b c\nRUN <<E\n$b ${{c}}\nE\n"), &[]),
        ("part of a name", format!("{pinned}ARG foo\nRUN echo $foobar\n"), &[("UnusedArg", 2)]),
        (
            "stages",
            "FROM scratch AS a\nFROM scratch AS b\nFROM scratch AS c\nFROM scratch\nCOPY --from=a x y\nRUN --mount=from=1,target=/x z\n"
                .to_owned(),
            &[("UnusedStage", 3)],
        ),
    ];
    for (name, text, expected) in cases {
        assert_eq!(own(text), *expected, "{name}");
    }
}

#[test]
fn copies_that_rebuild_directories() {
    let one = "COPY a/x.json a/\n";
    for (text, found) in [
        (format!("{one}COPY b/x.json b/\nCOPY c/d/x.json c/d/\n"), true),
        (format!("{one}COPY b/x.json ./b/x.json\nCOPY c/d c/d\n"), true),
        ("COPY a/x a/y /w/a/\nCOPY b/x /w/b/\nCOPY c/* /w/c/\n".to_owned(), true),
        ("COPY --from=s a/x /a/\nCOPY --from=s b/x /b/\nCOPY --from=s c/x /c/\n".to_owned(), true),
        (format!("{one}COPY b/x.json b/\n"), false),
        (format!("{one}COPY b/x.json b/\nCOPY c/x.json d/\n"), false),
        (format!("{one}COPY b/x.json b/\nCOPY c/x.json /c/\n"), false),
        (format!("{one}COPY b/x.json b/\nCOPY --chown=1 c/x.json c/\n"), false),
        (format!("{one}COPY b/x.json b/\nRUN x\nCOPY c/x.json c/\n"), false),
        ("COPY --parents a/x a/\nCOPY --parents b/x b/\nCOPY --parents c/x c/\n".to_owned(), false),
        ("COPY a /w/\nCOPY b /w/\nCOPY c /w/\n".to_owned(), false),
    ] {
        let rules: Vec<&str> =
            own(&format!("FROM scratch\n{text}")).into_iter().map(|(rule, _)| rule).collect();
        assert_eq!(rules.contains(&"CopyShape"), found, "{text}");
    }
}

#[test]
fn scripts_that_go_on_after_a_failure() {
    let two = "a\nb\nE\n";
    for (head, script, found) in [
        ("RUN <<E\n", two, true),
        ("RUN <<-'E'\n", two, true),
        ("RUN <<E\n", "# x\n\na \\\n  b && \\\n c ||\n d\nE\n", false),
        ("RUN <<E\n", "set -e\na\nb\nE\n", false),
        ("RUN <<E\n", "set -eux; a\nb\nE\n", false),
        ("RUN <<E\n", "set -o errexit\na\nb\nE\n", false),
        ("RUN <<E\n", "set -x\na\nb\nE\n", true),
        ("RUN <<E bash\n", two, true),
        ("RUN bash -euo pipefail <<E\n", two, false),
        ("RUN /bin/sh -s <<E\n", two, true),
        ("RUN bash x.sh <<E\n", two, false),
        ("RUN cat > f <<E\n", two, false),
        ("RUN python3 <<E\n", two, false),
        ("RUN <<E\n", "#!/bin/sh\na\nb\nE\n", true),
        ("RUN <<E\n", "#!/bin/sh -e\na\nb\nE\n", false),
        ("RUN <<E\n", "#!/usr/bin/env bash\na\nb\nE\n", true),
        ("RUN <<E\n", "#!/usr/bin/env python3\na\nb\nE\n", false),
        ("SHELL [\"/bin/sh\", \"-ec\"]\nRUN <<E\n", two, false),
        ("SHELL [\"/bin/bash\", \"-o\", \"errexit\", \"-c\"]\nRUN <<E\n", two, false),
        ("SHELL [\"/bin/sh\", \"-c\"]\nRUN <<E\n", two, true),
        ("SHELL [\"/bin/sh\", \"-ec\"]\nFROM scratch\nRUN <<E\n", two, true),
    ] {
        let text = format!("FROM scratch\n{head}{script}");
        let rules: Vec<&str> = own(&text).into_iter().map(|(rule, _)| rule).collect();
        assert_eq!(rules.contains(&"HeredocGoesOn"), found, "{text}");
    }
}
