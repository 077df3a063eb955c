//! `version.json`: what a store is, and for whom.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::disk::{Durable, read_json, replace, to_json};
use crate::error::{Result, StoreError};
use crate::ids::random_hex;
use crate::marks::Marks;

const FORMAT: u64 = 1;
/// The directories of the store hand no access lists down.
const PLAIN: &str = "plain-directories";

/// With which rights this process works on the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// As root, without a user namespace of our own.
    Root,
    /// In a user namespace with ranges of ids.
    Mapped,
    /// In a user namespace with one id.
    SingleId,
}

impl Mode {
    /// What overlay's own extended attributes begin with.
    pub fn overlay_prefix(self) -> &'static str {
        match self {
            Self::Root => "trusted.overlay.",
            Self::Mapped | Self::SingleId => "user.overlay.",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Mapped => "mapped",
            Self::SingleId => "single-id",
        })
    }
}

/// One line of `/proc/self/uid_map` or `gid_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// What `uid_map` and `gid_map` of this process say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRanges {
    /// Users.
    pub users: Vec<IdRange>,
    /// Groups.
    pub groups: Vec<IdRange>,
}

impl IdRanges {
    /// Those of this process. Empty where `/proc` does not tell.
    pub fn of_this_process() -> Self {
        let read = |path: &str| parse_map(&std::fs::read_to_string(path).unwrap_or_default());
        Self { users: read("/proc/self/uid_map"), groups: read("/proc/self/gid_map") }
    }
}

fn parse_map(text: &str) -> Vec<IdRange> {
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        let mut next = || numbers.next().and_then(std::result::Result::ok);
        Some(IdRange { inside: next()?, outside: next()?, count: next()? })
    };
    text.lines().filter_map(line).collect()
}

/// How to open a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// The rights of this process.
    pub mode: Mode,
    /// The ids of this process.
    pub ids: IdRanges,
}

impl OpenOptions {
    /// Those for a real root process.
    pub fn root() -> Self {
        Self { mode: Mode::Root, ids: IdRanges::of_this_process() }
    }
}

/// Features a later program may add, by what a program that does not know them must do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Features {
    may_ignore: Vec<String>,
    read_only: Vec<String>,
    must_refuse: Vec<String>,
}

/// Layers with marks that overlayfs does not know, which would be files to it.
const OWN_MARKS: &str = "own-marks";

impl Features {
    fn of(marks: Marks) -> Self {
        let must_refuse = match marks {
            Marks::Overlay(_) => Vec::new(),
            Marks::Own => vec![OWN_MARKS.to_owned()],
        };
        Self { must_refuse, may_ignore: vec![PLAIN.to_owned()], ..Self::default() }
    }

    fn marks(&self, mode: Mode) -> Marks {
        match self.must_refuse.iter().any(|feature| feature == OWN_MARKS) {
            true => Marks::Own,
            false => Marks::Overlay(mode),
        }
    }

    fn is_plain(&self) -> bool {
        self.may_ignore.iter().any(|feature| feature == PLAIN)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Version {
    format: u64,
    mode: Mode,
    xattr_prefix: String,
    ids: IdRanges,
    #[serde(default)]
    features: Features,
}

/// The mode that a store was made in; `None`: there is no store, or none that this program knows.
pub fn mode_of_store(root: &Path) -> Option<Mode> {
    let version = read_json::<Version>(&root.join("version.json")).ok()??;
    Some(version.mode)
}

/// Whether the directories of a store were freed from access lists.
pub(crate) fn is_plain(root: &Path) -> bool {
    let version = read_json::<Version>(&root.join("version.json"));
    version.is_ok_and(|version| version.is_some_and(|version| version.features.is_plain()))
}

/// Writes `version.json` into a new store, or compares it with what this process needs. Returns the marks of
/// its layers.
pub(crate) fn check_or_create(root: &Path, scratch: &Path, options: &OpenOptions) -> Result<Marks> {
    let path = root.join("version.json");
    let Some(mut found) = read_json::<serde_json::Value>(&path)? else {
        let marks = Marks::fitting(scratch, options.mode)?;
        let version = Version {
            format: FORMAT,
            mode: options.mode,
            xattr_prefix: marks.prefix().to_owned(),
            ids: options.ids.clone(),
            features: Features::of(marks),
        };
        write(&path, scratch, &serde_json::json!(version))?;
        return Ok(marks);
    };
    let format = found["format"].as_u64().unwrap_or(0);
    if format != FORMAT {
        return Err(StoreError::OtherFormat { root: root.to_owned(), found: format });
    }
    let version: Version = serde_json::from_value(found.clone())
        .map_err(|source| StoreError::Json { path: path.clone(), source })?;
    let marks = version.features.marks(version.mode);
    if version.mode != options.mode || version.xattr_prefix != marks.prefix() {
        return Err(StoreError::OtherMode {
            root: root.to_owned(),
            found: version.mode,
            wanted: options.mode,
        });
    }
    if version.ids != options.ids {
        return Err(StoreError::OtherIds { root: root.to_owned() });
    }
    let known = Features::of(marks);
    if version.features.must_refuse != known.must_refuse || !version.features.read_only.is_empty() {
        return Err(StoreError::OtherFormat { root: root.to_owned(), found: format });
    }
    if !version.features.is_plain() {
        // Whoever opens a store has seen to it.
        found["features"]["may-ignore"] =
            version.features.may_ignore.iter().map(String::as_str).chain([PLAIN]).collect();
        write(&path, scratch, &found)?;
    }
    Ok(marks)
}

fn write(path: &Path, scratch: &Path, version: &serde_json::Value) -> Result<()> {
    let scratch = scratch.join(format!("file-{}", random_hex()));
    replace(path, &scratch, &to_json(path, version)?, Durable::Yes)
}
