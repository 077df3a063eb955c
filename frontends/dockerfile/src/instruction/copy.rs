//! `COPY` and `ADD`.

use graph::{Diagnostic, Span};

use super::flags::{Flags, Takes};
use super::{Add, Copy, InlineFile, Keyword};
use crate::syntax::{Statement, Word, is_open_heredoc, parse_heredoc};

pub(super) fn copy(statement: &Statement) -> Result<Copy, Diagnostic> {
    let words = operands(statement, Keyword::Copy)?;
    let mut flags = Flags::read(
        statement,
        &[
            ("chown", Takes::Value),
            ("from", Takes::Value),
            ("chmod", Takes::Value),
            ("link", Takes::Bool),
            ("exclude", Takes::Values),
            ("parents", Takes::Bool),
        ],
    )?;
    let Targets { sources, files, dest } = split(statement, Keyword::Copy, words)?;
    Ok(Copy {
        sources,
        files,
        dest,
        from: non_empty(flags.value("from")),
        chown: non_empty(flags.value("chown")),
        chmod: non_empty(flags.value("chmod")),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        exclude: flags.values("exclude"),
    })
}

pub(super) fn add(statement: &Statement) -> Result<Add, Diagnostic> {
    let words = operands(statement, Keyword::Add)?;
    let mut flags = Flags::read(
        statement,
        &[
            ("chown", Takes::Value),
            ("chmod", Takes::Value),
            ("link", Takes::Bool),
            ("keep-git-dir", Takes::Bool),
            ("checksum", Takes::Value),
            ("unpack", Takes::Bool),
            ("exclude", Takes::Values),
        ],
    )?;
    let Targets { sources, files, dest } = split(statement, Keyword::Add, words)?;
    Ok(Add {
        sources,
        files,
        dest,
        chown: non_empty(flags.value("chown")),
        chmod: non_empty(flags.value("chmod")),
        link: flags.switch("link").unwrap_or(false),
        keep_git_dir: flags.switch("keep-git-dir"),
        checksum: non_empty(flags.value("checksum")),
        unpack: flags.switch("unpack"),
        exclude: flags.values("exclude"),
    })
}

fn non_empty(word: Option<Word>) -> Option<Word> {
    word.filter(|word| !word.value.is_empty())
}

fn operands(statement: &Statement, keyword: Keyword) -> Result<&[Word], Diagnostic> {
    let words = statement.operands.words();
    if words.len() > 1 {
        return Ok(words);
    }
    let message = format!(
        "{keyword} requires at least two arguments, but only one was provided. \
         Destination could not be determined"
    );
    let help = format!("write {keyword} source destination");
    Err(Diagnostic::error(message, statement.span).with_help(help))
}

/// What the words of a copy are.
struct Targets {
    sources: Vec<Word>,
    files: Vec<InlineFile>,
    dest: Word,
}

fn split(statement: &Statement, keyword: Keyword, words: &[Word]) -> Result<Targets, Diagnostic> {
    let mut words = joined(words);
    let Some(dest) = words.pop() else {
        return Err(super::simple::at_least_one(statement, keyword));
    };
    if heredoc_name(&dest).is_some() {
        let message = format!("{keyword} cannot accept a heredoc as a destination");
        return Err(Diagnostic::error(message, dest.span).with_help("add the path to copy it to"));
    }
    let mut sources = Vec::new();
    let mut files = Vec::new();
    for word in words {
        match heredoc_name(&word) {
            Some(name) => files.push(inline_file(statement, name, word.span)),
            None => sources.push(word),
        }
    }
    Ok(Targets { sources, files, dest })
}

fn heredoc_name(word: &Word) -> Option<String> {
    parse_heredoc(&word.value).ok().flatten().map(|heredoc| heredoc.name)
}

/// The body of the heredoc of that name. Of several, the last; a name in a JSON array has none.
fn inline_file(statement: &Statement, name: String, span: Span) -> InlineFile {
    let heredoc = statement.heredocs.iter().rfind(|heredoc| heredoc.name == name);
    InlineFile {
        content: heredoc.map(|heredoc| heredoc.text()).unwrap_or_default(),
        expand: heredoc.is_some_and(|heredoc| heredoc.expand),
        name,
        span,
    }
}

/// `<< EOF` is two words here, and one heredoc.
fn joined(words: &[Word]) -> Vec<Word> {
    let mut joined: Vec<Word> = Vec::with_capacity(words.len());
    for word in words {
        match joined.last_mut().filter(|last| is_open_heredoc(&last.value)) {
            Some(open) => {
                open.value.push_str(&word.value);
                open.span.end = word.span.end;
            }
            None => joined.push(word.clone()),
        }
    }
    joined
}
