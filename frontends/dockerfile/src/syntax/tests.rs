//! Statements against the trees that BuildKit's parser makes of the same files.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::json::{self, JsonForm};
use super::operands::Operands;
use super::statement::{Statement, read_file};
use super::{EscapeChar, heredoc};

fn vectors(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

/// A string as Go quotes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\0' => out.push_str("\\x00"),
            c => out.push(c),
        }
    }
    out + "\""
}

fn dump(statement: &Statement) -> String {
    let mut out = statement.keyword.value.to_lowercase();
    if !statement.flags.is_empty() {
        let flags: Vec<String> = statement.flags.iter().map(|flag| quoted(&flag.value)).collect();
        write!(out, " [{}]", flags.join(" ")).unwrap();
    }
    dump_operands(&statement.operands, &mut out);
    out
}

fn dump_operands(operands: &Operands, out: &mut String) {
    let mut add = |text: &str| write!(out, " {}", quoted(text)).unwrap();
    match operands {
        Operands::Absent => {}
        Operands::Text(word) => add(&word.value),
        Operands::Words(words) | Operands::Json(words) => words.iter().for_each(|word| add(&word.value)),
        Operands::Pairs(pairs) => {
            for pair in pairs {
                add(&pair.key.value);
                add(&pair.value.value);
                add(if pair.legacy { "" } else { "=" });
            }
        }
        Operands::Typed(kind, rest) => {
            add(&kind.value);
            dump_operands(rest, out);
        }
        Operands::Inner(inner) => write!(out, " ({})", dump(inner)).unwrap(),
    }
}

#[test]
fn trees_are_those_of_buildkit() {
    let mut count = 0;
    for case in fs::read_dir(vectors("parser")).unwrap() {
        let case = case.unwrap().path();
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let parsed = read_file(&fs::read(case.join("Dockerfile")).unwrap());
        assert_eq!(parsed.failure, None, "{name}");
        let found: Vec<String> = parsed.statements.iter().map(|s| format!("({})", dump(s))).collect();
        let wanted = fs::read_to_string(case.join("result")).unwrap();
        let wanted: Vec<&str> = wanted.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(found, wanted, "{name}");
        count += 1;
    }
    assert!(count > 30, "{count} cases");
}

fn table(name: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(vectors("tables").join(name)).unwrap()).unwrap()
}

#[test]
fn json_arrays() {
    let table = table("parser.json");
    for (text, wanted) in table["package"]["validJSONArraysOfStrings"].as_object().unwrap() {
        let JsonForm::Strings(found) = json::parse(text) else {
            panic!("{text}");
        };
        let found: Vec<String> = found.into_iter().map(|member| member.value).collect();
        assert_eq!(serde_json::json!(found), *wanted, "{text}");
    }
    for text in table["package"]["invalidJSONArraysOfStrings"].as_array().unwrap() {
        assert!(matches!(json::parse(text.as_str().unwrap()), JsonForm::OtherMembers), "{text}");
    }
    for (text, wanted) in [
        ("[\"\\ud800\"]", "\u{fffd}"),
        ("[\"\\ud83d\\ude00\"]", "\u{1f600}"),
        ("[\"\\udc00\\ud800\\u0041\"]", "\u{fffd}\u{fffd}A"),
        ("[\"\\\\ud800é\\ud800\"]", "\\ud800é\u{fffd}"),
    ] {
        let JsonForm::Strings(found) = json::parse(text) else { panic!("{text}") };
        assert_eq!(found[0].value, wanted, "{text}");
    }
    for text in ["['a']", "[\"a\"] x", "[\"a\",]", "\"a\"", "[\"\\x\"]", ""] {
        assert!(matches!(json::parse(text), JsonForm::Not), "{text}");
    }
}

#[test]
fn heredoc_words() {
    let table = table("parser.json");
    let helpers = &table["TestParseHeredocHelpers"];
    let words = |name: &str| -> Vec<String> {
        helpers[name].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    for word in words("validHeredocs") {
        assert_eq!(heredoc::parse_heredoc(&word).unwrap().unwrap().name, "EOF", "{word}");
    }
    for word in words("invalidHeredocs") {
        assert!(heredoc::parse_heredoc(&word).is_err(), "{word}");
    }
    for word in words("notHeredocs") {
        assert_eq!(heredoc::parse_heredoc(&word).unwrap(), None, "{word}");
    }
    for case in table["TestHeredocsFromLine"]["srcs"].as_array().unwrap() {
        let line = case["line"].as_str().unwrap();
        let found: Vec<String> =
            heredoc::announced(line).unwrap().into_iter().map(|(word, _)| word.name).collect();
        let mut wanted: Vec<String> =
            serde_json::from_value(case["heredocNames"].clone()).unwrap_or_default();
        // BuildKit's test compares what was found alone, and here it finds nothing: the blank ends the word.
        if line == "RUN <<- EOF" {
            wanted.clear();
        }
        assert_eq!(found, wanted, "{line}");
    }
}

#[test]
fn not_heredocs() {
    for line in [
        "RUN echo $((1<<2))",
        "RUN bash -c 'cat <<<x'",
        "RUN a<<b",
        "RUN cat <<<x",
        "RUN cat <<- x",
        "RUN echo \"it's <<EOF",
    ] {
        assert_eq!(heredoc::announced(line).unwrap(), Vec::new(), "{line}");
    }
}

#[test]
fn heredoc_places() {
    let text = "RUN cat \\\n  3<<-'A' <<B\n\tx\n\tA\ny\nB\nRUN z";
    let statement = super::read_one(text, EscapeChar::Backslash).unwrap();
    let [a, b] = statement.heredocs.as_slice() else {
        panic!("{:?}", statement.heredocs);
    };
    assert_eq!(&text[a.span.start..a.span.end], "3<<-'A'");
    assert_eq!((a.descriptor, a.expand, a.strip_tabs, a.text().as_str()), (Some(3), false, true, "x\n"));
    assert_eq!(&text[b.body.start..b.body.end], "y\n");
    assert_eq!(&text[statement.span.start..statement.span.end], text.strip_suffix("\nRUN z").unwrap());
}
