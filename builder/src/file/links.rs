//! Following symbolic links inside a root.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::FileError;

const MOST_LINKS: usize = 255;

/// What to do with a link that is the last component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// The real path behind `path`, relative to the root. `..` and absolute targets stop at the root;
/// what does not exist is taken as it is written. `target_of` says where a real path links to;
/// `crossed` hears of each link that was followed.
pub(super) fn resolve(
    path: &Path,
    last: Last,
    mut target_of: impl FnMut(&Path) -> Result<Option<PathBuf>, FileError>,
    mut crossed: impl FnMut(&Path),
) -> Result<PathBuf, FileError> {
    let mut pending = steps(path);
    let mut real = PathBuf::new();
    let mut links = 0;
    while let Some(step) = pending.pop_front() {
        let Step::Into(name) = step else {
            real.pop();
            continue;
        };
        real.push(name);
        if pending.is_empty() && last == Last::Keep {
            break;
        }
        let Some(target) = target_of(&real)? else { continue };
        links += 1;
        if links > MOST_LINKS {
            return Err(FileError::Links { path: super::error::shown(path) });
        }
        crossed(&real);
        if target.is_absolute() {
            real.clear();
        } else {
            real.pop();
        }
        for step in steps(&target).into_iter().rev() {
            pending.push_front(step);
        }
    }
    Ok(real)
}

enum Step {
    Up,
    Into(OsString),
}

fn steps(path: &Path) -> VecDeque<Step> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(Step::Into(name.to_owned())),
            Component::ParentDir => Some(Step::Up),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// A path by its text alone: relative to the root, without `.` and `..`.
pub(super) fn clean(path: impl AsRef<Path>) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for step in steps(path.as_ref()) {
        match step {
            Step::Up => {
                cleaned.pop();
            }
            Step::Into(name) => cleaned.push(name),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check(links: &[(&str, &str)], path: &str, last: Last, expected: &str) {
        let links: BTreeMap<PathBuf, PathBuf> =
            links.iter().map(|(from, to)| (PathBuf::from(from), PathBuf::from(to))).collect();
        let real = resolve(Path::new(path), last, |at| Ok(links.get(at).cloned()), |_| {});
        assert_eq!(real.ok(), (expected != "!").then(|| PathBuf::from(expected)), "{path}");
    }

    #[test]
    fn links_stay_inside() {
        let links = [
            ("a", "b"),
            ("up", "../../../etc"),
            ("abs", "/real/dir"),
            ("real/dir/back", "../x"),
            ("loop", "loop"),
            ("chain", "a/c"),
            ("b/c", "/d"),
        ];
        for (path, last, expected) in [
            ("a", Last::Follow, "b"),
            ("a", Last::Keep, "a"),
            ("a/.", Last::Follow, "b"),
            ("up/passwd", Last::Follow, "etc/passwd"),
            ("abs/f", Last::Follow, "real/dir/f"),
            ("abs/back", Last::Follow, "real/x"),
            ("abs/back", Last::Keep, "real/dir/back"),
            ("../../x", Last::Follow, "x"),
            ("a/../y", Last::Follow, "y"),
            ("chain", Last::Follow, "d"),
            ("nothing/here", Last::Follow, "nothing/here"),
            ("loop", Last::Follow, "!"),
            ("/", Last::Follow, ""),
        ] {
            check(&links, path, last, expected);
        }
    }
}
