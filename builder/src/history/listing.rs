//! What a step reads of a context, file by file, and the difference of two such lists.

use serde::{Deserialize, Serialize};

use super::cause::{Change, Why};

/// The files, in the order in which they are read.
pub(crate) type Listing = Vec<Listed>;

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

/// The first cause of the difference, if there is one.
pub(super) fn difference(context: &str, old: &Listing, new: &Listing) -> Option<Why> {
    let changes = changes(old, new);
    if let Some(why) = umask(old, new, &changes) {
        return Some(why);
    }
    let others = changes.len().saturating_sub(1);
    // A directory changes its place in a listing with what it holds: files say more.
    let (path, change) = changes.into_iter().next()?;
    Some(Why::File { context: context.to_owned(), path, change, others })
}

/// All differences by path.
pub(super) fn changes(old: &Listing, new: &Listing) -> Vec<(String, Change)> {
    let index = |all: &Listing| -> std::collections::BTreeMap<String, Listed> {
        all.iter().map(|one| (one.path.clone(), one.clone())).collect()
    };
    let (old, new) = (index(old), index(new));
    let mut all = Vec::new();
    for (path, one) in &new {
        match old.get(path) {
            None => all.push((path.clone(), Change::Added)),
            Some(before) if before.kind != one.kind => all.push((path.clone(), Change::Type)),
            Some(before) if before.content != one.content => all.push((path.clone(), Change::Content)),
            Some(before) if before.mode != one.mode => {
                all.push((path.clone(), Change::Mode { old: before.mode, new: one.mode }));
            }
            Some(_) => {}
        }
    }
    all.extend(
        old.keys().filter(|path| !new.contains_key(*path)).map(|path| (path.clone(), Change::Removed)),
    );
    all
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
    let seen = listing.iter().filter(|one| one.kind != 'l' && one.mode != 0);
    let full = |one: &Listed| if one.kind == 'd' || one.mode & 0o100 != 0 { 0o777 } else { 0o666 };
    let mask = seen.clone().fold(0, |mask, one| mask | (full(one) & !one.mode));
    seen.into_iter().all(|one| one.mode == full(one) & !mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(all: &[(&str, char, u32, &str)]) -> Listing {
        all.iter()
            .map(|&(path, kind, mode, content)| Listed {
                path: path.to_owned(),
                kind,
                mode,
                content: content.to_owned(),
            })
            .collect()
    }

    #[test]
    fn a_umask_is_told_from_a_chmod() {
        let before = listing(&[("a", 'f', 0o644, "1"), ("b", 'f', 0o755, "2"), ("d", 'd', 0o755, "")]);
        let masked = listing(&[("a", 'f', 0o600, "1"), ("b", 'f', 0o700, "2"), ("d", 'd', 0o700, "")]);
        let chmod = listing(&[("a", 'f', 0o600, "1"), ("b", 'f', 0o755, "2"), ("d", 'd', 0o755, "")]);
        let edited = listing(&[("a", 'f', 0o600, "9"), ("b", 'f', 0o700, "2"), ("d", 'd', 0o700, "")]);
        let why = |after| difference("", &before, after).map(|why| why.to_string()).unwrap_or_default();
        assert!(why(&masked).starts_with("another umask: file a changed"), "{}", why(&masked));
        assert_eq!(why(&chmod), "file a changed its mode from 0644 to 0600");
        assert_eq!(why(&edited), "file a has other content (and 2 more)");
        assert_eq!(why(&before), "");
    }
}
