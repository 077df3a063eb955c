//! Files that layers hold for nothing: a layer above removes or replaces them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, statat};

use crate::error::{At, Result};
use crate::marks::is_whiteout;
use crate::names::{HostNames, Merged};
use crate::truth::file_type;
use crate::view::StackView;
use crate::walk::check_depth;

/// A file that a layer holds for nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadFile {
    /// Where it was; of a file with several names, the one that was hidden last.
    pub path: PathBuf,
    /// Its size.
    pub size: u64,
    /// The layer that holds it, counted from the bottom.
    pub layer: usize,
    /// The lowest layer that hides it.
    pub by: usize,
}

/// A layer that has a directory, and the layer that hides what it has there.
#[derive(Clone, Copy)]
struct Holder {
    layer: usize,
    hidden: Option<usize>,
}

struct Level {
    dir: PathBuf,
    /// Top first.
    holders: Vec<Holder>,
    names: Merged<HostNames>,
}

/// The names of a file with several: all of them, and those that are hidden.
#[derive(Default)]
struct Names {
    all: u32,
    hidden: u32,
}

impl StackView {
    /// Visits the files that the layers from `base` on hold and others above these hide. A file with several names
    /// in its layer is hidden with the last of them.
    pub fn dead_files(&self, base: usize, visit: &mut dyn FnMut(DeadFile) -> Result<()>) -> Result<()> {
        let count = self.sheets().len();
        // The topmost layer is hidden by none.
        if count.saturating_sub(base) < 2 {
            return Ok(());
        }
        Search { view: self, top: count - 1, several: HashMap::new(), found: HashMap::new(), visit }.run(base)
    }
}

struct Search<'a> {
    view: &'a StackView,
    top: usize,
    /// By layer and inode.
    several: HashMap<(usize, u64), Names>,
    /// Those of them that have a hidden name.
    found: HashMap<(usize, u64), DeadFile>,
    visit: &'a mut dyn FnMut(DeadFile) -> Result<()>,
}

impl Search<'_> {
    fn run(mut self, base: usize) -> Result<()> {
        let mut holders = Vec::new();
        let mut hidden = None;
        for layer in (base..=self.top).rev() {
            holders.push(Holder { layer, hidden });
            if self.view.is_opaque(&self.view.sheets()[layer].host)? {
                hidden = Some(layer);
            }
        }
        let mut open = vec![self.enter(PathBuf::new(), holders)?];
        let mut having = Vec::new();
        while let Some(level) = open.last_mut() {
            let Some(name) = level.names.next(&mut having)? else {
                open.pop();
                continue;
            };
            let path = level.dir.join(name);
            let holders: Vec<Holder> = having.iter().map(|nth| level.holders[*nth]).collect();
            let inside = self.name(&path, &holders)?;
            // What only the topmost layer has is hidden by none.
            if inside.iter().any(|holder| holder.layer != self.top) {
                open.push(self.enter(path, inside)?);
            }
        }
        for (file, names) in self.several {
            if names.hidden == names.all
                && let Some(dead) = self.found.remove(&file)
            {
                (self.visit)(dead)?;
            }
        }
        Ok(())
    }

    fn enter(&self, dir: PathBuf, holders: Vec<Holder>) -> Result<Level> {
        check_depth(&dir)?;
        let host = |holder: &Holder| self.view.sheets()[holder.layer].host.join(&dir);
        let names = Merged::new(holders.iter().map(|holder| HostNames::of(&host(holder))));
        Ok(Level { dir, holders, names })
    }

    /// Looks at what several layers, top first, have under a name. Returns those that have a directory there.
    fn name(&mut self, path: &Path, holders: &[Holder]) -> Result<Vec<Holder>> {
        let mut inside = Vec::new();
        // The nearest layer above that hides a directory, or something else.
        let (mut directories, mut others) = (None, None);
        for holder in holders {
            let layer = holder.layer;
            let host = self.view.sheets()[layer].host.join(path);
            let stat = statat(CWD, &host, AtFlags::SYMLINK_NOFOLLOW).at(&host)?;
            if is_whiteout(&stat) {
                (directories, others) = (Some(layer), Some(layer));
                continue;
            }
            if file_type(&stat) == FileType::Directory {
                inside.push(Holder { layer, hidden: nearest(holder.hidden, directories) });
                others = Some(layer);
                if self.view.is_opaque(&host)? {
                    directories = Some(layer);
                }
                continue;
            }
            let by = nearest(holder.hidden, others);
            (directories, others) = (Some(layer), Some(layer));
            if file_type(&stat) == FileType::RegularFile && layer != self.top {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                let dead = by.map(|by| DeadFile { path: path.to_owned(), size, layer, by });
                self.file((layer, stat.st_ino), u64::from(stat.st_nlink as u32), dead)?;
            }
        }
        Ok(inside)
    }

    fn file(&mut self, file: (usize, u64), links: u64, dead: Option<DeadFile>) -> Result<()> {
        if links < 2 {
            return dead.map_or(Ok(()), &mut self.visit);
        }
        let names = self.several.entry(file).or_default();
        names.all += 1;
        if let Some(dead) = dead {
            names.hidden += 1;
            match self.found.get(&file) {
                Some(before) if before.by >= dead.by => {}
                Some(_) | None => drop(self.found.insert(file, dead)),
            }
        }
        Ok(())
    }
}

fn nearest(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (only, None) | (None, only) => only,
    }
}
