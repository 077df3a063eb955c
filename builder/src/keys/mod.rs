//! Cache keys: names of results, made in advance.
//!
//! A *definition key* is made of the op and of the definition keys of its inputs, so it is known
//! before anything ran; only local contexts enter with their content, and only with the paths that
//! the op reads. A *result key* is made of the op and of the content of its inputs, so it is known
//! once they are there; it stops the cascade when an input was rebuilt and is the same.
//!
//! Both leave out what a canonical op leaves out: proxies, secrets' contents, ids and sharing of
//! cache mounts, addresses of extra hosts. Nothing here touches the world.

mod components;
mod read;
#[cfg(test)]
mod tests;

use graph::Op;
use layer_store::{CacheKey, ContentId, ResultId, Snapshot};

pub(crate) use components::components;
pub(crate) use read::{Reading, local_readings, readings};

/// Written into every key: another number makes every older record a miss.
const FORMAT: u32 = 1;

/// What an input contributes to a definition key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// The empty tree.
    Empty,
    /// An output of a step, by that step's definition key.
    Step(CacheKey, u16),
    /// A local context, by digests of what the op reads of it.
    Local(Vec<(Reading, [u8; 32])>),
}

/// What an input contributes to a result key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// The empty tree.
    Empty,
    /// All of a snapshot, by the content of its layers.
    Whole(Vec<ContentId>),
    /// What the op reads of a snapshot or of a local context.
    Read(Vec<(Reading, [u8; 32])>),
}

/// The definition key of a step.
pub(crate) fn definition(op: &Op, inputs: &[Named]) -> CacheKey {
    let mut hash = Hash::new("definition", op);
    for input in inputs {
        match input {
            Named::Empty => hash.tag(0),
            Named::Step(key, output) => {
                hash.tag(1);
                hash.bytes(&key.0);
                hash.bytes(&output.to_le_bytes());
            }
            Named::Local(read) => {
                hash.tag(2);
                hash.read(read);
            }
        }
    }
    hash.key()
}

/// The result key of a step.
pub(crate) fn result(op: &Op, inputs: &[Held]) -> CacheKey {
    let mut hash = Hash::new("result", op);
    for input in inputs {
        match input {
            Held::Empty => hash.tag(0),
            Held::Whole(layers) => {
                hash.tag(1);
                hash.count(layers.len());
                layers.iter().for_each(|layer| hash.bytes(&layer.0));
            }
            Held::Read(read) => {
                hash.tag(2);
                hash.read(read);
            }
        }
    }
    hash.key()
}

/// The identity of a result: its layers, so that equal layers are one result.
pub(crate) fn identity(outputs: &[Snapshot]) -> ResultId {
    let mut hasher = blake3::Hasher::new();
    for output in outputs {
        hasher.update(&(output.0.len() as u64).to_le_bytes());
        for layer in &output.0 {
            hasher.update(layer.as_str().as_bytes()).update(&[0]);
        }
    }
    ResultId(*hasher.finalize().as_bytes())
}

/// A hash in which every part has a length, so that no two lists of parts run together.
struct Hash(blake3::Hasher);

impl Hash {
    fn new(kind: &str, op: &Op) -> Self {
        let mut hash = Self(blake3::Hasher::new());
        hash.bytes(&FORMAT.to_le_bytes());
        hash.bytes(kind.as_bytes());
        hash.bytes(&op.canonical());
        hash
    }

    fn tag(&mut self, tag: u8) {
        self.0.update(&[tag]);
    }

    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    /// The op already says what is read, in which order; only the digests are new.
    fn read(&mut self, read: &[(Reading, [u8; 32])]) {
        self.count(read.len());
        read.iter().for_each(|(_, digest)| self.bytes(digest));
    }

    fn key(self) -> CacheKey {
        CacheKey(*self.0.finalize().as_bytes())
    }
}
