//! Questions about a build: `--check` and `--call`.

use serde_json::Value;

use crate::support::workspace::Workspace;

const DOCKERFILE: &str = "# check=experimental=UnusedArg
ARG VERSION=1
# unused by anyone
ARG NOBODY=2

# tools everything that is needed for building
FROM scratch AS tools
ARG VERSION
# FLAGS given to the compiler
ARG FLAGS=-O${VERSION}
RUN --mount=type=secret,id=token,required --mount=type=ssh --mount=type=cache,target=/cache [\"make\", \"-e\", \"FLAGS\"]

FROM scratch AS Release
copy --from=tools /x /x
CMD run it
";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_check_tells_what_is_wrong_and_runs_nothing() {
    let workspace = Workspace::with(DOCKERFILE);
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let said = workspace.fails(2, &["build", "--check", context]);
    for expected in [
        "Check complete, 4 warnings have been found!",
        "WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
        "Dockerfile:15\n--------------------\n",
        "  15 | >>> CMD run it",
        "WARNING: UnusedArg\nArgument NOBODY is declared and never used",
    ] {
        assert!(said.out.contains(expected), "{expected}: {said:?}");
    }
    assert_eq!(said.err, "");
    // Whatever is wrong with a stage that the target does not need is told as well.
    workspace.file("Dockerfile", "FROM scratch AS a\nRUN --network=host x\nFROM scratch\n");
    let said = workspace.fails(2, &["build", "--call=check", context]);
    assert!(said.out.contains("ERROR: ") && said.out.contains(">>> RUN"), "{said:?}");
    workspace.build(&[]);
    workspace.file("Dockerfile", "FROM scratch\nCOPY a /\n");
    assert_eq!(workspace.ok(&["build", "--check", context]).out, "Check complete, no warnings found.\n");
}

#[test]
fn a_check_can_be_read_by_programs() {
    let workspace = Workspace::with(DOCKERFILE);
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let said = workspace.ok(&["build", "--call=check,format=json,ignorestatus=true", context]);
    let found = json(&said.out);
    let names: Vec<&str> =
        found["warnings"].as_array().unwrap().iter().map(|one| one["ruleName"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["UnusedArg", "StageNameCasing", "ConsistentInstructionCasing", "JSONArgsRecommended"]
            .map(str::to_owned)
    );
    let last = &found["warnings"][3];
    assert_eq!(last["location"]["ranges"][0]["start"]["line"], 15);
    assert!(found["sources"][0]["filename"].as_str().unwrap().ends_with("Dockerfile"));

    let said = workspace.fails(2, &["build", "--call=check,format=sarif", context]);
    let report = json(&said.out);
    assert_eq!(report["version"], "2.1.0");
    assert_eq!(report["runs"][0]["results"].as_array().unwrap().len(), 4);

    workspace.file("Dockerfile", "FROM scratch\nRUNN x\n");
    let said = workspace.fails(2, &["build", "--call=check,format=json", context]);
    let error = &json(&said.out)["buildError"];
    assert!(error["message"].as_str().unwrap().contains("RUNN"), "{said:?}");
    assert_eq!(error["location"]["ranges"][0]["start"]["line"], 2);
}

#[test]
fn an_outline_lists_what_a_target_takes() {
    let workspace = Workspace::with(DOCKERFILE);
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let said = workspace.ok(&["build", "--call=outline", "--target=tools", "--build-arg=VERSION=3", context]);
    let expected = "TARGET:      tools
DESCRIPTION: everything that is needed for building

BUILD ARG   VALUE   DESCRIPTION
VERSION     3
FLAGS       -O3     given to the compiler

SECRET   REQUIRED
token    true

SSH       REQUIRED
default

CACHE
/cache

";
    assert_eq!(said.out, expected);
    let said = workspace.ok(&["build", "--call=outline,format=json", context]);
    let outline = json(&said.out);
    assert_eq!(outline["name"], "release");
    assert_eq!(outline["secrets"][0]["required"], true);
    assert_eq!(outline["args"][1]["name"], "FLAGS");
}

#[test]
fn targets_are_listed_with_their_descriptions() {
    let workspace = Workspace::with(DOCKERFILE);
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let said = workspace.ok(&["build", "--call=targets", context]);
    assert_eq!(
        said.out,
        "TARGET            DESCRIPTION\ntools             everything that is needed for building\nrelease (default)\n"
    );
    let targets = json(&workspace.ok(&["build", "--call=targets,format=json", context]).out);
    assert_eq!(targets["targets"][1]["default"], true);
    assert_eq!(targets["targets"][0]["base"], "scratch");
    for bad in ["--call=tragets", "--call=outline,format=sarif", "--call=check,x=y"] {
        workspace.fails(2, &["build", bad, context]);
    }
}

#[test]
fn build_arguments_that_nothing_takes_are_named() {
    let workspace = Workspace::with("ARG VERSION\nFROM scratch\nLABEL a=b\n");
    for progress in ["--progress=plain", "--progress=tty"] {
        let words = [
            "build",
            progress,
            "--build-arg=VERSOIN=1",
            "--build-arg=X=2",
            "--build-arg=VERSION=3",
            "context",
        ];
        let said = workspace.ok(&words);
        let expected = "warning: One or more build-args [VERSOIN X] were not consumed\n\
                        help: no ARG declares VERSOIN; did you mean VERSION?\n";
        assert!(said.err.contains(expected), "{said:?}");
    }
    let said = workspace.build(&["--build-arg=VERSION=3", "--build-arg=https_proxy=x"]);
    assert!(!said.err.contains("not consumed"), "{said:?}");
    let said = workspace.ok(&["build", "--check", "--build-arg=X=2", "context"]);
    assert_eq!(said.out, "Check complete, no warnings found.\n");
}

#[test]
fn build_arguments_come_from_files_and_the_command_line_wins() {
    let workspace = Workspace::with("FROM scratch\nARG A=0\nARG B=0\nARG C=0\n");
    std::fs::write(workspace.path().join("one"), "# first\nA=1\n\n  B=a = b\n").unwrap();
    std::fs::write(workspace.path().join("two"), "A=2\nC=2\n").unwrap();
    let files = ["--build-arg-file=one", "--build-arg-file=two"];
    let said = workspace.ok(&["args", files[0], files[1], "--build-arg=C=3", "context"]);
    for expected in ["A          \"2\"", "B          \"a = b\"", "C          \"3\""] {
        assert!(said.out.contains(expected), "{said:?}");
    }
    std::fs::write(workspace.path().join("one"), "A=1\n=2\n").unwrap();
    let said = workspace.fails(2, &["args", files[0], "context"]);
    assert!(said.err.contains("one:2: a build argument needs a name"), "{said:?}");
    workspace.fails(5, &["args", "--build-arg-file=none", "context"]);
}

#[test]
fn the_variables_of_each_stage_are_listed_with_where_they_come_from() {
    let workspace = Workspace::with(
        "ARG VERSION=1\nFROM scratch AS tools\nARG VERSION\nARG FLAGS=-O${VERSION}\nFROM tools\n\
         ENV PATH=/bin MODE=\"a b\"\nARG NOTHING\nCOPY missing /\n",
    );
    let said = workspace.ok(&["args", "--build-arg=VERSION=2", "context"]);
    let expected = "STAGE           VARIABLE   VALUE                                                            FROM
(before FROM)   VERSION    \"2\"                                                              --build-arg, line 1
tools           PATH       \"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"   predefined
tools           VERSION    \"2\"                                                              --build-arg, line 3
tools           FLAGS      \"-O2\"                                                            default of ARG, line 4
stage-1         PATH       \"/bin\"                                                           ENV, line 6
stage-1         VERSION    \"2\"                                                              --build-arg, line 3
stage-1         FLAGS      \"-O2\"                                                            default of ARG, line 4
stage-1         MODE       \"a b\"                                                            ENV, line 6
stage-1         NOTHING    -                                                                no value, line 7
";
    assert_eq!(said.out, expected);
    let stages = json(&workspace.ok(&["args", "--format=json", "context"]).out);
    assert_eq!(stages["stages"][0]["stage"], Value::Null);
    assert_eq!(
        stages["stages"][1]["variables"][1],
        serde_json::json!({"name": "VERSION", "value": "1", "origin": "global", "line": 3})
    );
    let nothing = serde_json::json!({"name": "NOTHING", "value": null, "origin": "none", "line": 7});
    assert_eq!(stages["stages"][2]["variables"][4], nothing);
    for bad in ["--format=sarif", "--check", "--call=outline"] {
        workspace.fails(2, &["args", bad, "context"]);
    }
}

#[test]
fn a_check_is_a_command_of_its_own() {
    let workspace = Workspace::with(DOCKERFILE);
    let build = workspace.fails(2, &["build", "--call=check,format=json", "context"]);
    let check = workspace.fails(2, &["check", "--format=json", "context"]);
    assert_eq!(check.out, build.out);
    let said = workspace.fails(2, &["check", "context"]);
    assert!(said.out.starts_with("Check complete, 4 warnings have been found!"), "{said:?}");
    workspace.file("Dockerfile", "FROM scratch\nARG A\n");
    assert_eq!(workspace.ok(&["check", "context"]).out, "Check complete, no warnings found.\n");
    let said = workspace.fails(2, &["check", "--deny=UnusedArg", "--format=sarif", "context"]);
    assert_eq!(json(&said.out)["runs"][0]["results"][0]["ruleId"], "UnusedArg");
}

#[test]
fn a_strict_build_ends_before_any_step_when_anything_is_remarked() {
    let goes_on = "FROM scratch\nRUN <<E\nfalse\ntrue\nE\n";
    let strict = |text: &str| {
        let workspace = Workspace::with(text);
        workspace.fails(2, &["build", "--strict", "context"]).err
    };
    let said = strict(goes_on);
    assert!(said.contains("lint violation found for rules: HeredocGoesOn"), "{said}");
    let said = strict("FROM scratch\nWORKDIR a\n");
    assert!(said.contains("lint violation found for rules: WorkdirRelativePath"), "{said}");
    // What stands above an instruction allows it there.
    let workspace = Workspace::with("FROM scratch\n# check=skip=WorkdirRelativePath\nWORKDIR a\n");
    workspace.build(&["--strict"]);
}
