//! Typed instructions: what is read, what is refused, and where.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::syntax::EscapeChar;

fn vectors(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn table(name: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(vectors("tables").join(name)).unwrap()).unwrap()
}

/// The kinds of the instructions after `FROM scratch`.
fn kinds(text: &str) -> Vec<InstructionKind> {
    let file = parse(format!("FROM scratch\n{text}").as_bytes())
        .unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    file.instructions.into_iter().skip(1).map(|instruction| instruction.kind).collect()
}

fn kind(text: &str) -> InstructionKind {
    kinds(text).remove(0)
}

/// The first error, and the text that it marks.
fn refused(text: &str) -> (String, String) {
    let error = parse(text.as_bytes()).expect_err(text).remove(0);
    let span = error.span.expect(text);
    (error.message, text[span.start..span.end].to_owned())
}

#[test]
fn negative_files() {
    for case in fs::read_dir(vectors("parser-negative")).unwrap() {
        let path = case.unwrap().path().join("Dockerfile");
        assert!(parse(&fs::read(&path).unwrap()).is_err(), "{}", path.display());
    }
}

#[test]
fn refusals_of_buildkit() {
    let table = table("instructions.json");
    for case in table["TestErrorCases"]["cases"].as_array().unwrap() {
        // A quirk of the table: its first case has a line feed that no file could have there.
        let text =
            case["dockerfile"].as_str().unwrap().replace("\n\t\tquux", " quux").replace("quux \\\n", "quux ");
        let text = if text.starts_with("COPY") { "COPY\tquux".to_owned() } else { text };
        let (message, _) = refused(&format!("FROM x\n{text}"));
        assert!(message.contains(case["expectedError"].as_str().unwrap()), "{message}");
    }
    for name in ["TestCommandsAtLeastOneArgument", "TestCommandsExactlyOneArgument"] {
        for keyword in table[name]["commands"].as_array().unwrap() {
            let keyword = keyword.as_str().unwrap();
            let (message, marked) = refused(&format!("FROM x\n{keyword}\n"));
            let count = if name.contains("AtLeast") { "at least" } else { "exactly" };
            assert_eq!(message, format!("{keyword} requires {count} one argument"));
            assert_eq!(marked, keyword);
        }
    }
}

#[test]
fn messages_and_places() {
    let long_from = "FROM requires either one or three arguments";
    for (text, message, marked) in [
        ("FROM a\nFNTRYPOINT x", "unknown instruction: FNTRYPOINT (did you mean ENTRYPOINT?)", "FNTRYPOINT"),
        ("FROM a b", long_from, "FROM a b"),
        ("FROM", long_from, "FROM"),
        (
            "FROM a AS 1x",
            "invalid name for build stage: \"1x\", name can't start with a number or contain symbols",
            "1x",
        ),
        ("RUN x\nFROM a", "no build stage in current context: RUN before the first FROM", "RUN x"),
        ("", "the Dockerfile cannot be empty", ""),
        ("# x\n", "file with no instructions", "# x\n"),
        ("ARG a", "dockerfile contains no stages to build", "ARG a"),
        ("FROM a\nRUN <<E\nx\n", "unterminated heredoc", "<<E"),
        ("FROM a\nCOPY --lnk a b", "unknown flag: --lnk (did you mean --link?)", "--lnk"),
        ("FROM a\nCOPY --link= a b", "missing a value on flag: --link", "--link="),
        ("FROM a\nCOPY --chown a b", "missing a value on flag: --chown", "--chown"),
        ("FROM a\nCOPY --link=1 a b", "expecting boolean value for flag --link, not: 1", "--link=1"),
        ("FROM a\nCOPY --from=a --from=b a b", "duplicate flag specified: --from", "--from=b"),
        ("FROM a\nCOPY x <<E\nE", "COPY cannot accept a heredoc as a destination", "<<E"),
        ("FROM a\nENV x", "ENV must have two arguments", "x"),
        ("FROM a\nENV =x", "ENV names can not be blank", ""),
        ("FROM a\nENV x=1 y", "Syntax error - can't find = in \"y\". Must be of the form: name=value", "y"),
        ("FROM a\nCMD [1]", "when using JSON array syntax, arrays must be comprised of strings only", "[1]"),
        ("FROM a\nSHELL sh -c", "SHELL requires the arguments to be in JSON form", "sh -c"),
        ("FROM a\nVOLUME [\" \"]", "VOLUME specified can not be an empty string", "\" \""),
        ("FROM a\nRUN --network=hos x", "invalid network mode \"hos\" (did you mean host?)", "--network=hos"),
        ("FROM a\nHEALTHCHECK NONE [\"x\"]", "HEALTHCHECK NONE takes no arguments", "NONE [\"x\"]"),
        ("FROM a\nHEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", "NONE x"),
        ("FROM a\nHEALTHCHECK TCP x", "Unknown type \"TCP\" in HEALTHCHECK (try CMD)", "TCP"),
        ("FROM a\nHEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD", "HEALTHCHECK CMD"),
        (
            "FROM a\nHEALTHCHECK --timeout=1us CMD x",
            "Interval \"timeout\" cannot be less than 1ms",
            "--timeout=1us",
        ),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)", "--retries=-1"),
        ("FROM a\nONBUILD FROM b", "FROM isn't allowed as an ONBUILD trigger", "FROM"),
        ("# escape=x\nFROM a", "invalid escape token 'x' does not match ` or \\", "x"),
        ("# escape=`\n#Escape=`\nFROM a", "only one escape parser directive can be used", "#Escape=`"),
        (
            "FROM a\nRUN --mount=from=$x,target=/y z",
            "'from' doesn't support variable expansion, define alias stage instead",
            "--mount=from=$x,target=/y",
        ),
    ] {
        assert_eq!(refused(text), (message.to_owned(), marked.to_owned()), "{text}");
    }
}

#[test]
fn every_error_is_reported() {
    let errors = parse(b"FROM a\nFOO\nENV\nUSER").unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
}

#[test]
fn inline_files() {
    for case in table("instructions.json")["TestCopyHeredoc"]["cases"].as_array().unwrap() {
        let text = case["dockerfile"].as_str().unwrap();
        let InstructionKind::Copy(copy) = kind(text) else {
            panic!("{text}");
        };
        let wanted = &case["sourcesAndDest"];
        assert_eq!(copy.dest.value, wanted["DestPath"].as_str().unwrap());
        let sources: Vec<&str> = copy.sources.iter().map(|word| word.value.as_str()).collect();
        let wanted_sources: Vec<String> =
            serde_json::from_value(wanted["SourcePaths"].clone()).unwrap_or_default();
        assert_eq!(sources, wanted_sources, "{text}");
        let files: Vec<_> = copy
            .files
            .iter()
            .map(|f| serde_json::json!({"Path": f.name, "Data": f.content, "Expand": f.expand}))
            .collect();
        let wanted_files = wanted["SourceContents"].as_array().cloned().unwrap_or_default();
        assert_eq!(files, wanted_files, "{text}");
    }
    let InstructionKind::Copy(copy) = kind("COPY <<-EOF << B /x/\n\ta\n\tEOF\nb\nB") else {
        panic!();
    };
    let files: Vec<_> = copy.files.iter().map(|f| (f.name.as_str(), f.content.as_str())).collect();
    assert_eq!(files, [("EOF", "a\n"), ("B", "b\n")]);
}

fn script(text: &str) -> Script {
    let InstructionKind::Run(run) = kind(text) else {
        panic!("{text}");
    };
    run.script()
}

#[test]
fn scripts() {
    let shell = |text: &str| Script::Shell(text.to_owned());
    assert_eq!(script("RUN ls /"), shell("ls /"));
    assert_eq!(script("RUN [\"<<EOF\"]"), Script::Exec(vec!["<<EOF".to_owned()]));
    assert_eq!(script("RUN <<EOF\nls $x\nEOF"), shell("ls $x\n"));
    assert_eq!(script("RUN << EOF\nls\nEOF"), shell("ls\n"));
    assert_eq!(script("RUN <<-EOF\n\techo\n\tEOF"), shell("echo\n"));
    assert_eq!(script("RUN <<'E' | python\nprint()\nE"), shell("<<'E' | python\nprint()\nE"));
    let stripped = Script::File { name: "x".to_owned(), content: "#!/bin/a\n".to_owned() };
    assert_eq!(script("RUN <<-x\n\t#!/bin/a\n\tx"), stripped, "BuildKit strips tabs before it looks");
    let file = Script::File { name: "x".to_owned(), content: "#!/bin/a\nb\n".to_owned() };
    assert_eq!(script("RUN <<x\n#!/bin/a\nb\nx"), file);
    assert_eq!(script("RUN printf 'a\\n\\\n# gone\n\nb'"), shell("printf 'a\\nb'"));
    assert_eq!(script("RUN echo x\\\\\nRUN y"), shell("echo x\\\\"));
    assert_eq!(script("RUN echo a \\  \n b"), shell("echo a  b"));
    assert_eq!(script("RUN --mount=type=cache,target=/x \\\n  echo\r\n"), shell("echo"));
}

#[test]
fn forms() {
    let exec = |words: &[&str]| {
        InstructionKind::Cmd(CommandForm::Exec(words.iter().map(|w| (*w).to_owned()).collect()))
    };
    let shell = |text: &str| InstructionKind::Cmd(CommandForm::Shell(text.to_owned()));
    assert_eq!(kind("CMD [\"a\", \"b\"]"), exec(&["a", "b"]));
    assert_eq!(kind("CMD []"), exec(&[]));
    assert_eq!(kind("CMD ['a','b']"), shell("['a','b']"));
    assert_eq!(kind("CMD [\"a\"] x"), shell("[\"a\"] x"));
    assert_eq!(kind("cmd"), shell(""));
}

#[test]
fn key_values() {
    let pairs = |text: &str| {
        let (InstructionKind::Env(pairs) | InstructionKind::Label(pairs)) = kind(text) else {
            panic!("{text}");
        };
        pairs.into_iter().map(|p| (p.key.value, p.value.value, p.legacy)).collect::<Vec<_>>()
    };
    let own = |key: &str, value: &str, legacy| (key.to_owned(), value.to_owned(), legacy);
    assert_eq!(pairs("ENV ONE TWO= THREE=world"), [own("ONE", "TWO= THREE=world", true)]);
    assert_eq!(pairs("ENV a=\"x y\" b=c\\ d"), [own("a", "\"x y\"", false), own("b", "c\\ d", false)]);
    let InstructionKind::Arg(args) = kind("ARG a b= c=\"d e\"") else {
        panic!();
    };
    let args: Vec<_> =
        args.iter().map(|a| (a.name.value.as_str(), a.default.as_ref().map(|d| d.value.as_str()))).collect();
    assert_eq!(args, [("a", None), ("b", Some("")), ("c", Some("\"d e\""))]);
}

#[test]
fn health() {
    assert_eq!(kind("HEALTHCHECK none"), InstructionKind::Healthcheck(Healthcheck::None));
    let wanted = Healthcheck::Command {
        form: CommandForm::Exec(vec!["a".to_owned()]),
        interval: Duration::from_secs(90),
        timeout: Duration::ZERO,
        start_period: Duration::ZERO,
        start_interval: Duration::from_millis(5),
        retries: 3,
    };
    let text = "HEALTHCHECK --interval=1m30s --timeout=0s --start-interval=5ms --retries=3 CMD [\"a\"]";
    assert_eq!(kind(text), InstructionKind::Healthcheck(wanted));
}

#[test]
fn triggers() {
    let InstructionKind::OnBuild(onbuild) = kind("ONBUILD  RUN <<EOF\nx\nEOF\nCMD y") else {
        panic!();
    };
    assert_eq!(onbuild.trigger, "RUN <<EOF\nx\nEOF");
    let alone = parse_instruction(&onbuild.trigger, EscapeChar::Backslash).unwrap();
    assert_eq!(alone.kind, onbuild.inner.unwrap().kind.without_places(&alone.kind));
    // What is kept for others is kept to the last blank.
    for (text, trigger) in [
        ("ONBUILD RUN a  b \t\r", "RUN a  b \t"),
        ("ONBUILD\tRUN \\\n# c\n a \\ \n\n", "RUN  a "),
        ("ONBUILD user  x ", "user  x "),
    ] {
        let InstructionKind::OnBuild(onbuild) = kind(text) else { panic!("{text}") };
        assert_eq!(onbuild.trigger, trigger, "{text:?}");
    }
}

impl InstructionKind {
    /// Takes the places of heredocs over from another, for comparing.
    fn without_places(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Run(mut run), Self::Run(other)) => {
                run.heredocs.clone_from(&other.heredocs);
                Self::Run(run)
            }
            (kind, _) => kind,
        }
    }
}

#[test]
fn devices() {
    for case in table("instructions.json")["TestParseDevice"]["cases"].as_array().unwrap() {
        let input = case["input"].as_str().unwrap();
        let parsed = parse(format!("FROM a\nRUN --device={input} x").as_bytes());
        let wanted = &case["expected"];
        let Ok(file) = parsed else {
            assert!(wanted.is_null(), "{input}: {parsed:?}");
            continue;
        };
        let InstructionKind::Run(run) = &file.instructions[1].kind else {
            panic!();
        };
        assert_eq!(run.devices[0].name, wanted["Name"].as_str().unwrap());
        assert_eq!(run.devices[0].required, wanted["Required"].as_bool().unwrap());
    }
    assert!(parse(b"FROM a\nRUN --device= x").is_err());
}

#[test]
fn directives() {
    let directives = |text: &str| parse(text.as_bytes()).unwrap().directives;
    let syntax = |text: &str| directives(text).syntax.map(|s| s.value);
    let usual = Some("a/b:1".to_owned());
    assert_eq!(syntax("\u{feff}#Syntax = a/b:1 --x\n# escape=`\nFROM a"), usual);
    assert_eq!(directives("# syntax=a\r\n# escape=`\r\nFROM a").escape, EscapeChar::Backtick);
    assert_eq!(directives("# hi\n# escape=x\nFROM a").escape, EscapeChar::Backslash);
    assert_eq!(directives("\n# escape=`\nFROM a").escape, EscapeChar::Backslash);
    assert_eq!(directives("# foo=bar\n# escape=`\nFROM a").escape, EscapeChar::Backslash);
    assert_eq!(syntax("#!/usr/bin/env x\n# syntax=a/b:1\nFROM a"), usual);
    let check = directives("# check=skip=A,B;error=true\nFROM a").check.unwrap();
    assert_eq!(check.value, "skip=A,B;error=true");
    assert_eq!(check.span, Span { start: 8, end: 27 });
    for text in ["// syntax=a/b:1\nx", "{\"syntax\": \"a/b:1\"}"] {
        assert_eq!(crate::syntax::detect_syntax(text.as_bytes()).map(|s| s.value), usual, "{text}");
    }
}

#[test]
fn comments_and_warnings() {
    let text = "# syntax=x\n# old\n#\n# a the a\nFROM b AS a\nRUN x \\\n\n  y\n";
    let file = parse(text.as_bytes()).unwrap();
    assert_eq!(file.instructions[0].doc_comment("a"), Some("the a"));
    assert_eq!(file.instructions[0].comments, ["a the a"]);
    let warning = &file.warnings[0];
    assert_eq!(
        (warning.rule, warning.message.as_str()),
        (Some("NoEmptyContinuation"), "Empty continuation line")
    );
    let last = warning.span.unwrap();
    assert_eq!(&text[last.start..last.end], "  y", "where the instruction ends, as in BuildKit");
    assert_eq!(file.instructions[1].original, "RUN x   y");
}

#[test]
fn places_across_continuations() {
    let text = "FROM a\nCOPY --chown=u \\\r\n  # gone\r\n  src \\\r\n  \"d\" # x\r\n";
    let file = parse(text.as_bytes()).unwrap();
    let InstructionKind::Copy(copy) = &file.instructions[1].kind else {
        panic!();
    };
    let at = |word: &Word| &text[word.span.start..word.span.end];
    let sources: Vec<&str> = copy.sources.iter().map(at).collect();
    assert_eq!(sources, ["src", "\"d\"", "#"]);
    assert_eq!(at(&copy.dest), "x");
    assert_eq!(at(copy.chown.as_ref().unwrap()), "--chown=u");
    let span = file.instructions[1].span;
    assert_eq!(&text[span.start..span.end], text[7..].trim_end());
}

#[test]
fn white_space_of_other_scripts() {
    let file = parse("\u{a0}# x\n\u{2003}FROM a\n\u{3000}\nRUN b\\\n\u{a0}\n c".as_bytes()).unwrap();
    assert_eq!(file.instructions.len(), 2);
    assert_eq!(file.instructions[1].original, "RUN b c");
}

#[test]
fn bytes_that_are_no_text() {
    let file = parse(b"# \xff\nFROM a\nLABEL a=\xff\xfe b=c\n").unwrap();
    let InstructionKind::Label(pairs) = &file.instructions[1].kind else {
        panic!();
    };
    assert_eq!(pairs[1].value.value, "c");
    assert!(file.instructions[1].span.end <= 27);
}
