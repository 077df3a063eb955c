//! A view that is redrawn in place: a line for each running step, finished ones above.

use std::collections::HashMap;
use std::time::Duration;

use builder::event::{Ending, Event, StepId};
use graph::Severity;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plain::bytes;
use super::{Lines, printable};

/// Letters of a running step's title; the rest of the line is for what it says.
const TITLE: usize = 48;
const REDRAW: Duration = Duration::from_millis(120);

struct Running {
    bar: ProgressBar,
    lines: Lines,
}

/// The drawer.
pub struct Terminal {
    bars: MultiProgress,
    titles: HashMap<StepId, String>,
    running: HashMap<StepId, Running>,
}

impl Terminal {
    pub fn new() -> Self {
        Self { bars: MultiProgress::new(), titles: HashMap::new(), running: HashMap::new() }
    }

    pub fn draw(&mut self, event: Event) {
        match event {
            Event::Planned { step, title, span: _, inputs: _ } => {
                self.titles.insert(step, title);
            }
            Event::Started { step } => {
                self.running(step);
            }
            Event::Log { step, stream: _, bytes } => {
                let running = self.running(step);
                if let Some(line) = running.lines.push(&bytes).pop() {
                    running.bar.set_message(line);
                }
            }
            Event::Transfer { step, name, done, total } => {
                let total = total.map(|total| format!(" / {}", bytes(total))).unwrap_or_default();
                self.running(step).bar.set_message(format!("{name} {}{total}", bytes(done)));
            }
            Event::Finished { step, ending, took } => self.finished(step, &ending, took),
            Event::Diagnostic(diagnostic) if diagnostic.severity == Severity::Warning => {
                let rule = diagnostic.rule.map(|rule| format!("{rule}: ")).unwrap_or_default();
                self.print(&format!("warning: {rule}{}", diagnostic.message));
            }
            Event::Missed { step, why } => {
                let title = self.titles.get(&step).cloned().unwrap_or_default();
                self.print(&format!(" => not in the cache: {title}: {}", printable(why.as_bytes())));
            }
            Event::Diagnostic(_) => {}
            Event::Beat => {}
            Event::Warning(text) => self.print(&format!("warning: {text}")),
        }
    }

    pub fn finish(&mut self) {
        for (_, running) in self.running.drain() {
            running.bar.finish_and_clear();
        }
    }

    fn running(&mut self, step: StepId) -> &mut Running {
        let title = self.titles.get(&step).cloned().unwrap_or_default();
        let bars = &self.bars;
        self.running.entry(step).or_insert_with(|| {
            let style =
                ProgressStyle::with_template("{spinner} {prefix:.bold} {elapsed:.dim} {wide_msg:.dim}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = bars.add(ProgressBar::new_spinner().with_style(style).with_prefix(short(&title)));
            bar.enable_steady_tick(REDRAW);
            Running { bar, lines: Lines::default() }
        })
    }

    fn finished(&mut self, step: StepId, ending: &Ending, took: Duration) {
        let began = match self.running.remove(&step) {
            Some(running) => {
                running.bar.finish_and_clear();
                true
            }
            None => false,
        };
        let title = self.titles.get(&step).cloned().unwrap_or_default();
        let line = match ending {
            Ending::Done => format!(" => {title}  {:.1}s", took.as_secs_f64()),
            Ending::Cached => format!(" => CACHED {title}"),
            Ending::Failed(why) => format!(" => ERROR {title}: {why}"),
            Ending::Cancelled if began => format!(" => CANCELED {title}"),
            Ending::Cancelled => return,
        };
        self.print(&line);
    }

    fn print(&self, line: &str) {
        // A terminal that is gone must not end the build.
        drop(self.bars.println(line));
    }
}

/// A title that leaves room beside it.
fn short(title: &str) -> String {
    match title.char_indices().nth(TITLE) {
        Some((end, _)) => format!("{}…", &title[..end]),
        None => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_titles_are_cut() {
        assert_eq!(short("[1/2] RUN true"), "[1/2] RUN true");
        assert_eq!(short(&"ü".repeat(TITLE)), "ü".repeat(TITLE));
        assert_eq!(short(&"ü".repeat(TITLE + 1)), format!("{}…", "ü".repeat(TITLE)));
    }
}
