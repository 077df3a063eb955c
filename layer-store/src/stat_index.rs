//! What context files contained when they were last read, so that unchanged ones need no reading.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};
use rustix::fs::Stat;

use crate::Spill;
use crate::Store;
use crate::error::Result;
use crate::stat_group;
use crate::stop::Stop;

/// A file changed this short before it was read may change again without a new time stamp.
const RACY: Duration = Duration::from_secs(1);

/// What identifies a content of a file on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StatKey {
    /// Device.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Length.
    pub size: u64,
    /// Time of the last change of content, in nanoseconds.
    pub mtime: i64,
    /// Time of the last change of anything, in nanoseconds.
    pub ctime: i64,
    /// Type and permissions.
    pub mode: u32,
}

impl StatKey {
    /// From the kernel's answer.
    pub fn of(stat: &Stat) -> Self {
        let nanos = |secs: i64, nanos: i64| secs.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: nanos(stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            ctime: nanos(stat.st_ctime, i64::try_from(stat.st_ctime_nsec).unwrap_or(0)),
            mode: stat.st_mode,
        }
    }
}

/// The index of context files.
#[derive(Clone, Debug)]
pub struct StatIndex(Store);

impl Store {
    /// The index of context files.
    pub fn stat_index(&self) -> StatIndex {
        StatIndex(self.clone())
    }
}

impl StatIndex {
    /// Whether reading is to end early.
    pub fn stopping(&self) -> &Stop {
        self.0.stopping()
    }

    /// A place of the same store for bytes that nobody needs after this process.
    pub fn spill(&self) -> Spill {
        self.0.spill()
    }

    /// The digests of files that have not changed since they were stored, in the order of the keys.
    pub fn get_many(&self, keys: &[StatKey]) -> Result<Vec<Option<[u8; 32]>>> {
        let mut found = Vec::with_capacity(keys.len());
        let mut whole = Vec::new();
        self.0.0.index.read(|connection| {
            // One transaction: else each row takes and gives back the locks of the file.
            let reading = connection.unchecked_transaction()?;
            for group in stat_group::groups(keys) {
                if let Some(digests) = stat_group::get(&reading, group)? {
                    found.extend(digests.into_iter().map(Some));
                    continue;
                }
                let start = found.len();
                for key in group {
                    found.push(get(&reading, key)?);
                }
                // A group without a row of its own is no reason to write.
                if stat_group::is_worthwhile(group) && found[start..].iter().all(Option::is_some) {
                    whole.extend(group.iter().copied().zip(found[start..].iter().copied().flatten()));
                }
            }
            Ok(())
        })?;
        if !whole.is_empty() {
            // What could not be kept is looked up one by one again.
            let _ = self.0.0.index.write(|connection| stat_group::put(connection, &whole));
        }
        Ok(found)
    }

    /// Stores digests. `began` is a moment before the first of these files was read: what changed shortly
    /// before it, or later, is not stored.
    pub fn put_many(&self, entries: &[(StatKey, [u8; 32])], began: SystemTime) -> Result<()> {
        let began = began.checked_sub(RACY).and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let limit = began.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or(0);
        let settled: Vec<_> =
            entries.iter().copied().filter(|(key, _)| key.mtime < limit && key.ctime < limit).collect();
        if settled.is_empty() {
            return Ok(());
        }
        self.0.0.index.write(|connection| {
            let mut put = connection.prepare_cached(
                "INSERT OR REPLACE INTO stat (dev, ino, size, mtime, ctime, mode, digest)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for (key, digest) in &settled {
                let (dev, ino) = (key.dev.cast_signed(), key.ino.cast_signed());
                let size = key.size.cast_signed();
                put.execute(params![dev, ino, size, key.mtime, key.ctime, key.mode, digest.as_slice()])?;
            }
            stat_group::put(connection, &settled)
        })
    }
}

fn get(connection: &Connection, key: &StatKey) -> rusqlite::Result<Option<[u8; 32]>> {
    let mut query = connection.prepare_cached(
        "SELECT digest FROM stat WHERE dev = ?1 AND ino = ?2 AND size = ?3 AND mtime = ?4 AND ctime = ?5 AND mode = ?6",
    )?;
    let (dev, ino, size) = (key.dev.cast_signed(), key.ino.cast_signed(), key.size.cast_signed());
    let found = query
        .query_row(params![dev, ino, size, key.mtime, key.ctime, key.mode], |row| row.get::<_, Vec<u8>>(0))
        .optional()?;
    Ok(found.and_then(|digest| digest.try_into().ok()))
}
