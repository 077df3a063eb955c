//! What a step reads of a context, file by file, and the difference of two such lists.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use layer_store::Store;
use serde::{Deserialize, Serialize};

use super::cause::{Change, Why};

/// A listing that is kept, read as often as it is asked for. One a line, in the order in which they are read.
pub(crate) struct Listing(Box<dyn Fn() -> Option<Lines>>);

/// The lines of a listing; it ends where it is damaged.
type Lines = Box<dyn Iterator<Item = Listed>>;

/// One file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// Its path in the context.
    pub path: String,
    /// Its type: `f`, `d`, `l` and so on.
    pub kind: char,
    /// Its permission bits, as far as the step sees them.
    pub mode: u32,
    /// Digest of its content, its target and its attributes, shortened.
    pub content: String,
}

impl Listed {
    /// Adds itself to a document.
    pub(crate) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *to, self)?;
        to.write_all(b"\n")
    }

    /// Its place in the order of walks.
    fn place(&self) -> &Path {
        Path::new(&self.path)
    }
}

impl Listing {
    /// The one for a digest, if it is kept.
    pub(super) fn of(store: &Store, digest: &[u8; 32]) -> Option<Self> {
        let lines = |store: &Store, digest: &[u8; 32]| {
            let file = store.open_listing(digest).ok()??;
            Some(BufReader::new(file).lines().map_while(|line| serde_json::from_str(&line.ok()?).ok()))
        };
        // One in another form counts as absent.
        let _: Listed = lines(store, digest)?.next()?;
        let (store, digest) = (store.clone(), *digest);
        Some(Self(Box::new(move || Some(Box::new(lines(&store, &digest)?)))))
    }

    fn lines(&self) -> Lines {
        (self.0)().unwrap_or_else(|| Box::new(std::iter::empty()))
    }

    /// Whether it is in the order of paths, as it is for a single source.
    fn is_sorted(&self) -> bool {
        let mut before: Option<Listed> = None;
        self.lines().all(|one| {
            let sorted = before.as_ref().is_none_or(|before| before.place() < one.place());
            before = Some(one);
            sorted
        })
    }
}

/// The first cause of the difference, if there is one.
pub(super) fn difference(
    context: &str,
    old: &Listing,
    new: &Listing,
    changes: Vec<(String, Change)>,
) -> Option<Why> {
    if let Some(why) = umask(old, new, &changes) {
        return Some(why);
    }
    let others = changes.len().saturating_sub(1);
    // A directory changes its place in a listing with what it holds: files say more.
    let (path, change) = changes.into_iter().next()?;
    Some(Why::File { context: context.to_owned(), path, change, others })
}

/// All differences by path, those that are gone last.
pub(super) fn changes(old: &Listing, new: &Listing) -> Vec<(String, Change)> {
    let (mut all, mut gone) = (Vec::new(), Vec::new());
    let mut tell = |old: Option<Listed>, new: Option<Listed>| match (old, new) {
        (None, Some(new)) => all.push((new.path, Change::Added)),
        (Some(old), None) => gone.push((old.path, Change::Removed)),
        (Some(old), Some(new)) if old.kind != new.kind => all.push((new.path, Change::Type)),
        (Some(old), Some(new)) if old.content != new.content => all.push((new.path, Change::Content)),
        (Some(old), Some(new)) if old.mode != new.mode => {
            all.push((new.path, Change::Mode { old: old.mode, new: new.mode }));
        }
        (Some(_), Some(_)) | (None, None) => {}
    };
    if old.is_sorted() && new.is_sorted() {
        side_by_side(old.lines(), new.lines(), &mut tell);
    } else {
        // Later ones stand for earlier ones of the same path.
        let sorted = |listing: &Listing| -> BTreeMap<PathBuf, Listed> {
            listing.lines().map(|one| (PathBuf::from(&one.path), one)).collect()
        };
        side_by_side(sorted(old).into_values(), sorted(new).into_values(), &mut tell);
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    gone.sort_by(|(a, _), (b, _)| a.cmp(b));
    all.extend(gone);
    all
}

/// Goes through two sorted lists at once.
fn side_by_side(
    old: impl Iterator<Item = Listed>,
    new: impl Iterator<Item = Listed>,
    tell: &mut dyn FnMut(Option<Listed>, Option<Listed>),
) {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.place().cmp(new.place()),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        tell(before, after);
    }
}

/// Whether two umasks explain all that changed: at least two modes, and nothing else.
fn umask(old: &Listing, new: &Listing, changes: &[(String, Change)]) -> Option<Why> {
    let modes: Vec<(&String, u32, u32)> = changes
        .iter()
        .map(|(path, change)| match change {
            Change::Mode { old, new } => Some((path, *old, *new)),
            Change::Added | Change::Removed | Change::Content | Change::Type => None,
        })
        .collect::<Option<_>>()?;
    if modes.len() < 2 || !follows_a_umask(old) || !follows_a_umask(new) {
        return None;
    }
    let (path, old, new) = modes.first()?;
    Some(Why::Umask { path: (*path).clone(), old: *old, new: *new, others: modes.len() - 1 })
}

/// Whether one umask made all the modes of a listing.
fn follows_a_umask(listing: &Listing) -> bool {
    let seen = || listing.lines().filter(|one| one.kind != 'l' && one.mode != 0);
    let full = |one: &Listed| if one.kind == 'd' || one.mode & 0o100 != 0 { 0o777 } else { 0o666 };
    let mask = seen().fold(0, |mask, one| mask | (full(&one) & !one.mode));
    seen().all(|one| one.mode == full(&one) & !mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(all: &[(&str, char, u32, &str)]) -> Listing {
        let all: Vec<Listed> = all
            .iter()
            .map(|&(path, kind, mode, content)| Listed {
                path: path.to_owned(),
                kind,
                mode,
                content: content.to_owned(),
            })
            .collect();
        Listing(Box::new(move || Some(Box::new(all.clone().into_iter()))))
    }

    #[test]
    fn changes_are_told_in_whatever_order_files_were_read() {
        let old = [
            ("a", 'f', 1, "1"),
            ("b", 'd', 1, ""),
            ("b/c", 'f', 1, "2"),
            ("b.x", 'f', 1, "3"),
            ("z", 'f', 1, ""),
        ];
        let new = [
            ("a", 'l', 1, "1"),
            ("b", 'd', 2, ""),
            ("b/c", 'f', 1, "9"),
            ("b/d", 'f', 1, ""),
            ("b.x", 'f', 1, "3"),
        ];
        let expected = [
            ("a", Change::Type),
            ("b", Change::Mode { old: 1, new: 2 }),
            ("b/c", Change::Content),
            ("b/d", Change::Added),
            ("z", Change::Removed),
        ]
        .map(|(path, change)| (path.to_owned(), change));
        let turned = |all: &[(&'static str, char, u32, &'static str)]| {
            let mut all = all.to_vec();
            all.rotate_left(2);
            listing(&all)
        };
        assert!(listing(&old).is_sorted() && !turned(&old).is_sorted());
        assert_eq!(changes(&listing(&old), &listing(&new)), expected);
        assert_eq!(changes(&turned(&old), &listing(&new)), expected);
        assert_eq!(changes(&turned(&old), &turned(&new)), expected);
    }

    #[test]
    fn a_umask_is_told_from_a_chmod() {
        let before = listing(&[("a", 'f', 0o644, "1"), ("b", 'f', 0o755, "2"), ("d", 'd', 0o755, "")]);
        let masked = listing(&[("a", 'f', 0o600, "1"), ("b", 'f', 0o700, "2"), ("d", 'd', 0o700, "")]);
        let chmod = listing(&[("a", 'f', 0o600, "1"), ("b", 'f', 0o755, "2"), ("d", 'd', 0o755, "")]);
        let edited = listing(&[("a", 'f', 0o600, "9"), ("b", 'f', 0o700, "2"), ("d", 'd', 0o700, "")]);
        let why = |after| {
            difference("", &before, after, changes(&before, after))
                .map(|why| why.to_string())
                .unwrap_or_default()
        };
        assert!(why(&masked).starts_with("another umask: file a changed"), "{}", why(&masked));
        assert_eq!(why(&chmod), "file a changed its mode from 0644 to 0600");
        assert_eq!(why(&edited), "file a has other content (and 2 more)");
        assert_eq!(why(&before), "");
    }
}
