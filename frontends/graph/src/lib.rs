//! The language that every frontend emits and that the builder executes.
//!
//! A frontend turns text into a [`Graph`] of [`Op`]s and says which edges are the targets; it never
//! runs anything. The builder runs a graph; it never sees the text. This crate is the border: it
//! holds the graph, the questions a frontend may ask ([`Need`]), the answers ([`Known`]), and the
//! diagnostics about the user's text.
//!
//! Invariants:
//! - no I/O, no clock, no environment: everything here is a value;
//! - equal vertices are one vertex (the graph is hash-consed), so sharing between stages, targets
//!   and platforms needs no further work;
//! - [`Meta`] (titles, spans, `no_cache`) is never part of a vertex's identity;
//! - a vertex can only name vertices made before it, so a graph has no cycles by construction.
//!
//! Absent on purpose: cache keys (the builder's matter; a vertex id is not a cache key), layers,
//! and anything about Dockerfiles.

mod diagnostic;
mod distance;
mod environment;
mod exec;
mod file;
mod frontend;
mod glob;
mod graph;
mod op;
pub mod path;
mod pattern;
mod source;

pub use diagnostic::{Diagnostic, Severity, Span};
pub use distance::edit_distance;
pub use environment::Environment;
pub use exec::{
    CacheSharing, DeviceGrant, DeviceRequest, ExecOp, ExtraHost, Mount, MountKind, Network, ProxyEnv,
    SecretEnv, Security, Ulimit,
};
pub use file::{ChmodSpec, Copy, FileAction, MkDir, MkFile, OwnerSpec, Unpack};
pub use frontend::{ImageFacts, Known, Lowered, Need, Scan, Step, Target};
pub use glob::{BadGlob, Glob, glob};
pub use graph::{Edge, Graph, Input, Meta, Vertex, VertexId};
pub use op::Op;
pub use pattern::{PatternError, Patterns, Visit, WalkState, parse_ignore_file, parse_ignore_lines};
pub use source::{
    ContextName, GitHistory, GitMtime, GitSource, HttpSource, ImageSource, LargeFiles, LocalSource, Remote,
};
