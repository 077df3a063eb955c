//! True attributes: what the file system refuses comes back all the same.

use std::path::Path;
use std::process::Command;

use layer_store::{Attributes, Content, Kind, LayerId, Mode, OpenOptions, Snapshot, Store};

use crate::support::{archive_of, assert_same, file, place, root, symlink, tree_of, unpack};

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
