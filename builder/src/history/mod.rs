//! What became of a build: its steps with what their keys were made of, times, bytes and logs.
//!
//! The [`Recorder`] watches a build and leaves a [`Build`] in the store's journal. [`explain`] holds
//! two builds against each other and names the first cause of a step that was not found. [`trace`]
//! tells a build as a timeline.
//!
//! Absent, on purpose: the journal decides nothing. A build without it makes the same image.

mod align;
mod cause;
mod describe;
mod explain;
mod known;
mod listing;
mod recorder;
mod text;
mod trace;

use std::collections::BTreeMap;

use layer_store::{BuildId, Component, Result, Store};
use serde::{Deserialize, Serialize};

pub use known::{KnownStep, known_steps};
pub(crate) use listing::{Listed, Listing};
pub(crate) use recorder::Recorder;
pub use trace::{critical_path, trace};

/// What the caller asked for, as far as it can change a key; for explanations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What is built, for people and to find the build before this one: context, file, target.
    pub subject: Vec<String>,
    /// Build arguments with values.
    pub arguments: BTreeMap<String, String>,
    /// Other options by name, those that were given.
    pub flags: BTreeMap<String, String>,
}

/// One build.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Build {
    /// Its name in the journal.
    pub id: String,
    /// What was asked for.
    pub asked: Asked,
    /// The build file.
    pub text: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub began: u64,
    /// How long it took.
    pub millis: u64,
    /// Why it failed; `None` where it did not.
    pub failure: Option<String>,
    /// Its steps, inputs before their users.
    pub steps: Vec<Step>,
}

/// One step of a build.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Step {
    /// Its number.
    pub id: u32,
    /// Its title.
    pub title: String,
    /// The instruction as it is written, and the number of its first line.
    pub instruction: Option<(String, usize)>,
    /// What its key was made of; absent for work that is no step of the graph.
    pub parts: Option<Parts>,
    /// What became of it.
    pub state: State,
    /// When it began, in milliseconds after the build.
    pub began: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Bytes it wrote.
    pub log_bytes: u64,
    /// Bytes it transferred.
    pub transferred: u64,
    /// Why it was not found, where it was the first one that was not.
    pub why: Option<String>,
}

/// What a definition key was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The key.
    pub key: String,
    /// The kind of op.
    pub kind: Kind,
    /// The parts of the op by name.
    pub op: Vec<Component>,
    /// The inputs by position.
    pub inputs: Vec<Input>,
    /// The step was not to be found, whatever is recorded.
    pub uncached: bool,
}

/// Kinds of ops, as far as explanations tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The file system of an image.
    Image,
    /// Something fetched: a git commit, a file behind a URL.
    Fetched,
    /// A process.
    Process,
    /// File actions and whatever else.
    #[default]
    Other,
}

/// What an input contributed to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// The empty tree.
    Empty,
    /// The result of a step.
    Step(u32),
    /// Parts of a local context.
    Local {
        /// The context's name.
        context: String,
        /// The ignore rules it was seen through.
        ignore: Vec<String>,
        /// What was read, with digests in hexadecimal.
        reads: Vec<(String, String)>,
    },
}

/// What became of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It did not come to it.
    #[default]
    Waiting,
    /// It ran.
    Ran,
    /// It was found.
    Cached,
    /// It failed.
    Failed,
    /// Another failed first.
    Cancelled,
}

impl State {
    /// A word for people.
    pub fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Ran => "ran",
            State::Cached => "cached",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }
}

/// Reads a build of the journal. One that is damaged counts as absent.
pub fn load(store: &Store, id: &BuildId) -> Result<Option<Build>> {
    let bytes = store.build_document(id)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The first cause of a step that was not found, one line, held against the build before. `None` for work
/// that has no key.
pub fn why(store: &Store, build: &Build, step: u32) -> Option<String> {
    let earlier = before(store, build);
    let why = explain::explain(earlier.as_ref(), build, step, &|digest| listing(store, digest))?;
    Some(why.to_string())
}

/// The build that `build` is to be held against: the last one before it of the same subject, else of
/// the last ones the one that shares most keys with it.
fn before(store: &Store, build: &Build) -> Option<Build> {
    const NEAR: usize = 20;
    let earlier = store.builds().ok()?.into_iter().filter(|id| id.as_str() < build.id.as_str()).take(NEAR);
    let earlier: Vec<Build> = earlier.filter_map(|id| load(store, &id).ok()?).collect();
    let same = earlier.iter().position(|one| one.asked.subject == build.asked.subject);
    let shared = |one: &Build| build.keys().intersection(&one.keys()).count();
    let nearest = || {
        (0..earlier.len())
            .filter(|&at| shared(&earlier[at]) > 0)
            .max_by_key(|&at| (shared(&earlier[at]), std::cmp::Reverse(at)))
    };
    let chosen = same.or_else(nearest)?;
    earlier.into_iter().nth(chosen)
}

/// The listing for a digest in hexadecimal.
fn listing(store: &Store, digest: &str) -> Option<Listing> {
    let digest = blake3::Hash::from_hex(digest).ok()?;
    Listing::of(store, digest.as_bytes())
}

impl Build {
    fn keys(&self) -> std::collections::BTreeSet<&str> {
        self.steps.iter().filter_map(|step| Some(step.parts.as_ref()?.key.as_str())).collect()
    }

    /// A step by its number.
    pub fn step(&self, id: u32) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// The first step that ran although it could have been found.
    pub fn first_miss(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.why.is_some()).or_else(|| {
            self.steps.iter().find(|step| {
                step.parts.as_ref().is_some_and(|parts| parts.kind != Kind::Image)
                    && matches!(step.state, State::Ran | State::Failed)
            })
        })
    }
}
