//! Digests of files that are looked up together: a tree in which nothing changed costs a row for some hundred files in
//! place of one for each.
//!
//! A group is named by the keys of all its files, so what its row says stays true; it only gets useless. Where groups end
//! is decided by the files themselves: one more file or one less changes the group it is in, and no other.

use rusqlite::{Connection, OptionalExtension};

use crate::StatKey;

/// Fewer files are looked up one by one.
const LEAST: usize = 8;

/// So many at most.
const MOST: usize = 1024;

/// The newest groups that are kept: some 8 KiB each.
const KEPT: i64 = 8192;

pub(crate) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS stat_group (
        nth INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, digests BLOB NOT NULL
    );
";

type Digest = [u8; 32];

/// Cuts keys into groups: one of 256 files ends one, as a rule.
pub(crate) fn groups(mut keys: &[StatKey]) -> impl Iterator<Item = &[StatKey]> {
    let ends = |key: &StatKey| key.ino.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56 == 0;
    std::iter::from_fn(move || {
        let length = keys.iter().take(MOST).position(ends).map_or(MOST.min(keys.len()), |last| last + 1);
        let (group, rest) = keys.split_at_checked(length)?;
        keys = rest;
        (!group.is_empty()).then_some(group)
    })
}

/// Whether a group is worth a row.
pub(crate) fn is_worthwhile(group: &[StatKey]) -> bool {
    group.len() >= LEAST
}

/// The digests of all files of a group, in their order; none of a group that is too small for a row.
pub(crate) fn get(connection: &Connection, group: &[StatKey]) -> rusqlite::Result<Option<Vec<Digest>>> {
    if !is_worthwhile(group) {
        return Ok(None);
    }
    let mut query = connection.prepare_cached("SELECT digests FROM stat_group WHERE name = ?1")?;
    let read = |row: &rusqlite::Row<'_>| {
        let (digests, rest) = row.get_ref(0)?.as_blob()?.as_chunks::<32>();
        Ok((rest.is_empty() && digests.len() == group.len()).then(|| digests.to_vec()))
    };
    Ok(query.query_row([name(group)], read).optional()?.flatten())
}

/// Keeps the digests of files by their groups, and drops groups that are too old to keep.
pub(crate) fn put(connection: &Connection, files: &[(StatKey, Digest)]) -> rusqlite::Result<()> {
    let (keys, digests): (Vec<StatKey>, Vec<Digest>) = files.iter().copied().unzip();
    let mut put =
        connection.prepare_cached("INSERT OR IGNORE INTO stat_group (name, digests) VALUES (?1, ?2)")?;
    let mut digests = digests.as_slice();
    for group in groups(&keys) {
        let (its, rest) = digests.split_at(group.len());
        digests = rest;
        if is_worthwhile(group) {
            put.execute((name(group), its.as_flattened()))?;
        }
    }
    let mut trim = connection
        .prepare_cached("DELETE FROM stat_group WHERE nth <= (SELECT max(nth) FROM stat_group) - ?1")?;
    trim.execute([KEPT])?;
    Ok(())
}

fn name(group: &[StatKey]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("rbuild files that are looked up together");
    let mut bytes = Vec::with_capacity(group.len() * 44);
    for StatKey { dev, ino, size, mtime, ctime, mode } in group {
        for number in [*dev, *ino, *size, mtime.cast_unsigned(), ctime.cast_unsigned()] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&mode.to_le_bytes());
    }
    *hasher.update(&bytes).finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(inodes: impl Iterator<Item = u64>) -> Vec<StatKey> {
        inodes.map(|ino| StatKey { dev: 1, ino, size: 2, mtime: 3, ctime: 4, mode: 0o100_644 }).collect()
    }

    #[test]
    fn groups_are_all_keys_in_their_order() {
        for count in [0, 1, 7, 5000] {
            let keys = keys(0..count);
            assert_eq!(groups(&keys).collect::<Vec<_>>().concat(), keys);
        }
        let same = keys((0..3000).map(|_| 5));
        assert!(groups(&same).all(|group| group.len() <= MOST));
    }

    #[test]
    fn a_file_more_changes_one_group() {
        let (before, after) = (keys(1..9000), keys((1..4000).chain([77_777_777]).chain(4000..9000)));
        let known: Vec<&[StatKey]> = groups(&before).collect();
        assert!(known.len() > 20, "{} groups", known.len());
        assert!(groups(&after).filter(|group| !known.contains(group)).count() <= 2);
    }
}
