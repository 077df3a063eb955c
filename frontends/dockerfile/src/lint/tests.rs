//! Rules and messages.

use crate::instruction::parse;

/// Rule, message and marked text of each remark.
fn found(text: &str) -> Vec<(&'static str, String, String)> {
    let file = parse(text.as_bytes()).unwrap();
    let remarks = super::remarks(&file.instructions).into_iter().map(|remark| remark.diagnostic);
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
