//! Properties over random trees: apply(base) + apply(diff) is the merged tree, unpacking what was packed
//! changes nothing, packing is deterministic. The merged tree is the kernel's own.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use layer_store::{ActiveLayer, ActiveRoot, LayerId, Lease, Snapshot};
use proptest::prelude::*;

use crate::support::{
    Mounted, Place, Tree, access_list, archive_of, assert_same, diff_of, place, root, tree_at, tree_of,
    unpack,
};

#[derive(Clone, Debug)]
enum Step {
    MakeDir(usize),
    Write(usize, u8, usize),
    Symlink(usize, usize),
    HardLink(usize, usize),
    Fifo(usize),
    Device(usize),
    Remove(usize),
    Rename(usize, usize),
    Mode(usize, u32),
    Owner(usize, u32),
    Xattr(usize, u8),
    AccessList(usize, u8),
    Touch(usize, i64),
}

/// A few names, so that steps meet: plain ones, one of 255 bytes, ones that are no UTF-8 or have line ends.
fn names() -> Vec<PathBuf> {
    let long = "n".repeat(255);
    let parts: Vec<&[u8]> = vec![b"a", b"b", b"c\n", b"\xff\xfe", long.as_bytes()];
    let mut paths: Vec<PathBuf> = Vec::new();
    for one in &parts {
        paths.push(OsStr::from_bytes(one).into());
        for two in &parts[..3] {
            paths.push(Path::new(OsStr::from_bytes(one)).join(OsStr::from_bytes(two)));
            paths.push(Path::new(OsStr::from_bytes(one)).join(OsStr::from_bytes(two)).join("x"));
        }
    }
    paths
}

fn step() -> impl Strategy<Value = Step> {
    let path = 0..names().len();
    prop_oneof![
        4 => path.clone().prop_map(Step::MakeDir),
        5 => (path.clone(), any::<u8>(), prop_oneof![Just(0usize), 1..40usize, Just(200_000usize)])
            .prop_map(|(path, byte, size)| Step::Write(path, byte, size)),
        1 => (path.clone(), path.clone()).prop_map(|(one, two)| Step::Symlink(one, two)),
        2 => (path.clone(), path.clone()).prop_map(|(one, two)| Step::HardLink(one, two)),
        1 => path.clone().prop_map(Step::Fifo),
        1 => path.clone().prop_map(Step::Device),
        3 => path.clone().prop_map(Step::Remove),
        1 => (path.clone(), path.clone()).prop_map(|(one, two)| Step::Rename(one, two)),
        1 => (path.clone(), 0..0o10000u32).prop_map(|(path, mode)| Step::Mode(path, mode)),
        1 => (path.clone(), 0..3_000_000u32).prop_map(|(path, owner)| Step::Owner(path, owner)),
        1 => (path.clone(), any::<u8>()).prop_map(|(path, value)| Step::Xattr(path, value)),
        1 => (path.clone(), any::<u8>()).prop_map(|(path, value)| Step::AccessList(path, value)),
        1 => (path, -5..2_000_000_000i64).prop_map(|(path, time)| Step::Touch(path, time)),
    ]
}

/// Does a step if it can be done; what cannot is part of the game.
fn play(root: &Path, step: &Step) {
    use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, mknodat};
    let names = names();
    let at = |index: &usize| root.join(&names[*index]);
    let parents = |path: &Path| {
        let _ = std::fs::create_dir_all(path.parent().unwrap());
    };
    match step {
        Step::MakeDir(path) => {
            let _ = std::fs::create_dir_all(at(path));
        }
        Step::Write(path, byte, size) => {
            parents(&at(path));
            // A pipe or device would block or fail: writing is for regular files.
            if std::fs::symlink_metadata(at(path)).is_ok_and(|found| !found.is_file()) {
                return;
            }
            let _ = std::fs::write(at(path), vec![*byte; *size]);
        }
        Step::Symlink(path, target) => {
            parents(&at(path));
            let _ = std::os::unix::fs::symlink(&names[*target], at(path));
        }
        Step::HardLink(path, target) => {
            parents(&at(path));
            let _ = std::fs::hard_link(at(target), at(path));
        }
        Step::Fifo(path) => {
            let _ = mknodat(CWD, at(path), FileType::Fifo, Mode::RUSR, 0);
        }
        Step::Device(path) => {
            let _ = mknodat(CWD, at(path), FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 3));
        }
        Step::Remove(path) => {
            let path = at(path);
            let _ = std::fs::remove_dir_all(&path);
            let _ = std::fs::remove_file(&path);
        }
        Step::Rename(from, to) => {
            let _ = std::fs::rename(at(from), at(to));
        }
        Step::Mode(path, mode) => {
            if std::fs::symlink_metadata(at(path)).is_ok_and(|found| !found.is_symlink()) {
                let _ = rustix::fs::chmod(at(path), Mode::from_raw_mode(*mode));
            }
        }
        Step::Owner(path, owner) => {
            let _ = std::os::unix::fs::lchown(at(path), Some(*owner), Some(owner / 2));
        }
        Step::Xattr(path, value) => {
            let flags = rustix::fs::XattrFlags::empty();
            let _ = rustix::fs::lsetxattr(at(path), "user.note", &[*value, 0, 10], flags);
        }
        Step::AccessList(path, value) => {
            // Half of them are lists that new files in a directory get.
            let name = if value % 2 == 0 { "system.posix_acl_access" } else { "system.posix_acl_default" };
            if std::fs::symlink_metadata(at(path)).is_ok_and(|found| !found.is_symlink()) {
                let list = access_list(u32::from(*value), 6);
                let _ = rustix::fs::lsetxattr(at(path), name, &list, rustix::fs::XattrFlags::empty());
            }
        }
        Step::Touch(path, secs) => {
            let spec = Timespec { tv_sec: *secs, tv_nsec: 7 };
            let times = Timestamps { last_access: spec, last_modification: spec };
            let _ = rustix::fs::utimensat(CWD, at(path), &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        }
    }
}

/// Plays steps on an overlay mount of a snapshot; gives the new layer and what the kernel showed.
fn run(place: &Place, base: &Snapshot, steps: &[Step]) -> (LayerId, Tree) {
    played(place.dir.path(), place.lease.prepare(base).unwrap(), steps)
}

/// Plays steps and gives the new layer and what the kernel showed.
fn played(dir: &Path, active: ActiveLayer, steps: &[Step]) -> (LayerId, Tree) {
    let (target, mounted) = match active.root() {
        ActiveRoot::Overlay { lower, upper, work } => {
            let target = dir.join("mnt");
            (target.clone(), Some(Mounted::overlay(&target, &lower, Some((&upper, &work)))))
        }
        ActiveRoot::Directory(copy) => (copy, None),
    };
    for step in steps {
        play(&target, step);
    }
    let tree = tree_at(&target);
    drop(mounted);
    (active.commit().unwrap(), tree)
}

fn mounted_tree(place: &Place, snapshot: &Snapshot) -> Tree {
    let mut lower: Vec<PathBuf> = snapshot.distinct().0.iter().map(|id| place.store.layer_dir(id)).collect();
    let empty = place.dir.path().join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    lower.insert(0, empty);
    let target = place.dir.path().join("mnt");
    let mounted = Mounted::overlay(&target, &lower, None);
    let tree = tree_at(&mounted.0);
    drop(mounted);
    tree
}

/// Hard links between a name below and one above are two files in a layered tree.
fn without_links(tree: &Tree) -> Tree {
    tree.iter()
        .map(|(path, seen)| (path.clone(), crate::support::Seen { first_name: path.clone(), ..seen.clone() }))
        .collect()
}

fn check(first: &[Step], second: &[Step]) {
    let place = place();
    let lease: &Lease = &place.lease;
    let nothing = Snapshot::default();
    let (bottom, bottom_tree) = run(&place, &nothing, first);
    let one = Snapshot(vec![bottom.clone()]);
    assert_same(&tree_of(&place.store.stack(&one).unwrap()), &bottom_tree, "the first layer");
    let (top, merged) = run(&place, &one, second);
    let merged = without_links(&merged);
    let two = one.with(top.clone());
    assert_same(&without_links(&tree_of(&place.store.stack(&two).unwrap())), &merged, "the view");
    assert_same(&without_links(&mounted_tree(&place, &two)), &merged, "the kernel, after normalising");

    let (copied, shown) = played(place.dir.path(), lease.copy(&one).unwrap(), second);
    let (shown, of_copy) = (without_links(&shown), one.with(copied));
    assert_same(&without_links(&tree_of(&place.store.stack(&of_copy).unwrap())), &shown, "on a copy");
    assert_same(&without_links(&mounted_tree(&place, &of_copy)), &shown, "the kernel, after a copy");

    let archives = [archive_of(lease, &bottom, &nothing), archive_of(lease, &top, &one)];
    assert_eq!(archives[1], archive_of(lease, &top, &one), "packed twice");
    assert_eq!(lease.diff_id(&top).unwrap(), diff_of(&archives[1]));
    let new_bottom = unpack(lease, &archives[0], &nothing).unwrap();
    let new_one = Snapshot(vec![new_bottom.clone()]);
    let new_top = unpack(lease, &archives[1], &new_one).unwrap();
    assert_eq!(new_top, LayerId::from_diff(&diff_of(&archives[1])), "nothing was implied");
    let new_two = new_one.with(new_top.clone());
    assert_same(&tree_of(&place.store.stack(&new_one).unwrap()), &bottom_tree, "the first layer, unpacked");
    assert_same(
        &without_links(&tree_of(&place.store.stack(&new_two).unwrap())),
        &merged,
        "the view, unpacked",
    );
    assert_same(&without_links(&mounted_tree(&place, &new_two)), &merged, "the kernel, unpacked");
    assert_eq!(archive_of(lease, &new_bottom, &nothing), archives[0], "packed again");
    assert_eq!(archive_of(lease, &new_top, &new_one), archives[1], "packed again");
    assert_eq!(place.store.content_id(&bottom).unwrap(), place.store.content_id(&new_bottom).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn diffs_apply(first in prop::collection::vec(step(), 0..25), second in prop::collection::vec(step(), 0..25)) {
        if root() {
            check(&first, &second);
        }
    }
}
