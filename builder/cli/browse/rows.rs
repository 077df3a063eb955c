//! Which lines of a tree are in sight.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::tree::{Change, NodeId, Tree};

/// A line: a node, and how deep it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub node: NodeId,
    pub depth: usize,
}

/// Which directories are open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// These.
    Some(HashSet<PathBuf>),
    /// All but these.
    AllBut(HashSet<PathBuf>),
}

impl Opened {
    pub fn none() -> Self {
        Self::Some(HashSet::new())
    }

    pub fn all() -> Self {
        Self::AllBut(HashSet::new())
    }

    pub fn has(&self, path: &Path) -> bool {
        match self {
            Self::Some(opened) => opened.contains(path),
            Self::AllBut(closed) => !closed.contains(path),
        }
    }

    pub fn open(&mut self, path: PathBuf) {
        match self {
            Self::Some(opened) => drop(opened.insert(path)),
            Self::AllBut(closed) => drop(closed.remove(&path)),
        }
    }

    pub fn close(&mut self, path: PathBuf) {
        match self {
            Self::Some(opened) => drop(opened.remove(&path)),
            Self::AllBut(closed) => drop(closed.insert(path)),
        }
    }
}

/// Which files are shown, by what the layer did to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shows {
    hidden: [bool; 4],
}

impl Shows {
    pub const ALL: Shows = Shows { hidden: [false; 4] };

    fn place(change: Change) -> usize {
        match change {
            Change::Same => 0,
            Change::Added => 1,
            Change::Changed => 2,
            Change::Removed => 3,
        }
    }

    pub fn toggle(&mut self, change: Change) {
        self.hidden[Self::place(change)] ^= true;
    }

    pub fn has(self, change: Change) -> bool {
        !self.hidden[Self::place(change)]
    }
}

/// In which order the files of a directory stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Name,
    Size,
}

/// The lines in sight. Where a filter is set, they are the paths that contain it, with all their parents.
pub fn rows(tree: &Tree, opened: &Opened, shows: Shows, order: Order, filter: &str) -> Vec<Row> {
    let wanted = wanted(tree, shows, filter);
    let mut rows = Vec::new();
    let mut left: Vec<(NodeId, PathBuf, usize)> = Vec::new();
    let push = |left: &mut Vec<_>, parent: NodeId, path: &Path, depth: usize| {
        let mut children: Vec<NodeId> = tree.node(parent).children.values().copied().collect();
        if order == Order::Size {
            children.sort_by_key(|id| std::cmp::Reverse(tree.node(*id).total));
        }
        let seen = children.into_iter().rev().filter(|id| wanted[*id]);
        left.extend(seen.map(|id| (id, path.join(&tree.node(id).name), depth)));
    };
    push(&mut left, 0, Path::new(""), 0);
    while let Some((node, path, depth)) = left.pop() {
        rows.push(Row { node, depth });
        if !tree.node(node).children.is_empty() && (!filter.is_empty() || opened.has(&path)) {
            push(&mut left, node, &path, depth + 1);
        }
    }
    rows
}

/// Which nodes are wanted by themselves or for something below them.
fn wanted(tree: &Tree, shows: Shows, filter: &str) -> Vec<bool> {
    let mut wanted = vec![false; tree.len()];
    for id in (0..tree.len()).rev() {
        let node = tree.node(id);
        let fits = filter.is_empty() || node.name.to_string_lossy().contains(filter);
        wanted[id] |= fits && shows.has(node.change);
        if let (true, Some(parent)) = (wanted[id], tree.parent(id)) {
            wanted[parent] = true;
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::samples::layers;

    fn check(opened: &Opened, shows: Shows, order: Order, filter: &str, expected: &[&str]) {
        let layers = layers(&["d d, d d/e, - d/e/a 5, - b 1, - c 9", "- b 2, x c, - d/n 30"]);
        let tree = Tree::at(&layers, 1);
        let found: Vec<String> = rows(&tree, opened, shows, order, filter)
            .into_iter()
            .map(|row| format!("{}{}", " ".repeat(row.depth), tree.node(row.node).name.display()))
            .collect();
        assert_eq!(found, expected, "{opened:?} {shows:?} {order:?} {filter:?}");
    }

    #[test]
    fn what_is_open_shown_and_found() {
        let mut changed = Shows::ALL;
        changed.toggle(Change::Same);
        let mut kept = Shows::ALL;
        kept.toggle(Change::Removed);
        let some = Opened::Some(HashSet::from([PathBuf::from("d")]));
        let but = Opened::AllBut(HashSet::from([PathBuf::from("d/e")]));
        check(&Opened::none(), Shows::ALL, Order::Name, "", &["b", "c", "d"]);
        check(&some, Shows::ALL, Order::Name, "", &["b", "c", "d", " e", " n"]);
        check(&but, Shows::ALL, Order::Name, "", &["b", "c", "d", " e", " n"]);
        check(&Opened::all(), Shows::ALL, Order::Name, "", &["b", "c", "d", " e", "  a", " n"]);
        check(&Opened::all(), Shows::ALL, Order::Size, "", &["d", " n", " e", "  a", "b", "c"]);
        check(&Opened::all(), changed, Order::Name, "", &["b", "c", "d", " n"]);
        check(&Opened::none(), kept, Order::Name, "", &["b", "d"]);
        check(&Opened::none(), Shows::ALL, Order::Name, "a", &["d", " e", "  a"]);
        check(&Opened::none(), Shows::ALL, Order::Name, "none", &[]);
    }
}
