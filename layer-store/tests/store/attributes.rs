//! True attributes: what the file system refuses comes back all the same.

use std::path::Path;
use std::process::Command;

use layer_store::{Attributes, Content, Kind, LayerId, Mode, OpenOptions, Snapshot, Store};

use crate::support::{access_list, archive_of, assert_same, file, place, root, symlink, tree_of, unpack};

/// Attributes that a user namespace with one id refuses.
fn write_difficult(lease: &layer_store::Lease) -> LayerId {
    let mut writer = lease.write_layer(&Snapshot::default()).unwrap();
    let owned = |attributes: Attributes| Attributes { uid: 33, gid: 70_000, ..attributes };
    let mut setuid = owned(file(0o6755));
    setuid.xattrs.insert("trusted.note".into(), b"t".to_vec());
    setuid.xattrs.insert("user.note".into(), b"u".to_vec());
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    setuid.xattrs.insert("security.capability".into(), capability.to_vec());
    writer.file("f".as_ref(), &setuid, Content::Bytes(b"1")).unwrap();
    let mut link = owned(symlink("f"));
    link.xattrs.insert("user.note".into(), b"on a link".to_vec());
    writer.symlink("l".as_ref(), &link).unwrap();
    writer.hardlink("l2".as_ref(), "l".as_ref()).unwrap();
    writer
        .special("null".as_ref(), &owned(Attributes::new(Kind::CharDevice { major: 1, minor: 3 }, 0o666)))
        .unwrap();
    writer
        .special("disk".as_ref(), &owned(Attributes::new(Kind::BlockDevice { major: 8, minor: 1 }, 0o660)))
        .unwrap();
    let mut pipe = owned(Attributes::new(Kind::Fifo, 0o644));
    pipe.xattrs.insert("user.note".into(), b"on a pipe".to_vec());
    writer.special("pipe".as_ref(), &pipe).unwrap();
    writer.directory("d".as_ref(), &owned(Attributes::new(Kind::Directory, 0o2755))).unwrap();
    writer.commit().unwrap()
}

const ROOT: &str = "RBUILD_TEST_SINGLE_ID";

/// Writes and packs in a user namespace with one id. Only runs as a child.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(ROOT) else { return };
    let dir = Path::new(&dir);
    let options = OpenOptions { mode: Mode::SingleId, ..OpenOptions::root() };
    let store = Store::open(&dir.join("single"), &options).unwrap();
    let lease = store.lease().unwrap();
    let id = write_difficult(&lease);
    assert!(store.layer_dir(&id).join("null").is_file(), "the device is kept aside");
    let bytes = archive_of(&lease, &id, &Snapshot::default());
    std::fs::write(dir.join("single.tar"), &bytes).unwrap();
    let again = unpack(&lease, &bytes, &Snapshot::default()).unwrap();
    assert!(archive_of(&lease, &again, &Snapshot::default()) == bytes);
    let tree = |id: LayerId| tree_of(&store.stack(&Snapshot(vec![id])).unwrap());
    assert_same(&tree(id), &tree(again), "unpacked in one user namespace");
}

#[test]
fn the_same_archive_in_every_mode() {
    if !root() {
        return;
    }
    let place = place();
    let id = write_difficult(&place.lease);
    let bytes = archive_of(&place.lease, &id, &Snapshot::default());
    let unpacked = unpack(&place.lease, &bytes, &Snapshot::default()).unwrap();
    let tree = |id: &LayerId| tree_of(&place.store.stack(&Snapshot(vec![id.clone()])).unwrap());
    assert_same(&tree(&id), &tree(&unpacked), "unpacked as root");
    assert_eq!(tree(&id)[Path::new("l")].xattrs.len(), 1);
    assert_eq!(tree(&id)[Path::new("f")].xattrs.len(), 3);

    let own = std::env::current_exe().unwrap();
    let available =
        Command::new("unshare").args(["-r", "true"]).status().is_ok_and(|status| status.success());
    if !available {
        crate::support::skip("unshare and user namespaces");
        return;
    }
    let output = Command::new("unshare")
        .arg("-r")
        .arg(own)
        .args(["--exact", "attributes::child"])
        .env(ROOT, place.dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let single = std::fs::read(place.dir.path().join("single.tar")).unwrap();
    let other = unpack(&place.lease, &single, &Snapshot::default()).unwrap();
    assert_same(&tree(&other), &tree(&id), "from a user namespace with one id");
    assert!(single == bytes);
}

#[test]
fn setcap_survives() {
    if !root() {
        return;
    }
    let place = place();
    let active = place.lease.prepare(&Snapshot::default()).unwrap();
    let program = active.upper().join("ping");
    std::fs::write(&program, "x").unwrap();
    if !Command::new("setcap")
        .arg("cap_net_raw+ep")
        .arg(&program)
        .status()
        .is_ok_and(|status| status.success())
    {
        crate::support::skip("setcap");
        return;
    }
    let id = active.commit().unwrap();
    let bytes = archive_of(&place.lease, &id, &Snapshot::default());
    let unpacked = unpack(&place.lease, &bytes, &Snapshot::default()).unwrap();
    let output = Command::new("getcap").arg(place.store.layer_dir(&unpacked).join("ping")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("cap_net_raw=ep"));
}

#[test]
fn a_later_change_is_believed() {
    if !root() {
        return;
    }
    let place = place();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    writer.file("f".as_ref(), &file(0o644), Content::Bytes(b"1")).unwrap();
    let id = writer.commit().unwrap();
    let host = place.store.layer_dir(&id).join("f");
    let kept = br#"{"uid":{"true":70000,"shown":0},"gid":{"true":70001,"shown":0}}"#;
    rustix::fs::setxattr(&host, "user.rbuild.attrs", kept, rustix::fs::XattrFlags::empty()).unwrap();
    let owner = || {
        let view = place.store.stack(&Snapshot(vec![id.clone()])).unwrap();
        let attributes = view.lookup("f".as_ref()).unwrap().unwrap().attributes;
        (attributes.uid, attributes.gid)
    };
    assert_eq!(owner(), (70000, 70001));
    std::os::unix::fs::chown(&host, Some(5), None).unwrap();
    assert_eq!(owner(), (5, 70001));
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

#[test]
fn access_lists_travel_and_new_files_get_none_that_is_not_theirs() {
    if !root() {
        return;
    }
    let place = place();
    let active = place.lease.prepare(&Snapshot::default()).unwrap();
    let dir = active.upper().join("d");
    std::fs::create_dir(&dir).unwrap();
    let bare = ["before", "pipe", "sub"].map(|name| dir.join(name));
    std::fs::write(&bare[0], "1").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &bare[1], rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    std::fs::create_dir(&bare[2]).unwrap();
    set(&dir, DEFAULT, &access_list(1000, 7));
    std::fs::write(dir.join("inherits"), "2").unwrap();
    set(&dir.join("before"), "user.note", b"n");
    std::fs::write(active.upper().join("own"), "3").unwrap();
    set(&active.upper().join("own"), ACCESS, &access_list(3_000_000, 4));
    let id = active.commit().unwrap();
    let content = place.store.content_id(&id).unwrap();
    let bytes = archive_of(&place.lease, &id, &Snapshot::default());
    let unpacked = unpack(&place.lease, &bytes, &Snapshot::default()).unwrap();
    let tree = |id: &LayerId| tree_of(&place.store.stack(&Snapshot(vec![id.clone()])).unwrap());
    assert_same(&tree(&id), &tree(&unpacked), "unpacked");
    let lists = |path: &str| {
        let names = tree(&unpacked)[Path::new(path)].xattrs.keys().cloned().collect::<Vec<_>>();
        names.into_iter().filter(|name| name.starts_with("system.")).collect::<Vec<_>>()
    };
    assert_eq!((lists("d"), lists("d/inherits")), (vec![DEFAULT.to_owned()], vec![ACCESS.to_owned()]));
    assert_eq!(tree(&unpacked)[Path::new("own")].xattrs[ACCESS], access_list(3_000_000, 4));
    for path in ["d/before", "d/pipe", "d/sub"] {
        assert_eq!(lists(path), [""; 0], "{path}");
    }
    // A list is part of the content.
    assert_eq!(place.store.content_id(&unpacked).unwrap(), content);
    let active = place.lease.prepare(&Snapshot::default()).unwrap();
    std::fs::write(active.upper().join("own"), "3").unwrap();
    let plain = active.commit().unwrap();
    let active = place.lease.prepare(&Snapshot::default()).unwrap();
    std::fs::write(active.upper().join("own"), "3").unwrap();
    set(&active.upper().join("own"), ACCESS, &access_list(5, 4));
    std::os::unix::fs::symlink("x", active.upper().join("l")).unwrap();
    let listed = active.commit().unwrap();
    assert_ne!(place.store.content_id(&plain).unwrap(), place.store.content_id(&listed).unwrap());
}

#[test]
fn lists_that_tar_and_bsdtar_write_are_read() {
    if !root() {
        return;
    }
    let place = place();
    let dir = place.dir.path().join("from");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("f"), "1").unwrap();
    set(&dir.join("f"), ACCESS, &access_list(1234, 6));
    std::fs::create_dir(dir.join("d")).unwrap();
    set(&dir.join("d"), DEFAULT, &access_list(1234, 7));
    let tar: &[&str] = &["tar", "--format=pax", "--acls", "--numeric-owner"];
    for words in [
        tar,
        &["tar", "--format=pax", "--xattrs", "--xattrs-include=*"],
        &["bsdtar", "--format", "pax", "--acls"],
    ] {
        let output =
            Command::new(words[0]).args(&words[1..]).args(["-cf", "-", "f", "d"]).current_dir(&dir).output();
        let Ok(output) = output else {
            crate::support::skip(words[0]);
            return;
        };
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        let id = unpack(&place.lease, &output.stdout, &Snapshot::default()).unwrap();
        let tree = tree_of(&place.store.stack(&Snapshot(vec![id])).unwrap());
        assert_eq!(tree[Path::new("f")].xattrs.get(ACCESS), Some(&access_list(1234, 6)), "{words:?}");
        assert_eq!(tree[Path::new("d")].xattrs.get(DEFAULT), Some(&access_list(1234, 7)), "{words:?}");
    }
}

#[test]
fn a_list_above_the_store_reaches_no_layer() {
    if !root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    set(dir.path(), DEFAULT, &access_list(1000, 7));
    let store = Store::open(&dir.path().join("store"), &OpenOptions::root()).unwrap();
    let lease = store.lease().unwrap();
    let active = lease.prepare(&Snapshot::default()).unwrap();
    std::fs::write(active.upper().join("f"), "1").unwrap();
    let id = active.commit().unwrap();
    let tree = tree_of(&store.stack(&Snapshot(vec![id])).unwrap());
    assert!(tree[Path::new("f")].xattrs.is_empty());
}
