//! What the browser shows, and what keys do to it. Nothing here knows a terminal.

use std::path::PathBuf;

use builder::toolchain::LayerReport;

use super::rows::{Opened, Order, Row, Shows, rows};
use super::tree::{Change, NodeId, Tree};
use super::wasted::{WastedRow, wasted_rows};

/// What a person can press.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Tab,
    BackTab,
    Escape,
    Backspace,
    Character(char),
    /// Ctrl-C.
    Interrupt,
}

/// What is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Continue,
    Quit,
}

/// The parts of the screen that can be moved in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Layers,
    Files,
    Wasted,
}

/// Where somebody is in a list, and which line of it is the first in sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub cursor: usize,
    pub first: usize,
}

impl Place {
    fn go(&mut self, by: isize, length: usize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(length.saturating_sub(1));
    }

    /// Moves the list so that the cursor is in sight.
    pub fn fit(&mut self, height: usize) {
        let lowest = (self.cursor + 1).saturating_sub(height);
        self.first = self.first.clamp(lowest, self.cursor.max(lowest));
    }
}

/// Whether letters are commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    Commands,
    Filter,
}

/// What fills the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    Image,
    Help,
}

/// All of it.
pub struct State {
    pub image: String,
    pub layers: Vec<LayerReport>,
    pub tree: Tree,
    pub files: Vec<Row>,
    pub wasted: Vec<WastedRow>,
    pub pane: Pane,
    pub typing: Typing,
    pub showing: Showing,
    pub filter: String,
    pub shows: Shows,
    pub order: Order,
    pub at_layer: Place,
    pub at_file: Place,
    pub at_wasted: Place,
    /// Lines that a page has; known once it was drawn.
    pub page: usize,
    opened: Opened,
}

impl State {
    /// Begins at the topmost layer.
    pub fn new(image: String, layers: Vec<LayerReport>) -> Self {
        let top = layers.len().saturating_sub(1);
        let tree = Tree::at(&layers, top);
        let wasted = wasted_rows(&layers);
        let mut state = Self {
            image,
            layers,
            tree,
            files: Vec::new(),
            wasted,
            pane: Pane::Layers,
            typing: Typing::Commands,
            showing: Showing::Image,
            filter: String::new(),
            shows: Shows::ALL,
            order: Order::Name,
            at_layer: Place { cursor: top, first: 0 },
            at_file: Place::default(),
            at_wasted: Place::default(),
            page: 1,
            opened: Opened::none(),
        };
        state.list();
        state
    }

    /// The layer that is looked at.
    pub fn layer(&self) -> Option<&LayerReport> {
        self.layers.get(self.at_layer.cursor)
    }

    /// Bytes of all files of all layers, and those of them that no one sees.
    pub fn bytes(&self) -> (u64, u64) {
        let total = |of: fn(&LayerReport) -> u64| self.layers.iter().map(of).sum();
        (total(|layer| layer.size), total(|layer| layer.wasted))
    }

    /// The path of a node.
    pub fn path(&self, node: NodeId) -> PathBuf {
        let mut names = Vec::new();
        let mut at = Some(node);
        while let Some(id) = at.filter(|id| *id != 0) {
            names.push(&self.tree.node(id).name);
            at = self.tree.parent(id);
        }
        names.into_iter().rev().collect()
    }

    /// Whether a directory's content is in sight.
    pub fn is_open(&self, node: NodeId) -> bool {
        !self.filter.is_empty() || self.opened.has(&self.path(node))
    }

    /// Does what a key asks for.
    pub fn press(&mut self, key: Key) -> Next {
        if key == Key::Interrupt {
            return Next::Quit;
        }
        match (self.showing, self.typing) {
            (Showing::Help, _) => self.showing = Showing::Image,
            (Showing::Image, Typing::Filter) => self.type_filter(key),
            (Showing::Image, Typing::Commands) => return self.command(key),
        }
        Next::Continue
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Character(letter) => self.filter.push(letter),
            Key::Backspace => drop(self.filter.pop()),
            Key::Escape => {
                self.filter.clear();
                self.typing = Typing::Commands;
            }
            Key::Enter | Key::Tab => self.typing = Typing::Commands,
            Key::Up | Key::Down | Key::PageUp | Key::PageDown => self.go(key),
            Key::Left | Key::Right | Key::Home | Key::End | Key::BackTab | Key::Interrupt => return,
        }
        self.list();
    }

    fn command(&mut self, key: Key) -> Next {
        match key {
            Key::Character('q') => return Next::Quit,
            Key::Character('?') => self.showing = Showing::Help,
            Key::Tab => self.pane = self.other_pane(1),
            Key::BackTab => self.pane = self.other_pane(2),
            Key::Character('w') => self.pane = Pane::Wasted,
            Key::Character('/') => (self.pane, self.typing) = (Pane::Files, Typing::Filter),
            Key::Escape => {
                self.filter.clear();
                self.list();
            }
            Key::Character('a') => self.toggle(Change::Added),
            Key::Character('m') => self.toggle(Change::Changed),
            Key::Character('r') => self.toggle(Change::Removed),
            Key::Character('u') => self.toggle(Change::Same),
            Key::Character('s') => {
                self.order = match self.order {
                    Order::Name => Order::Size,
                    Order::Size => Order::Name,
                };
                self.list();
            }
            Key::Character('+') => self.open_all(Opened::all()),
            Key::Character('-') => self.open_all(Opened::none()),
            Key::Character('[') => self.go_layer(-1),
            Key::Character(']') => self.go_layer(1),
            Key::Enter | Key::Character(' ') if self.pane == Pane::Files => self.open_or_close(),
            Key::Right | Key::Character('l') if self.pane == Pane::Files => self.open(),
            Key::Left | Key::Character('h') if self.pane == Pane::Files => self.close(),
            Key::Enter | Key::Right if self.pane == Pane::Layers => self.pane = Pane::Files,
            Key::Up
            | Key::Down
            | Key::PageUp
            | Key::PageDown
            | Key::Home
            | Key::End
            | Key::Character('j' | 'k' | 'g' | 'G') => self.go(key),
            Key::Left | Key::Right | Key::Enter | Key::Backspace | Key::Interrupt | Key::Character(_) => {}
        }
        Next::Continue
    }

    fn other_pane(&self, steps: usize) -> Pane {
        const PANES: [Pane; 3] = [Pane::Layers, Pane::Files, Pane::Wasted];
        let at = PANES.iter().position(|pane| *pane == self.pane).unwrap_or(0);
        PANES[(at + steps) % PANES.len()]
    }

    fn go(&mut self, key: Key) {
        const FAR: isize = isize::MAX;
        let page = isize::try_from(self.page.max(1)).unwrap_or(FAR);
        let by = match key {
            Key::Up | Key::Character('k') => -1,
            Key::Down | Key::Character('j') => 1,
            Key::PageUp => -page,
            Key::PageDown => page,
            Key::Home | Key::Character('g') => -FAR,
            Key::End | Key::Character('G') => FAR,
            Key::Left
            | Key::Right
            | Key::Enter
            | Key::Tab
            | Key::BackTab
            | Key::Escape
            | Key::Backspace
            | Key::Character(_)
            | Key::Interrupt => 0,
        };
        match self.pane {
            Pane::Layers => self.go_layer(by),
            Pane::Files => self.at_file.go(by, self.files.len()),
            Pane::Wasted => self.at_wasted.go(by, self.wasted.len()),
        }
    }

    fn go_layer(&mut self, by: isize) {
        let (before, path) = (self.at_layer.cursor, self.chosen_path());
        self.at_layer.go(by, self.layers.len());
        if before != self.at_layer.cursor {
            self.tree = Tree::at(&self.layers, self.at_layer.cursor);
            self.list_at(path);
        }
    }

    fn toggle(&mut self, change: Change) {
        self.shows.toggle(change);
        self.list();
    }

    fn open_all(&mut self, opened: Opened) {
        self.opened = opened;
        self.list();
    }

    /// The node under the cursor.
    pub fn chosen(&self) -> Option<Row> {
        self.files.get(self.at_file.cursor).copied()
    }

    fn open_or_close(&mut self) {
        let Some(row) = self.chosen() else { return };
        if self.is_open(row.node) { self.close() } else { self.open() }
    }

    fn open(&mut self) {
        let Some(row) = self.chosen() else { return };
        self.opened.open(self.path(row.node));
        self.list();
    }

    /// Closes an open directory; from anything else goes to the directory that it is in.
    fn close(&mut self) {
        let Some(row) = self.chosen() else { return };
        let node = self.tree.node(row.node);
        if !node.children.is_empty() && self.is_open(row.node) && self.filter.is_empty() {
            self.opened.close(self.path(row.node));
            return self.list();
        }
        let above = self.files[..self.at_file.cursor].iter().rposition(|it| it.depth < row.depth);
        self.at_file.cursor = above.unwrap_or(self.at_file.cursor);
    }

    /// Makes the list of files anew.
    fn list(&mut self) {
        let path = self.chosen_path();
        self.list_at(path);
    }

    fn chosen_path(&self) -> Option<PathBuf> {
        self.chosen().map(|row| self.path(row.node))
    }

    /// Makes the list of files and goes to a file, where that is in sight.
    fn list_at(&mut self, path: Option<PathBuf>) {
        self.files = rows(&self.tree, &self.opened, self.shows, self.order, &self.filter);
        let again = path.and_then(|path| self.files.iter().position(|row| self.path(row.node) == path));
        self.at_file.cursor = again.unwrap_or(self.at_file.cursor.min(self.files.len().saturating_sub(1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::samples::{layers, wasteful};

    fn state() -> State {
        State::new("app:1".to_owned(), layers(&["d d, - d/a 5, - b 1", "d d, - d/c 2, x b"]))
    }

    fn press(state: &mut State, keys: &str) {
        for letter in keys.chars() {
            let key = match letter {
                '>' => Key::Right,
                '<' => Key::Left,
                '^' => Key::Up,
                'v' => Key::Down,
                '\t' => Key::Tab,
                '\n' => Key::Enter,
                '!' => Key::Escape,
                other => Key::Character(other),
            };
            assert_eq!(state.press(key), Next::Continue, "{keys:?}");
        }
    }

    fn seen(state: &State) -> Vec<String> {
        state.files.iter().map(|row| state.path(row.node).display().to_string()).collect()
    }

    #[test]
    fn keys_move_open_close_and_find() {
        for (keys, files, cursor) in [
            ("", &["b", "d"][..], 0),
            ("\tv>", &["b", "d", "d/a", "d/c"], 1),
            ("\tv>v", &["b", "d", "d/a", "d/c"], 2),
            ("\tv>v<", &["b", "d", "d/a", "d/c"], 1),
            ("\tv>vv<<", &["b", "d"], 1),
            ("\tv\n\n", &["b", "d"], 1),
            ("+", &["b", "d", "d/a", "d/c"], 0),
            ("+-", &["b", "d"], 0),
            ("+r", &["d", "d/a", "d/c"], 0),
            ("+u", &["b", "d", "d/c"], 0),
            ("+s", &["d", "d/a", "d/c", "b"], 3),
            ("[+", &["b", "d", "d/a"], 0),
            ("^+", &["b", "d", "d/a"], 0),
            ("/c\n", &["d", "d/c"], 0),
            ("/c!", &["b", "d"], 1),
            ("/q\n!", &["b", "d"], 0),
            ("\tG", &["b", "d"], 1),
            ("\tvvvvk", &["b", "d"], 0),
            ("?x", &["b", "d"], 0),
        ] {
            let mut state = state();
            press(&mut state, keys);
            assert_eq!(
                (seen(&state), state.at_file.cursor),
                (files.iter().map(|it| (*it).to_owned()).collect(), cursor),
                "{keys:?}"
            );
        }
    }

    #[test]
    fn the_same_file_stays_chosen_in_another_layer() {
        let mut state = state();
        press(&mut state, "\t+G[");
        // It is not there yet in the lower layer: the last line is near it.
        assert_eq!((seen(&state).len(), state.at_file.cursor), (3, 2));
        press(&mut state, "k]");
        assert_eq!(state.chosen().map(|row| state.path(row.node)), Some("d".into()));
    }

    #[test]
    fn letters_are_a_filter_while_one_is_typed() {
        let mut state = state();
        press(&mut state, "/q");
        assert_eq!((state.filter.as_str(), state.files.len()), ("q", 0));
        assert_eq!(state.press(Key::Interrupt), Next::Quit);
        press(&mut state, "!");
        assert_eq!(state.press(Key::Character('q')), Next::Quit);
    }

    #[test]
    fn an_image_without_layers_has_nothing_to_move_in() {
        let mut state = State::new("empty".to_owned(), Vec::new());
        press(&mut state, "^v\t^v>< \n[]+-s/x\n!w^v\n");
        assert!(state.files.is_empty() && state.layer().is_none());
        assert_eq!(state.bytes(), (0, 0));
    }

    #[test]
    fn waste_is_a_list_of_its_own() {
        let mut state = State::new("app".to_owned(), wasteful(&["- a 5", "x a"], "a", 5));
        press(&mut state, "w");
        assert_eq!((state.pane, state.wasted.len(), state.bytes()), (Pane::Wasted, 2, (5, 5)));
    }

    #[test]
    fn a_list_moves_with_the_cursor() {
        for (cursor, first, height, expected) in
            [(0, 0, 5, 0), (4, 0, 5, 0), (5, 0, 5, 1), (3, 7, 5, 3), (9, 0, 1, 9), (3, 0, 0, 4)]
        {
            let mut place = Place { cursor, first };
            place.fit(height);
            assert_eq!(place.first, expected, "{cursor} {first} {height}");
        }
    }
}
