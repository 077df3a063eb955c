//! Writing layers directly, and what commits make of overlay upper directories.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use layer_store::{Content, Kind, Snapshot, StoreError, Time};

use crate::support::{directory, file, layer_of, place, root, symlink};

#[test]
fn implied_parents_look_as_below() {
    if !root() {
        return;
    }
    let place = place();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    let mut attributes = directory();
    (attributes.mode, attributes.uid) = (0o2770, 42);
    writer.directory("srv".as_ref(), &attributes).unwrap();
    let base = Snapshot(vec![writer.commit().unwrap()]);
    let mut writer = place.lease.write_layer(&base).unwrap();
    writer.file("srv/new/f".as_ref(), &file(0o644), Content::Bytes(b"1")).unwrap();
    let id = writer.commit().unwrap();
    let view = place.store.stack(&base.with(id)).unwrap();
    assert_eq!(view.lookup("srv".as_ref()).unwrap().unwrap().attributes, attributes);
    let new = view.lookup("srv/new".as_ref()).unwrap().unwrap().attributes;
    assert_eq!((new.mode, new.uid, new.mtime), (0o755, 0, Time::default()));
}

#[test]
fn the_last_of_two_wins() {
    let place = place();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    for path in ["x", "x/y"] {
        writer.directory(path.as_ref(), &directory()).unwrap();
    }
    writer.file("x".as_ref(), &file(0o644), Content::Bytes(b"now a file")).unwrap();
    writer.symlink("x".as_ref(), &symlink("/nowhere")).unwrap();
    writer.directory("x".as_ref(), &directory()).unwrap();
    writer.file("x/f".as_ref(), &file(0o644), Content::Reader(&mut &b"1"[..])).unwrap();
    writer.file("x/f".as_ref(), &file(0o755), Content::Bytes(b"22")).unwrap();
    let id = writer.commit().unwrap();
    let view = place.store.stack(&Snapshot(vec![id])).unwrap();
    let entry = view.lookup("x/f".as_ref()).unwrap().unwrap();
    assert_eq!((entry.attributes.kind, entry.attributes.mode), (Kind::File { size: 2 }, 0o755));
    assert_eq!(view.lookup("x".as_ref()).unwrap().unwrap().attributes.mtime, directory().mtime);
}

#[test]
fn names_are_confined() {
    let place = place();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    writer.symlink("l".as_ref(), &symlink("/tmp")).unwrap();
    for path in ["../x", "a/../../x", "l/x"] {
        let error = writer.file(path.as_ref(), &file(0o644), Content::Bytes(b"1")).unwrap_err();
        assert!(matches!(error, StoreError::Path { .. }), "{path}: {error}");
    }
}

#[test]
fn files_of_our_own_layers_are_linked_where_they_fit() {
    let place = place();
    let id = layer_of(&place.lease, &Snapshot::default(), &[("a", "content")]);
    let view = place.store.stack(&Snapshot(vec![id.clone()])).unwrap();
    let host = view.host_path("a".as_ref()).unwrap();
    let same = view.lookup("a".as_ref()).unwrap().unwrap().attributes;
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    writer.file("same".as_ref(), &same, Content::HardLinkOf(&host)).unwrap();
    writer.file("other".as_ref(), &file(0o755), Content::HardLinkOf(&host)).unwrap();
    let new = place.store.layer_dir(&writer.commit().unwrap());
    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&new.join("same")), inode(&host));
    assert_ne!(inode(&new.join("other")), inode(&host));
    assert_eq!(std::fs::read(new.join("other")).unwrap(), b"content");
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let place = place();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    writer.file("a".as_ref(), &file(0o644), Content::Bytes(b"1")).unwrap();
    drop(writer);
    drop(place.lease.prepare(&Snapshot::default()).unwrap());
    drop(place.lease);
    for dir in ["layers", "tmp", "leases"] {
        assert!(std::fs::read_dir(place.store.root().join(dir)).unwrap().next().is_none(), "{dir}");
    }
}

#[test]
fn content_ids_see_changes_and_not_times() {
    let place = place();
    let id_of = |mode: u32, content: &[u8], secs: i64| {
        let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
        let mut attributes = file(mode);
        attributes.mtime.secs = secs;
        writer.file("f".as_ref(), &attributes, Content::Bytes(content)).unwrap();
        place.store.content_id(&writer.commit().unwrap()).unwrap()
    };
    let one = id_of(0o644, b"1", 1);
    assert_eq!(one, id_of(0o644, b"1", 2));
    assert_ne!(one, id_of(0o600, b"1", 1));
    assert_ne!(one, id_of(0o644, b"2", 1));
    // Written zeros and holes are the same content.
    let zeros = vec![0u8; 3_000_000];
    let mut mixed = zeros.clone();
    mixed[2_000_000] = 1;
    for content in [&zeros, &mixed, &zeros[..70_000].to_vec(), &mixed[1_990_000..2_010_000].to_vec()] {
        let host = place.dir.path().join("plain");
        std::fs::write(&host, content).unwrap();
        let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
        let source = std::fs::File::open(&host).unwrap();
        writer.file("f".as_ref(), &file(0o644), Content::File(&source)).unwrap();
        let whole = place.store.content_id(&writer.commit().unwrap()).unwrap();
        let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
        writer.file("f".as_ref(), &file(0o644), Content::Reader(&mut &content[..])).unwrap();
        assert_eq!(whole, place.store.content_id(&writer.commit().unwrap()).unwrap());
    }
}

#[test]
fn what_is_known_of_contents_goes_with_the_file() {
    let place = place();
    let digest = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let contents = [&b"small"[..], &vec![7; 2 << 20]];
    // Told or read, the content id is the same.
    let id_of = |told: bool| {
        let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
        for (name, content) in ["a", "b"].iter().zip(contents) {
            writer.file(name.as_ref(), &file(0o644), Content::Bytes(content)).unwrap();
            if told {
                writer.content_is(name.as_ref(), digest(content)).unwrap();
            }
        }
        let id = writer.commit().unwrap();
        assert_eq!(place.store.known_contents(&id).unwrap().get("b".as_ref()).is_some(), told);
        place.store.content_id(&id).unwrap()
    };
    assert_eq!(id_of(true), id_of(false));
    // What takes the place of a file is not that file.
    type Act = fn(&mut layer_store::LayerWriter) -> layer_store::Result<()>;
    let acts: &[Act] = &[
        |writer| writer.file("d/f".as_ref(), &file(0o644), Content::Bytes(b"2")),
        |writer| writer.symlink("d/f".as_ref(), &symlink("x")),
        |writer| writer.directory("d/f".as_ref(), &directory()),
        |writer| writer.hardlink("d/f".as_ref(), "other".as_ref()),
        |writer| writer.remove("d/f".as_ref()),
        |writer| writer.remove("d".as_ref()),
        |writer| writer.file("d".as_ref(), &file(0o644), Content::Bytes(b"2")),
    ];
    for (nth, act) in acts.iter().enumerate() {
        let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
        writer.file("other".as_ref(), &file(0o644), Content::Bytes(b"3")).unwrap();
        writer.file("d/f".as_ref(), &file(0o644), Content::Bytes(b"1")).unwrap();
        writer.content_is("d/f".as_ref(), digest(b"1")).unwrap();
        act(&mut writer).unwrap();
        let id = writer.commit().unwrap();
        assert_eq!(place.store.known_contents(&id).unwrap().get("d/f".as_ref()), None, "{nth}");
    }
}
