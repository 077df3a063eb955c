//! Where trees come from.

use std::num::NonZeroU32;

use oci::{Descriptor, Digest, Platform, Reference};
use serde::{Deserialize, Serialize};

/// An image, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSource {
    /// Where to pull from; carries the name the user wrote, for messages.
    #[serde(skip)]
    pub reference: Reference,
    /// The image manifest for `platform` (never an index). Its digest is the identity.
    #[serde(serialize_with = "digest_only")]
    pub manifest: Descriptor,
    /// The platform that was asked for.
    #[serde(skip)]
    pub platform: Platform,
}

fn digest_only<S: serde::Serializer>(d: &Descriptor, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&d.digest.to_string())
}

/// The name of a local directory that the caller gives to the build.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ContextName {
    /// The build context itself (the operand of `build`).
    Main,
    /// The place the build file was found in; only asked for files, never a vertex.
    BuildFile,
    /// A named context (`--build-context name=path`).
    Named(String),
}

/// A directory of the caller, with ignore rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LocalSource {
    /// Which directory.
    pub context: ContextName,
    /// Ignore rules in file order (grammar of [`Patterns`](crate::Patterns)); files they exclude do
    /// not exist for the build. Not part of a consumer's cache key: the selected files are.
    pub ignore: Vec<String>,
    /// Where each rule is written, for messages: `.dockerignore:3`.
    #[serde(skip)]
    pub ignore_places: Vec<String>,
}

/// A commit of a git repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct GitSource {
    /// Remote address, without fragment and credentials.
    pub url: String,
    /// Full object name of the commit.
    pub commit: String,
    /// Sub-directory that becomes the root, if not the whole tree.
    pub subdir: Option<String>,
    /// Keep the `.git` directory.
    pub keep_git_dir: bool,
    /// Fetch submodules as well.
    pub submodules: bool,
    /// Times of the files.
    pub mtime: GitMtime,
    /// How much of the history is in `.git`.
    #[serde(skip_serializing_if = "GitHistory::is_usual")]
    pub history: GitHistory,
    /// What becomes of files that are kept elsewhere.
    #[serde(skip_serializing_if = "LargeFiles::is_usual")]
    pub large_files: LargeFiles,
}

/// How much of a repository's history is fetched (`depth=` in its address, which BuildKit does not have).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum GitHistory {
    /// That many commits.
    Last(NonZeroU32),
    /// All of it, with branches and tags.
    Whole,
}

impl Default for GitHistory {
    fn default() -> Self {
        Self::Last(NonZeroU32::MIN)
    }
}

impl GitHistory {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of files that Git LFS keeps (`lfs=` in an address, which BuildKit does not have).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum LargeFiles {
    /// Their pointers stand for them.
    #[default]
    Pointers,
    /// They are fetched.
    Content,
}

impl LargeFiles {
    fn is_usual(&self) -> bool {
        *self == Self::Pointers
    }
}

/// The times that files of a repository get (`mtime=` in its address).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum GitMtime {
    /// When they were checked out.
    #[default]
    Checkout,
    /// The committer's time of the commit.
    Commit,
}

/// A file behind a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HttpSource {
    /// The address.
    pub url: String,
    /// Digest of the body, when the user or an earlier resolve told it.
    pub checksum: Option<Digest>,
    /// Name the file gets in the output tree.
    pub filename: String,
    /// Permission bits of the file.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
}

/// A source that is fetched from elsewhere, and that has a time of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remote {
    /// A commit: the committer's time.
    Git(GitSource),
    /// A file: when the server says that it was modified, else the newest regular file in it, if it
    /// is an archive.
    Http(HttpSource),
}
