//! Files that are in an image and cannot be seen: a layer above removes or replaces them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layers::FileReport;

/// A file that a layer holds for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenFile {
    /// Where it was, by its last name.
    pub path: PathBuf,
    /// Its size.
    pub size: u64,
    /// The layer that holds it, counted from the bottom.
    pub layer: usize,
    /// The layer that hides it.
    pub by: usize,
}

/// What is seen at a path: a file by its number among all files, or something without content.
#[derive(Clone, Copy)]
struct Seen {
    layer: usize,
    file: Option<usize>,
}

/// A file with the number of names that are left of it.
struct Content {
    size: u64,
    layer: usize,
    names: usize,
}

/// Collects what layers hide, from the bottom up.
#[derive(Default)]
pub(super) struct Hidden {
    layers: usize,
    seen: BTreeMap<PathBuf, Seen>,
    contents: Vec<Content>,
    found: Vec<HiddenFile>,
}

impl Hidden {
    /// Adds the next layer.
    pub(super) fn add(&mut self, files: &[FileReport]) {
        let layer = self.layers;
        self.layers += 1;
        // Removals are of what lies below, wherever they stand in the archive.
        for file in files {
            match file.kind {
                'x' => self.hide(&file.path, layer, |_| true),
                'o' => self.hide(&file.path, layer, |path| path != file.path),
                _ => {}
            }
        }
        for file in files.iter().filter(|file| !matches!(file.kind, 'x' | 'o')) {
            let target = file.target.as_ref().filter(|_| file.kind == 'h');
            let content = target.and_then(|target| self.seen.get(target)).and_then(|seen| seen.file);
            match file.kind {
                // A directory replaces anything but a directory, whose content stays.
                'd' => self.hide(&file.path, layer, |path| path == file.path),
                _ => self.hide(&file.path, layer, |_| true),
            }
            let file_number = match (file.kind, content) {
                ('h', Some(number)) => {
                    self.contents[number].names += 1;
                    Some(number)
                }
                ('-', _) => {
                    self.contents.push(Content { size: file.size, layer, names: 1 });
                    Some(self.contents.len() - 1)
                }
                _ => None,
            };
            self.seen.insert(file.path.clone(), Seen { layer, file: file_number });
        }
    }

    /// Takes away what is seen at a path and below it.
    fn hide(&mut self, top: &Path, by: usize, goes: impl Fn(&Path) -> bool) {
        let below = self.seen.range(top.to_owned()..).take_while(|(path, _)| path.starts_with(top));
        let going: Vec<PathBuf> = below
            .filter(|(path, seen)| goes(path) && (seen.layer < by || path.as_path() == top))
            .map(|(path, _)| path.clone())
            .collect();
        for path in going {
            let Some(Seen { file: Some(number), .. }) = self.seen.remove(&path) else { continue };
            let content = &mut self.contents[number];
            content.names -= 1;
            if content.names == 0 {
                self.found.push(HiddenFile { path, size: content.size, layer: content.layer, by });
            }
        }
    }

    /// Everything that was hidden, the largest first.
    pub(super) fn finish(mut self) -> Vec<HiddenFile> {
        self.found.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.path.cmp(&other.path)));
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `-path size`, `d path`, `x path`, `o path`, `h path target`.
    fn layer(text: &str) -> Vec<FileReport> {
        let entry = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let kind = words[0].chars().next().unwrap();
            let last = words.get(2).copied();
            FileReport {
                path: words[1].into(),
                kind,
                mode: 0,
                uid: 0,
                gid: 0,
                size: if kind == '-' { last.unwrap().parse().unwrap() } else { 0 },
                target: last.filter(|_| kind == 'h').map(PathBuf::from),
            }
        };
        text.split(',').filter(|line| !line.trim().is_empty()).map(entry).collect()
    }

    fn check(layers: &[&str], expected: &[(&str, u64, usize, usize)]) {
        let mut hidden = Hidden::default();
        layers.iter().for_each(|text| hidden.add(&layer(text)));
        let found: Vec<_> = hidden.finish().into_iter().map(|f| (f.path, f.size, f.layer, f.by)).collect();
        let expected: Vec<_> =
            expected.iter().map(|&(path, size, layer, by)| (PathBuf::from(path), size, layer, by)).collect();
        assert_eq!(found, expected, "{layers:?}");
    }

    #[test]
    fn what_is_removed_or_replaced_is_wasted() {
        check(&["- a 5, - b 7", "x a"], &[("a", 5, 0, 1)]);
        check(&["- a 5", "- a 6", "- a 1"], &[("a", 6, 1, 2), ("a", 5, 0, 1)]);
        check(&["d d, - d/a 5, - d/s/b 6, - da 9", "x d"], &[("d/s/b", 6, 0, 1), ("d/a", 5, 0, 1)]);
        check(&["d d, - d/a 5", "d d"], &[]);
        check(&["d d, - d/a 5", "d d, - d/b 1, o d"], &[("d/a", 5, 0, 1)]);
        check(&["d d, - d/a 5", "- d 2"], &[("d/a", 5, 0, 1)]);
        check(&["- d 5", "d d, - d/a 1"], &[("d", 5, 0, 1)]);
        check(&["- a 5", "l a"], &[("a", 5, 0, 1)]);
        // Not there at all.
        check(&["- a 5", "x b"], &[]);
    }

    #[test]
    fn a_file_is_wasted_with_its_last_name() {
        check(&["- a 5, h b a", "x a"], &[]);
        check(&["- a 5, h b a", "x a", "x b"], &[("b", 5, 0, 2)]);
        check(&["- a 5, h b a", "- b 3"], &[]);
        // A link to a file of a lower layer.
        check(&["- a 5", "h b a", "x a"], &[]);
        // A removal and a new file of one name in one layer.
        check(&["- a 5", "- a 3, x a"], &[("a", 5, 0, 1)]);
    }
}
