//! The files of an image up to one of its layers, with what that layer did to them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};

use builder::toolchain::{FileReport, LayerReport};

/// What the topmost layer did to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Same,
    Added,
    Changed,
    Removed,
}

/// The number of a node; the root is 0.
pub type NodeId = usize;

/// A file or directory.
#[derive(Debug)]
pub struct Node {
    pub name: OsString,
    pub children: BTreeMap<OsString, NodeId>,
    pub kind: char,
    pub mode: u32,
    pub owner: (u32, u32),
    pub size: u64,
    pub target: Option<OsString>,
    pub change: Change,
    /// Whether the layer did something to it, or to anything below.
    pub touched: bool,
    /// Bytes of all files here and below that are there.
    pub total: u64,
    parent: Option<NodeId>,
}

/// All nodes; a parent stands before its children.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
}

/// Whether a layer is the one that is looked at, or one below it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Below,
    Top,
}

impl Tree {
    /// The files after a layer, counted from the bottom.
    pub fn at(layers: &[LayerReport], top: usize) -> Self {
        let mut tree = Self { nodes: vec![Node::directory(OsString::new(), None, Change::Same)] };
        for (position, layer) in layers.iter().enumerate().take(top + 1) {
            tree.apply(layer.files.loaded(), if position == top { Part::Top } else { Part::Below });
        }
        tree.sum();
        tree
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// How many there are, those that are out of sight included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The parent of a node that is in sight.
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.nodes[id].parent
    }

    fn apply(&mut self, files: &[FileReport], part: Part) {
        // Removals are of what lies below, wherever they stand in the archive.
        for file in files {
            let Some(id) = self.find(&file.path) else { continue };
            match file.kind {
                'x' => self.take(id, part),
                'o' => self.take_children(id, part),
                _ => {}
            }
        }
        for file in files.iter().filter(|file| !matches!(file.kind, 'x' | 'o')) {
            self.put(file, part);
        }
    }

    fn find(&self, path: &Path) -> Option<NodeId> {
        names(path).try_fold(0, |id, name| self.nodes[id].children.get(name).copied())
    }

    /// Takes a node away with all below it, or marks it as what the topmost layer removed.
    fn take(&mut self, id: NodeId, part: Part) {
        self.take_children(id, part);
        match (part, self.nodes[id].parent) {
            (Part::Top, _) => self.nodes[id].change = Change::Removed,
            (Part::Below, Some(parent)) => {
                let name = self.nodes[id].name.clone();
                self.nodes[parent].children.remove(&name);
                self.nodes[id].parent = None;
            }
            (Part::Below, None) => {}
        }
    }

    fn take_children(&mut self, top: NodeId, part: Part) {
        match part {
            Part::Below => {
                for (_, child) in std::mem::take(&mut self.nodes[top].children) {
                    self.nodes[child].parent = None;
                }
            }
            Part::Top => {
                let mut left: Vec<NodeId> = self.nodes[top].children.values().copied().collect();
                while let Some(id) = left.pop() {
                    self.nodes[id].change = Change::Removed;
                    left.extend(self.nodes[id].children.values());
                }
            }
        }
    }

    fn put(&mut self, file: &FileReport, part: Part) {
        let (id, new) = self.reach(&file.path, part);
        if file.kind != 'd' {
            self.take_children(id, part);
        }
        let node = &mut self.nodes[id];
        let owner = (file.uid, file.gid);
        // A directory stands in an archive, too, where only its content changed.
        let same = node.kind == 'd'
            && file.kind == 'd'
            && node.change != Change::Removed
            && (node.mode, node.owner) == (file.mode, owner);
        if part == Part::Top && !(same || id == 0) {
            node.change = if new { Change::Added } else { Change::Changed };
        }
        (node.kind, node.mode, node.owner, node.size) = (file.kind, file.mode, owner, file.size);
        node.target = file.target.as_ref().map(|target| target.clone().into_os_string());
    }

    /// The node at a path, and whether it is a new one; parents are made where they are missing.
    fn reach(&mut self, path: &Path, part: Part) -> (NodeId, bool) {
        let (mut id, mut new) = (0, false);
        for name in names(path) {
            if new && part == Part::Top {
                self.nodes[id].change = Change::Added;
            } else if self.nodes[id].change == Change::Removed {
                self.nodes[id].change = Change::Changed;
            }
            let found = self.nodes[id].children.get(name).copied();
            (id, new) = match found {
                Some(child) => (child, false),
                None => (self.make(id, name), true),
            };
        }
        (id, new)
    }

    fn make(&mut self, parent: NodeId, name: &OsStr) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(Node::directory(name.to_owned(), Some(parent), Change::Same));
        self.nodes[parent].children.insert(name.to_owned(), id);
        id
    }

    fn sum(&mut self) {
        for id in (0..self.nodes.len()).rev() {
            let node = &self.nodes[id];
            let (parent, removed) = (node.parent, node.change == Change::Removed);
            let touched = node.touched || node.change != Change::Same;
            let total = node.total + if removed { 0 } else { node.size };
            (self.nodes[id].total, self.nodes[id].touched) = (total, touched);
            if let Some(parent) = parent {
                self.nodes[parent].total += total;
                self.nodes[parent].touched |= touched;
            }
        }
    }
}

impl Node {
    fn directory(name: OsString, parent: Option<NodeId>, change: Change) -> Self {
        Self {
            name,
            children: BTreeMap::new(),
            kind: 'd',
            mode: 0o755,
            owner: (0, 0),
            size: 0,
            target: None,
            change,
            touched: false,
            total: 0,
            parent,
        }
    }

    /// Whether it is one.
    pub fn is_directory(&self) -> bool {
        self.kind == 'd'
    }
}

fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        Component::RootDir | Component::CurDir | Component::ParentDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::browse::samples::layers;

    /// `change kind path total` of everything, in order.
    fn shown(tree: &Tree) -> Vec<String> {
        let mut lines = Vec::new();
        let mut left: Vec<(NodeId, String)> = vec![(0, String::new())];
        while let Some((id, path)) = left.pop() {
            let node = tree.node(id);
            if id != 0 {
                lines.push(format!("{:?} {}{path} {}", node.change, node.kind, node.total));
            }
            let below = node.children.iter().rev();
            left.extend(below.map(|(name, id)| (*id, format!("{path}/{}", name.display()))));
        }
        lines
    }

    fn check(texts: &[&str], expected: &[&str]) {
        let layers = layers(texts);
        assert_eq!(shown(&Tree::at(&layers, layers.len() - 1)), expected, "{texts:?}");
    }

    #[test]
    fn what_the_topmost_layer_did() {
        check(&["d d, - d/a 5"], &["Added d/d 5", "Added -/d/a 5"]);
        check(
            &["d d, - d/a 5, - b 1", "d d, - d/c 2"],
            &["Same -/b 1", "Same d/d 7", "Same -/d/a 5", "Added -/d/c 2"],
        );
        check(&["- a 5", "- a 6"], &["Changed -/a 6"]);
        check(&["d d, - d/a 5", "x d"], &["Removed d/d 0", "Removed -/d/a 0"]);
        check(&["d d, - d/a 5", "x d, d d, - d/b 1"], &["Changed d/d 1", "Removed -/d/a 0", "Added -/d/b 1"]);
        check(&["d d, - d/a 5", "d d, o d, - d/b 1"], &["Same d/d 1", "Removed -/d/a 0", "Added -/d/b 1"]);
        check(&["d d, - d/a 5", "- d 3"], &["Changed -/d 3", "Removed -/d/a 0"]);
    }

    #[test]
    fn what_lower_layers_removed_is_out_of_sight() {
        check(&["d d, - d/a 5", "x d", "- b 1"], &["Added -/b 1"]);
        check(&["d d, - d/a 5", "d d, o d", "- b 1"], &["Added -/b 1", "Same d/d 0"]);
        check(&["d d, - d/a 5", "l d", "- b 1"], &["Added -/b 1", "Same l/d 0"]);
        check(&["- a 5", "x a", "- a 2"], &["Added -/a 2"]);
        // A parent that no archive lists.
        check(
            &["- p/q/a 5", "- p/q/b 1"],
            &["Same d/p 6", "Same d/p/q 6", "Same -/p/q/a 5", "Added -/p/q/b 1"],
        );
    }
}
