//! Draws the browser's state.

use std::ffi::OsStr;

use builder::toolchain::{HiddenFile, LayerReport};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

use super::rows::{Order, Row};
use super::state::{Pane, Place, Showing, State, Typing};
use super::tree::Change;
use super::wasted::WastedRow;
use crate::progress::{bytes, printable};

/// Below this width one pane has the screen for itself.
const NARROW: u16 = 80;
/// Below this height there is no room for details of a layer.
const LOW: u16 = 16;

const HELP: &[(&str, &str)] = &[
    ("Tab  Shift-Tab", "next or previous pane: layers, files, waste"),
    ("Up Down  j k", "move; PgUp PgDn, Home End, g G move far"),
    ("[  ]", "the layer below or above, from any pane"),
    ("Enter  Space", "open or close a directory"),
    ("Right Left  l h", "open; close, or go to the parent"),
    ("+  -", "open or close all directories"),
    ("/", "show only names with a text; Esc shows all again"),
    (
        "a m r u",
        "show or hide what the layer added (+), changed (~), removed (-), left unchanged; in * it did something",
    ),
    ("s", "sort by size or by name"),
    ("w", "files that are in the image for nothing, by instruction"),
    ("q  Ctrl-C", "leave"),
];

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, state: &mut State) {
    let [main, bottom] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(frame.area());
    match state.showing {
        Showing::Help => help(frame, main),
        Showing::Image if main.width < NARROW => one_pane(frame, main, state),
        Showing::Image => all_panes(frame, main, state),
    }
    frame.render_widget(
        Paragraph::new(status(state)).style(Style::new().add_modifier(Modifier::REVERSED)),
        bottom,
    );
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> =
        HELP.iter().map(|(keys, what)| Line::from(format!(" {keys:<16}  {what}"))).collect();
    let block = Block::bordered().title(" keys (any key goes back) ");
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

fn one_pane(frame: &mut Frame<'_>, area: Rect, state: &mut State) {
    match state.pane {
        Pane::Layers => layers(frame, area, state),
        Pane::Files => files(frame, area, state),
        Pane::Wasted => wasted(frame, area, state),
    }
}

fn all_panes(frame: &mut Frame<'_>, area: Rect, state: &mut State) {
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(area);
    if area.height < LOW {
        layers(frame, left, state);
    } else {
        let rows = u16::try_from(state.layers.len()).unwrap_or(u16::MAX).saturating_add(3);
        let [list, details] =
            Layout::vertical([Constraint::Length(rows.min(area.height / 2)), Constraint::Min(0)]).areas(left);
        layers(frame, list, state);
        self::details(frame, details, state);
    }
    match state.pane {
        Pane::Wasted => wasted(frame, right, state),
        Pane::Layers | Pane::Files => files(frame, right, state),
    }
}

/// Draws a list, the line under the cursor standing out.
fn list(
    frame: &mut Frame<'_>,
    area: Rect,
    title: String,
    heading: Option<String>,
    has_focus: bool,
    place: &mut Place,
    line: impl Fn(usize) -> Option<Line<'static>>,
) -> usize {
    let style = if has_focus { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    let block = Block::bordered().title(title).border_style(style);
    let inside = block.inner(area);
    let height = usize::from(inside.height).saturating_sub(usize::from(heading.is_some()));
    place.fit(height);
    let mut lines: Vec<Line<'_>> = heading
        .map(|text| Line::from(text).style(Style::new().add_modifier(Modifier::DIM)))
        .into_iter()
        .collect();
    for at in place.first..place.first.saturating_add(height) {
        let Some(line) = line(at) else { break };
        let chosen = at == place.cursor;
        let style = match (chosen, has_focus) {
            (true, true) => Style::new().add_modifier(Modifier::REVERSED),
            (true, false) => Style::new().add_modifier(Modifier::UNDERLINED),
            (false, _) => Style::new(),
        };
        lines.push(line.patch_style(style));
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
    height
}

fn layers(frame: &mut Frame<'_>, area: Rect, state: &mut State) {
    let mut place = state.at_layer;
    let heading = format!("{:>3} {:>9} {:>9} instruction", "", "size", "wasted");
    let line = |at: usize| {
        let layer = state.layers.get(at)?;
        let (size, wasted) = (bytes(layer.size), bytes(layer.wasted));
        Some(Line::from(format!("{at:>3} {size:>9} {wasted:>9} {}", instruction(layer))))
    };
    let title = format!(" layers of {} ", safe(state.image.as_bytes()));
    let focus = state.pane == Pane::Layers;
    let page = list(frame, area, title, Some(heading), focus, &mut place, line);
    state.at_layer = place;
    if focus {
        state.page = page;
    }
}

fn details(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let Some(layer) = state.layer() else { return };
    let packed = layer.blob.as_ref().map_or("not packed".to_owned(), |blob| bytes(blob.size));
    let lines = vec![
        Line::from(format!("diff ID  {}", layer.diff_id)),
        Line::from(format!("packed   {packed}")),
        Line::from(format!("entries  {}", layer.files.len())),
        Line::from(""),
        Line::from(instruction(layer)),
    ];
    let block = Block::bordered().title(format!(" layer {} ", state.at_layer.cursor));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

fn files(frame: &mut Frame<'_>, area: Rect, state: &mut State) {
    let mut place = state.at_file;
    let line = |at: usize| state.files.get(at).map(|row| file_line(state, *row));
    let order = match state.order {
        Order::Name => "",
        Order::Size => ", by size",
    };
    let hidden: String =
        [(Change::Added, '+'), (Change::Changed, '~'), (Change::Removed, '-'), (Change::Same, '=')]
            .into_iter()
            .filter(|(change, _)| !state.shows.has(*change))
            .map(|(_, sign)| sign)
            .collect();
    let hidden = if hidden.is_empty() { hidden } else { format!(", without {hidden}") };
    let title = format!(" files after layer {}{order}{hidden} ", state.at_layer.cursor);
    let heading = format!("  {:<5}{:>11} {:>9} name", "mode", "owner", "size");
    let focus = state.pane == Pane::Files;
    let page = list(frame, area, title, Some(heading), focus, &mut place, line);
    state.at_file = place;
    if focus {
        state.page = page;
    }
}

fn file_line(state: &State, row: Row) -> Line<'static> {
    let node = state.tree.node(row.node);
    let (sign, color) = match node.change {
        Change::Same if node.touched => ('*', Color::Yellow),
        Change::Same => (' ', Color::Reset),
        Change::Added => ('+', Color::Green),
        Change::Changed => ('~', Color::Yellow),
        Change::Removed => ('-', Color::Red),
    };
    let fold = match (node.children.is_empty(), state.is_open(row.node)) {
        (true, _) => "  ",
        (false, true) => "▾ ",
        (false, false) => "▸ ",
    };
    let size = match (node.is_directory(), node.change) {
        (true, _) => node.total,
        (false, _) => node.size,
    };
    let owner = format!("{}:{}", node.owner.0, node.owner.1);
    let tail = match (&node.target, node.kind) {
        (Some(target), _) => format!(" -> {}", name(target)),
        (None, 'd') => "/".to_owned(),
        (None, _) => String::new(),
    };
    Line::from(vec![
        Span::raw(format!("{sign}{}{:04o}{owner:>11} {:>9} ", node.kind, node.mode, bytes(size))),
        Span::raw(format!("{}{fold}{}{tail}", "  ".repeat(row.depth), name(&node.name))),
    ])
    .style(Style::new().fg(color))
}

fn wasted(frame: &mut Frame<'_>, area: Rect, state: &mut State) {
    let mut place = state.at_wasted;
    let line = |at: usize| {
        Some(Line::from(match state.wasted.get(at)? {
            WastedRow::Layer { layer, bytes: wasted } => {
                let by = state.layers.get(*layer).map(instruction).unwrap_or_default();
                format!("{:>9}  layer {layer}: {by}", bytes(*wasted))
            }
            WastedRow::File(file) => hidden_line(state, file),
        }))
    };
    let focus = state.pane == Pane::Wasted;
    let page = list(frame, area, " wasted ".to_owned(), None, focus, &mut place, line);
    state.at_wasted = place;
    if focus {
        state.page = page;
    }
}

fn hidden_line(state: &State, file: &HiddenFile) -> String {
    let by = state.layers.get(file.by).map(instruction).unwrap_or_default();
    format!("{:>9}    /{}, hidden by layer {}: {by}", bytes(file.size), name(file.path.as_os_str()), file.by)
}

fn status(state: &State) -> String {
    match state.typing {
        Typing::Filter => return format!("/{}", safe(state.filter.as_bytes())),
        Typing::Commands => {}
    }
    let (size, wasted) = state.bytes();
    let path = state.chosen().filter(|_| state.pane == Pane::Files).map(|row| state.path(row.node));
    let path = path.map(|path| format!("  /{}", name(path.as_os_str()))).unwrap_or_default();
    let filter = match state.filter.as_str() {
        "" => String::new(),
        filter => format!("  with {:?}", safe(filter.as_bytes())),
    };
    format!("?: keys  q: leave  {} files, {} wasted{filter}{path}", bytes(size), bytes(wasted))
}

fn instruction(layer: &LayerReport) -> String {
    let made = layer.history.as_ref().and_then(|history| history.created_by.as_deref());
    safe(made.unwrap_or("<unknown>").as_bytes())
}

fn name(name: &OsStr) -> String {
    safe(name.as_encoded_bytes())
}

/// A foreign text on one line, which can neither steer the terminal nor turn the direction of what follows.
fn safe(text: &[u8]) -> String {
    let mut safe = String::new();
    for letter in
        printable(&text.iter().map(|byte| if *byte == b'\r' { b'\n' } else { *byte }).collect::<Vec<_>>())
            .chars()
    {
        match letter {
            '\t'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {
                safe.extend(letter.escape_unicode());
            }
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::browse::samples::{layers, wasteful};
    use crate::browse::state::Key;

    fn screen(state: &mut State, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    #[test]
    fn everything_has_its_place() {
        let mut state = State::new(
            "app:1".to_owned(),
            wasteful(&["d d, - d/a 5000", "d d, - d/a 7, x b, - c 1"], "d/a", 5000),
        );
        state.press(Key::Character('+'));
        let text = screen(&mut state, 110, 20).join("\n");
        for wanted in [
            " layers of app:1 ",
            "  0    5.00kB    5.00kB RUN step 0",
            " files after layer 1 ",
            "+-0644        0:0        1B   c",
            "packed   not packed",
            "5.01kB files, 5.00kB wasted",
        ] {
            assert!(text.contains(wanted), "{wanted:?} in\n{text}");
        }
        assert!(text.contains("▾ d/") && text.contains("~-0644        0:0        7B     a"), "{text}");
        state.press(Key::Character('w'));
        let text = screen(&mut state, 110, 20).join("\n");
        assert!(
            text.contains("5.00kB  layer 0: RUN step 0") && text.contains("/d/a, hidden by layer 1"),
            "{text}"
        );
        state.press(Key::Character('?'));
        assert!(screen(&mut state, 60, 20).join("\n").contains("sort by size or by name"));
    }

    #[test]
    fn every_size_of_a_terminal_can_be_drawn() {
        for showing in ["", "w", "?", "\t", "/"] {
            let mut state = State::new("app".to_owned(), wasteful(&["d d, - d/a 5", "x d/a"], "d/a", 5));
            for letter in showing.chars() {
                state.press(if letter == '\t' { Key::Tab } else { Key::Character(letter) });
            }
            for width in (0..12).chain([79, 80, 81, 300]) {
                for height in (0..8).chain([15, 16, 17, 100]) {
                    screen(&mut state, width, height);
                }
            }
        }
        screen(&mut State::new(String::new(), Vec::new()), 80, 24);
    }

    #[test]
    fn names_cannot_steer_the_terminal() {
        for (given, expected) in [
            (&b"plain \xc3\xa4"[..], "plain ä"),
            (b"\x1b[2J", "^[[2J"),
            (b"a\tb\nc\rd", "a\\u{9}b\\nc\\nd"),
            (b"\xc2\x9b2J", "\\u{9b}2J"),
            ("x\u{202e}y".as_bytes(), "x\\u{202e}y"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(safe(given), expected);
        }
        let mut state = State::new("a\u{1b}c".to_owned(), layers(&["- x\u{1b}]0;y 5"]));
        assert!(screen(&mut state, 100, 20).iter().all(|line| !line.contains('\u{1b}')));
    }
}
