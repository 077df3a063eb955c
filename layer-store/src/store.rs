//! The store as a whole: its directories, and what every part of it shares.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use defence::Defence;
use oci::Digest;

use crate::disk::{Made, boot_id, make_dir, make_new_dir, remove_tree};
use crate::error::{At, Result};
use crate::index::Index;
use crate::lock::{Hold, Lock};
use crate::marks::Marks;
use crate::sheet::Sheets;
use crate::stop::Stop;
use crate::suspects::Suspects;
use crate::truth::{ACL_ACCESS, ACL_DEFAULT};
use crate::version::{OpenOptions, check_or_create};
use crate::{LayerId, Mode, lease};

/// A store on disk. Clones share it; many processes may use it at once.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) mode: Mode,
    marks: Marks,
    pub(crate) boot: String,
    pub(crate) index: Index,
    pub(crate) sheets: Sheets,
    /// Held while a layer is proven to be whole.
    pub(crate) proving: Mutex<()>,
    pub(crate) suspects: Suspects,
    notices: Mutex<Vec<String>>,
    pub(crate) stop: Stop,
}

/// Whether the layers of a store can be stacked with overlayfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounting {
    /// They can, where the host lets it be mounted.
    Possible,
    /// Its file system refused overlay's marks when the store was made, so layers have marks of the store's own.
    Impossible,
}

const DIRECTORIES: &[&str] = &[
    "answers",
    "blobs",
    "blobs/sha256",
    "layers",
    "images",
    "mounts",
    "locks",
    "leases",
    "partial",
    "pins",
    "tmp",
    crate::suspects::MARKS,
];

/// Images hold setuid programs, which nobody else may reach.
fn keep_private(root: &Path) -> Result<()> {
    let mode = std::fs::metadata(root).at(root)?.permissions().mode();
    if mode & 0o077 == 0 || !defence::stands(Defence::StoreClosed) {
        return Ok(());
    }
    std::fs::set_permissions(root, Permissions::from_mode(0o700)).at(root)
}

/// Takes away what the directory above gave: files of layers would get it, too. Where that cannot be,
/// there is none.
fn forget_access_lists(dir: &Path) {
    for name in [ACL_ACCESS, ACL_DEFAULT] {
        let _ = rustix::fs::removexattr(dir, name);
    }
}

impl Store {
    /// Opens a store, creating it where there is none. Refuses one that belongs to another mode or other ids.
    /// What dead processes left unfinished is removed.
    pub fn open(root: &Path, options: &OpenOptions) -> Result<Self> {
        if !root.exists() {
            std::fs::create_dir_all(root.parent().unwrap_or(Path::new("/"))).ok();
        }
        make_dir(root)?;
        crate::file_system::refuse_remote(root)?;
        keep_private(root)?;
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let plain = crate::version::is_plain(&root);
        for name in DIRECTORIES {
            if make_new_dir(&root.join(name))? == Made::Now || !plain {
                forget_access_lists(&root.join(name));
            }
        }
        let opening = Lock::take(&root.join("locks/open"), Hold::Exclusive)?;
        let marks = check_or_create(&root, &root.join("tmp"), options)?;
        crate::layout::create(&root)?;
        let (index, notice) = Index::open(&root)?;
        drop(opening);
        let boot = boot_id();
        let store = Self(Arc::new(Inner {
            mode: options.mode,
            marks,
            suspects: Suspects::read(&root, &boot)?,
            boot,
            index,
            sheets: Sheets::default(),
            proving: Mutex::default(),
            notices: Mutex::new(notice.into_iter().collect()),
            stop: Stop::default(),
            root,
        }));
        lease::sweep_dead(&store)?;
        Ok(store)
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// With which rights it is used.
    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    pub(crate) fn marks(&self) -> Marks {
        self.0.marks
    }

    /// Whether overlayfs can make use of its layers.
    pub fn mounting(&self) -> Mounting {
        match self.0.marks {
            Marks::Overlay(_) => Mounting::Possible,
            Marks::Own => Mounting::Impossible,
        }
    }

    /// What the user should hear about the store (a damaged index that was set aside …), once.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.0.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.root.join(name)
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.0.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    pub(crate) fn layer_path(&self, id: &LayerId) -> PathBuf {
        self.0.root.join("layers").join(id.as_str())
    }

    /// Moves something out of sight at once and removes it then.
    pub(crate) fn discard(&self, path: &Path) -> Result<()> {
        let away = self.at("tmp").join(format!("gone-{}", crate::ids::random_hex()));
        match std::fs::rename(path, &away) {
            Ok(()) => remove_tree(&away),
            Err(_) => remove_tree(path),
        }
    }
}
