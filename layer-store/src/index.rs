//! `index.db`: what may be lost. Records of the cache and the digests of context files.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use crate::error::{Result, StoreError};
use crate::stat_group;

const SCHEMA: i64 = 3;
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS record (
        key BLOB PRIMARY KEY, body TEXT NOT NULL, created INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS used (key BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS stat (
        dev INTEGER NOT NULL, ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL,
        ctime INTEGER NOT NULL, mode INTEGER NOT NULL, digest BLOB NOT NULL, PRIMARY KEY (dev, ino)
    ) WITHOUT ROWID;
";

/// The index of one store, one connection per process.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Index {
    /// Opens the index. A damaged one is set aside and begun anew; the text says so.
    pub(crate) fn open(root: &Path) -> Result<(Self, Option<String>)> {
        let path = root.join("index.db");
        match connect(&path) {
            Ok(connection) => Ok((Self { path, connection: Mutex::new(connection) }, None)),
            Err(error) if is_damage(&error) => {
                let aside = set_aside(root, &path);
                let connection =
                    connect(&path).map_err(|source| StoreError::Index { path: path.clone(), source })?;
                let notice = format!(
                    "{} was damaged ({error}) and was begun anew; the old one is {aside}",
                    path.display()
                );
                Ok((Self { path, connection: Mutex::new(connection) }, Some(notice)))
            }
            Err(source) => Err(StoreError::Index { path, source }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        read(&self.lock()).map_err(|source| self.error(source))
    }

    /// Writes in one transaction.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = write(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|source| self.error(source))
    }

    fn error(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Index { path: self.path.clone(), source }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version != SCHEMA {
        connection.execute_batch(
            "BEGIN IMMEDIATE; DROP TABLE IF EXISTS record; DROP TABLE IF EXISTS used;
            DROP TABLE IF EXISTS stat; DROP TABLE IF EXISTS stat_group;",
        )?;
        connection.execute_batch(TABLES)?;
        connection.execute_batch(stat_group::TABLE)?;
        connection.pragma_update(None, "user_version", SCHEMA)?;
        connection.execute_batch("COMMIT")?;
    }
    // Damage shows at the first read of a page, not at opening.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    connection.query_row("SELECT max(key) FROM record", [], |row| row.get::<_, Option<Vec<u8>>>(0))?;
    Ok(connection)
}

/// Whether the file itself is at fault.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    if let rusqlite::Error::SqliteFailure(failure, _) = error {
        matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    } else {
        false
    }
}

fn set_aside(root: &Path, path: &Path) -> String {
    let aside = root.join(format!("index.db.damaged-{}", crate::ids::random_hex()));
    let _ = std::fs::rename(path, &aside);
    for suffix in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let _ = std::fs::remove_file(PathBuf::from(name));
    }
    aside.display().to_string()
}
