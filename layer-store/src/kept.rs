//! Files of layers whose true owners lie beside them, for whoever mounts the layers.

use rustix::fs::{AtFlags, CWD, statat};
use rustix::io::Errno;

use crate::error::{At, Result};
use crate::{Snapshot, Store};

/// A symbolic link or special file of a layer, and its true owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptNode {
    /// Its inode number.
    pub inode: u64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When it came to be, where a step may remove it and its number may serve again: seconds and nanoseconds.
    pub born: Option<(i64, u32)>,
}

impl Store {
    /// The files of a snapshot's layers that cannot carry their true owners themselves.
    pub fn kept_nodes(&self, snapshot: &Snapshot) -> Result<Vec<KeptNode>> {
        let mut nodes = Vec::new();
        for id in snapshot.distinct().0 {
            let dir = self.layer_dir(&id);
            for (path, truth) in self.aside(&id)?.iter() {
                let host = dir.join(path);
                let found = match statat(CWD, &host, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT | Errno::NOTDIR) => continue,
                    other => other.at(&host)?,
                };
                let (uid, gid) = truth.owner(found.st_uid, found.st_gid);
                nodes.push(KeptNode { inode: found.st_ino, uid, gid, born: None });
            }
        }
        Ok(nodes)
    }
}
