//! Whatever the bytes: no panic, and places that lie in the file.

use dockerfile::{
    EscapeChar, Spanned, expand, expand_heredoc, expand_words, parse, parse_git_remote, parse_instruction,
    parse_mount,
};
use graph::{Diagnostic, Span};
use proptest::prelude::*;

/// Text made of the pieces that mean something, and some that do not.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "FROM a",
        "RUN ",
        "COPY ",
        "ADD ",
        "ENV ",
        "ARG ",
        "LABEL ",
        "ONBUILD ",
        "HEALTHCHECK ",
        "CMD ",
        "SHELL ",
        "VOLUME ",
        "EXPOSE ",
        "\n",
        "\r\n",
        "\\\n",
        "`\n",
        "\\",
        "`",
        " ",
        "\t",
        "#",
        "# escape=`\n",
        "--",
        "--mount=",
        "--from=",
        "--chown",
        "=",
        "<<",
        "<<-",
        "EOF",
        "\nEOF\n",
        "'",
        "\"",
        "$",
        "${",
        "}",
        ":-",
        ":?",
        "#",
        "%",
        "/",
        "//",
        "*",
        "?",
        "[",
        "]",
        "[\"a\"]",
        "[1]",
        ",",
        "a",
        "é",
        "\u{feff}",
        "\0",
        "type=bind",
        "size=1m",
        "1h",
        "NONE",
        "AS ",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn inside(span: Option<Span>, length: usize) -> bool {
    span.is_some_and(|span| span.start <= span.end && span.end <= length)
}

fn check_file(bytes: &[u8]) {
    match parse(bytes) {
        Err(errors) => {
            assert!(!errors.is_empty());
            let placed = |error: &Diagnostic| inside(error.span, bytes.len());
            assert!(errors.iter().all(placed), "{errors:?}");
        }
        Ok(file) => {
            let mut end = 0;
            for instruction in &file.instructions {
                assert!(inside(Some(instruction.span), bytes.len()));
                assert!(instruction.span.start >= end, "instructions overlap");
                end = instruction.span.end;
            }
            assert!(file.warnings.iter().all(|warning| inside(warning.span, bytes.len())));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check_file(&bytes);
    }

    #[test]
    fn files_of_pieces(text in pieces()) {
        check_file(text.as_bytes());
        check_file(format!("FROM x\n{text}").as_bytes());
        let _ = parse_instruction(&text, EscapeChar::Backtick);
    }

    #[test]
    fn words(text in pieces()) {
        let values = |name: &str| (name.len() % 2 == 1).then(|| "v a/l".to_owned());
        for escape in [EscapeChar::Backslash, EscapeChar::Backtick] {
            let _ = expand(&text, &values, escape);
            let _ = expand_words(&text, &values, escape);
        }
        let _ = expand_heredoc(&text, &values);
    }

    #[test]
    fn plain_text_stays(text in "[a-z 0-9._/-]*") {
        let found = expand(&text, &|_| None, EscapeChar::Backslash).unwrap();
        prop_assert_eq!(found.text, text.clone());
        let words = expand_words(&text, &|_| None, EscapeChar::Backslash).unwrap().words;
        prop_assert_eq!(words, text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    }

    #[test]
    fn mounts(text in pieces()) {
        let span = Span { start: 0, end: 0 };
        let _ = parse_mount(&Spanned::new(text, span), &mut |value| Ok(value.to_owned()));
    }

    #[test]
    fn git_remotes(
        scheme in "(https://|http://|ssh://|git://|git@|file://|-|)",
        rest in "[a-z@:/.?&=#%+~ \u{e9}-]{0,12}(\\.git)?[?#]?(tag=|branch=|ref=|subdir=|submodules=|checksum=)?[a-z0-9:/.&-]{0,8}",
    ) {
        if let Ok(Some(remote)) = parse_git_remote(&format!("{scheme}{rest}")) {
            // The git program would take it for an option.
            prop_assert!(!remote.url.starts_with('-'), "{remote:?}");
            let commit = remote.commit().map_or_else(|| "0".repeat(40), str::to_owned);
            let _ = remote.source(commit, Some(true));
        }
    }
}

#[test]
fn endless_nesting_is_an_error() {
    let deep = "${a:-".repeat(100_000);
    assert!(expand(&deep, &|_| None, EscapeChar::Backslash).is_err());
    let onbuild = "ONBUILD ".repeat(100_000);
    assert!(parse(format!("FROM a\n{onbuild}RUN x").as_bytes()).is_err());
    let json = "[".repeat(100_000);
    assert!(parse(format!("FROM a\nCMD {json}").as_bytes()).is_ok());
}
