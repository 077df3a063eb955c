//! The conversation between a frontend and the builder.
//!
//! A frontend is a pure function `Fn(&Known) -> Result<Step, Vec<Diagnostic>>`. It is called with
//! what is known so far and either asks for more or is done. The builder answers all needs of a
//! round together and calls again; facts are only ever added.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use oci::{Descriptor, ImageConfig, Platform, Reference};

use crate::{ContextName, Diagnostic, Edge, Graph, Remote};

/// A fact a frontend asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// What an image name stands for, and its config.
    Image(Reference, Platform),
    /// A file of a context, by a clean relative path.
    File(ContextName, String),
    /// The commit a git remote's ref stands for: address and ref (empty: the default branch).
    GitRef(String, String),
    /// The time of a remote source.
    Time(Remote),
}

/// What an image name stands for.
#[derive(Clone, Debug)]
pub struct ImageFacts {
    /// The manifest for the platform that was asked for.
    pub manifest: Descriptor,
    /// Digest and type of what the name itself pointed to (an index or the manifest).
    pub resolved: Descriptor,
    /// The image's config, unknown fields included.
    pub config: ImageConfig,
}

/// Everything a frontend has been told.
///
/// A fact that is absent was not asked for yet. An error of the world (no such image, refused
/// login) never arrives here: the builder ends the build with it and with the span of the need.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Images by name and platform.
    pub images: BTreeMap<(Reference, Platform), ImageFacts>,
    /// Files by context and path; `None` means that there is no such file.
    pub files: BTreeMap<(ContextName, String), Option<Bytes>>,
    /// Commits by address and ref.
    pub git: BTreeMap<(String, String), String>,
    /// Times of remote sources in seconds since 1970; `None` means that the source has none.
    pub times: BTreeMap<Remote, Option<i64>>,
}

/// A frontend's answer.
#[derive(Debug)]
pub enum Step {
    /// Ask for these, then call again. Never empty. The span says which text asks, for errors.
    Need(BTreeMap<Need, Option<crate::Span>>),
    /// Finished.
    Done(Box<Lowered>),
}

/// A build, ready to run.
#[derive(Debug)]
pub struct Lowered {
    /// What to do.
    pub graph: Graph,
    /// What to deliver: one target for each platform, in the order asked for.
    pub targets: Vec<Target>,
    /// Remarks that do not stop the build.
    pub warnings: Vec<Diagnostic>,
    /// Entitlements that reachable steps need and that were granted (`network.host` …).
    pub entitlements: BTreeSet<String>,
}

/// One image to deliver.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its platform.
    pub platform: Platform,
    /// Its root file system; `None` is the empty one.
    pub root: Option<Edge>,
    /// Its config, complete but for `rootfs` (filled from the layers) and `created` times:
    /// history entries of the base come first and unchanged, entries of this build follow, those
    /// without `empty_layer` standing for one layer each, in order.
    pub config: ImageConfig,
    /// How many of `config.history` belong to the base image.
    pub base_history: usize,
    /// The base image this target was made from, if it had one.
    pub base: Option<(Reference, Descriptor)>,
    /// `SOURCE_DATE_EPOCH` as the build file and the build arguments have it, in seconds since 1970:
    /// the time of the image and of its own history, and the latest time of anything in its layers
    /// where timestamps are rewritten.
    pub epoch: Option<i64>,
    /// Further trees whose software a list of software names, too. They are not part of the image.
    pub scans: Vec<Scan>,
}

/// A tree that was used for an image, to be looked through.
#[derive(Clone, Debug)]
pub struct Scan {
    /// What it is: `context`, or a stage.
    pub name: String,
    /// The tree; `None` is the empty one.
    pub root: Option<Edge>,
}
