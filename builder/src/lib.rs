//! Plan, solve, run, assemble, export: from a frontend's graph to images.
//!
//! The builder knows graphs, not build files: a frontend is a function handed in with the request.
//! It prints nothing and reads no environment; what happens leaves as [`Event`](event::Event)s,
//! what comes out is a [`BuildOutcome`] or a [`BuildError`].
//!
//! The story of a build, one module per chapter:
//! - [`plan`]: ask the frontend, answer its needs, until there is a graph;
//! - `keys`: the keys of every reachable step, made of the step and of what it reads;
//! - `solve`: which recorded results may be used, and running the rest as its inputs get ready;
//! - `worker`: the doing, behind one trait, so that the solver can be tested without a host;
//! - [`cache`]: results and layers that other stores offer, and offering our own to them;
//! - `context`, `file`, `image`, `git`, `exec`: the ops; `export`: the outputs;
//! - [`history`]: what became of each build, and why a step was not found;
//! - [`remote`]: contexts and bases that are fetched before there is a graph;
//! - [`serve`]: the store as a registry; [`sync`]: copies of many images; [`signing`]: signatures of images;
//!   [`encryption`]: encrypted layers.
//!
//! Invariants:
//! - a step runs at most once in a build, and its result is one value everywhere in that build;
//! - a failed step is never recorded, and no image appears when a step failed;
//! - dropping the future of a build stops everything it started;
//! - blocking work is started by [`worker::blocking`] and by nothing else.

pub mod attest;
pub mod cache;
pub mod context;
pub mod debug;
pub mod encryption;
pub mod error;
pub mod event;
pub mod exec;
pub mod export;
pub mod file;
pub mod git;
pub mod history;
pub mod image;
mod keys;
pub mod plan;
pub mod remote;
pub mod request;
mod room;
pub mod sbom;
pub mod serve;
pub mod session;
pub mod signing;
mod solve;
pub mod ssh;
pub mod sync;
pub mod toolchain;
pub mod worker;

mod build;

pub use build::{build, plan_only};
pub use error::{BuildError, Categorised, Category, Cause};
pub use request::{BuildOutcome, BuildRequest};
pub use room::Ceiling;
pub use session::{EventSink, EventStream, HostFacts, Session};
