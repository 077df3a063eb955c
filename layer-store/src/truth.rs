//! True attributes: what the file system refuses is kept beside the file.
//!
//! Regular files and directories carry it in the extended attribute `user.rbuild.attrs`, which follows
//! overlay's copy-up; links and special files, which may carry no such attribute, have a line in the
//! layer's `attrs` document. A kept owner or mode counts only while the file still shows the one that
//! was written in its place: a step that changes it later is believed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Stat, fgetxattr, flistxattr, lgetxattr, llistxattr};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::attributes::{Attributes, Kind, Time};
use crate::error::{At, Result};
use crate::ids::{hex, unhex};

pub(crate) const TRUTH: &str = "user.rbuild.attrs";
pub(crate) const ACL_ACCESS: &str = "system.posix_acl_access";
pub(crate) const ACL_DEFAULT: &str = "system.posix_acl_default";
const CAPABILITY: &str = "security.capability";

/// A number that the file system refused, and the one it shows instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(rename = "true")]
    pub(crate) truth: u32,
    pub(crate) shown: u32,
}

/// A special file that could not be made; an empty regular file stands in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeptKind {
    Fifo,
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
}

/// What the file system refused of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Truth {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<Kept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gid: Option<Kept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<Kept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<KeptKind>,
    /// Name and value in hexadecimal.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) xattrs: BTreeMap<String, String>,
}

impl Truth {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn keep_xattr(&mut self, name: &OsStr, value: &[u8]) {
        self.xattrs.insert(hex(name.as_bytes()), hex(value));
    }

    /// The true owner and group of a file that shows these.
    pub(crate) fn owner(&self, uid: u32, gid: u32) -> (u32, u32) {
        (believe(self.uid, uid), believe(self.gid, gid))
    }

    fn apply(&self, attributes: &mut Attributes) {
        (attributes.uid, attributes.gid) = self.owner(attributes.uid, attributes.gid);
        attributes.mode = believe(self.mode, attributes.mode);
        if let (Some(kind), Kind::File { size: 0 }) = (self.kind, &attributes.kind) {
            attributes.kind = match kind {
                KeptKind::Fifo => Kind::Fifo,
                KeptKind::CharDevice { major, minor } => Kind::CharDevice { major, minor },
                KeptKind::BlockDevice { major, minor } => Kind::BlockDevice { major, minor },
            };
        }
        for (name, value) in &self.xattrs {
            if let (Some(name), Some(value)) = (unhex(name), unhex(value)) {
                attributes.xattrs.entry(OsString::from_vec(name)).or_insert(value);
            }
        }
    }
}

/// What is kept counts only while the file shows what was written in its place.
fn believe(kept: Option<Kept>, shown: u32) -> u32 {
    kept.filter(|kept| kept.shown == shown).map_or(shown, |kept| kept.truth)
}

/// What the `attrs` document of a layer says, by path.
pub(crate) type Aside = BTreeMap<PathBuf, Truth>;

/// One line of the `attrs` document; paths need not be UTF-8.
#[derive(Serialize, Deserialize)]
struct Line {
    path: String,
    #[serde(flatten)]
    truth: Truth,
}

pub(crate) fn write_aside(aside: &Aside) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    for (path, truth) in aside {
        let line = Line { path: hex(path.as_os_str().as_bytes()), truth: truth.clone() };
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// `None`: the document is damaged.
pub(crate) fn read_aside(text: &[u8]) -> Option<Aside> {
    let mut aside = Aside::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Line = serde_json::from_slice(line).ok()?;
        aside.insert(PathBuf::from(OsString::from_vec(unhex(&line.path)?)), line.truth);
    }
    Some(aside)
}

/// Whether an extended attribute belongs to overlay or to this store, not to the image.
pub(crate) fn is_internal(name: &OsStr) -> bool {
    let name = name.as_bytes();
    [&b"trusted.overlay."[..], b"user.overlay.", b"user.rbuild."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Whether the host put it there and the image does not know it.
fn is_of_the_host(name: &OsStr) -> bool {
    let of_the_system = name.as_bytes().starts_with(b"system.") && name != ACL_ACCESS && name != ACL_DEFAULT;
    let of_security = name.as_bytes().starts_with(b"security.") && name != CAPABILITY;
    of_the_system || of_security
}

pub(crate) fn file_type(stat: &Stat) -> rustix::fs::FileType {
    rustix::fs::FileType::from_raw_mode(stat.st_mode)
}

/// The names of a file's own extended attributes; empty where the file system knows none.
pub(crate) fn list_xattrs(host: &Path) -> Result<Vec<OsString>> {
    Shown::at(host).list()
}

/// One extended attribute; `None` where there is none.
pub(crate) fn get_xattr(host: &Path, name: &OsStr) -> Result<Option<Vec<u8>>> {
    Shown::at(host).get(name)
}

/// A file as the host shows it: by its path, which is not followed, or open.
#[derive(Clone, Copy)]
struct Shown<'a> {
    host: &'a Path,
    open: Option<&'a File>,
}

impl<'a> Shown<'a> {
    fn at(host: &'a Path) -> Self {
        Self { host, open: None }
    }

    fn list(self) -> Result<Vec<OsString>> {
        let mut buffer = [0u8; 1024];
        let mut more;
        let mut room = &mut buffer[..];
        loop {
            let listed = match self.open {
                Some(file) => flistxattr(file, &mut *room),
                None => llistxattr(self.host, &mut *room),
            };
            match listed {
                Ok(length) => {
                    let names = room[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
                    return Ok(names.map(|name| OsStr::from_bytes(name).to_owned()).collect());
                }
                Err(Errno::RANGE) => {
                    let size = room.len() * 8;
                    more = vec![0; size];
                    room = &mut more[..];
                }
                Err(Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => return Ok(Vec::new()),
                Err(error) => return Err(error).at(self.host),
            }
        }
    }

    fn get(self, name: &OsStr) -> Result<Option<Vec<u8>>> {
        let mut buffer = vec![0u8; 512];
        loop {
            let read = match self.open {
                Some(file) => fgetxattr(file, name, &mut buffer[..]),
                None => lgetxattr(self.host, name, &mut buffer[..]),
            };
            match read {
                Ok(length) => {
                    buffer.truncate(length);
                    return Ok(Some(buffer));
                }
                Err(Errno::RANGE) => buffer.resize(buffer.len() * 16, 0),
                Err(Errno::NODATA | Errno::NOTSUP | Errno::PERM | Errno::ACCESS) => return Ok(None),
                Err(error) => return Err(error).at(self.host),
            }
        }
    }
}

/// The true attributes of a file of a layer. `relative` is its path in that layer.
pub(crate) fn read(host: &Path, relative: &Path, stat: &Stat, aside: &Aside) -> Result<Attributes> {
    read_shown(Shown::at(host), relative, stat, aside)
}

/// The same for a regular file that is open.
pub(crate) fn read_open(
    file: &File,
    host: &Path,
    relative: &Path,
    stat: &Stat,
    aside: &Aside,
) -> Result<Attributes> {
    read_shown(Shown { host, open: Some(file) }, relative, stat, aside)
}

fn read_shown(shown: Shown<'_>, relative: &Path, stat: &Stat, aside: &Aside) -> Result<Attributes> {
    let kind = kind_of(shown.host, stat)?;
    let mut attributes = Attributes {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Time { secs: stat.st_mtime, nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0) },
        xattrs: BTreeMap::new(),
        kind,
    };
    let mut truth = None;
    for name in shown.list()? {
        if name == TRUTH {
            truth = shown.get(&name)?.and_then(|text| serde_json::from_slice::<Truth>(&text).ok());
        } else if !is_internal(&name)
            && !is_of_the_host(&name)
            && let Some(value) = shown.get(&name)?
        {
            attributes.xattrs.insert(name, value);
        }
    }
    if let Some(truth) = truth.as_ref().or_else(|| aside.get(relative)) {
        truth.apply(&mut attributes);
    }
    if let Some(value) = attributes.xattrs.get_mut(OsStr::new(CAPABILITY)) {
        plain_capability(value);
    }
    if attributes.symlink_target().is_some() {
        attributes.mode = 0o777;
    }
    Ok(attributes)
}

fn kind_of(host: &Path, stat: &Stat) -> Result<Kind> {
    use rustix::fs::{FileType, major, minor};
    Ok(match file_type(stat) {
        FileType::RegularFile => Kind::File { size: u64::try_from(stat.st_size).unwrap_or(0) },
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink { target: std::fs::read_link(host).at(host)? },
        FileType::Fifo => Kind::Fifo,
        FileType::CharacterDevice => {
            Kind::CharDevice { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }
        }
        FileType::BlockDevice => Kind::BlockDevice { major: major(stat.st_rdev), minor: minor(stat.st_rdev) },
        FileType::Socket | FileType::Unknown => Kind::Socket,
    })
}

/// Version 3 of a file's capabilities names the root of a user namespace; images carry version 2.
fn plain_capability(value: &mut Vec<u8>) {
    if value.len() == 24 && value[3] == 3 {
        value[3] = 2;
        value.truncate(20);
    }
}
