//! Our list of instructions against those of three other parsers.
//!
//! None of them is right everywhere. A file on which two of them agree with each other and not
//! with us is a failure, unless it is named below with the reason. On the conformance cases each
//! single disagreement is a row of `docs/parsers.md`.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod suite;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dockerfile::{InstructionKind, parse};

/// Files on which the others are wrong together.
const EXCEPTIONS: [(&str, &str); 2] = [
    ("doubled escape", "BuildKit takes an escaped escape character at the end for no continuation"),
    ("flags", "its flags do not exist; only the syntax tree is meant to be made of it"),
];

const FILES: [(&str, &str); 16] = [
    ("plain", "FROM a\nRUN b\nCMD [\"c\"]\n"),
    ("continuation", "FROM a\nRUN b \\\n  c \\\n  d\nUSER e\n"),
    ("comment in continuation", "FROM a\nRUN b \\\n# c\n  d\nUSER e\n"),
    ("empty line in continuation", "FROM a\nRUN b \\\n\n  d\nUSER e\n"),
    ("escape directive", "# escape=`\nFROM a\nRUN b `\n  c\\\nUSER d\n"),
    ("doubled escape", "FROM a\nRUN b\\\\\nUSER c\n"),
    ("blanks after escape", "FROM a\nRUN b \\  \n c\nUSER d\n"),
    ("heredoc", "FROM a\nRUN <<EOF\nUSER x\nEOF\nUSER b\n"),
    ("heredoc for a command", "FROM a\nRUN cat <<EOF\nUSER x\nEOF\nUSER b\n"),
    ("heredoc with tabs", "FROM a\nRUN <<-EOF\n\tUSER x\n\tEOF\nUSER b\n"),
    ("heredoc as file", "FROM a\nCOPY <<a.txt /b\nUSER x\na.txt\nUSER b\n"),
    ("shift", "FROM a\nRUN echo $((1<<2))\nUSER b\n"),
    ("any case", "from a as b\nrun c\nCopy --from=b d e\n"),
    ("global arg", "ARG x=1\nARG y\nFROM a:$x\nENV b=c\\ d\nLABEL e=f\n"),
    ("carriage returns", "FROM a\r\nRUN b \\\r\n  c\r\nUSER d\r\n"),
    (
        "all",
        "FROM a\nMAINTAINER b\nEXPOSE 1\nVOLUME /c\nWORKDIR /d\nSTOPSIGNAL 9\nSHELL [\"e\"]\nONBUILD RUN f\nHEALTHCHECK NONE\nENTRYPOINT g\nADD h i\n",
    ),
];

type Names = Option<Vec<String>>;

fn name(debug: &str) -> String {
    debug.split(['(', ' ', '{']).next().unwrap_or_default().to_uppercase()
}

fn ours(text: &str) -> Names {
    let file = parse(text.as_bytes()).ok()?;
    Some(file.instructions.iter().map(|instruction| kind_name(&instruction.kind)).collect())
}

fn kind_name(kind: &InstructionKind) -> String {
    name(&format!("{kind:?}"))
}

fn parse_dockerfile_names(text: &str) -> Names {
    let file = parse_dockerfile::parse(text).ok()?;
    Some(file.instructions.iter().map(|instruction| name(&format!("{instruction:?}"))).collect())
}

fn containerfile_names(text: &str) -> Names {
    let file = containerfile_oracle::Dockerfile::parse(text).ok()?;
    let mut names = vec!["ARG".to_owned(); file.args.len()];
    for stage in &file.stages {
        names.push("FROM".to_owned());
        names.extend(stage.instructions.iter().map(|instruction| name(&format!("{instruction:?}"))));
    }
    Some(names)
}

fn dockerfile_parser_names(text: &str) -> Names {
    use dockerfile_parser::Instruction;
    let file = dockerfile_parser::Dockerfile::parse(text).ok()?;
    let names = file.instructions.iter().map(|instruction| {
        if let Instruction::Misc(misc) = instruction {
            return misc.instruction.content.to_uppercase();
        }
        name(&format!("{instruction:?}"))
    });
    Some(names.collect())
}

fn check(title: &str, text: &str) -> Option<String> {
    let ours = ours(text);
    let others = [parse_dockerfile_names(text), containerfile_names(text), dockerfile_parser_names(text)];
    let agreed = (0..3).find_map(|at| {
        let other = others[at].clone()?;
        others[at + 1..].contains(&Some(other.clone())).then_some(other)
    })?;
    (Some(&agreed) != ours.as_ref()).then(|| format!("{title}: ours {ours:?}, theirs {agreed:?}"))
}

#[test]
fn nobody_outvotes_us() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/parser");
    let mut files: Vec<(String, String)> =
        FILES.iter().map(|(title, text)| ((*title).to_owned(), (*text).to_owned())).collect();
    for case in fs::read_dir(vectors).unwrap() {
        let case = case.unwrap().path();
        let title = case.file_name().unwrap().to_string_lossy().into_owned();
        files.push((title, fs::read_to_string(case.join("Dockerfile")).unwrap()));
    }
    let outvoted: Vec<String> = files
        .iter()
        .filter(|(title, _)| EXCEPTIONS.iter().all(|(exception, _)| exception != title))
        .filter_map(|(title, text)| check(title, text))
        .collect();
    assert!(outvoted.is_empty(), "{}", outvoted.join("\n"));
}

#[test]
fn our_own_files_are_read() {
    for (title, text) in FILES {
        assert!(ours(text).is_some(), "{title}: {:?}", parse(text.as_bytes()));
    }
}

/// A file's name and the parser that disagrees about it.
type Disagreement = (String, String);

/// The Dockerfiles of the conformance cases, each text once. `None`: the suite is not here.
fn conformance() -> Option<Vec<(String, String)>> {
    let root = suite::conformance()?.join("cases");
    let mut cases: Vec<PathBuf> = Vec::new();
    for suite in fs::read_dir(root).unwrap() {
        cases.extend(fs::read_dir(suite.unwrap().path()).unwrap().map(|case| case.unwrap().path()));
    }
    cases.sort();
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for case in cases {
        let spec = fs::read(case.join("case.json")).ok();
        // Some cases are no text, and links are told by their targets.
        let spec: Option<serde_json::Value> = spec.and_then(|spec| serde_json::from_slice(&spec).ok());
        let name = spec.as_ref().and_then(|spec| spec["dockerfile"].as_str());
        let text = name.and_then(|name| fs::read_to_string(case.join(name)).ok());
        let text = text.filter(|text| text.contains([' ', '\n']) && seen.insert(text.clone()));
        let title = case.file_name().unwrap().to_string_lossy().into_owned();
        files.extend(text.map(|text| (title, text)));
    }
    Some(files)
}

/// The rows of the table, one for each file.
fn explained() -> BTreeSet<Disagreement> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/parsers.md");
    let page = fs::read_to_string(page).unwrap();
    let mut rows = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [parser, _, _, _, files] = cells[..] else { panic!("not five cells: {row}") };
        for file in files.split(", ") {
            rows.insert((file.trim_matches('`').to_owned(), parser.to_owned()));
        }
    }
    rows
}

#[test]
fn every_disagreement_on_the_conformance_cases_is_explained() {
    let Some(files) = conformance() else { return };
    let mut found = BTreeSet::new();
    for (title, text) in &files {
        let ours = ours(text);
        for (parser, theirs) in [
            ("parse-dockerfile", parse_dockerfile_names(text)),
            ("containerfile", containerfile_names(text)),
            ("dockerfile-parser", dockerfile_parser_names(text)),
        ] {
            if theirs != ours {
                found.insert((title.clone(), parser.to_owned()));
            }
        }
    }
    let explained = explained();
    let new: Vec<_> = found.difference(&explained).collect();
    let gone: Vec<_> = explained.difference(&found).collect();
    assert!(new.is_empty() && gone.is_empty(), "not in the table: {new:#?}\nonly in the table: {gone:#?}");
    assert!(files.len() > 400, "{} files", files.len());
}
