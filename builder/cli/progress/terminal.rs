//! A view that is redrawn in place: a line for each running step, finished ones above.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt::Write as _;
use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use builder::event::{Ending, Event, StepId};
use graph::Severity;

use super::frame::{self, Running, Size, frame};
use super::look::{Colour, Look};
use super::plain::bytes;
use super::{Lines, printable};

const REDRAW: Duration = Duration::from_millis(120);

/// The drawer.
pub struct Terminal {
    view: Arc<Mutex<View>>,
    /// Redraws what goes on; ends when the sender is gone.
    clock: Option<(Sender<()>, JoinHandle<()>)>,
}

struct View {
    look: Look,
    began: Instant,
    titles: HashMap<StepId, String>,
    /// In the order in which they began.
    running: Vec<(StepId, Step)>,
    ended: BTreeSet<StepId>,
    tick: usize,
    /// Columns of each line that is drawn below all others, and of the terminal when that was done.
    drawn: (Vec<usize>, usize),
}

struct Step {
    began: Instant,
    lines: Lines,
    said: VecDeque<String>,
}

impl Terminal {
    pub fn new(look: Look) -> Self {
        let view = Arc::new(Mutex::new(View {
            look,
            began: Instant::now(),
            titles: HashMap::new(),
            running: Vec::new(),
            ended: BTreeSet::new(),
            tick: 0,
            drawn: (Vec::new(), 0),
        }));
        let (sender, receiver) = mpsc::channel::<()>();
        let drawn = Arc::clone(&view);
        let clock = std::thread::spawn(move || {
            while receiver.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                let mut view = lock(&drawn);
                view.tick += 1;
                view.redraw("");
            }
        });
        Self { view, clock: Some((sender, clock)) }
    }

    pub fn draw(&mut self, event: Event) {
        lock(&self.view).draw(event);
    }

    pub fn finish(&mut self) {
        if let Some((sender, clock)) = self.clock.take() {
            drop(sender);
            drop(clock.join());
        }
        let mut view = lock(&self.view);
        view.running.clear();
        view.redraw("");
    }
}

fn lock(view: &Mutex<View>) -> MutexGuard<'_, View> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

impl View {
    fn draw(&mut self, event: Event) {
        match event {
            Event::Planned { step, title, span: _, inputs: _ } => {
                self.titles.insert(step, title);
            }
            Event::Started { step } => {
                self.running(step);
            }
            Event::Log { step, stream: _, bytes } => {
                let most = self.look.log_lines.max(1);
                let running = self.running(step);
                running.said.extend(running.lines.push(&bytes));
                while running.said.len() > most {
                    running.said.pop_front();
                }
            }
            Event::Transfer { step, name, done, total } => {
                let total = total.map(|total| format!(" / {}", bytes(total))).unwrap_or_default();
                let said = format!("{name} {}{total}", bytes(done));
                self.running(step).said = VecDeque::from([said]);
            }
            Event::Finished { step, ending, took } => self.finished(step, &ending, took),
            Event::Diagnostic(diagnostic) if diagnostic.severity == Severity::Warning => {
                let rule = diagnostic.rule.map(|rule| format!("{rule}: ")).unwrap_or_default();
                self.warn(&format!("{rule}{}", diagnostic.message));
            }
            Event::Missed { step, why } => {
                let title = self.titles.get(&step).map(String::as_str).unwrap_or_default();
                let text = format!(" => not in the cache: {title}: {why}");
                self.print(&printable(text.as_bytes()), None);
            }
            Event::BuildFile { .. } | Event::Diagnostic(_) | Event::Beat => {}
            Event::Warning(text) => self.warn(&text),
        }
    }

    fn running(&mut self, step: StepId) -> &mut Step {
        let at = self.running.iter().position(|(id, _)| *id == step).unwrap_or_else(|| {
            let new = Step { began: Instant::now(), lines: Lines::default(), said: VecDeque::new() };
            self.running.push((step, new));
            self.running.len() - 1
        });
        &mut self.running[at].1
    }

    fn finished(&mut self, step: StepId, ending: &Ending, took: Duration) {
        let began = self.running.iter().any(|(id, _)| *id == step);
        self.running.retain(|(id, _)| *id != step);
        self.ended.insert(step);
        let title = self.titles.get(&step).cloned().unwrap_or_default();
        let line = |before: &str, after: &str| frame::finished(before, &title, after, size());
        let colours = self.look.colours;
        let (line, colour) = match ending {
            Ending::Done => {
                (line(" => ", &format!("  {:.1}s", took.as_secs_f64())), colours.map(|all| all.run))
            }
            Ending::Cached => (line(" => CACHED ", ""), colours.map(|all| all.run)),
            Ending::Failed(why) => {
                let why = printable(why.as_bytes());
                (line(" => ERROR ", &format!(": {why}")), colours.map(|all| all.error))
            }
            Ending::Cancelled if began => (line(" => CANCELED ", ""), colours.map(|all| all.cancel)),
            Ending::Cancelled => return,
        };
        self.print(&line, colour);
    }

    fn warn(&mut self, text: &str) {
        let colour = self.look.colours.map(|all| all.warning);
        self.print(&format!("warning: {text}"), colour);
    }

    /// A line that stays.
    fn print(&mut self, line: &str, colour: Option<Colour>) {
        let line = match colour {
            Some(colour) => format!("{}{line}\x1b[0m", colour.on()),
            None => line.to_owned(),
        };
        self.redraw(&line);
    }

    /// Puts a line that stays, if there is one, and what goes on in place of what is drawn.
    fn redraw(&mut self, line: &str) {
        let size = size();
        let now: Vec<Running> = self.running.iter().map(|(id, step)| self.seen(*id, step)).collect();
        let seconds = self.began.elapsed().as_secs_f64();
        let status = format!("[+] {seconds:.1}s ({}/{})", self.ended.len(), self.titles.len());
        let lines = size.map(|size| frame(&status, &now, self.tick, size, &self.look)).unwrap_or_default();
        let columns = size.map_or(0, |size| size.columns);
        if line.is_empty() && lines.is_empty() && self.drawn.0.is_empty() {
            return;
        }
        let mut out = String::new();
        match rows(&self.drawn, columns) {
            0 => {}
            1 => out.push('\r'),
            rows => drop(write!(out, "\r\x1b[{}A", rows - 1)),
        }
        // Each line is emptied when the next one is written to it, so that nothing flickers. Emptied as a whole it
        // also forgets that it went on in the next one, when the terminal breaks lines anew.
        let clear = if columns == 0 { "" } else { "\x1b[2K" };
        if !line.is_empty() {
            let _ = writeln!(out, "{clear}{line}");
        }
        // The cursor stays at the end of the last one: terminals that break lines anew lose it on an empty row.
        for (nth, one) in lines.iter().enumerate() {
            let _ = write!(out, "{}{clear}{}", if nth == 0 { "" } else { "\n" }, one.text);
        }
        if columns > 0 {
            out.push_str("\x1b[J");
        }
        self.drawn = (lines.iter().map(|line| line.width).collect(), columns);
        // A terminal that is gone must not end the build.
        drop(std::io::stderr().lock().write_all(out.as_bytes()));
    }

    fn seen(&self, id: StepId, step: &Step) -> Running {
        let title = self.titles.get(&id).map(|title| printable(title.as_bytes())).unwrap_or_default();
        let mut said: Vec<String> = step.said.iter().cloned().collect();
        // A line that is yet to end is one, too: counters write over theirs.
        said.extend(step.lines.open());
        let surplus = said.len().saturating_sub(self.look.log_lines.max(1));
        said.drain(..surplus);
        Running { title, took: step.began.elapsed(), said }
    }
}

/// Rows that lines take, if the terminal became narrower since they were drawn: it breaks them anew.
fn rows((widths, then): &(Vec<usize>, usize), columns: usize) -> usize {
    match columns < *then && columns > 0 {
        true => widths.iter().map(|width| width.div_ceil(columns).max(1)).sum(),
        false => widths.len(),
    }
}

/// The size of the terminal; `None`: it is none.
fn size() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    // One that does not know its size is as large as the first ones were.
    let or = |given: u16, usual: usize| if given == 0 { usual } else { usize::from(given) };
    Some(Size { columns: or(size.ws_col, 80), rows: or(size.ws_row, 24) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_terminal_that_became_narrower_take_more_rows() {
        let drawn = (vec![79, 40, 0, 41], 80);
        for (columns, expected) in [(80, 4), (120, 4), (40, 2 + 1 + 1 + 2), (79, 4), (0, 4)] {
            assert_eq!(rows(&drawn, columns), expected, "{columns}");
        }
    }
}
