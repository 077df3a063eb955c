//! Marks of values that must not be stored, such as secrets.
//!
//! A mark tells whether a value is another one than before. It is keyed with a random number of this store, so
//! that it means nothing elsewhere, and short, so that many values have the same: whoever has store and mark cannot
//! tell a right guess from many wrong ones.

use rusqlite::{OptionalExtension, params};

use crate::Store;
use crate::error::Result;
use crate::ids::random_hex;

/// Hexadecimal digits of a mark.
const DIGITS: usize = 6;

impl Store {
    /// The mark of a value. It lasts as long as the index does.
    pub fn fingerprint(&self, value: &[u8]) -> Result<String> {
        let key = blake3::hash(self.salt()?.as_bytes());
        let mark = blake3::keyed_hash(key.as_bytes(), value).to_hex();
        Ok(mark[..DIGITS].to_owned())
    }

    fn salt(&self) -> Result<String> {
        self.0.index.write(|connection| {
            connection.execute_batch("CREATE TABLE IF NOT EXISTS salt (value TEXT NOT NULL)")?;
            let known = connection.query_row("SELECT value FROM salt", [], |row| row.get(0)).optional()?;
            if let Some(known) = known {
                return Ok(known);
            }
            let salt = random_hex();
            connection.execute("INSERT INTO salt (value) VALUES (?1)", params![salt])?;
            Ok(salt)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdRanges, Mode, OpenOptions};

    #[test]
    fn a_mark_is_the_same_in_one_store_alone() {
        let places = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let options = OpenOptions { mode: Mode::Root, ids: IdRanges::default() };
        let open = |nth: usize| Store::open(places[nth].path(), &options).unwrap();
        let mark = |nth, value: &[u8]| open(nth).fingerprint(value).unwrap();
        assert_eq!(mark(0, b"a"), mark(0, b"a"));
        assert_ne!(mark(0, b"a"), mark(0, b"b"));
        assert_ne!(mark(0, b"a"), mark(1, b"a"));
        assert_eq!(mark(0, b"").len(), DIGITS);
    }
}
