//! The index of an eStargz layer, which is written as the archive passes.

use std::io;

use oci::Digest;
use serde::Serialize;

use super::entry::{Entry, EntryKind};

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Where its member begins in the layer.
    pub member: u64,
    /// Where its bytes begin in the file.
    pub start: u64,
    pub length: u64,
    pub digest: Digest,
}

/// The fields in the order in which the specification has them.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(rename = "modtime", skip_serializing_if = "Option::is_none")]
    modified: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_name: Option<&'a str>,
    mode: u64,
    uid: u64,
    gid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_major: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_minor: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xattrs: Option<&'a std::collections::BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_digest: Option<&'a Digest>,
}

/// The text so far.
#[derive(Debug)]
pub(super) struct Index(Vec<u8>);

impl Index {
    pub fn new() -> Self {
        Self(br#"{"version":1,"entries":["#.to_vec())
    }

    /// Adds an entry that has no content.
    pub fn add(&mut self, entry: &Entry) -> io::Result<()> {
        self.line(&line(entry))
    }

    /// Adds a file with its chunks.
    pub fn add_file(&mut self, entry: &Entry, digest: &Digest, chunks: &[Chunk]) -> io::Result<()> {
        for (number, chunk) in chunks.iter().enumerate() {
            let is_last = number + 1 == chunks.len();
            let described = Line {
                offset: Some(chunk.member),
                // The last chunk says none: it goes to the end of the file.
                chunk_size: (!is_last).then_some(chunk.length),
                chunk_digest: Some(&chunk.digest),
                ..Line::default()
            };
            let written = if number == 0 {
                Line { digest: Some(digest), size: Some(entry.size), ..merged(line(entry), described) }
            } else {
                Line { name: &entry.name, kind: "chunk", chunk_offset: Some(chunk.start), ..described }
            };
            self.line(&written)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        if !self.0.ends_with(b"[") {
            self.0.push(b',');
        }
        Ok(serde_json::to_writer(&mut self.0, line)?)
    }

    /// All of it.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"]}");
        self.0
    }
}

/// What is said of the entry, and of its first chunk.
fn merged<'a>(entry: Line<'a>, chunk: Line<'a>) -> Line<'a> {
    Line { offset: chunk.offset, chunk_size: chunk.chunk_size, chunk_digest: chunk.chunk_digest, ..entry }
}

fn line(entry: &Entry) -> Line<'_> {
    let (kind, link, device) = match &entry.kind {
        EntryKind::File => ("reg", None, None),
        EntryKind::HardLink(target) => ("hardlink", Some(target.as_str()), None),
        EntryKind::SymbolicLink(target) => ("symlink", Some(target.as_str()), None),
        EntryKind::Directory => ("dir", None, None),
        EntryKind::CharDevice(major, minor) => ("char", None, Some((*major, *minor))),
        EntryKind::BlockDevice(major, minor) => ("block", None, Some((*major, *minor))),
        EntryKind::Fifo => ("fifo", None, None),
    };
    Line {
        name: &entry.name,
        kind,
        modified: entry.modified.as_deref(),
        link_name: link,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        dev_major: device.map(|(major, _)| major),
        dev_minor: device.map(|(_, minor)| minor),
        xattrs: (!entry.xattrs.is_empty()).then_some(&entry.xattrs),
        ..Line::default()
    }
}
