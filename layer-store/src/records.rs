//! Records: what a cache key led to.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::error::{Result, StoreError};
use crate::lease::Holding;
use crate::{CacheKey, LayerId, Lease, ResultId, Snapshot, Store};

/// A result that a record's step read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordInput {
    /// Its definition key.
    pub key: CacheKey,
    /// Which result of it.
    pub result: ResultId,
}

/// One named part of what a key was made of, for explanations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// What it is.
    pub name: String,
    /// Its value or digest.
    pub value: String,
}

/// What a key led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// One snapshot per output of the step.
    pub outputs: Vec<Snapshot>,
    /// The identity of this result.
    pub result: ResultId,
    /// The results it was made from.
    #[serde(default)]
    pub inputs: Vec<RecordInput>,
    /// What the key was made of.
    #[serde(default)]
    pub components: Vec<Component>,
    /// The result key it is filed under too, where this is what a definition key led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<CacheKey>,
    /// Unix time.
    pub created: i64,
    /// How long the step took.
    pub millis: u64,
}

impl Record {
    /// The layers of all outputs.
    fn layers(&self) -> impl Iterator<Item = &LayerId> {
        self.outputs.iter().flat_map(|snapshot| &snapshot.0)
    }
}

impl Store {
    /// Looks a record up. `None` also where it is damaged or names a layer that is absent.
    pub fn record(&self, key: &CacheKey) -> Result<Option<Record>> {
        let Some(record) = self.written(key)? else { return Ok(None) };
        for id in record.layers() {
            if self.sheet(id)?.is_none() {
                return Ok(None);
            }
        }
        self.note_use(key);
        Ok(Some(record))
    }

    /// What is written under a key, whatever became of the layers.
    fn written(&self, key: &CacheKey) -> Result<Option<Record>> {
        let text = self.record_text(key)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// A damaged page is a miss, never an error.
    fn record_text(&self, key: &CacheKey) -> Result<Option<String>> {
        let found = self.0.index.read(|connection| {
            let mut query = connection.prepare_cached("SELECT body FROM record WHERE key = ?1")?;
            query.query_row(params![key.0.as_slice()], |row| row.get::<_, String>(0)).optional()
        });
        match found {
            Err(StoreError::Index { source, .. }) if crate::index::is_damage(&source) => Ok(None),
            other => other,
        }
    }

    /// The records, for collection and inspection.
    pub(crate) fn every_record(&self) -> Result<Vec<(CacheKey, Record)>> {
        let rows = self.0.index.read(|connection| {
            let mut query = connection.prepare("SELECT key, body FROM record")?;
            let rows =
                query.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let parse = |(key, body): (Vec<u8>, String)| {
            Some((CacheKey(key.try_into().ok()?), serde_json::from_str(&body).ok()?))
        };
        Ok(rows.into_iter().filter_map(parse).collect())
    }

    /// Notes when a record was used last, to the minute. A store that cannot be written is no failure here.
    fn note_use(&self, key: &CacheKey) {
        let now = unix_now();
        let last = self.0.index.read(|connection| {
            let mut query = connection.prepare_cached("SELECT at FROM used WHERE key = ?1")?;
            query.query_row(params![key.0.as_slice()], |row| row.get::<_, i64>(0)).optional()
        });
        if !matches!(last, Ok(Some(last)) if last.saturating_add(60) < now) {
            return;
        }
        let _ = self.0.index.write(|connection| {
            connection.execute("UPDATE used SET at = ?2 WHERE key = ?1", params![key.0.as_slice(), now])
        });
    }

    /// When each record was used last.
    pub(crate) fn last_uses(&self) -> Result<Vec<(CacheKey, i64)>> {
        let rows = self.0.index.read(|connection| {
            let mut query = connection.prepare("SELECT key, at FROM used")?;
            let rows = query.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        Ok(rows.into_iter().filter_map(|(key, used)| Some((CacheKey(key.try_into().ok()?), used))).collect())
    }

    /// Forgets records. Returns how many there were.
    pub(crate) fn forget_records(&self, keys: &[CacheKey]) -> Result<usize> {
        self.0.index.write(|connection| {
            let mut forget = connection.prepare_cached("DELETE FROM record WHERE key = ?1")?;
            let mut unused = connection.prepare_cached("DELETE FROM used WHERE key = ?1")?;
            let mut forgotten = 0;
            for key in keys {
                forgotten += forget.execute(params![key.0.as_slice()])?;
                unused.execute(params![key.0.as_slice()])?;
            }
            Ok(forgotten)
        })
    }
}

fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

impl Lease {
    /// Looks a record up and says that its layers are in use.
    pub fn record(&self, key: &CacheKey) -> Result<Option<Record>> {
        let Some(record) = self.store().written(key)? else { return Ok(None) };
        for id in record.layers() {
            if !self.hold_present(id)? {
                return Ok(None);
            }
        }
        self.store().note_use(key);
        Ok(Some(record))
    }

    /// Says that a layer is in use; whether it is here.
    fn hold_present(&self, id: &LayerId) -> Result<bool> {
        if self.store().sheet(id)?.is_none() {
            return Ok(false);
        }
        match self.take_hold(id)? {
            Holding::Already => Ok(true),
            // A collection may have been faster.
            Holding::News => Ok(self.store().sheet(id)?.is_some()),
        }
    }

    /// Files a record under a key, in place of any other.
    pub fn put_record(&self, key: &CacheKey, record: &Record) -> Result<()> {
        self.put_records(&[(*key, record.clone())])
    }

    /// The same with several at once: all of them, or none.
    pub fn put_records(&self, records: &[(CacheKey, Record)]) -> Result<()> {
        let body = |(key, record): &(CacheKey, Record)| {
            let body = serde_json::to_string(record)
                .map_err(|source| StoreError::Json { path: self.store().at("index.db"), source })?;
            Ok((*key, body, record.created))
        };
        let rows = records.iter().map(body).collect::<Result<Vec<_>>>()?;
        self.store().0.index.write(|connection| {
            let mut put = connection
                .prepare_cached("INSERT OR REPLACE INTO record (key, body, created) VALUES (?1, ?2, ?3)")?;
            // A table of its own: a record is long, and is written whole whatever changes of it.
            let mut used =
                connection.prepare_cached("INSERT OR REPLACE INTO used (key, at) VALUES (?1, ?2)")?;
            for (key, body, created) in &rows {
                put.execute(params![key.0.as_slice(), body, created])?;
                used.execute(params![key.0.as_slice(), created])?;
            }
            Ok(())
        })
    }
}
