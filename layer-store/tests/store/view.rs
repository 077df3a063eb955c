//! Views: links, whiteouts and opaque directories without a mount.

use std::path::{Path, PathBuf};

use layer_store::{Content, Kind, Snapshot, StackView, StoreError, Walk};

use crate::support::{directory, file, layer_of, place, symlink};

fn text(view: &StackView, path: &str) -> Option<String> {
    view.read_file(path.as_ref(), 100).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn links_stay_inside_the_root() {
    let place = place();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    writer.file("usr/lib/x".as_ref(), &file(0o644), Content::Bytes(b"x")).unwrap();
    for (name, target) in [
        ("lib", "usr/lib"),
        ("usr/up", "../../../.."),
        ("abs", "/usr/lib/x"),
        ("out", "/../../etc"),
        ("loop", "loop2"),
        ("loop2", "loop"),
        ("dangling", "usr/absent/file"),
        ("usr/lib/again", "/lib/../lib/./x"),
    ] {
        writer.symlink(name.as_ref(), &symlink(target)).unwrap();
    }
    let id = writer.commit().unwrap();
    let view = place.store.stack(&Snapshot(vec![id])).unwrap();
    let real = |path: &str| view.resolve(path.as_ref()).unwrap().map(|(real, _)| real);
    assert_eq!(real("/lib/x"), Some(PathBuf::from("usr/lib/x")));
    assert_eq!(real("usr/up/usr/up/lib/x"), Some(PathBuf::from("usr/lib/x")));
    assert_eq!(real("abs"), Some(PathBuf::from("usr/lib/x")));
    assert_eq!(real("lib/again"), Some(PathBuf::from("usr/lib/x")));
    assert_eq!(real("out/passwd"), None);
    assert_eq!(real("dangling"), None);
    assert_eq!(view.resolve_parents("lib/new/deeper".as_ref()).unwrap(), PathBuf::from("usr/lib/new/deeper"));
    assert!(matches!(view.lookup("lib".as_ref()).unwrap().unwrap().attributes.kind, Kind::Symlink { .. }));
    assert!(matches!(view.resolve("loop".as_ref()), Err(StoreError::Path { .. })));
    assert!(view.lookup("usr/lib/x/below".as_ref()).unwrap().is_none());
    assert!(view.open("lib/x".as_ref()).is_err(), "open wants a real path");
}

#[test]
fn layers_merge_as_overlay_merges_them() {
    let place = place();
    let nothing = Snapshot::default();
    let files =
        [("d/a", "1"), ("d/b", "1"), ("o/a", "1"), ("o/s/a", "1"), ("f", "1"), ("t/x", "1"), ("gone", "1")];
    let bottom = Snapshot(vec![layer_of(&place.lease, &nothing, &files)]);
    let mut writer = place.lease.write_layer(&bottom).unwrap();
    writer.file("d/a".as_ref(), &file(0o600), Content::Bytes(b"2")).unwrap();
    writer.whiteout("d/b".as_ref()).unwrap();
    writer.directory("o".as_ref(), &directory()).unwrap();
    writer.opaque("o".as_ref()).unwrap();
    writer.file("o/s/b".as_ref(), &file(0o600), Content::Bytes(b"2")).unwrap();
    writer.directory("f".as_ref(), &directory()).unwrap();
    writer.file("t".as_ref(), &file(0o600), Content::Bytes(b"2")).unwrap();
    writer.remove("gone".as_ref()).unwrap();
    writer.remove("never".as_ref()).unwrap();
    assert_eq!(text(&writer.view().unwrap(), "d/a").as_deref(), Some("2"));
    let two = bottom.with(writer.commit().unwrap());
    // A third layer brings a deleted directory back, empty but for one file.
    let mut writer = place.lease.write_layer(&two).unwrap();
    writer.whiteout("d".as_ref()).unwrap();
    writer.directory("d".as_ref(), &directory()).unwrap();
    writer.file("d/c".as_ref(), &file(0o600), Content::Bytes(b"3")).unwrap();
    let three = two.with(writer.commit().unwrap());
    let shown = |snapshot: &Snapshot| {
        let mut paths = Vec::new();
        let view = place.store.stack(snapshot).unwrap();
        view.walk(Path::new("/"), &mut |path, _| {
            paths.push(path.to_string_lossy().into_owned());
            Ok(if path == Path::new("t") { Walk::SkipChildren } else { Walk::Continue })
        })
        .unwrap();
        paths
    };
    assert_eq!(shown(&two), ["d", "d/a", "f", "o", "o/s", "o/s/b", "t"]);
    assert_eq!(shown(&three), ["d", "d/c", "f", "o", "o/s", "o/s/b", "t"]);
    let view = place.store.stack(&three).unwrap();
    let names: Vec<_> = view.read_dir("o".as_ref()).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["s"]);
    assert!(view.read_dir("t".as_ref()).is_err());
    assert!(view.host_path("d/c".as_ref()).unwrap().starts_with(place.store.layer_dir(&three.0[2])));
}
