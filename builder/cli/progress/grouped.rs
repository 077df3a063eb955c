//! Progress in the log of a CI job: one group for each step, which the service can fold, and none of them
//! within another.
//!
//! One step at a time is written as it goes; what others say meanwhile waits until it is their turn, in the
//! order in which they began.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use builder::event::{Ending, Event, StepId};
use graph::Severity;

use super::{Lines, SILENCE, printable};

/// Lines of a step that wait for its turn; the store has all of them.
const WAITING: usize = 2000;

/// Whose marks begin and end a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// GitHub Actions.
    GitHub,
    /// GitLab CI.
    GitLab,
}

struct Step {
    number: usize,
    began: Instant,
    spoke: Instant,
    lines: Lines,
    waiting: VecDeque<String>,
    left_out: usize,
    ended: Option<String>,
}

/// The drawer.
pub struct Grouped<W> {
    out: W,
    marks: Marks,
    titles: HashMap<StepId, String>,
    steps: HashMap<StepId, Step>,
    /// Steps whose group is not closed, in the order in which they began.
    order: VecDeque<StepId>,
    open: bool,
    numbers: usize,
}

impl<W: Write> Grouped<W> {
    pub fn new(out: W, marks: Marks) -> Self {
        Self {
            out,
            marks,
            titles: HashMap::new(),
            steps: HashMap::new(),
            order: VecDeque::new(),
            open: false,
            numbers: 0,
        }
    }

    pub fn draw(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Planned { step, title, span: _, inputs: _ } => {
                self.titles.insert(step, title);
                Ok(())
            }
            Event::Started { step } => {
                self.begin(step);
                self.go_on()
            }
            Event::Log { step, stream: _, bytes } => {
                self.begin(step);
                let Some(one) = self.steps.get_mut(&step) else { return Ok(()) };
                let seconds = one.began.elapsed().as_secs_f64();
                let lines = one.lines.push(&bytes);
                self.say(step, lines.into_iter().map(|line| format!("{seconds:.3} {line}")).collect())
            }
            Event::Missed { step, why } => {
                self.begin(step);
                self.say(step, vec![format!("not in the cache: {}", printable(why.as_bytes()))])
            }
            // Counters of bytes say nothing in a log.
            Event::Transfer { .. } => Ok(()),
            Event::Finished { step, ending, took } => self.ended(step, &ending, took),
            Event::Beat => self.beat(),
            Event::Diagnostic(diagnostic) if diagnostic.severity == Severity::Warning => {
                let rule = diagnostic.rule.map(|rule| format!("{rule}: ")).unwrap_or_default();
                writeln!(self.out, "warning: {rule}{}", diagnostic.message)
            }
            // Errors end the build and are rendered once, at the end.
            Event::BuildFile { .. } | Event::Diagnostic(_) => Ok(()),
            Event::Warning(text) => writeln!(self.out, "warning: {text}"),
        }
    }

    /// Writes what still waits and closes all groups.
    pub fn finish(&mut self) -> io::Result<()> {
        for step in self.order.clone() {
            if let Some(one) = self.steps.get_mut(&step) {
                one.waiting.extend(one.lines.rest());
                one.ended.get_or_insert_default();
            }
        }
        self.go_on()?;
        self.out.flush()
    }

    fn begin(&mut self, step: StepId) {
        if self.steps.contains_key(&step) {
            return;
        }
        self.numbers += 1;
        let now = Instant::now();
        let one = Step {
            number: self.numbers,
            began: now,
            spoke: now,
            lines: Lines::default(),
            waiting: VecDeque::new(),
            left_out: 0,
            ended: None,
        };
        self.steps.insert(step, one);
        self.order.push_back(step);
    }

    /// Lines of a step: at once where it is its turn.
    fn say(&mut self, step: StepId, lines: Vec<String>) -> io::Result<()> {
        if let Some(one) = self.steps.get_mut(&step) {
            one.spoke = Instant::now();
            one.waiting.extend(lines);
            while one.waiting.len() > WAITING {
                one.waiting.pop_front();
                one.left_out += 1;
            }
        }
        self.go_on()
    }

    fn ended(&mut self, step: StepId, ending: &Ending, took: Duration) -> io::Result<()> {
        if *ending == Ending::Cancelled && !self.steps.contains_key(&step) {
            return Ok(());
        }
        self.begin(step);
        if let Some(one) = self.steps.get_mut(&step) {
            one.waiting.extend(one.lines.rest());
            one.ended = Some(match ending {
                Ending::Done => format!("DONE {:.1}s", took.as_secs_f64()),
                Ending::Cached => "CACHED".to_owned(),
                Ending::Failed(why) => format!("ERROR: {}", printable(why.as_bytes())),
                Ending::Cancelled => "CANCELED".to_owned(),
            });
        }
        self.go_on()
    }

    /// Writes all that can be written now.
    fn go_on(&mut self) -> io::Result<()> {
        while let Some(&step) = self.order.front() {
            let Some(one) = self.steps.get_mut(&step) else { break };
            let number = one.number;
            let (left_out, waiting, ended) =
                (std::mem::take(&mut one.left_out), std::mem::take(&mut one.waiting), one.ended.clone());
            let title = self.titles.get(&step).cloned().unwrap_or_default();
            let title = printable(title.lines().next().unwrap_or_default().as_bytes());
            // A step that was found has nothing to fold.
            if let (false, true, Some("CACHED")) = (self.open, waiting.is_empty(), ended.as_deref()) {
                writeln!(self.out, "#{number} CACHED {title}")?;
                self.order.pop_front();
                continue;
            }
            if !self.open {
                self.mark_begin(number, &title)?;
                self.open = true;
            }
            if left_out > 0 {
                writeln!(self.out, "#{number} … {left_out} lines are left out here; `rbuild logs` has them")?;
            }
            for line in waiting {
                // No line begins with a mark or command of the service.
                writeln!(self.out, "#{number} {}", line.replace("##[", "# #["))?;
            }
            let Some(ended) = ended else { break };
            if !ended.is_empty() {
                writeln!(self.out, "#{number} {ended}")?;
            }
            self.mark_end(number)?;
            self.open = false;
            self.order.pop_front();
        }
        Ok(())
    }

    /// Says of steps that are silent that they still run.
    fn beat(&mut self) -> io::Result<()> {
        let Some(&step) = self.order.front() else { return Ok(()) };
        let Some(one) = self.steps.get_mut(&step) else { return Ok(()) };
        if one.spoke.elapsed() < SILENCE {
            return Ok(());
        }
        let seconds = one.began.elapsed().as_secs();
        self.say(step, vec![format!("still running, {seconds}s")])
    }

    fn mark_begin(&mut self, number: usize, title: &str) -> io::Result<()> {
        match self.marks {
            Marks::GitHub => writeln!(self.out, "::group::#{number} {title}"),
            Marks::GitLab => {
                let now = seconds();
                writeln!(self.out, "\x1b[0Ksection_start:{now}:rbuild_{number}\r\x1b[0K#{number} {title}")
            }
        }
    }

    fn mark_end(&mut self, number: usize) -> io::Result<()> {
        match self.marks {
            Marks::GitHub => writeln!(self.out, "::endgroup::"),
            Marks::GitLab => {
                writeln!(self.out, "\x1b[0Ksection_end:{}:rbuild_{number}\r\x1b[0K", seconds())
            }
        }
    }
}

/// Seconds since 1970.
fn seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder::event::Stream;

    fn planned(step: u32, title: &str) -> Event {
        Event::Planned { step: StepId(step), title: title.to_owned(), span: None, inputs: Vec::new() }
    }

    fn started(step: u32) -> Event {
        Event::Started { step: StepId(step) }
    }

    fn log(step: u32, text: &'static str) -> Event {
        Event::Log { step: StepId(step), stream: Stream::Stdout, bytes: text.into() }
    }

    fn finished(step: u32, ending: Ending) -> Event {
        Event::Finished { step: StepId(step), ending, took: Duration::from_millis(1234) }
    }

    /// What is drawn, without the times of lines.
    fn text(marks: Marks, events: Vec<Event>) -> String {
        let mut grouped = Grouped::new(Vec::new(), marks);
        for event in events {
            grouped.draw(event).unwrap();
        }
        grouped.finish().unwrap();
        let text = String::from_utf8(grouped.out).unwrap();
        let timed = |word: &str| word.len() == 5 && word.starts_with("0.0");
        let line = |line: &str| line.split(' ').filter(|word| !timed(word)).collect::<Vec<_>>().join(" ");
        text.lines().map(|one| line(one) + "\n").collect()
    }

    #[test]
    fn steps_at_the_same_time_never_interleave() {
        let drawn = text(
            Marks::GitHub,
            vec![
                planned(0, "a"),
                planned(1, "b"),
                planned(2, "c"),
                started(0),
                started(1),
                log(1, "b1\n"),
                log(0, "a1\n"),
                finished(2, Ending::Cached),
                log(1, "b2\nb3"),
                log(0, "a2\n"),
                finished(1, Ending::Failed("exit code 1".to_owned())),
                finished(0, Ending::Done),
            ],
        );
        let expected = "::group::#1 a\n#1 a1\n#1 a2\n#1 DONE 1.2s\n::endgroup::\n\
            ::group::#2 b\n#2 b1\n#2 b2\n#2 b3\n#2 ERROR: exit code 1\n::endgroup::\n#3 CACHED c\n";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn what_a_step_prints_is_no_command() {
        let events = || {
            vec![planned(0, "a"), started(0), log(0, "::error::x\n##[error]y\n\x1b[0Ksection_end:1:z\r\n")]
        };
        let drawn = text(Marks::GitHub, events());
        assert!(drawn.lines().all(|line| !line.starts_with("::error")), "{drawn}");
        assert!(!drawn.contains("##["), "{drawn}");
        let drawn = text(Marks::GitLab, events());
        assert_eq!(drawn.matches("\x1b[0Ksection_end:").count(), 1, "{drawn:?}");
    }

    #[test]
    fn a_step_that_waits_keeps_its_last_lines() {
        let mut events = vec![planned(0, "a"), planned(1, "b"), started(0), started(1)];
        events.extend((0..WAITING + 5).map(|_| log(1, "x\n")));
        events.extend([finished(0, Ending::Done), finished(1, Ending::Done)]);
        let drawn = text(Marks::GitHub, events);
        assert!(drawn.contains("#2 … 5 lines are left out here"), "{drawn}");
        assert_eq!(drawn.matches("#2 x\n").count(), WAITING);
    }
}
