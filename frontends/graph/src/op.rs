//! What a vertex does.

use serde::Serialize;

use crate::{Environment, ExecOp, FileAction, GitSource, HttpSource, ImageSource, LocalSource};

/// What to do. The inputs belong to the [`Vertex`](crate::Vertex); an op names them by position.
///
/// Every output of an op is a file system tree (a snapshot, for the builder).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Op {
    /// The root file system of an image, pinned by digest. No inputs, one output.
    Image(ImageSource),
    /// A directory of the caller. No inputs, one output. Never copied as a whole: consumers select.
    Local(LocalSource),
    /// A commit of a git repository. No inputs, one output.
    Git(GitSource),
    /// A file behind a URL. No inputs, one output: a tree with that one file.
    Http(HttpSource),
    /// A process in a sandbox. Output *n* is the *n*-th writable mount of [`ExecOp::mounts`];
    /// output 0 is always the root file system.
    Exec(Box<ExecOp>),
    /// File actions in order upon input 0 (absent: upon an empty tree), giving one new layer.
    File(Vec<FileAction>),
    /// All inputs on top of one another, the first at the bottom. One output, no new layer.
    Merge,
    /// What has to be added to input 0 to get input 1, as one layer.
    Diff,
}

impl Op {
    /// The directory of the caller that it is, if it is one.
    pub fn local(&self) -> Option<&LocalSource> {
        match self {
            Op::Local(source) => Some(source),
            Op::Image(_) | Op::Git(_) | Op::Http(_) | Op::Exec(_) | Op::File(_) | Op::Merge | Op::Diff => {
                None
            }
        }
    }

    /// The bytes that stand for this op in identities and keys: JSON with fields in declaration
    /// order. Fields that must not count (proxies, addresses of extra hosts) are not in it. For the variables of a
    /// process stands their digest, behind the rest: most steps of a file have most of them in common.
    pub fn canonical(&self) -> Vec<u8> {
        match self {
            Op::Exec(exec) => {
                let without = ExecOp { env: Environment::default(), ..ExecOp::clone(exec) };
                let mut bytes = json(&Op::Exec(Box::new(without)));
                bytes.extend(exec.env.digest());
                bytes
            }
            Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::File(_) | Op::Merge | Op::Diff => {
                json(self)
            }
        }
    }

    /// All that counts, for people and programs.
    pub fn document(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_else(|error| unreachable!("an op is plain data: {error}"))
    }
}

fn json(op: &Op) -> Vec<u8> {
    serde_json::to_vec(op).unwrap_or_else(|error| unreachable!("an op is plain data: {error}"))
}
