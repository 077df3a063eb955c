//! What is recorded of one file: true owner, group and kind, in the extended attribute of layers.
//!
//! The form is that of the store's true attributes (see `docs/store-format.md`); what is not of
//! interest here is passed on as it is.

use std::collections::BTreeMap;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Regular files and directories carry their record under this name.
pub(crate) const ATTRIBUTE: &str = "user.rbuild.attrs";
/// What the names of our own attributes begin with.
pub(super) const OURS: &[u8] = b"user.rbuild.";

/// A number that differs from the one that the file system shows. It counts only while that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(rename = "true")]
    pub(crate) truth: u32,
    pub(crate) shown: u32,
}

/// A special file for which an empty regular file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KeptKind {
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// The record of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<Kept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gid: Option<Kept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<KeptKind>,
    /// Mode and attributes that the store keeps.
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

impl Record {
    /// The record of a file that shows owner `shown`.
    pub(crate) fn of(owner: (u32, u32), shown: (u32, u32)) -> Record {
        let mut record = Record::default();
        record.give(owner, shown);
        record
    }

    pub(super) fn parse(text: &[u8]) -> Option<Record> {
        serde_json::from_slice(text).ok()
    }

    pub(super) fn text(&self) -> Result<Vec<u8>, Errno> {
        serde_json::to_vec(self).map_err(|_| Errno::INVAL)
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Record::default()
    }

    /// Makes `owner` the true one.
    pub(super) fn give(&mut self, owner: (u32, u32), shown: (u32, u32)) {
        let keep = |truth: u32, shown: u32| (truth != shown).then_some(Kept { truth, shown });
        (self.uid, self.gid) = (keep(owner.0, shown.0), keep(owner.1, shown.1));
    }

    /// The true owner of a file that shows `shown`.
    pub(super) fn owner(&self, shown: (u32, u32)) -> (u32, u32) {
        let truth = |kept: Option<Kept>, shown: u32| match kept {
            Some(kept) if kept.shown == shown => kept.truth,
            Some(_) | None => shown,
        };
        (truth(self.uid, shown.0), truth(self.gid, shown.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_keeps_besides_survives() {
        let text = br#"{"uid":{"true":1000,"shown":0},"mode":{"true":1,"shown":2},"xattrs":{"61":"62"}}"#;
        let mut record = Record::parse(text).unwrap();
        assert_eq!(record.owner((0, 0)), (1000, 0));
        assert_eq!(record.owner((7, 0)), (7, 0));
        record.give((0, 5), (0, 0));
        let again = Record::parse(&record.text().unwrap()).unwrap();
        assert_eq!(again.owner((0, 0)), (0, 5));
        assert_eq!(again.rest.len(), 2);
        assert!(!again.is_empty());
        assert!(Record::of((0, 0), (0, 0)).is_empty());
    }

    #[test]
    fn kinds_are_written_as_the_store_reads_them() {
        let record = Record { kind: Some(KeptKind::CharDevice { major: 1, minor: 3 }), ..Record::default() };
        let text = r#"{"kind":{"char-device":{"major":1,"minor":3}}}"#;
        assert_eq!(record.text().unwrap(), text.as_bytes());
        assert_eq!(Record::parse(text.as_bytes()), Some(record));
        assert_eq!(Record::parse(b"nonsense"), None);
    }
}
