//! Which file systems a store may lie on.

use std::path::Path;

use crate::error::{At, Result, StoreError};

/// Refuses a file system of another machine: locks die there without their holder, or are not seen by
/// others, and the index cannot share its memory.
pub(crate) fn refuse_remote(root: &Path) -> Result<()> {
    let kind = rustix::fs::statfs(root).at(root)?.f_type;
    match remote(kind as u64 & u64::from(u32::MAX)) {
        Some(name) => Err(StoreError::RemoteFileSystem { root: root.to_owned(), name }),
        None => Ok(()),
    }
}

/// The name of a remote file system, by the number that statfs(2) gives it.
fn remote(kind: u64) -> Option<&'static str> {
    match kind {
        0x6969 => Some("NFS"),
        0x0102_1997 => Some("9p"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x00c3_6400 => Some("Ceph"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_file_systems_are_known_by_name_and_others_are_taken() {
        let check = |kind, name| assert_eq!(remote(kind), name, "{kind:x}");
        check(0x6969, Some("NFS"));
        check(0x0102_1997, Some("9p"));
        check(0xff53_4d42, Some("SMB"));
        // ext4, xfs, btrfs, tmpfs, overlay, zfs.
        for kind in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
            check(kind, None);
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(refuse_remote(dir.path()).is_ok());
        assert!(refuse_remote(&dir.path().join("absent")).is_err());
    }
}
