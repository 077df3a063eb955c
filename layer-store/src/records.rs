//! Records: what a cache key led to.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::error::{Result, StoreError};
use crate::lease::Holding;
use crate::{CacheKey, Lease, ResultId, Snapshot, Store};

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

impl Store {
    /// Looks a record up. `None` also where it is damaged or names a layer that is absent.
    pub fn record(&self, key: &CacheKey) -> Result<Option<Record>> {
        let Some(text) = self.record_text(key)? else { return Ok(None) };
        let Ok(record) = serde_json::from_str::<Record>(&text) else { return Ok(None) };
        for id in record.outputs.iter().flat_map(|snapshot| &snapshot.0) {
            if self.sheet(id)?.is_none() {
                return Ok(None);
            }
        }
        self.note_use(key);
        Ok(Some(record))
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
            let mut query = connection.prepare_cached("SELECT used FROM record WHERE key = ?1")?;
            query.query_row(params![key.0.as_slice()], |row| row.get::<_, i64>(0)).optional()
        });
        if !matches!(last, Ok(Some(last)) if last.saturating_add(60) < now) {
            return;
        }
        let _ = self.0.index.write(|connection| {
            connection.execute("UPDATE record SET used = ?2 WHERE key = ?1", params![key.0.as_slice(), now])
        });
    }

    /// When each record was used last.
    pub(crate) fn last_uses(&self) -> Result<Vec<(CacheKey, i64)>> {
        let rows = self.0.index.read(|connection| {
            let mut query = connection.prepare("SELECT key, used FROM record")?;
            let rows = query.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        Ok(rows.into_iter().filter_map(|(key, used)| Some((CacheKey(key.try_into().ok()?), used))).collect())
    }

    /// Forgets records. Returns how many there were.
    pub(crate) fn forget_records(&self, keys: &[CacheKey]) -> Result<usize> {
        self.0.index.write(|connection| {
            let mut forget = connection.prepare_cached("DELETE FROM record WHERE key = ?1")?;
            let mut forgotten = 0;
            for key in keys {
                forgotten += forget.execute(params![key.0.as_slice()])?;
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
    /// Looks a record up and says that its layers are in use. Where that was news it is looked up again:
    /// a collection may have been faster.
    pub fn record(&self, key: &CacheKey) -> Result<Option<Record>> {
        let Some(record) = self.store().record(key)? else { return Ok(None) };
        let mut news = false;
        for id in record.outputs.iter().flat_map(|snapshot| &snapshot.0) {
            news |= self.take_hold(id)? == Holding::News;
        }
        if news { self.store().record(key) } else { Ok(Some(record)) }
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
            let mut put = connection.prepare_cached(
                "INSERT OR REPLACE INTO record (key, body, created, used) VALUES (?1, ?2, ?3, ?3)",
            )?;
            for (key, body, created) in &rows {
                put.execute(params![key.0.as_slice(), body, created])?;
            }
            Ok(())
        })
    }
}
