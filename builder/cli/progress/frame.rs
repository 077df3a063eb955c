//! What the terminal view shows at one moment. Pure.

use std::time::Duration;

use unicode_width::UnicodeWidthChar;

use super::look::Look;
use super::printable;

/// Columns of a running step's title at most; the rest of the line is for what it says.
const TITLE: usize = 48;
/// Columns of the time of a running step.
const TIME: usize = 6;
/// Columns below which there is no room beside a title.
const NARROW: usize = 32;
const SPINNER: [char; 8] = ['⠋', '⠙', '⠸', '⠴', '⠦', '⠇', '⠏', '⠹'];

/// A running step.
#[derive(Clone, Debug, Default)]
pub struct Running {
    pub title: String,
    pub took: Duration,
    /// What it said last, the oldest line first; as many as are shown below a step, at least one.
    pub said: Vec<String>,
}

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// A line of the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// With all that switches colours and weights.
    pub text: String,
    /// Columns it takes.
    pub width: usize,
}

/// The lines for the running steps, no more than fit above the cursor's row and none wider than the terminal.
pub fn frame(status: &str, running: &[Running], tick: usize, size: Size, look: &Look) -> Vec<Line> {
    let columns = size.columns.saturating_sub(1);
    let room = size.rows.saturating_sub(2);
    if running.is_empty() || columns == 0 || room == 0 {
        return Vec::new();
    }
    let mut lines = vec![line(status, columns)];
    let longest = running.iter().map(|one| width(&one.title)).max().unwrap_or(0);
    let title = longest.min(TITLE).min(columns / 2);
    let shown = if running.len() <= room { running.len() } else { room.saturating_sub(1) };
    let mut free = room - shown;
    for one in &running[..shown] {
        lines.push(step(one, tick, (title, columns), look));
        if look.log_lines > 0 {
            let below = one.said.len().min(look.log_lines).min(free);
            free -= below;
            for said in &one.said[one.said.len() - below..] {
                lines.push(faint(&format!(" => => # {said}"), columns, look));
            }
        }
    }
    if shown < running.len() {
        lines.push(faint(&format!("   and {} more", running.len() - shown), columns, look));
    }
    lines
}

/// Spinner, title, time and, where there is room, the last line of output.
fn step(one: &Running, tick: usize, (title, columns): (usize, usize), look: &Look) -> Line {
    let spinner = SPINNER[tick % SPINNER.len()];
    if columns < NARROW {
        return line(&format!("{spinner} {}", one.title), columns);
    }
    let name = cut(&one.title, title);
    let padding = " ".repeat(title - width(&name));
    let mut text = format!("{spinner} {name}{padding} {:>TIME$}", time(one.took));
    let used = width(&text);
    let said = match (look.log_lines, one.said.last()) {
        (0, Some(said)) => cut(said, columns.saturating_sub(used + 1)),
        _ => String::new(),
    };
    if said.is_empty() {
        return Line { text, width: used };
    }
    let said = faint(&said, columns, look);
    text.push(' ');
    text.push_str(&said.text);
    Line { text, width: used + 1 + said.width }
}

/// Seconds with a digit, minutes without.
fn time(took: Duration) -> String {
    match took.as_secs() {
        seconds @ 0..100 => format!("{seconds}.{}s", took.subsec_millis() / 100),
        seconds @ 100..6000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

fn line(text: &str, columns: usize) -> Line {
    let text = cut(text, columns);
    Line { width: width(&text), text }
}

fn faint(text: &str, columns: usize, look: &Look) -> Line {
    let plain = line(text, columns);
    match look.colours {
        Some(_) => Line { text: format!("\x1b[2m{}\x1b[0m", plain.text), ..plain },
        None => plain,
    }
}

/// A finished step's line: as much of the title as leaves room for what stands before and after it.
pub fn finished(before: &str, title: &str, after: &str, size: Option<Size>) -> String {
    let title = printable(title.as_bytes());
    let room = size.map(|size| size.columns.saturating_sub(1 + width(before) + width(after)));
    match room {
        Some(room) if room > 8 => format!("{before}{}{after}", cut(&title, room)),
        Some(_) | None => format!("{before}{title}{after}"),
    }
}

/// Columns that a terminal takes for it.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// As much of it as fits, with a mark where something is left out. Tabs become spaces.
fn cut(text: &str, columns: usize) -> String {
    let (mut out, mut used) = (String::new(), 0);
    // Where a mark still fits.
    let mut mark = 0;
    for c in text.chars() {
        let piece = match c {
            '\t' => " ".repeat(8 - used % 8),
            c => c.to_string(),
        };
        let wide = width(&piece);
        if used + wide > columns {
            out.truncate(mark);
            if columns > 0 {
                out.push('…');
            }
            return out;
        }
        out.push_str(&piece);
        used += wide;
        if used < columns {
            mark = out.len();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(title: &str, said: &[&str]) -> Running {
        let said = said.iter().map(|line| (*line).to_owned()).collect();
        Running { title: title.to_owned(), took: Duration::from_millis(1234), said }
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    const PLAIN: Look = Look { colours: None, log_lines: 0 };

    #[test]
    fn lines_are_cut_by_columns_not_by_letters() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("漢字漢", 6, "漢字漢"),
            ("漢字漢", 5, "漢字…"),
            ("漢字漢", 4, "漢…"),
            ("漢", 1, "…"),
            ("a\tb", 9, "a       b"),
            ("a\tb", 4, "a…"),
            ("e\u{301}e\u{301}", 2, "e\u{301}e\u{301}"),
            ("abc", 0, ""),
        ] {
            assert_eq!(cut(text, columns), expected, "{text} {columns}");
        }
    }

    #[test]
    fn titles_and_times_stand_in_columns() {
        let size = Size { columns: 60, rows: 10 };
        let steps = [running("[1/2] RUN make", &["early", "cc a.c"]), running("[a 1/1] 漢字", &[])];
        let lines = frame("[+] 3.0s (1/4)", &steps, 0, size, &PLAIN);
        assert_eq!(
            texts(&lines),
            ["[+] 3.0s (1/4)", "⠋ [1/2] RUN make   1.2s cc a.c", "⠋ [a 1/1] 漢字     1.2s"]
        );
    }

    #[test]
    fn lines_of_output_stand_below_where_that_is_asked_for_and_there_is_room() {
        let look = Look { log_lines: 2, ..PLAIN };
        let steps = [running("one", &["a", "b", "c"]), running("two", &["d", "e"])];
        let lines = frame("s", &steps, 0, Size { columns: 40, rows: 7 }, &look);
        assert_eq!(
            texts(&lines)[1..],
            ["⠋ one   1.2s", " => => # b", " => => # c", "⠋ two   1.2s", " => => # e"]
        );
    }

    #[test]
    fn no_frame_is_larger_than_its_terminal() {
        let long = "漢字 and more ".repeat(30);
        let steps: Vec<Running> = (0..9).map(|_| running(&long, &[&long, &long])).collect();
        for columns in 0..120 {
            for (rows, log_lines) in [(0, 0), (1, 1), (2, 0), (3, 5), (5, 0), (12, 3), (60, 9)] {
                let look = Look { log_lines, colours: Some(super::super::look::Colours::default()) };
                let lines = frame(&long, &steps, 5, Size { columns, rows }, &look);
                assert!(lines.len() < rows.max(1), "{columns}x{rows}");
                assert!(lines.iter().all(|line| line.width < columns), "{columns}x{rows}: {lines:?}");
            }
        }
        let few = frame("s", &steps, 0, Size { columns: 80, rows: 6 }, &PLAIN);
        assert_eq!(few.last().unwrap().text, "   and 6 more");
    }

    #[test]
    fn finished_lines_keep_their_ends() {
        let size = Some(Size { columns: 24, rows: 5 });
        assert_eq!(finished(" => ", "[1/2] RUN a long command", "  1.0s", size), " => [1/2] RUN a …  1.0s");
        assert_eq!(finished(" => ", "a\u{1b}[31mb", "", None), " => a^[[31mb");
        assert_eq!(
            finished(" => ", "title of it", "  1.0s", Some(Size { columns: 9, rows: 5 })),
            " => title of it  1.0s"
        );
    }

    #[test]
    fn times() {
        for (millis, expected) in [(0, "0.0s"), (99_990, "99.9s"), (100_000, "1m40s"), (6_000_000, "1h40m")] {
            assert_eq!(time(Duration::from_millis(millis)), expected);
        }
    }
}
