//! What commits make of the upper directories that the kernel writes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use layer_store::{ActiveLayer, ActiveRoot, Mounting, Snapshot, Store, tar::TarReader};

use crate::support::{Mounted, Place, archive_of, layer_of, options, place, root, unpack};

/// Runs steps on a mount and gives the names in the archive of what they changed.
fn changes(place: &Place, base: &Snapshot, steps: &dyn Fn(&Path)) -> (Snapshot, Vec<String>) {
    on(place, base, place.lease.prepare(base).unwrap(), steps)
}

/// The same for steps on a copy.
fn changes_of_copy(place: &Place, base: &Snapshot, steps: &dyn Fn(&Path)) -> (Snapshot, Vec<String>) {
    on(place, base, place.lease.copy(base).unwrap(), steps)
}

fn on(place: &Place, base: &Snapshot, active: ActiveLayer, steps: &dyn Fn(&Path)) -> (Snapshot, Vec<String>) {
    match active.root() {
        ActiveRoot::Overlay { lower, upper, work } => {
            let target = place.dir.path().join("mnt");
            let _mounted = Mounted::overlay(&target, &lower, Some((&upper, &work)));
            steps(&target);
        }
        ActiveRoot::Directory(copy) => steps(&copy),
    }
    let id = active.commit().unwrap();
    let names = names_of(&archive_of(&place.lease, &id, base));
    (base.with(id), names)
}

fn names_of(bytes: &[u8]) -> Vec<String> {
    let mut reader = TarReader::new(bytes);
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        names.push(entry.path.to_string_lossy().into_owned());
    }
    names
}

#[test]
fn only_changes_are_kept() {
    if !root() {
        return;
    }
    let place = place();
    let files = [("d/a", "1"), ("d/b", "1"), ("d/s/c", "1"), ("e/f", "1")];
    let base = Snapshot(vec![layer_of(&place.lease, &Snapshot::default(), &files)]);
    let chmod =
        |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    type Steps<'a> = &'a dyn Fn(&Path);
    let cases: &[(&str, Steps<'_>, &[&str])] = &[
        ("nothing", &|_| {}, &[]),
        (
            "chmod and back",
            &|root| {
                chmod(&root.join("d/a"), 0o600);
                chmod(&root.join("d/a"), 0o644);
            },
            &[],
        ),
        ("chmod", &|root| chmod(&root.join("d/a"), 0o600), &["d/", "d/a"]),
        ("chmod of a directory", &|root| chmod(&root.join("d/s"), 0o700), &["d/", "d/s/"]),
        (
            "made and removed",
            &|root| {
                std::fs::write(root.join("d/new"), "x").unwrap();
                std::fs::remove_file(root.join("d/new")).unwrap();
            },
            &["d/"],
        ),
        (
            "moved and back",
            &|root| {
                std::fs::rename(root.join("d/a"), root.join("d/x")).unwrap();
                std::fs::rename(root.join("d/x"), root.join("d/a")).unwrap();
            },
            &["d/"],
        ),
        (
            "the time of a directory",
            &|root| {
                let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
                std::fs::File::open(root.join("d/s")).unwrap().set_modified(then).unwrap();
            },
            &["d/", "d/s/"],
        ),
        ("removed", &|root| std::fs::remove_file(root.join("d/a")).unwrap(), &["d/", "d/.wh.a"]),
        (
            "removed and made again",
            &|root| {
                std::fs::remove_dir_all(root.join("d")).unwrap();
                std::fs::create_dir(root.join("d")).unwrap();
                std::fs::create_dir(root.join("d/s")).unwrap();
            },
            &["d/", "d/.wh.a", "d/.wh.b", "d/s/", "d/s/.wh.c"],
        ),
        ("a new directory", &|root| std::fs::create_dir_all(root.join("n/m")).unwrap(), &["n/", "n/m/"]),
        (
            "a directory becomes a file",
            &|root| {
                std::fs::remove_dir_all(root.join("e")).unwrap();
                std::fs::write(root.join("e"), "x").unwrap();
            },
            &["e"],
        ),
        (
            "two names for a file below",
            &|root| {
                std::fs::hard_link(root.join("d/a"), root.join("d/z")).unwrap();
            },
            &["d/", "d/a", "d/z"],
        ),
        (
            "two removed, which share one mark",
            &|root| {
                std::fs::remove_file(root.join("d/a")).unwrap();
                std::fs::remove_file(root.join("d/b")).unwrap();
            },
            &["d/", "d/.wh.a", "d/.wh.b"],
        ),
    ];
    for (name, steps, expected) in cases {
        assert_eq!(changes(&place, &base, *steps).1, *expected, "{name}");
        assert_eq!(changes_of_copy(&place, &base, *steps).1, *expected, "{name}, on a copy");
    }
}

#[test]
fn deleted_then_made_again_across_layers() {
    if !root() {
        return;
    }
    let place = place();
    let base = Snapshot(vec![layer_of(&place.lease, &Snapshot::default(), &[("d/a", "1")])]);
    let (two, _) = changes(&place, &base, &|root| std::fs::remove_dir_all(root.join("d")).unwrap());
    let (three, names) = changes(&place, &two, &|root| {
        std::fs::create_dir(root.join("d")).unwrap();
        std::fs::write(root.join("d/b"), "3").unwrap();
    });
    assert_eq!(names, ["d/", "d/b"]);
    let view = place.store.stack(&three).unwrap();
    assert!(view.lookup("d/a".as_ref()).unwrap().is_none());
    assert!(view.lookup("d/b".as_ref()).unwrap().is_some());
}

#[test]
fn archives_that_need_what_lies_below() {
    if !root() {
        return;
    }
    let place = place();
    let base = Snapshot(vec![layer_of(&place.lease, &Snapshot::default(), &[("d/a", "1"), ("l/x", "1")])]);
    std::fs::create_dir(place.dir.path().join("s")).unwrap();
    let mut tar = layer_store::tar::TarWriter::new(Vec::new());
    let attributes = crate::support::file(0o644);
    tar.hardlink("d/again".as_ref(), "d/a".as_ref(), &attributes).unwrap();
    tar.whiteout("l/x".as_ref()).unwrap();
    // The same name deleted and made: it stays.
    tar.whiteout("d/both".as_ref()).unwrap();
    tar.file("d/both".as_ref(), &attributes, &mut std::io::empty()).unwrap();
    tar.file("e/both".as_ref(), &attributes, &mut std::io::empty()).unwrap();
    tar.whiteout("e/both".as_ref()).unwrap();
    let bytes = tar.finish().unwrap();
    let id = unpack(&place.lease, &bytes, &base).unwrap();
    assert!(id.as_str().starts_with("chain-"));
    let view = place.store.stack(&base.with(id)).unwrap();
    assert_eq!(view.read_file("d/again".as_ref(), 9).unwrap().unwrap(), b"1");
    assert!(view.lookup("l/x".as_ref()).unwrap().is_none());
    assert!(view.lookup("d/both".as_ref()).unwrap().is_some());
    assert!(view.lookup("e/both".as_ref()).unwrap().is_some());
    let below = place.store.stack(&base).unwrap();
    let (one, two) = (view.lookup("d".as_ref()).unwrap(), below.lookup("d".as_ref()).unwrap());
    assert_eq!(one.unwrap().attributes, two.unwrap().attributes);
}

#[test]
fn a_layer_that_occurs_twice() {
    if !root() {
        return;
    }
    let place = place();
    let one = layer_of(&place.lease, &Snapshot::default(), &[("a", "1")]);
    let two = layer_of(&place.lease, &Snapshot::default(), &[("a", "2"), ("b", "2")]);
    let base = Snapshot(vec![one.clone(), two.clone(), one.clone()]);
    assert_eq!(base.distinct(), Snapshot(vec![two, one]));
    let (_, names) = changes(&place, &base, &|root| {
        assert_eq!(std::fs::read_to_string(root.join("a")).unwrap(), "1");
    });
    assert!(names.is_empty());
}

#[test]
fn directories_in_directories() {
    let place = place();
    let path = "d/".repeat(500) + "leaf";
    let id = layer_of(&place.lease, &Snapshot::default(), &[(&path, "1")]);
    let bytes = archive_of(&place.lease, &id, &Snapshot::default());
    unpack(&place.lease, &bytes, &Snapshot::default()).unwrap();
    let view = place.store.stack(&Snapshot(vec![id.clone()])).unwrap();
    assert_eq!(crate::support::tree_of(&view).len(), 501);
    place.store.content_id(&id).unwrap();
    let active = place.lease.prepare(&Snapshot(vec![id])).unwrap();
    std::fs::create_dir_all(active.upper().join("d/".repeat(500))).unwrap();
    active.commit().unwrap();
    let deeper = "d/".repeat(600) + "leaf";
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    let attributes = crate::support::file(0o644);
    assert!(writer.file(deeper.as_ref(), &attributes, layer_store::Content::Bytes(b"")).is_err());
}

#[test]
fn many_layers() {
    if !root() {
        return;
    }
    let place = place();
    let mut snapshot = Snapshot::default();
    for number in 0..140 {
        let id = layer_of(
            &place.lease,
            &snapshot,
            &[("shared", &number.to_string()), (&format!("own{number}"), "1")],
        );
        snapshot = snapshot.with(id);
    }
    let view = place.store.stack(&snapshot).unwrap();
    assert_eq!(view.read_file("shared".as_ref(), 9).unwrap().unwrap(), b"139");
    assert_eq!(view.read_dir("".as_ref()).unwrap().len(), 141);
}

#[test]
fn a_store_on_overlayfs_has_marks_of_its_own() {
    if !root() {
        return;
    }
    let outer = tempfile::tempdir().unwrap();
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| outer.path().join(name));
    for dir in [&lower, &upper, &work] {
        std::fs::create_dir(dir).unwrap();
    }
    let mounted = Mounted::overlay(&outer.path().join("mnt"), &[lower], Some((&upper, &work)));
    let inner = mounted.0.join("store");
    let store = Store::open(&inner, &options()).unwrap();
    assert_eq!(store.mounting(), Mounting::Impossible);
    let lease = store.lease().unwrap();
    let base =
        Snapshot(vec![layer_of(&lease, &Snapshot::default(), &[("d/a", "1"), ("e/b", "1"), ("f", "1")])]);
    let active = lease.copy(&base).unwrap();
    let ActiveRoot::Directory(copy) = active.root() else { panic!("a mount") };
    std::fs::remove_dir_all(copy.join("d")).unwrap();
    std::fs::remove_dir_all(copy.join("e")).unwrap();
    std::fs::create_dir(copy.join("e")).unwrap();
    // What a step makes is never a mark.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        copy.join("s"),
        rustix::fs::FileType::Socket,
        rustix::fs::Mode::empty(),
        0,
    )
    .unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::lsetxattr(&copy, "user.rbuild.opaque", b"y", flags).unwrap();
    let id = active.commit().unwrap();
    assert_eq!(names_of(&archive_of(&lease, &id, &base)), [".wh.d", "e/", "e/.wh.b"]);
    let view = store.stack(&base.with(id)).unwrap();
    let seen = |path: &str| view.lookup(path.as_ref()).unwrap().is_some();
    assert_eq!(["d", "d/a", "e", "e/b", "f", "s"].map(seen), [false, false, true, false, true, false]);
    drop((lease, store));
    assert_eq!(Store::open(&inner, &options()).unwrap().mounting(), Mounting::Impossible);
    drop(mounted);
    // Seen from elsewhere it stays what it is.
    assert_eq!(Store::open(&upper.join("store"), &options()).unwrap().mounting(), Mounting::Impossible);
}
