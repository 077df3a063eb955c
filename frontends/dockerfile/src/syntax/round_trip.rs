//! Printing what was read and reading that again gives the same statements, and places in the file
//! are those of the words.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use graph::Span;
use proptest::prelude::*;

use super::directives::Directives;
use super::lines::continued;
use super::operands::Operands;
use super::statement::{Parsed, Statement, read_file};
use super::{EscapeChar, Word};

/// A file made of what was read, in one form: a line for each instruction, then its heredocs.
fn print(parsed: &Parsed) -> String {
    let escape = parsed.directives.escape;
    let mut out = String::new();
    print_directives(&parsed.directives, &mut out);
    for statement in &parsed.statements {
        out.push('\n');
        for comment in &statement.comments {
            writeln!(out, "# {comment}").unwrap();
        }
        let mut line = String::new();
        print_line(statement, escape, &mut line);
        if line.is_empty() {
            // Nothing but an escape character at the end of the file.
            line.push(escape.char());
        } else if continued(line.as_bytes(), escape).is_some() {
            // White space that is cut off, and that nothing continues behind.
            line.push('\u{b}');
        }
        out.push_str(&line);
        out.push('\n');
        for heredoc in &statement.heredocs {
            writeln!(out, "{}{}", heredoc.content, heredoc.name).unwrap();
        }
    }
    out
}

/// An empty line follows, so that no comment is taken for a directive.
fn print_directives(directives: &Directives, out: &mut String) {
    if let Some(syntax) = &directives.syntax {
        // The value ends at a blank. Another kind of white space is part of it.
        let end = if syntax.value.ends_with(char::is_whitespace) { " ." } else { "" };
        writeln!(out, "# syntax={}{end}", syntax.value).unwrap();
    }
    if directives.escape == EscapeChar::Backtick {
        out.push_str("# escape=`\n");
    }
    if let Some(check) = &directives.check {
        writeln!(out, "# check={}", check.value).unwrap();
    }
}

fn print_line(statement: &Statement, escape: EscapeChar, out: &mut String) {
    out.push_str(&statement.keyword.value);
    for flag in &statement.flags {
        out.push(' ');
        flag.value.chars().for_each(|c| print_flag_char(c, escape, out));
    }
    let mut operands = String::new();
    if statement.instruction.is_none() || statement.rest.value.contains("<<") {
        // Unknown instructions have no operands, and a heredoc may have blanks in its name.
        operands.clone_from(&statement.rest.value);
    } else {
        print_operands(&statement.operands, escape, &mut operands);
    }
    let cut = operands.is_empty() && out.ends_with(char::is_whitespace);
    if cut || operands.starts_with("--") {
        out.push_str(" --");
    }
    if !operands.is_empty() {
        out.push(' ');
        out.push_str(&operands);
    }
}

fn print_flag_char(c: char, escape: EscapeChar, out: &mut String) {
    match c {
        '"' => out.push_str("'\"'"),
        '\'' => out.push_str("\"'\""),
        c if c == escape.char() => out.extend([c, c]),
        c if c.is_whitespace() => out.extend(['"', c, '"']),
        c => out.push(c),
    }
}

fn print_operands(operands: &Operands, escape: EscapeChar, out: &mut String) {
    match operands {
        Operands::Absent => {}
        Operands::Text(text) => out.push_str(&text.value),
        Operands::Words(words) => {
            let words: Vec<&str> = words.iter().map(|word| word.value.as_str()).collect();
            // A blank that JSON does not know, so that no words become an array.
            let blank = if words.first().is_some_and(|word| word.starts_with('[')) { "\u{b}" } else { " " };
            out.push_str(&words.join(blank));
        }
        Operands::Json(members) => {
            let members: Vec<&str> = members.iter().map(|member| member.value.as_str()).collect();
            out.push_str(&serde_json::to_string(&members).unwrap());
        }
        Operands::Pairs(pairs) => {
            for (number, pair) in pairs.iter().enumerate() {
                let before = if number == 0 { "" } else { " " };
                // An escape character at the end of the key takes the first blank.
                let border = if pair.legacy { "  " } else { "=" };
                write!(out, "{before}{}{border}{}", pair.key.value, pair.value.value).unwrap();
            }
        }
        Operands::Typed(kind, rest) => {
            out.push_str(&kind.value);
            out.push(' ');
            print_operands(rest, escape, out);
        }
        Operands::Inner(inner) => print_line(inner, escape, out),
    }
}

/// What a statement says, without places, and without the spelling of flags and arrays.
fn told(statement: &Statement) -> String {
    let mut out = format!("{} {:?}", statement.keyword.value, statement.comments);
    write!(out, " {:?}", statement.flags.iter().map(|flag| &flag.value).collect::<Vec<_>>()).unwrap();
    told_operands(&statement.operands, &mut out);
    if statement.instruction.is_none() {
        write!(out, " {:?}", statement.rest.value).unwrap();
    }
    for heredoc in &statement.heredocs {
        let super::Heredoc { name, descriptor, expand, strip_tabs, content, span: _, body: _ } = heredoc;
        write!(out, " {:?}", (name, descriptor, expand, strip_tabs, content)).unwrap();
    }
    out
}

fn told_operands(operands: &Operands, out: &mut String) {
    let texts = |words: &[Word]| words.iter().map(|word| word.value.clone()).collect::<Vec<_>>();
    match operands {
        Operands::Absent => {}
        // Nothing but a lone escape character.
        Operands::Words(words) if words.is_empty() => {}
        Operands::Text(text) => write!(out, " text {:?}", text.value).unwrap(),
        Operands::Words(words) => write!(out, " words {:?}", texts(words)).unwrap(),
        Operands::Json(members) => write!(out, " json {:?}", texts(members)).unwrap(),
        Operands::Pairs(pairs) => {
            for pair in pairs {
                write!(out, " {:?}", (&pair.key.value, &pair.value.value, pair.legacy)).unwrap();
            }
        }
        Operands::Typed(kind, rest) => {
            write!(out, " {}", kind.value).unwrap();
            told_operands(rest, out);
        }
        Operands::Inner(inner) => write!(out, " ({})", told(inner)).unwrap(),
    }
}

/// Directives and statements of a file that can be read.
fn all_told(parsed: &Parsed) -> Vec<String> {
    let text = |word: &Option<Word>| word.as_ref().map(|word| word.value.clone());
    let Directives { syntax, escape, check } = &parsed.directives;
    let first = format!("{:?} {escape:?} {:?}", text(syntax), text(check));
    [first].into_iter().chain(parsed.statements.iter().map(told)).collect()
}

fn check_round_trip(text: &str) {
    let read = read_file(text.as_bytes());
    if read.failure.is_some() {
        return;
    }
    let printed = print(&read);
    let again = read_file(printed.as_bytes());
    assert_eq!(again.failure, None, "{text:?}\nprinted {printed:?}");
    assert_eq!(all_told(&again), all_told(&read), "{text:?}\nprinted {printed:?}");
    assert_eq!(print(&again), printed, "{text:?}");
}

/// Between statements there is nothing that says something, and a word that is on one line is what is
/// at its place.
fn check_places(text: &str) {
    let read = read_file(text.as_bytes());
    let mut end = 0;
    for statement in &read.statements {
        check_gap(&text[end..statement.span.start], text);
        end = statement.span.end;
        check_words(statement, text);
    }
    if read.failure.is_none() {
        check_gap(&text[end..], text);
    }
}

/// Blank lines and comments; directives are comments, too. Of a continued line, what stands before the
/// keyword.
fn check_gap(gap: &str, text: &str) {
    let empty = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').trim();
        line.is_empty() || line.starts_with('#') || line == "\\" || line == "`"
    };
    assert!(gap.split('\n').all(empty), "{gap:?} of {text:?}");
}

fn check_words(statement: &Statement, text: &str) {
    check_word(&statement.keyword, text);
    match &statement.operands {
        Operands::Absent | Operands::Json(_) => {}
        Operands::Text(word) => check_word(word, text),
        Operands::Words(words) => words.iter().for_each(|word| check_word(word, text)),
        Operands::Pairs(pairs) => pairs.iter().flat_map(|pair| [&pair.key, &pair.value]).for_each(|word| {
            check_word(word, text);
        }),
        Operands::Typed(kind, _) => check_word(kind, text),
        Operands::Inner(inner) => check_words(inner, text),
    }
    for heredoc in &statement.heredocs {
        let Span { start, end } = heredoc.body;
        assert_eq!(text[start..end], heredoc.content, "{text:?}");
    }
}

fn check_word(word: &Word, text: &str) {
    let written = &text[word.span.start..word.span.end];
    if !written.contains('\n') {
        assert_eq!(written, word.value, "{text:?}");
    }
}

fn check(text: &str) {
    check_round_trip(text);
    check_places(text);
}

/// Every Dockerfile that is at hand: the vectors, and the conformance cases where they are.
fn corpus() -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["tests/vectors/parser", "tests/vectors/parser-negative", "tests/corpus"]
        .map(|folder| here.join(folder));
    let cases = ["buildkit", "buildah", "imagebuilder", "podman"]
        .map(|suite| here.join("../../../shared/conformance/cases").join(suite));
    let mut files = Vec::new();
    for folder in folders.iter().chain(&cases) {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        files.extend(entries.map(|entry| entry.unwrap().path().join("Dockerfile")));
    }
    files.sort();
    files
        .iter()
        .filter_map(|path: &PathBuf| fs::read(path).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

#[test]
fn files_at_hand() {
    let files = corpus();
    assert!(files.len() > 60, "{} files", files.len());
    files.iter().for_each(|text| check(text));
}

#[test]
fn edges() {
    for text in [
        "RUN a\\\u{b}\nRUN b",
        "RUN a\\ \\",
        "RUN a \\\n# c\n\n b\\\nc\nRUN d",
        "\\",
        "\\\nRUN x",
        "\n# escape=`\nRUN a\\\nb",
        "# escape=`\n# check=skip=all\n#x\nRUN --a='b \"c' \\\nRUN `\nd",
        "RUN --a=`\"b`\\ `' -- --c",
        "COPY <<\"a  b\" <<-c /x\nx\na  b\n\ty\n\tc\n",
        "ONBUILD COPY << a /x\r\nx\r\na\r\nCMD [\"\\u2028\", \"\\\\\"]",
        "ENV a=b\\ c d=\"e f\" g\nENV h  i  j\nLABEL k=\\",
        "HEALTHCHECK --interval=1s CMD [ \"a\" ]\nHEALTHCHECK NONE",
        "\u{feff}#\tsyntax = a b\nnothing --x=1 like this",
    ] {
        check(text);
    }
}

/// Text made of the pieces that mean something.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "RUN ",
        "COPY ",
        "ENV ",
        "ARG ",
        "LABEL ",
        "ONBUILD ",
        "HEALTHCHECK ",
        "CMD ",
        "FROM ",
        "EXPOSE ",
        "x",
        "\n",
        "\r\n",
        "\\\n",
        "`\n",
        "\\",
        "`",
        " ",
        "\t",
        "\u{b}",
        "\u{a0}",
        "#",
        "# a\n",
        "# escape=`\n",
        "# check=a\n",
        "# syntax=b\n",
        "--",
        " --a=",
        "=",
        "<<",
        "<<-",
        "EOF",
        "\nEOF\n",
        "'",
        "\"",
        "$",
        "[\"a\"]",
        "[1]",
        "é",
        "\u{feff}",
        "\0",
        "NONE",
        "1",
    ]);
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// A file at hand with some of it taken out, doubled, or replaced.
fn mutations() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..30_usize, 0..3, pieces());
    (prop::sample::select(corpus()), prop::collection::vec(change, 1..5)).prop_map(|(text, changes)| {
        let mut chars: Vec<char> = text.chars().take(4000).collect();
        for (at, length, how, new) in changes {
            let from = at.index(chars.len() + 1);
            let to = chars.len().min(from + length);
            let old: Vec<char> = chars[from..to].to_vec();
            let new = match how {
                0 => Vec::new(),
                1 => [old.clone(), old].concat(),
                _ => new.chars().collect(),
            };
            chars.splice(from..to, new);
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_pieces(text in pieces()) {
        check(&text);
    }

    #[test]
    fn any_mutation(text in mutations()) {
        check(&text);
    }
}
