//! What is remarked beside an error: as much as BuildKit says before it stops.

use bytes::Bytes;
use dockerfile::{Options, lower};
use graph::{ContextName, Known, Need, Severity, Step};

/// Rule and line of each remark of a file that cannot be lowered.
fn remarks(text: &str) -> Vec<(&'static str, usize)> {
    let options =
        Options { build_platform: "linux/amd64".parse().expect("a platform"), ..Options::default() };
    let mut known = Known::default();
    let errors = loop {
        let needs = match lower(&options, &known) {
            Ok(Step::Need(needs)) => needs,
            Ok(Step::Done(_)) => panic!("{text:?} is right"),
            Err(errors) => break errors,
        };
        for need in needs.into_keys() {
            let Need::File(context, path) = need else { panic!("{text:?} needs {need:?}") };
            let is_it = context == ContextName::BuildFile && path == "Dockerfile";
            known.files.insert((context, path), is_it.then(|| Bytes::from(text.to_owned())));
        }
    };
    assert!(errors.iter().any(|error| error.severity == Severity::Error), "{text:?}");
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let found = errors.iter().filter_map(|remark| Some((remark.rule?, line(remark.span?.start))));
    found.collect()
}

#[test]
fn an_error_ends_the_remarks_where_buildkit_stops() {
    const DEPRECATED: &str = "MaintainerDeprecated";
    const STAGE: &str = "StageNameCasing";
    const AS: &str = "FromAsCasing";
    const DESCRIPTION: &str = "InvalidDefinitionDescription";
    const EMPTY: &str = "NoEmptyContinuation";
    type Case<'a> = (&'a str, &'a [(&'a str, usize)]);
    let cases: &[Case<'_>] = &[
        // What stands before the error, and nothing behind it.
        (
            "FROM scratch AS Foo\nMAINTAINER a\nRUNN x\nMAINTAINER b\nFROM scratch as b\n",
            &[(STAGE, 1), (DEPRECATED, 2)],
        ),
        // The refused instruction itself.
        ("FROM scratch\nMAINTAINER --x a\nMAINTAINER b\n", &[(DEPRECATED, 2)]),
        ("FROM --x=y scratch as Foo\n", &[(STAGE, 1), (AS, 1)]),
        ("FROM scratch like Foo\n", &[(STAGE, 1), (AS, 1)]),
        ("FROM scratch as Foo bar\n", &[(AS, 1)]),
        ("from scratch 1 2\n", &[]),
        ("From scratch as 2\n", &[]),
        ("MAINTAINER a\nFROM scratch\n", &[(DEPRECATED, 1)]),
        // Comments above it say which of them are wanted.
        (
            "# check=skip=StageNameCasing\n\nFROM scratch\n# check=skip=FromAsCasing\nFROM --x=y scratch as foo\n",
            &[],
        ),
        // A description is looked at once its instruction is read.
        (
            "# check=experimental=all\n# x\nARG a\n# y\nFROM scratch AS b\n# z\nFROM --x=y scratch AS c\n",
            &[(DESCRIPTION, 3), (DESCRIPTION, 5)],
        ),
        ("# check=experimental=all;skip=all\n# x\nARG a\n", &[(DESCRIPTION, 3)]),
        // No rule about the file as a whole.
        ("FROM scratch AS context\nFROM scratch AS a\nFROM scratch AS a\nworkdir /x\nRUNN\n", &[]),
        ("# check=experimental=all\nFROM a\nRUN apt-get update\nRUNN\n", &[]),
        // The text itself is read before anything is said.
        ("FROM scratch AS Foo\nMAINTAINER a\nENV x\n", &[]),
        ("FROM scratch AS Foo\nCOPY \\\n\n a b\nCOPY <<E /f\n", &[]),
        ("FROM scratch AS Foo\nENV a=b \\\n\n c=d\nRUNN\n", &[(EMPTY, 4), (STAGE, 1)]),
        ("FROM scratch AS Foo\nONBUILD ONBUILD ENV a=b\n", &[(STAGE, 1)]),
        // These errors come when the whole file is read.
        (
            "FROM scratch AS Foo\nCOPY --from=$a x y\ncopy a b\n",
            &[(STAGE, 1), ("ConsistentInstructionCasing", 3)],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(&remarks(text), expected, "{text:?}");
    }
}
