//! How the terminal view looks: colours and the lines of output below a step.

use std::io::IsTerminal;

use crate::environment::Environment;

/// How it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colours; `None`: none at all, nor weights.
    pub colours: Option<Colours>,
    /// Lines of output below each running step; 0: its last line beside it.
    pub log_lines: usize,
}

/// What is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colours {
    /// Steps that are done.
    pub run: Colour,
    /// Steps that were cancelled.
    pub cancel: Colour,
    /// Steps that failed.
    pub error: Colour,
    /// Remarks.
    pub warning: Colour,
}

/// A colour of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// One that the terminal has a code for.
    Code(u8),
    /// Red, green and blue.
    Mixed(u8, u8, u8),
}

impl Colour {
    /// What switches it on.
    pub fn on(self) -> String {
        match self {
            Self::Code(code) => format!("\x1b[{code}m"),
            Self::Mixed(red, green, blue) => format!("\x1b[38;2;{red};{green};{blue}m"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        const NAMES: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
        let text = text.to_lowercase();
        if text == "default" {
            return Some(Self::Code(39));
        }
        let (base, name) = text.strip_prefix("light-").map_or((30, text.as_str()), |name| (90, name));
        if let Some(at) = NAMES.iter().position(|known| *known == name) {
            return Some(Self::Code(base + u8::try_from(at).ok()?));
        }
        let parts = text.split(',').map(|part| part.parse().ok()).collect::<Option<Vec<u8>>>()?;
        match parts[..] {
            [red, green, blue] => Some(Self::Mixed(red, green, blue)),
            _ => None,
        }
    }
}

impl Default for Colours {
    /// As BuildKit has them.
    fn default() -> Self {
        Self {
            run: Colour::Code(34),
            cancel: Colour::Code(33),
            error: Colour::Code(31),
            warning: Colour::Code(33),
        }
    }
}

impl Colours {
    /// Takes what `BUILDKIT_COLORS` says, such as `run=green:error=255,0,0`, and says what in it makes no sense.
    fn take(&mut self, text: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for entry in split(text).into_iter().filter(|entry| !entry.is_empty()) {
            let known = entry.split_once('=').and_then(|(key, value)| {
                let colour = Colour::parse(value)?;
                let place = match key.to_lowercase().as_str() {
                    "run" => &mut self.run,
                    "cancel" => &mut self.cancel,
                    "error" => &mut self.error,
                    "warning" => &mut self.warning,
                    _ => return None,
                };
                *place = colour;
                Some(())
            });
            if known.is_none() {
                wrong.push(format!("BUILDKIT_COLORS: {entry:?} is no run|cancel|error|warning=COLOUR"));
            }
        }
        wrong
    }
}

/// The entries between colons. Quotes may surround one, as BuildKit's form wants them around commas.
fn split(text: &str) -> Vec<String> {
    text.split(':').map(|entry| entry.trim_matches('"').to_owned()).collect()
}

/// What the environment says, and what in it makes no sense.
pub fn look(environment: &Environment) -> (Look, Vec<String>) {
    let wanted = environment.non_empty("NO_COLOR").is_none() && std::io::stderr().is_terminal();
    of(environment, wanted)
}

fn of(environment: &Environment, wanted: bool) -> (Look, Vec<String>) {
    let mut wrong = Vec::new();
    let colours = wanted.then(|| {
        let mut colours = Colours::default();
        wrong = colours.take(environment.get("BUILDKIT_COLORS").unwrap_or_default());
        colours
    });
    // What is no number is no wish, as in BuildKit.
    let lines = environment.get("BUILDKIT_TTY_LOG_LINES").and_then(|lines| lines.parse().ok());
    (Look { colours, log_lines: lines.unwrap_or(0) }, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_as_buildkit_reads_them() {
        for (text, run, error, wrong) in [
            ("", Colour::Code(34), Colour::Code(31), 0),
            ("run=green:ERROR=light-blue", Colour::Code(32), Colour::Code(94), 0),
            ("run=1,2,3", Colour::Mixed(1, 2, 3), Colour::Code(31), 0),
            ("\"run=255,0,0\":error=default", Colour::Mixed(255, 0, 0), Colour::Code(39), 0),
            ("run=256,0,0:error=pink:other=red:run", Colour::Code(34), Colour::Code(31), 4),
        ] {
            let (look, said) = of(&Environment::of(&[("BUILDKIT_COLORS", text)]), true);
            let colours = look.colours.unwrap();
            assert_eq!((colours.run, colours.error, said.len()), (run, error, wrong), "{text}: {said:?}");
        }
    }

    #[test]
    fn lines_below_a_step() {
        for (text, lines) in [("8", 8), ("", 0), ("some", 0), ("-1", 0)] {
            assert_eq!(of(&Environment::of(&[("BUILDKIT_TTY_LOG_LINES", text)]), false).0.log_lines, lines);
        }
    }
}
