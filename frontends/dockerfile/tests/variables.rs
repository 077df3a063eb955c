//! The variables of each stage, with their values and where these come from.

use bytes::Bytes;
use dockerfile::survey::{StageVariables, VariableOrigin};
use dockerfile::{Coverage, Options, lower_with_survey};
use graph::{ContextName, ImageFacts, Known, Need, Step};

/// The base image `os` sets `PATH` and `LANG`; all others set nothing.
fn image(name: &str) -> ImageFacts {
    let digest = format!("sha256:{}", "0".repeat(64));
    let descriptor: oci::Descriptor = serde_json::from_value(serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1,
    }))
    .expect("a descriptor");
    let env: &[&str] = if name.contains("/os:") { &["PATH=/bin", "LANG=C"] } else { &[] };
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Env": env},
        "rootfs": {"type": "layers", "diff_ids": []},
    });
    let config = serde_json::from_value(config).expect("an image configuration");
    ImageFacts { manifest: descriptor.clone(), resolved: descriptor, config }
}

fn variables(text: &str, given: &[(&str, &str)]) -> Vec<StageVariables> {
    let mut options = Options {
        build_platform: "linux/amd64".parse().expect("a platform"),
        coverage: Coverage::Check,
        ..Options::default()
    };
    for (name, value) in given {
        options.build_args.insert((*name).to_owned(), Some((*value).to_owned()));
    }
    let mut known = Known::default();
    for _ in 0..10 {
        let (step, survey) = lower_with_survey(&options, &known).expect(text);
        let needs = match step {
            Step::Done(_) => return survey.variables,
            Step::Need(needs) => needs,
        };
        for (need, _) in needs {
            match need {
                Need::Image(reference, platform) => {
                    let facts = image(&reference.to_string());
                    known.images.insert((reference, platform), facts);
                }
                Need::File(context, path) => {
                    let is_file = (&context, path.as_str()) == (&ContextName::BuildFile, "Dockerfile");
                    let content = is_file.then(|| Bytes::from(text.to_owned()));
                    known.files.insert((context, path), content);
                }
                Need::GitRef(..) | Need::Time(_) => panic!("{text}: no case needs {need:?}"),
            }
        }
    }
    panic!("endless questions: {text}");
}

/// `stage: NAME=value (origin, line)`, without the `PATH` that every stage has.
fn lines(text: &str, given: &[(&str, &str)]) -> Vec<String> {
    let mut lines = Vec::new();
    for StageVariables { stage, variables } in variables(text, given) {
        let stage = stage.unwrap_or_else(|| "-".to_owned());
        for one in variables.iter().filter(|one| one.name != "PATH") {
            let value = one.value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
            let from = word(one.origin);
            let line = one.span.map(|span| text[..span.start].matches('\n').count() + 1);
            let line = line.map(|line| format!(" {line}")).unwrap_or_default();
            lines.push(format!("{stage}: {}{value} ({from}{line})", one.name));
        }
    }
    lines
}

fn word(origin: VariableOrigin) -> &'static str {
    match origin {
        VariableOrigin::BuildArg => "given",
        VariableOrigin::Default => "default",
        VariableOrigin::Global => "global",
        VariableOrigin::Predefined => "builder",
        VariableOrigin::Env => "env",
        VariableOrigin::BaseImage => "image",
        VariableOrigin::Nowhere => "nowhere",
    }
}

#[test]
fn each_variable_has_a_value_and_an_origin_in_each_stage() {
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case; 30] = [
        ("FROM scratch\nENV A=1\n", &[], &["stage-0: A=1 (env 2)"]),
        ("FROM scratch\nENV A=1 B=$A\n", &[], &["stage-0: A=1 (env 2)", "stage-0: B= (env 2)"]),
        ("FROM scratch\nENV A=1\nENV B=$A\n", &[], &["stage-0: A=1 (env 2)", "stage-0: B=1 (env 3)"]),
        ("FROM scratch\nENV A=1\nENV A=2\n", &[], &["stage-0: A=2 (env 3)"]),
        ("FROM scratch\nARG A\n", &[], &["stage-0: A (nowhere 2)"]),
        ("FROM scratch\nARG A\n", &[("A", "1")], &["stage-0: A=1 (given 2)"]),
        ("FROM scratch\nARG A\n", &[("A", "")], &["stage-0: A= (given 2)"]),
        ("FROM scratch\nARG A=1\n", &[], &["stage-0: A=1 (default 2)"]),
        ("FROM scratch\nARG A=1\n", &[("A", "2")], &["stage-0: A=2 (given 2)"]),
        ("FROM scratch\nARG A=1 B=$A\n", &[], &["stage-0: A=1 (default 2)", "stage-0: B=1 (default 2)"]),
        // An argument before the first FROM is for the FROM lines, until a stage takes it over.
        ("ARG A=1\nFROM scratch\n", &[], &["-: A=1 (default 1)"]),
        ("ARG A=1\nFROM scratch\nARG A\n", &[], &["-: A=1 (default 1)", "stage-0: A=1 (global 3)"]),
        ("ARG A=1\nFROM scratch\nARG A=2\n", &[], &["-: A=1 (default 1)", "stage-0: A=2 (default 3)"]),
        ("ARG A\nFROM scratch\nARG A\n", &[], &["-: A (nowhere 1)", "stage-0: A (nowhere 3)"]),
        ("ARG A\nFROM scratch\nARG A\n", &[("A", "1")], &["-: A=1 (given 1)", "stage-0: A=1 (given 3)"]),
        (
            "ARG A=1\nFROM scratch AS a\nARG A\nFROM scratch\n",
            &[],
            &["-: A=1 (default 1)", "a: A=1 (global 3)"],
        ),
        // Platforms are known before the first FROM, and in the stages that ask for them.
        ("FROM scratch\nARG TARGETARCH\n", &[], &["stage-0: TARGETARCH=amd64 (builder 2)"]),
        ("ARG TARGETARCH\nFROM scratch\n", &[], &["-: TARGETARCH=amd64 (builder 1)"]),
        // ENV and ARG of one name: what stands later counts, and an ARG without a value changes nothing.
        ("FROM scratch\nARG A=1\nENV A=2\n", &[], &["stage-0: A=2 (env 3)"]),
        ("FROM scratch\nENV A=2\nARG A=1\n", &[], &["stage-0: A=1 (default 3)"]),
        ("FROM scratch\nENV A=2\nARG A\n", &[], &["stage-0: A=2 (env 2)"]),
        ("FROM scratch\nARG A=1\nARG A\n", &[], &["stage-0: A=1 (default 2)"]),
        ("FROM scratch\nARG A=1\nARG A=2\n", &[], &["stage-0: A=2 (default 3)"]),
        ("FROM scratch\nARG A\nENV A=$A\n", &[("A", "1")], &["stage-0: A=1 (env 3)"]),
        (
            "FROM scratch\nENV A='x y'\nARG B=\"$A\"\n",
            &[],
            &["stage-0: A=x y (env 2)", "stage-0: B=x y (default 3)"],
        ),
        (
            "ARG A=1\nARG B=$A-x\nFROM scratch\nARG B\n",
            &[],
            &["-: A=1 (default 1)", "-: B=1-x (default 2)", "stage-0: B=1-x (global 4)"],
        ),
        ("FROM scratch\nARG TARGETARCH=x\n", &[], &["stage-0: TARGETARCH=x (default 2)"]),
        ("FROM scratch\nARG TARGETARCH\n", &[("TARGETARCH", "x")], &["stage-0: TARGETARCH=x (given 2)"]),
        // What a stage has, those that are built upon it have.
        (
            "FROM scratch AS a\nARG A=1\nENV E=1\nFROM a AS b\nENV E=2\nFROM a\n",
            &[],
            &[
                "a: A=1 (default 2)",
                "a: E=1 (env 3)",
                "b: A=1 (default 2)",
                "b: E=2 (env 5)",
                "stage-2: A=1 (default 2)",
                "stage-2: E=1 (env 3)",
            ],
        ),
        ("FROM os AS a\nFROM a\nENV LANG=D\n", &[], &["a: LANG=C (image)", "stage-1: LANG=D (env 3)"]),
    ];
    for (text, given, expected) in cases {
        assert_eq!(lines(text, given), expected, "{text}");
    }
}

#[test]
fn the_path_is_the_builders_unless_the_base_image_has_one() {
    for (base, value, origin) in [
        (
            "scratch",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            VariableOrigin::Predefined,
        ),
        (
            "busybox",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            VariableOrigin::Predefined,
        ),
        ("os", "/bin", VariableOrigin::BaseImage),
    ] {
        let stages = variables(&format!("FROM {base}\n"), &[]);
        let path = &stages[0].variables[0];
        let found = (path.name.as_str(), path.value.as_deref(), path.origin, path.span);
        assert_eq!(found, ("PATH", Some(value), origin, None), "{base}");
    }
}
