//! Word expansion against BuildKit's own tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use dockerfile::{EscapeChar, expand, expand_words};
use serde_json::Value;

fn vector(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    serde_json::from_slice(&fs::read(path).expect("the table is there")).expect("the table is JSON")
}

fn environment(list: &Value) -> BTreeMap<String, String> {
    let pairs = list.as_array().into_iter().flatten().filter_map(|pair| pair.as_str()?.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn single_words() {
    let table = vector("shell/env.json");
    let groups = if table.is_array() { table.as_array().unwrap().clone() } else { vec![table] };
    let mut count = 0;
    for group in &groups {
        let env = environment(&group["env"]);
        for case in group["cases"].as_array().unwrap() {
            let input = case["input"].as_str().unwrap();
            let found = expand(input, &|name| env.get(name).cloned(), EscapeChar::Backslash);
            if case["error"] == true {
                assert!(found.is_err(), "{input}: {found:?}");
            } else {
                assert_eq!(found.map(|e| e.text).as_deref(), Ok(case["want"].as_str().unwrap()), "{input}");
            }
            count += 1;
        }
    }
    assert!(count > 50, "{count} cases");
}

#[test]
fn splitting() {
    let mut failed = Vec::new();
    for case in vector("shell/words.json").as_array().unwrap() {
        let env = environment(&case["env"]);
        let input = case["input"].as_str().unwrap();
        let found =
            expand_words(input, &|name| env.get(name).cloned(), EscapeChar::Backslash).map(|e| e.words);
        // `"error"` instead of a list.
        let wanted: Option<Vec<String>> = serde_json::from_value(case["want"].clone()).ok();
        // The table has lost the blanks at the end of a line's last word.
        let trimmed = found.clone().ok().map(|words| words.iter().map(|w| w.trim_end().to_owned()).collect());
        if trimmed != wanted {
            failed.push(format!("{input}: {found:?}, not {wanted:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn substitutions() {
    for case in vector("tables/shell.json")["TestProcessWithMatches"]["tc"].as_array().unwrap() {
        let input = case["input"].as_str().unwrap();
        let env: BTreeMap<String, String> = serde_json::from_value(case["envs"].clone()).unwrap();
        let found = expand(input, &|name| env.get(name).cloned(), EscapeChar::Backslash);
        if case["expectedErr"] == true {
            assert!(found.is_err(), "{input}: {found:?}");
            continue;
        }
        let found = found.unwrap();
        assert_eq!(found.text, case["expected"].as_str().unwrap(), "{input}");
        let names = |key: &str| -> BTreeSet<String> {
            case[key].as_object().map(|names| names.keys().cloned().collect()).unwrap_or_default()
        };
        assert_eq!(found.matched, names("matches"), "{input}");
        assert_eq!(found.unmatched, names("unmatched"), "{input}");
    }
}

/// Found by random words that were given to BuildKit as well.
#[test]
fn backslashes_in_quotes_within_a_pattern_are_literal() {
    let values = |name: &str| (name == "V").then(|| r"a\ zb".to_owned());
    for (text, expected) in [
        (r#"${V/"\ z"/X}"#, "aXb"),
        (r#"${V//"\ z"/X}"#, "aXb"),
        (r#"${V#"a\ "}"#, "zb"),
        (r#"${V#a\\" z"}"#, "b"),
    ] {
        let found = expand(text, &values, EscapeChar::Backslash).map(|found| found.text);
        assert_eq!(found.as_deref().ok(), Some(expected), "{text}");
    }
    assert!(expand(r"${V#a\ }", &values, EscapeChar::Backslash).is_err());
}
