//! Numbered lines, in the form that logs of BuildKit have and CI systems parse.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use builder::event::{Ending, Event, StepId};
use graph::Severity;

use super::{Lines, SILENCE, printable};

/// A transfer is mentioned at most this often.
const HEARTBEAT: Duration = Duration::from_secs(5);

struct Shown {
    number: usize,
    title: String,
    started: Instant,
    lines: Lines,
    last_transfer: Option<Instant>,
    spoke: Instant,
}

/// The drawer.
pub struct Plain<W> {
    out: W,
    titles: HashMap<StepId, String>,
    /// Since when the steps run that do.
    running: BTreeMap<StepId, Instant>,
    shown: HashMap<StepId, Shown>,
    numbers: usize,
    /// The step that is written about, until it ends.
    current: Option<StepId>,
}

impl<W: Write> Plain<W> {
    pub fn new(out: W) -> Self {
        Self {
            out,
            titles: HashMap::new(),
            running: BTreeMap::new(),
            shown: HashMap::new(),
            numbers: 0,
            current: None,
        }
    }

    pub fn draw(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Planned { step, title, span: _, inputs: _ } => {
                self.titles.insert(step, title);
                Ok(())
            }
            Event::Started { step } => self.started(step),
            Event::Log { step, stream: _, bytes } => self.log(step, &bytes),
            Event::Transfer { step, name, done, total } => self.transfer(step, &name, done, total),
            Event::Finished { step, ending, took } => self.finished(step, &ending, took),
            Event::Diagnostic(diagnostic) if diagnostic.severity == Severity::Warning => {
                let rule = diagnostic.rule.map(|rule| format!("{rule}: ")).unwrap_or_default();
                writeln!(self.out, "warning: {rule}{}", diagnostic.message)
            }
            Event::Missed { step, why } => {
                let number = self.turn_to(step)?;
                writeln!(self.out, "#{number} not in the cache: {}", printable(why.as_bytes()))
            }
            // Errors end the build and are rendered once, at the end.
            Event::BuildFile { .. } | Event::Diagnostic(_) => Ok(()),
            Event::Warning(text) => writeln!(self.out, "warning: {text}"),
            Event::Beat => self.beat(),
        }
    }

    /// Prints lines that no newline ended.
    pub fn finish(&mut self) -> io::Result<()> {
        let mut open: Vec<StepId> = self.shown.keys().copied().collect();
        open.sort();
        for step in open {
            self.flush(step)?;
        }
        self.out.flush()
    }

    /// A step that begins says nothing yet: it does not take the place of one that is written about.
    fn started(&mut self, step: StepId) -> io::Result<()> {
        self.running.insert(step, Instant::now());
        match self.current {
            Some(_) => Ok(()),
            None => self.turn_to(step).map(drop),
        }
    }

    /// Makes a step the one that is written about; returns its number.
    fn turn_to(&mut self, step: StepId) -> io::Result<usize> {
        let is_new = !self.shown.contains_key(&step);
        if is_new {
            self.numbers += 1;
            let title = self.titles.get(&step).cloned().unwrap_or_default();
            let shown = Shown {
                number: self.numbers,
                title,
                started: self.running.get(&step).copied().unwrap_or_else(Instant::now),
                lines: Lines::default(),
                last_transfer: None,
                spoke: Instant::now(),
            };
            self.shown.insert(step, shown);
        }
        let shown = &self.shown[&step];
        if self.current != Some(step) {
            if let Some(left) = self.current.and_then(|current| self.shown.get(&current)) {
                writeln!(self.out, "#{} ...", left.number)?;
            }
            if self.shown.len() > 1 || !is_new {
                writeln!(self.out)?;
            }
            writeln!(self.out, "#{} {}", shown.number, shown.title)?;
            self.current = Some(step);
        }
        Ok(shown.number)
    }

    fn log(&mut self, step: StepId, bytes: &[u8]) -> io::Result<()> {
        let number = self.turn_to(step)?;
        let Some(shown) = self.shown.get_mut(&step) else { return Ok(()) };
        let seconds = seconds(shown.started.elapsed());
        shown.spoke = Instant::now();
        for line in shown.lines.push(bytes) {
            writeln!(self.out, "#{number} {seconds} {line}")?;
        }
        Ok(())
    }

    /// Says of steps that are silent that they still run.
    fn beat(&mut self) -> io::Result<()> {
        let spoke = |(step, began): (&StepId, &Instant)| {
            let last = self.shown.get(step).map_or(*began, |shown| shown.spoke);
            (last.elapsed() >= SILENCE).then_some(*step)
        };
        let silent: Vec<StepId> = self.running.iter().filter_map(spoke).collect();
        for step in silent {
            let number = self.turn_to(step)?;
            let Some(shown) = self.shown.get_mut(&step) else { continue };
            shown.spoke = Instant::now();
            writeln!(self.out, "#{number} still running, {}s", shown.started.elapsed().as_secs())?;
        }
        Ok(())
    }

    fn flush(&mut self, step: StepId) -> io::Result<()> {
        let Some(shown) = self.shown.get_mut(&step) else { return Ok(()) };
        let (number, seconds) = (shown.number, seconds(shown.started.elapsed()));
        match shown.lines.rest() {
            Some(line) => writeln!(self.out, "#{number} {seconds} {line}"),
            None => Ok(()),
        }
    }

    fn transfer(&mut self, step: StepId, name: &str, done: u64, total: Option<u64>) -> io::Result<()> {
        let whole = total == Some(done);
        let recent = |shown: &Shown| shown.last_transfer.is_some_and(|last| last.elapsed() < HEARTBEAT);
        if !whole && self.shown.get(&step).is_some_and(recent) {
            return Ok(());
        }
        let number = self.turn_to(step)?;
        if let Some(shown) = self.shown.get_mut(&step) {
            shown.last_transfer = Some(Instant::now());
        }
        let total = total.map(|total| format!(" / {}", bytes(total))).unwrap_or_default();
        writeln!(self.out, "#{number} {name} {}{total}{}", bytes(done), if whole { " done" } else { "" })
    }

    fn finished(&mut self, step: StepId, ending: &Ending, took: Duration) -> io::Result<()> {
        let began = self.running.remove(&step).is_some();
        if *ending == Ending::Cancelled && !began && !self.shown.contains_key(&step) {
            return Ok(());
        }
        let number = self.turn_to(step)?;
        self.flush(step)?;
        self.current = None;
        match ending {
            Ending::Done => writeln!(self.out, "#{number} DONE {:.1}s", took.as_secs_f64())?,
            Ending::Cached => writeln!(self.out, "#{number} CACHED")?,
            Ending::Failed(why) => writeln!(self.out, "#{number} ERROR: {why}")?,
            Ending::Cancelled => writeln!(self.out, "#{number} CANCELED")?,
        }
        let oldest = self.running.iter().min_by_key(|(step, began)| (**began, **step));
        match oldest.map(|(step, _)| *step) {
            Some(step) => self.turn_to(step).map(drop),
            None => Ok(()),
        }
    }
}

/// A time within a step: as many digits as BuildKit writes.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let digits = match seconds {
        _ if seconds < 10.0 => 3,
        _ if seconds < 100.0 => 2,
        _ => 1,
    };
    format!("{seconds:.digits$}")
}

/// A size for people, in units of 1000.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{count}B") } else { format!("{value:.2}{unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.2}TB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder::event::Stream;

    fn text(events: Vec<Event>) -> String {
        let mut plain = Plain::new(Vec::new());
        for event in events {
            plain.draw(event).unwrap();
        }
        plain.finish().unwrap();
        String::from_utf8(plain.out).unwrap()
    }

    fn planned(step: u32, title: &str) -> Event {
        Event::Planned { step: StepId(step), title: title.to_owned(), span: None, inputs: Vec::new() }
    }

    fn finished(step: u32, ending: Ending) -> Event {
        Event::Finished { step: StepId(step), ending, took: Duration::from_millis(1234) }
    }

    #[test]
    fn steps_are_numbered_in_the_order_they_appear() {
        let drawn = text(vec![
            planned(0, "a"),
            planned(1, "b"),
            finished(1, Ending::Cached),
            Event::Started { step: StepId(0) },
            finished(0, Ending::Done),
        ]);
        assert_eq!(drawn, "#1 b\n#1 CACHED\n\n#2 a\n#2 DONE 1.2s\n");
    }

    #[test]
    fn a_step_that_is_left_is_marked_and_its_title_said_again() {
        let log = |step, text: &'static str| Event::Log {
            step: StepId(step),
            stream: Stream::Stdout,
            bytes: text.into(),
        };
        let drawn = text(vec![
            planned(0, "a"),
            planned(1, "b"),
            log(0, "x\n"),
            log(1, "y\n"),
            finished(1, Ending::Done),
            log(0, "z\n"),
            finished(0, Ending::Cancelled),
        ]);
        let without_times: Vec<&str> = drawn
            .lines()
            .map(|line| line.strip_suffix(['x', 'y', 'z']).map_or(line, |line| &line[..2]))
            .collect();
        let expected =
            ["#1 a", "#1", "#1 ...", "", "#2 b", "#2", "#2 DONE 1.2s", "", "#1 a", "#1", "#1 CANCELED"];
        assert_eq!(without_times, expected);
    }

    #[test]
    fn a_step_that_begins_waits_until_it_has_something_to_say() {
        let started = |step| Event::Started { step: StepId(step) };
        let drawn = text(vec![
            planned(0, "a"),
            planned(1, "b"),
            planned(2, "c"),
            started(0),
            started(1),
            started(2),
            finished(2, Ending::Done),
            finished(0, Ending::Done),
            finished(1, Ending::Done),
        ]);
        let expected = "#1 a\n#1 ...\n\n#2 c\n#2 DONE 1.2s\n\n#1 a\n#1 DONE 1.2s\n\n#3 b\n#3 DONE 1.2s\n";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn times_have_fewer_digits_as_they_grow() {
        for (millis, expected) in [(64, "0.064"), (12_345, "12.35"), (123_456, "123.5")] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn the_last_line_needs_no_newline() {
        let drawn = text(vec![
            planned(0, "a"),
            Event::Log { step: StepId(0), stream: Stream::Stdout, bytes: "x\ny".into() },
            finished(0, Ending::Failed("exit code: 1".to_owned())),
        ]);
        let lines: Vec<&str> = drawn.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(lines, ["a", "x", "y", "1"]);
    }

    #[test]
    fn steps_that_never_began_are_not_mentioned() {
        assert_eq!(text(vec![planned(0, "a"), finished(0, Ending::Cancelled)]), "");
    }

    #[test]
    fn sizes() {
        for (count, expected) in [(0, "0B"), (999, "999B"), (1500, "1.50kB"), (2_500_000_000, "2.50GB")] {
            assert_eq!(bytes(count), expected);
        }
    }
}
