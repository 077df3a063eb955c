//! What the tests share: a store in a temporary directory, trees as values, archives.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use layer_store::{
    Attributes, Content, Kind, LayerId, Lease, Mode, OpenOptions, Packing, Snapshot, StackView, Store, Time,
    Unpacked, Walk,
};
use oci::{ChainId, DiffId, Digest};
use tempfile::TempDir;

/// A store that vanishes with the test.
pub struct Place {
    pub dir: TempDir,
    pub store: Store,
    pub lease: Lease,
}

pub fn options() -> OpenOptions {
    OpenOptions { mode: Mode::Root, ..OpenOptions::root() }
}

pub fn place() -> Place {
    let dir = TempDir::new().unwrap();
    let store = Store::open(&dir.path().join("store"), &options()).unwrap();
    let lease = store.lease().unwrap();
    Place { dir, store, lease }
}

/// Whether this process is root; says so where it is not, and insists where everything must run.
pub fn root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    skip("root");
    false
}

/// Says that a test cannot run here; where everything must run, that is a failure.
pub fn skip(need: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test needs {need}");
    eprintln!("skipped: needs {need}");
}

pub fn file(mode: u32) -> Attributes {
    Attributes {
        mtime: Time { secs: 1_700_000_000, nanos: 0 },
        ..Attributes::new(Kind::File { size: 0 }, mode)
    }
}

pub fn directory() -> Attributes {
    Attributes { mtime: Time { secs: 1_600_000_000, nanos: 0 }, ..Attributes::new(Kind::Directory, 0o755) }
}

pub fn symlink(target: &str) -> Attributes {
    Attributes::new(Kind::Symlink { target: target.into() }, 0o777)
}

/// A layer with these files.
pub fn layer_of(lease: &Lease, base: &Snapshot, files: &[(&str, &str)]) -> LayerId {
    let mut writer = lease.write_layer(base).unwrap();
    for (path, content) in files {
        writer.file(path.as_ref(), &file(0o644), Content::Bytes(content.as_bytes())).unwrap();
    }
    writer.commit().unwrap()
}

pub fn archive_of(lease: &Lease, id: &LayerId, below: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    lease.pack_into(id, below, &Packing::PLAIN, &mut bytes).unwrap();
    bytes
}

pub fn diff_of(archive: &[u8]) -> DiffId {
    DiffId(Digest::sha256(archive))
}

/// Unpacks an archive, completing it with what lies below where that is needed.
pub fn unpack(lease: &Lease, archive: &[u8], below: &Snapshot) -> layer_store::Result<LayerId> {
    let diff = diff_of(archive);
    match lease.unpack(&mut &archive[..], &diff)? {
        Unpacked::Complete(id) => Ok(id),
        Unpacked::NeedsBelow(pending) => {
            let bottom = ChainId(Digest::sha256(format!("{below:?}")));
            pending.complete(below, &ChainId::extend(Some(&bottom), &diff))
        }
    }
}

/// Everything about a file that an image carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub kind: String,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: i64,
    pub content: String,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The first name of the same file.
    pub first_name: PathBuf,
}

pub type Tree = BTreeMap<PathBuf, Seen>;

fn shown(bytes: &[u8]) -> String {
    if bytes.len() > 64 {
        Digest::sha256(bytes).to_string()
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// The tree a view shows.
pub fn tree_of(view: &StackView) -> Tree {
    let mut tree = Tree::new();
    let mut firsts = BTreeMap::new();
    view.walk(Path::new(""), &mut |path, entry| {
        let attributes = &entry.attributes;
        let (kind, content) = match &attributes.kind {
            Kind::File { size } => {
                let mut bytes = Vec::new();
                view.open(path)?.read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes.len() as u64, *size, "{path:?}");
                ("file".to_owned(), shown(&bytes))
            }
            Kind::Symlink { target } => ("link".to_owned(), shown(target.as_os_str().as_bytes())),
            Kind::Directory => ("dir".to_owned(), String::new()),
            Kind::Fifo => ("fifo".to_owned(), String::new()),
            Kind::CharDevice { major, minor } => (format!("char {major}:{minor}"), String::new()),
            Kind::BlockDevice { major, minor } => (format!("block {major}:{minor}"), String::new()),
            Kind::Socket => return Ok(Walk::Continue),
        };
        let first_name = if attributes.is_dir() {
            path.to_owned()
        } else {
            firsts.entry(entry.identity).or_insert_with(|| path.to_owned()).clone()
        };
        let xattrs = attributes
            .xattrs
            .iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.clone()));
        let seen = Seen {
            kind,
            mode: attributes.mode,
            owner: (attributes.uid, attributes.gid),
            mtime: if attributes.is_dir() { 0 } else { attributes.mtime.secs },
            content,
            xattrs: xattrs.collect(),
            first_name,
        };
        tree.insert(path.to_owned(), seen);
        Ok(Walk::Continue)
    })
    .unwrap();
    tree
}

/// The tree a host directory shows.
pub fn tree_at(root: &Path) -> Tree {
    let (mut tree, mut firsts) = (Tree::new(), BTreeMap::new());
    visit_host(root, Path::new(""), &mut tree, &mut firsts);
    tree
}

fn visit_host(root: &Path, dir: &Path, tree: &mut Tree, firsts: &mut BTreeMap<u64, PathBuf>) {
    let mut names: Vec<_> =
        std::fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = dir.join(name);
        let host = root.join(&path);
        let metadata = std::fs::symlink_metadata(&host).unwrap();
        let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
        let (kind, content) = match metadata.file_type() {
            kind if kind.is_dir() => ("dir".to_owned(), String::new()),
            kind if kind.is_symlink() => {
                ("link".to_owned(), shown(std::fs::read_link(&host).unwrap().as_os_str().as_bytes()))
            }
            kind if kind.is_fifo() => ("fifo".to_owned(), String::new()),
            kind if kind.is_char_device() => (format!("char {major}:{minor}"), String::new()),
            kind if kind.is_block_device() => (format!("block {major}:{minor}"), String::new()),
            _ => ("file".to_owned(), shown(&std::fs::read(&host).unwrap())),
        };
        let is_dir = metadata.is_dir();
        let first_name = if is_dir || metadata.nlink() == 1 {
            path.clone()
        } else {
            firsts.entry(metadata.ino()).or_insert_with(|| path.clone()).clone()
        };
        let seen = Seen {
            kind,
            mode: metadata.mode() & 0o7777,
            owner: (metadata.uid(), metadata.gid()),
            mtime: if is_dir { 0 } else { metadata.mtime() },
            content,
            xattrs: xattrs_of(&host),
            first_name,
        };
        tree.insert(path.clone(), seen);
        if is_dir {
            visit_host(root, &path, tree, firsts);
        }
    }
}

fn xattrs_of(host: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut buffer = vec![0u8; 4096];
    let length = rustix::fs::llistxattr(host, &mut buffer[..]).unwrap();
    let names = buffer[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0u8; 4096];
        let length = rustix::fs::lgetxattr(host, name, &mut value[..]).unwrap();
        value.truncate(length);
        (String::from_utf8_lossy(name).into_owned(), value)
    };
    names.map(value).collect()
}

/// Fails with the first difference of two trees.
pub fn assert_same(one: &Tree, other: &Tree, what: &str) {
    for path in one.keys().chain(other.keys()) {
        assert_eq!(one.get(path), other.get(path), "{what}: {}", path.display());
    }
}

/// A kernel overlay mount that goes with its value.
pub struct Mounted(pub PathBuf);

impl Mounted {
    pub fn overlay(target: &Path, lower: &[PathBuf], upper: Option<(&Path, &Path)>) -> Self {
        std::fs::create_dir_all(target).unwrap();
        let lower: Vec<String> = lower.iter().rev().map(|path| path.display().to_string()).collect();
        let mut options = format!("lowerdir={},redirect_dir=off,metacopy=off,index=off", lower.join(":"));
        if let Some((upper, work)) = upper {
            options += &format!(",upperdir={},workdir={}", upper.display(), work.display());
        }
        let options = std::ffi::CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("overlay", target, "overlay", flags, Some(options.as_c_str())).unwrap();
        Self(target.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

/// The attribute for a list in which one more user has rights.
pub fn access_list(user: u32, bits: u16) -> Vec<u8> {
    let entries =
        [(1u16, 6u16, u32::MAX), (2, bits, user), (4, 4, u32::MAX), (16, 6, u32::MAX), (32, 4, u32::MAX)];
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, bits, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(bits.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}
