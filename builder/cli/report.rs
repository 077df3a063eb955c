//! Rendering of errors: what failed, the excerpt of the build file, the causes, a hint.

use std::error::Error;
use std::fmt::Write;
use std::io::IsTerminal;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use builder::BuildError;
use builder::error::StepFailure;
use builder::exec::ExecError;
use graph::{Diagnostic, Severity, Span};
use runtime_exec::{Emulator, Lookup, Stage, registered_emulators};
use rustix::io::Errno;

use crate::environment::Environment;
use crate::failure::Failure;

/// The build file, as far as it was read.
#[derive(Clone, Debug, Default)]
pub struct BuildFile {
    /// Its name for people.
    pub name: String,
    /// Its text, invalid UTF-8 replaced by nothing that moves spans: absent when it is no text.
    pub text: Option<String>,
}

impl BuildFile {
    /// Takes note of the name that the file turned out to have.
    pub fn found(&mut self, name: &str) {
        let (directory, _) = self.name.rsplit_once('/').unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or(name);
        if self.name.ends_with("Dockerfile") {
            self.name = if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        }
    }
}

/// Whether the report is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Yes,
    No,
}

/// Colour where standard error is a terminal that wants it.
pub fn colour(environment: &Environment) -> Colour {
    let wanted = environment.non_empty("NO_COLOR").is_none() && environment.get("TERM") != Some("dumb");
    if wanted && std::io::stderr().is_terminal() { Colour::Yes } else { Colour::No }
}

/// The failure of a build, with its exit code.
pub fn build_failure(error: &BuildError, file: &BuildFile, colour: Colour) -> Failure {
    Failure { code: error.category().exit_code(), text: build_error(error, file, colour) }
}

/// One failed step.
fn step_failure(failure: &StepFailure, file: &BuildFile, colour: Colour) -> String {
    let mut text = excerpt(Level::ERROR, &first_line(&failure.to_string()), failure.span, file, colour);
    text.push_str(&causes(&failure.to_string(), failure.cause.source()));
    if !failure.log.is_empty() {
        text.push_str("last lines of the step:\n");
        for line in &failure.log {
            let _ = writeln!(text, "  {}", crate::progress::printable(line.as_bytes()));
        }
    }
    text.push_str(&hint(failure.cause.error()));
    text
}

/// Renders the failure of a build.
fn build_error(error: &BuildError, file: &BuildFile, colour: Colour) -> String {
    match error {
        BuildError::Diagnostics(all) => all.iter().map(|one| diagnostic(one, file, colour)).collect(),
        BuildError::Step(failure) => std::iter::once(failure.as_ref())
            .chain(&failure.others)
            .map(|failure| step_failure(failure, file, colour))
            .collect(),
        BuildError::Need { cause, .. } => {
            let mut text = excerpt(Level::ERROR, &first_line(&error.to_string()), error.span(), file, colour);
            text.push_str(&causes(&error.to_string(), Some(cause)));
            let meant = error.span().zip(file.text.as_deref());
            if let Some(stage) = meant.and_then(|(span, text)| dockerfile::survey::stage_meant(text, span)) {
                let _ = writeln!(text, "help: no stage has that name; did you mean {stage}?");
            }
            text.push_str(&hint(cause.error()));
            text
        }
        BuildError::Late { running, .. } => {
            let mut text = excerpt(Level::ERROR, &error.to_string(), None, file, colour);
            for title in running {
                let _ = writeln!(text, "  still ran: {}", crate::progress::printable(title.as_bytes()));
            }
            text
        }
        BuildError::NoContext { .. }
        | BuildError::EndlessNeed { .. }
        | BuildError::Export(_)
        | BuildError::Cache(_)
        | BuildError::Store(_)
        | BuildError::Write { .. }
        | BuildError::Cancelled => {
            let mut text = excerpt(Level::ERROR, &first_line(&error.to_string()), error.span(), file, colour);
            text.push_str(&causes(&error.to_string(), error.source()));
            if let Some(source) = error.source() {
                text.push_str(&hint(source));
            }
            text
        }
    }
}

/// Renders one remark about the build file.
pub fn diagnostic(one: &Diagnostic, file: &BuildFile, colour: Colour) -> String {
    let level = match one.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = match one.rule {
        Some(rule) => format!("{rule}: {}", one.message),
        None => one.message.clone(),
    };
    let mut text = excerpt(level, &title, one.span, file, colour);
    if let Some(help) = &one.help {
        let _ = writeln!(text, "help: {help}");
    }
    text
}

/// Renders any other failure: one line, then its causes.
pub fn failure(error: &(dyn Error + 'static)) -> String {
    let mut text = format!("error: {error}\n");
    text.push_str(&causes(&error.to_string(), error.source()));
    text.push_str(&hint(error));
    text
}

fn excerpt(level: Level<'_>, title: &str, span: Option<Span>, file: &BuildFile, colour: Colour) -> String {
    let renderer = match colour {
        Colour::Yes => Renderer::styled(),
        Colour::No => Renderer::plain(),
    };
    let group = level.primary_title(title);
    let rendered = match (span, &file.text) {
        (Some(span), Some(text))
            if span.start <= span.end
                && text.is_char_boundary(span.start)
                && text.is_char_boundary(span.end) =>
        {
            let end = trimmed_end(text, span);
            let snippet = Snippet::source(text.as_str())
                .line_start(1)
                .path(file.name.as_str())
                .annotation(AnnotationKind::Primary.span(span.start..end));
            renderer.render(&[group.element(snippet)])
        }
        _ => renderer.render(&[annotate_snippets::Group::with_title(group)]),
    };
    format!("{rendered}\n")
}

/// The end of a span without the white space that closes it.
fn trimmed_end(text: &str, span: Span) -> usize {
    span.start + text[span.start..span.end].trim_end().len()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// The causes that `said` does not already tell: many errors end with the text of their cause.
fn causes(said: &str, mut cause: Option<&(dyn Error + 'static)>) -> String {
    let mut text = String::new();
    let mut last = said.to_owned();
    while let Some(error) = cause {
        let line = error.to_string();
        if !last.contains(&line) {
            let _ = writeln!(text, "  caused by: {line}");
            last = line;
        }
        cause = error.source();
    }
    text
}

/// A hint for failures that have a usual remedy, found by looking at the typed causes.
fn hint(error: &(dyn Error + 'static)) -> String {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(text) =
            error.downcast_ref().and_then(|error| ended_hint(error).or_else(|| spawn_hint(error)))
        {
            return format!("help: {text}\n");
        }
        let io = error.downcast_ref::<std::io::Error>();
        if let Some(text) = io.and_then(io_hint) {
            return format!("help: {text}\n");
        }
        // An I/O error passes over the error it wraps when it is asked for its source.
        let wrapped = io.and_then(std::io::Error::get_ref).map(|wrapped| wrapped as &(dyn Error + 'static));
        next = wrapped.or_else(|| error.source());
    }
    String::new()
}

/// A program that ran.
fn ended_hint(error: &ExecError) -> Option<String> {
    let ran = matches!(
        error,
        ExecError::Exit { .. }
            | ExecError::Signal { .. }
            | ExecError::OutOfMemory { .. }
            | ExecError::PerhapsOutOfMemory { .. }
    );
    ran.then(|| "`rbuild debug` opens a shell in the state that the step left".to_owned())
}

/// A program that could not be started inside.
fn spawn_hint(error: &ExecError) -> Option<String> {
    let ExecError::Spawn(error) = error else { return None };
    if error.stage() != Some(Stage::Exec) {
        return None;
    }
    match Errno::from_raw_os_error(error.errno()?) {
        Errno::NOENT if error.to_string().contains("/sh\"") => Some(
            "the image has no shell there: write RUN [\"program\", \"argument\"], name a shell with SHELL, or \
             build upon an image that has one"
                .to_owned(),
        ),
        Errno::NOENT => Some(format!(
            "the program, or a part that it needs (the interpreter in its first line, its dynamic loader), \
             is not in the image{}",
            missing_emulators(&registered_emulators().unwrap_or_default())
        )),
        Errno::NOEXEC => Some(format!(
            "the program is made for another kind of machine than this {}, or is a script without #!; programs \
             for others need an emulator registered with binfmt_misc (package qemu-user-static)",
            std::env::consts::ARCH
        )),
        Errno::ACCESS => Some("the file is not executable: chmod +x, or COPY --chmod=755".to_owned()),
        _ => None,
    }
}

/// Emulators that the kernel looks for in the image: without them a program for their machine is not found.
fn missing_emulators(registered: &[Emulator]) -> String {
    let looked_for = registered.iter().filter(|emulator| emulator.lookup == Lookup::InTheRoot);
    let paths: Vec<&str> = looked_for.map(|emulator| emulator.path.as_str()).collect();
    if paths.is_empty() {
        return String::new();
    }
    format!(
        "; a program for another kind of machine than this {} is looked for together with its emulator, and \
         binfmt_misc has {} without the flag F, so that has to be in the image as well, or be registered with F",
        std::env::consts::ARCH,
        paths.join(", ")
    )
}

fn io_hint(error: &std::io::Error) -> Option<&'static str> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of the standard library are an open set")]
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            Some("the disk is full: free room, or put the store elsewhere with --root")
        }
        std::io::ErrorKind::ReadOnlyFilesystem => Some("the store needs a writable directory: --root DIR"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulators_that_have_to_be_in_the_image_are_named() {
        let emulator =
            |lookup| Emulator { name: "qemu".to_owned(), path: "/usr/bin/qemu".to_owned(), lookup };
        assert_eq!(missing_emulators(&[emulator(Lookup::AtRegistration)]), "");
        assert!(
            missing_emulators(&[emulator(Lookup::InTheRoot)]).contains("/usr/bin/qemu without the flag F")
        );
    }

    fn file() -> BuildFile {
        BuildFile { name: "Dockerfile".to_owned(), text: Some("FROM scratch\nRUNN x\n".to_owned()) }
    }

    #[test]
    fn a_diagnostic_shows_its_line() {
        let one =
            Diagnostic::error("unknown instruction RUNN", Span { start: 13, end: 17 }).with_help("RUN?");
        let text = diagnostic(&one, &file(), Colour::No);
        assert!(text.contains("Dockerfile:2:1"), "{text}");
        assert!(text.contains("RUNN x"), "{text}");
        assert!(text.ends_with("help: RUN?\n"), "{text}");
    }

    #[test]
    fn spans_that_do_not_fit_the_text_do_no_harm() {
        let one = Diagnostic::error("x", Span { start: 1000, end: 1001 });
        assert!(diagnostic(&one, &file(), Colour::No).contains("error: x"));
    }

    #[test]
    fn causes_stand_below_each_other() {
        let error = std::io::Error::other(std::io::Error::new(std::io::ErrorKind::StorageFull, "no room"));
        assert_eq!(failure(&error).lines().next(), Some("error: no room"));
        assert!(failure(&error).contains("help: the disk is full"));
    }
}
