//! Ignore patterns: cases of our own, then moby's tables (`vectors/`, with their licence).

use std::path::Path;

use graph::{Patterns, WalkState, glob, parse_ignore_file};
use serde_json::Value;

fn patterns(list: &[&str]) -> Patterns {
    Patterns::new(list).expect("patterns are valid")
}

/// The verdict of a walk from the root, and whether the walk would have got there.
fn walk(patterns: &Patterns, path: &str) -> (bool, bool) {
    let mut state = WalkState::default();
    let mut reached = true;
    let mut excluded = false;
    for end in path.match_indices('/').map(|(at, _)| at).chain([path.len()]) {
        let visit = patterns.visit(&state, &path[..end]);
        excluded = visit.excluded;
        if end < path.len() {
            reached &= visit.enter;
        }
        state = visit.state;
    }
    (excluded, reached)
}

#[test]
fn walking_decides_and_prunes() {
    // Patterns, path, excluded, reached by the walk.
    let cases: &[(&[&str], &str, bool, bool)] = &[
        (&["foo"], "foo", true, true),
        (&["foo"], "x/foo", false, true),
        (&["foo"], "foo/x/y", true, false),
        (&["node_modules"], "node_modules/a/b", true, false),
        (&["**", "!a/b/c.txt"], "a/b/c.txt", false, true),
        (&["**", "!a/b/c.txt"], "a/b/d.txt", true, true),
        (&["**", "!a/b/c.txt"], "x/b/c.txt", true, false),
        (&["*", "!src/**"], "src/a/b", false, true),
        (&["*", "!src/**"], "other/a", true, false),
        (&["*", "!**/*.md"], "other/a.md", false, true),
        (&["dir", "!dir/keep", "dir/keep/not"], "dir/keep/not", true, true),
        (&["dir", "!dir/keep", "dir/keep/not"], "dir/keep/yes", false, true),
        (&["*.log"], "a.log", true, true),
        (&["*.log"], "d/a.log", false, true),
        (&["**/*.log"], "d/a.log", true, true),
        (&["/abs"], "abs", false, true),
        (&["./x/"], "x/y", true, false),
    ];
    for (list, path, excluded, reached) in cases {
        assert_eq!(walk(&patterns(list), path), (*excluded, *reached), "{list:?} {path}");
    }
}

#[test]
fn reading_ignore_files() {
    let text = b"\xef\xbb\xbf# comment\n  a/b/ \r\n\n#x\n #y\n!./z\n/abs\n/\n! sp\n!\nx/../y\n";
    assert_eq!(parse_ignore_file(text), ["a/b", "#y", "!z", "abs", "/", "!sp", "!", "y"]);
    assert!(parse_ignore_file(b"# only").is_empty());
}

#[test]
fn bad_patterns_are_refused() {
    for bad in ["!", "a[", "[-x]", "x\\", "[g-a]*", "a/[b-a]"] {
        assert!(Patterns::new([bad]).is_err(), "{bad}");
    }
    assert!(Patterns::new(["*", "![g-a]"]).is_err());
    assert!(Patterns::new(["![g-a]", "a"]).is_ok(), "an exception to nothing is not looked at");
    assert!(Patterns::new(["", "  "]).expect("blank ones are skipped").is_empty());
}

#[test]
fn table_of_moby() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/patternmatcher.json");
    let text = std::fs::read(file).expect("the table is there");
    let table: Value = serde_json::from_slice(&text).expect("the table is JSON");
    let list = |value: &Value| -> Vec<Value> { value.as_array().expect("an array").clone() };
    let text = |value: &Value, key: &str| value[key].as_str().expect("a text").to_owned();
    for case in list(&table["package"]["matchTests"]) {
        let (pattern, name) = (text(&case, "pattern"), text(&case, "s"));
        let expected = case.get("err").is_some().then(|| case["match"] == true);
        let verdict = Patterns::new([&pattern]).map(|one| one.matches_or_parent(&name));
        assert_eq!(verdict.ok(), expected, "{case}");
        assert_eq!(glob(&pattern, name.as_bytes()).is_ok(), expected.is_some(), "{case}");
    }
    for case in list(&table["TestMatches"]["tests"]) {
        let one = patterns(&[&text(&case, "pattern")]);
        assert_eq!(one.matches_or_parent(text(&case, "text")), case["pass"] == true, "{case}");
    }
    for case in list(&table["TestMatches"]["multiPatternTests"]) {
        let many: Vec<String> =
            list(&case["patterns"]).iter().map(|p| p.as_str().expect("a text").to_owned()).collect();
        let many = Patterns::new(&many).expect("patterns are valid");
        assert_eq!(many.matches_or_parent(text(&case, "text")), case["pass"] == true, "{case}");
    }
}
