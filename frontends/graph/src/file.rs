//! Changes to a tree that need no process.

use bytes::Bytes;
use serde::Serialize;

/// One change. Actions of one vertex see what the earlier ones did and end in one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum FileAction {
    /// Copy from an input.
    Copy(Box<Copy>),
    /// Make a directory.
    MkDir(MkDir),
    /// Make a file with given content.
    MkFile(MkFile),
}

/// Copy one source (which may be a pattern) from an input into the tree.
///
/// Semantics are those of BuildKit's file copy (features CP2–CP29); what differs per instruction is
/// said by the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Copy {
    /// Position of the source among the vertex's inputs. Input 0 is the base.
    pub input: usize,
    /// Source path or pattern, relative to the root of the input. `..` is clipped at the root. With
    /// `parents` it may hold one pivot (`/base/./pattern`), and the pattern may hold `**`.
    pub source: String,
    /// Absolute destination; a trailing slash says "a directory". Symbolic links in it are followed
    /// inside the tree.
    pub dest: String,
    /// Treat `source` as a pattern in Go's `filepath.Match` grammar.
    pub wildcard: bool,
    /// A pattern without a match is no error.
    pub allow_empty_wildcard: bool,
    /// Follow a symbolic link that is the last component of the source.
    pub follow_symlinks: bool,
    /// A directory source stands for its content.
    pub dir_contents: bool,
    /// Create missing parents of the destination (0755, owner of `owner`).
    pub create_dest_path: bool,
    /// Owner of everything copied; `None` keeps the source's (the context's is 0:0).
    pub owner: Option<OwnerSpec>,
    /// Permission bits of everything copied; `None` keeps the source's.
    pub mode: Option<ChmodSpec>,
    /// Paths left out, relative to the source root (grammar of [`Patterns`](crate::Patterns)).
    pub exclude: Vec<String>,
    /// `--parents`: `source` keeps its directories below `dest`, from the pivot on (`/./`).
    pub parents: bool,
    /// What to do with archives.
    pub unpack: Unpack,
    /// The source must exist even when it is a pattern's literal prefix (`--parents` of a literal).
    pub required: bool,
}

/// Whether archives are unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum Unpack {
    /// Archives are files.
    #[default]
    Never,
    /// A file that begins like an archive is unpacked into `dest`; any other is copied.
    Detect,
}

/// `--chown`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnerSpec {
    /// User name or number, resolved in the destination's `/etc/passwd`.
    pub user: String,
    /// Group name or number, resolved in the destination's `/etc/group`; `None`: the number of the
    /// user for a numeric user, the user's primary group for a name.
    pub group: Option<String>,
}

/// `--chmod`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum ChmodSpec {
    /// Octal bits, up to 0o7777.
    Octal(u32),
    /// Symbolic clauses (`u=rwX,go=rX`), already checked for their grammar; umask counts as 0.
    Symbolic(String),
}

/// Make a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MkDir {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner; `None` is 0:0.
    pub owner: Option<OwnerSpec>,
    /// Create parents as well and accept an existing directory.
    pub parents: bool,
    /// Time of what is created, in seconds since 1970; `None` is now.
    pub created: Option<i64>,
}

/// Make a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MkFile {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner; `None` is 0:0.
    pub owner: Option<OwnerSpec>,
    /// Content.
    pub content: Bytes,
}
