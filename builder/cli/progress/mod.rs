//! Drawing of progress: one thread, one channel, one drawer.

mod frame;
mod grouped;
mod look;
mod plain;
mod rawjson;
mod terminal;

use std::io::{IsTerminal, Write};
use std::thread::JoinHandle;
use std::time::Duration;

pub use grouped::Marks;
use look::Look;
pub use plain::bytes;

use builder::EventStream;
use builder::event::Event;
use defence::Defence;

use crate::args::ProgressArg;
use crate::environment::Environment;

/// How long a step may be silent before it is said that it still runs.
const SILENCE: Duration = Duration::from_secs(30);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Redrawn in place.
    Terminal(Look),
    /// Lines that CI systems understand.
    Plain,
    /// Groups in the log of a CI job.
    Grouped(Marks),
    /// One JSON object a line.
    RawJson,
    /// Nothing but warnings.
    Quiet,
}

/// Chooses the form: `--quiet`, then `--progress`, then `BUILDKIT_PROGRESS`, then by the CI service that
/// this runs in, then by whether standard error is a terminal.
pub fn choose(quiet: bool, asked: Option<ProgressArg>, environment: &Environment) -> Result<Form, String> {
    let variable = environment.get("BUILDKIT_PROGRESS");
    if quiet {
        return Ok(Form::Quiet);
    }
    let asked = match (asked, variable) {
        (Some(asked), _) => asked,
        (None, None | Some("")) => ProgressArg::Auto,
        (None, Some(name)) => <ProgressArg as clap::ValueEnum>::from_str(name, true)
            .map_err(|_| format!("BUILDKIT_PROGRESS={name} is no form of progress"))?,
    };
    Ok(match asked {
        ProgressArg::Auto if environment.get("GITHUB_ACTIONS") == Some("true") => {
            Form::Grouped(Marks::GitHub)
        }
        ProgressArg::Auto if environment.get("GITLAB_CI") == Some("true") => Form::Grouped(Marks::GitLab),
        ProgressArg::Auto if std::io::stderr().is_terminal() && environment.get("TERM") != Some("dumb") => {
            terminal(environment)
        }
        ProgressArg::Auto | ProgressArg::Plain => Form::Plain,
        ProgressArg::Tty => terminal(environment),
        ProgressArg::Quiet | ProgressArg::None => Form::Quiet,
        ProgressArg::Rawjson => Form::RawJson,
    })
}

fn terminal(environment: &Environment) -> Form {
    let (look, wrong) = look::look(environment);
    for remark in wrong {
        crate::commands::say(&format!("warning: {remark}\n"));
    }
    Form::Terminal(look)
}

/// Starts the drawing thread. It ends when every sender of the channel is gone.
pub fn draw(form: Form, mut events: EventStream) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut drawer = Drawer::new(form);
        while let Some(event) = events.next_blocking() {
            drawer.draw(event);
        }
        drawer.finish();
    })
}

enum Drawer {
    Terminal(terminal::Terminal),
    Plain(plain::Plain<std::io::Stderr>),
    Grouped(grouped::Grouped<std::io::Stderr>),
    RawJson(rawjson::RawJson<std::io::Stderr>),
    Quiet,
}

impl Drawer {
    fn new(form: Form) -> Self {
        match form {
            Form::Terminal(look) => Self::Terminal(terminal::Terminal::new(look)),
            Form::Plain => Self::Plain(plain::Plain::new(std::io::stderr())),
            Form::Grouped(marks) => Self::Grouped(grouped::Grouped::new(std::io::stderr(), marks)),
            Form::RawJson => Self::RawJson(rawjson::RawJson::new(std::io::stderr())),
            Form::Quiet => Self::Quiet,
        }
    }

    fn draw(&mut self, event: Event) {
        // Progress that cannot be written (a closed pipe) must not end the build.
        match self {
            Self::Terminal(terminal) => terminal.draw(event),
            Self::Plain(plain) => drop(plain.draw(event)),
            Self::Grouped(grouped) => drop(grouped.draw(event)),
            Self::RawJson(json) => drop(json.draw(&event)),
            Self::Quiet => {
                if let Event::Warning(text) = event {
                    drop(writeln!(std::io::stderr(), "warning: {text}"));
                }
            }
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Terminal(terminal) => terminal.finish(),
            Self::Plain(plain) => drop(plain.finish()),
            Self::Grouped(grouped) => drop(grouped.finish()),
            Self::RawJson(_) | Self::Quiet => {}
        }
    }
}

/// What a step printed, made safe for a terminal and a CI log: control characters but tab are shown,
/// not sent; invalid UTF-8 is replaced; a carriage return starts the line again, as on a terminal.
pub fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.strip_suffix('\r').unwrap_or(&text);
    let text = text.rsplit('\r').next().unwrap_or_default();
    if !defence::stands(Defence::LogsEscaped) {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => safe.push('\t'),
            '\u{1b}' => safe.push_str("^["),
            c if c.is_control() => safe.extend(c.escape_default()),
            c => safe.push(c),
        }
    }
    safe
}

/// Collects bytes into lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// Adds bytes and returns the lines that became whole.
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let mut whole = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let rest = self.0.split_off(end + 1);
            whole.push(printable(&self.0[..end]));
            self.0 = rest;
        }
        whole
    }

    /// The line that is yet to end, if there is any.
    fn open(&self) -> Option<String> {
        // Nobody sees more of it on one line.
        let line = printable(&self.0[self.0.len().saturating_sub(4096)..]);
        (!line.is_empty()).then_some(line)
    }

    /// The line that no newline ended, if any.
    fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.0);
        (!rest.is_empty()).then(|| printable(&rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_sent() {
        for (given, expected) in [
            (&b"plain"[..], "plain"),
            (b"a\tb", "a\tb"),
            (b"\x1b[31mred", "^[[31mred"),
            (b"10%\r20%\r30%", "30%"),
            (b"dos\r", "dos"),
            (b"\xff", "\u{fffd}"),
            (b"bell\x07", "bell\\u{7}"),
        ] {
            assert_eq!(printable(given), expected);
        }
    }

    #[test]
    fn lines_are_whole() {
        let mut lines = Lines::default();
        assert!(lines.push(b"a").is_empty());
        assert_eq!(lines.push(b"b\nc\nd"), ["ab", "c"]);
        assert_eq!(lines.rest().as_deref(), Some("d"));
        assert_eq!(lines.rest(), None);
    }
}
