//! Answers of registries: what a name stood for when somebody asked last. They are hints that are lost
//! without harm, and kept for who asks at the same time, and for when a registry does not answer.

use std::time::{Duration, SystemTime};

use oci::Descriptor;
use serde::{Deserialize, Serialize};

use crate::collect::Keep;
use crate::disk::{Durable, read_json, replace, to_json};
use crate::error::{At, Result};
use crate::ids::random_hex;
use crate::{CacheKey, Lease, Store};

const FOLDER: &str = "answers";

/// What a registry said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the name stood for.
    pub descriptor: Descriptor,
    /// When the registry was asked.
    pub asked: SystemTime,
}

/// The same on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    descriptor: Descriptor,
    /// Nanoseconds since 1970.
    asked: u64,
}

impl Store {
    /// The last answer to a question. A damaged one is none.
    pub fn answer(&self, question: &CacheKey) -> Option<Answer> {
        let kept: Kept = read_json(&self.answer_path(question)).ok()??;
        let asked = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(kept.asked))?;
        Some(Answer { descriptor: kept.descriptor, asked })
    }

    fn answer_path(&self, question: &CacheKey) -> std::path::PathBuf {
        self.at(FOLDER).join(format!("{question}.json"))
    }

    /// Forgets answers with the records of their age.
    pub(crate) fn sweep_answers(&self, keep: Keep) -> Result<()> {
        let since = match keep {
            Keep::AllRecords => return Ok(()),
            Keep::RecordsSince(time) => {
                SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time).unwrap_or(0))
            }
            Keep::NoRecords => SystemTime::now() + Duration::from_secs(1),
        };
        let folder = self.at(FOLDER);
        for entry in std::fs::read_dir(&folder).at(&folder)? {
            let entry = entry.at(&folder)?;
            let made = entry.metadata().and_then(|metadata| metadata.modified());
            if made.is_ok_and(|made| made < since) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

impl Lease {
    /// Keeps an answer in place of any other to the same question.
    pub fn put_answer(&self, question: &CacheKey, answer: &Answer) -> Result<()> {
        let path = self.store().answer_path(question);
        let asked = answer.asked.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let kept =
            Kept { descriptor: answer.descriptor.clone(), asked: u64::try_from(asked).unwrap_or(u64::MAX) };
        let scratch = self.store().at("tmp").join(format!("file-{}", random_hex()));
        replace(&path, &scratch, &to_json(&path, &kept)?, Durable::No)
    }
}
