//! What lines of text do not show: hard links, attributes, times, made files, messages.

use std::path::Path;

use graph::{ChmodSpec, FileAction, MkDir, MkFile, OwnerSpec};
use layer_store::{Attributes, Content, Kind, Snapshot, Time};

use super::support::{Bench, LONG_AGO, attributes, bench, copy, identity};
use crate::file::{FileInput, materialise};

fn one(copy: graph::Copy) -> Vec<FileAction> {
    vec![FileAction::Copy(Box::new(copy))]
}

#[test]
fn hard_links_within_a_copy() {
    let Some(bench) = bench() else { return };
    let lines = &["dir d 0755 0:0", "file d/a 0644 0:0 x", "hard d/b d/a", "file d/c 0644 0:0 x"];
    let empty = Snapshot::default();
    let stage = FileInput::Snapshot(bench.snapshot(&empty, lines));
    let context = bench.context(&bench.directory("context", lines), &[]);
    for from in [stage, context] {
        let layer = bench.layer(&empty, &[from], &one(copy("d", "/x"))).expect("copy");
        assert_eq!(identity(&bench, &layer, "x/a"), identity(&bench, &layer, "x/b"));
        assert_ne!(identity(&bench, &layer, "x/a"), identity(&bench, &layer, "x/c"));
    }
}

/// The store may keep a copy as one name more of what was copied. In an image they are two files.
#[test]
fn copies_of_a_file_are_no_hard_links() {
    let Some(bench) = bench() else { return };
    let empty = Snapshot::default();
    let first = bench.snapshot(&empty, &["dir d 0755 0:0", "file d/a 0644 0:0 x"]);
    let from = FileInput::Snapshot(first.clone());
    let copied = bench.layer(&first, &[from], &one(copy("d", "/d/copied"))).expect("copy");
    let both = Snapshot([first.0, copied.0].concat());
    let again = bench.layer(&empty, &[FileInput::Snapshot(both)], &one(copy("d", "/x"))).expect("copy");
    let (first, other) = (identity(&bench, &again, "x/a"), identity(&bench, &again, "x/copied/a"));
    assert!(first.is_some() && other.is_some() && first != other, "{first:?} {other:?}");
}

#[test]
fn capabilities_and_special_bits_survive_a_new_owner() {
    let Some(bench) = bench() else { return };
    let empty = Snapshot::default();
    let mut writer = bench.lease.write_layer(&empty).expect("layer");
    let mut su = Attributes::new(Kind::File { size: 1 }, 0o4755);
    let capability = vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    su.xattrs.insert("security.capability".into(), capability.clone());
    su.xattrs.insert("user.note".into(), b"kept".to_vec());
    writer.file(Path::new("su"), &su, Content::Bytes(b"x")).expect("file");
    let from = FileInput::Snapshot(Snapshot(vec![writer.commit().expect("commit")]));
    let mut copy = copy("su", "/su");
    copy.owner = Some(OwnerSpec { user: "7".into(), group: Some("8".into()) });
    let layer = bench.layer(&empty, &[from], &one(copy)).expect("copy");
    let made = attributes(&bench, &layer, "su");
    assert_eq!((made.mode, made.uid, made.gid), (0o4755, 7, 8));
    assert_eq!(made.xattrs.get(std::ffi::OsStr::new("security.capability")), Some(&capability));
    assert_eq!(made.xattrs.get(std::ffi::OsStr::new("user.note")), Some(&b"kept".to_vec()));
}

#[test]
fn times() {
    let Some(bench) = bench() else { return };
    let empty = Snapshot::default();
    let lines =
        &["dir d 0755 0:0", "file d/a 0644 0:0 x", "dir d/s 0755 0:0", "file d/s/b 0644 0:0 y", "link d/l a"];
    let context = bench.context(&bench.directory("context", lines), &[]);
    let base = bench.snapshot(&empty, &["dir etc 0750 3:3", "dir etc/keep 0700 0:0"]);
    let layer = bench.layer(&base, &[context], &one(copy("d", "/etc/new/x"))).expect("copy");
    let time = |path: &str| attributes(&bench, &layer, path).mtime.secs;
    for path in ["etc", "etc/new/x", "etc/new/x/a", "etc/new/x/s", "etc/new/x/s/b", "etc/new/x/l"] {
        assert_eq!(time(path), LONG_AGO, "{path}");
    }
    assert!(time("etc/new") > LONG_AGO);
    assert_eq!(attributes(&bench, &layer, "etc").mode, 0o750);
    let view = bench.store.stack(&layer).expect("view");
    assert!(
        view.lookup(Path::new("etc/keep")).expect("lookup").is_none(),
        "only what is written is in the layer"
    );
}

#[test]
fn owners_of_stages_are_kept_and_of_contexts_are_root() {
    let Some(bench) = bench() else { return };
    let empty = Snapshot::default();
    let lines = &["dir d 0755 4:4", "file d/a 0644 5:6 x", "dir d/s 0755 7:8"];
    let stage = FileInput::Snapshot(bench.snapshot(&empty, lines));
    let made = bench.copy(&empty, stage, copy("d", "/x")).expect("copy");
    assert_eq!(made, ["dir x 0755 0:0", "file x/a 0644 5:6 x", "dir x/s 0755 7:8"]);
    let root = bench.directory("context", lines);
    rustix::fs::chown(root.join("d/a"), Some(rustix::fs::Uid::from_raw(99)), None).expect("chown");
    let made = bench.copy(&empty, bench.context(&root, &[]), copy("d", "/x")).expect("copy");
    assert_eq!(made, ["dir x 0755 0:0", "file x/a 0644 0:0 x", "dir x/s 0755 0:0"]);
}

#[test]
fn made_directories_and_files() {
    let Some(bench) = bench() else { return };
    let base =
        bench.snapshot(&Snapshot::default(), &["dir a 0700 3:3", "link l /a", "file a/old 0600 4:4 old"]);
    let directory = |path: &str, owner: Option<&str>| {
        let owner = owner.map(|user| OwnerSpec { user: user.into(), group: None });
        FileAction::MkDir(MkDir {
            path: path.into(),
            mode: 0o755,
            owner,
            parents: true,
            created: Some(12345),
        })
    };
    let file = |path: &str, content: &'static [u8]| {
        let content = bytes::Bytes::from_static(content);
        FileAction::MkFile(MkFile { path: path.into(), mode: 0o644, owner: None, content })
    };
    let actions = [
        directory("/l/b/c", Some("9")),
        directory("/a", Some("1")),
        file("/l/b/f", b"text"),
        file("/l/old", b"new"),
        file("/l/b/f", b"last"),
    ];
    let layer = bench.layer(&base, &[], &actions).expect("run");
    assert_eq!(
        bench.lines(&layer),
        [
            "dir a 0700 3:3",
            "dir a/b 0755 9:9",
            "dir a/b/c 0755 9:9",
            "file a/b/f 0644 0:0 last",
            "file a/old 0600 4:4 new"
        ]
    );
    assert_eq!(attributes(&bench, &layer, "a/b/c").mtime, Time { secs: 12345, nanos: 0 });
    assert!(bench.run(&base, &[], &[directory("/a/old/x", None)]).is_err());
    assert!(bench.run(&base, &[], &[file("/a", b"")]).is_err());
}

#[test]
fn later_copies_win() {
    let Some(bench) = bench() else { return };
    let lines = &[
        "dir b 0755 0:0",
        "link b/foo elsewhere",
        "dir c 0755 0:0",
        "file c/foo 0644 0:0 second",
        "file one 0600 0:0 1",
    ];
    let from = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), lines));
    let mut actions = one(copy("b/", "/x"));
    actions.extend(one(copy("c/foo", "/x/")));
    actions.extend(one(copy("one", "/same")));
    actions.extend(one(copy("c/foo", "/same")));
    let made = bench.run(&Snapshot::default(), &[from], &actions).expect("copies");
    assert_eq!(made, ["file same 0644 0:0 second", "dir x 0755 0:0", "file x/foo 0644 0:0 second"]);
}

#[test]
fn names_are_looked_up_in_what_was_just_copied() {
    let Some(bench) = bench() else { return };
    let lines = &["dir etc 0755 0:0", "file etc/passwd 0644 0:0 app:x:41:42::"];
    let from = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), lines));
    let mut owned = copy("etc/passwd", "/p");
    owned.owner = Some(OwnerSpec { user: "app".into(), group: None });
    let mut actions = one(copy("etc", "/etc"));
    actions.extend(one(owned));
    let made = bench.layer(&Snapshot::default(), &[from], &actions).expect("copies");
    assert_eq!(attributes(&bench, &made, "p").uid, 41);
}

#[test]
fn a_rule_is_named() {
    let Some(bench) = bench() else { return };
    let root = bench.directory("context", &["dir target 0755 0:0", "file target/app 0755 0:0 x"]);
    let context = bench.context(&root, &["docs", "target"]);
    let error = bench.copy(&Snapshot::default(), context, copy("target/app", "/")).expect_err("hidden");
    assert_eq!(
        error.to_string(),
        "/target/app not found in the build context: it is left out by the ignore rule \"target\""
    );
}

#[test]
fn a_failed_step_leaves_nothing() {
    let Some(bench) = bench() else { return };
    let layers =
        |bench: &Bench| std::fs::read_dir(bench.store.root().join("layers")).map_or(0, Iterator::count);
    let from = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), &["file a 0644 0:0 x"]));
    let before = layers(&bench);
    let mut actions = one(copy("a", "/a"));
    actions.extend(one(copy("nothing", "/b")));
    assert!(bench.layer(&Snapshot::default(), &[from], &actions).is_err());
    assert_eq!(layers(&bench), before);
}

#[test]
fn parts_of_a_context_as_a_layer() {
    let Some(bench) = bench() else { return };
    let lines = &[
        "dir a 0711 0:0",
        "dir a/b 0722 0:0",
        "file a/b/c 0644 0:0 x",
        "file a/no 0644 0:0",
        "link l a/b",
        "file other 0644 0:0",
    ];
    let FileInput::Context(scan) = bench.context(&bench.directory("context", lines), &[]) else { return };
    for (path, expected) in [
        ("a/b", &["dir a 0711 0:0", "dir a/b 0722 0:0", "file a/b/c 0644 0:0 x"][..]),
        ("/l", &["dir a 0711 0:0", "dir a/b 0722 0:0", "file a/b/c 0644 0:0 x", "link l a/b"]),
        ("other", &["file other 0644 0:0"]),
    ] {
        let layer = materialise(&bench.store, &bench.lease, &scan, path).expect("layer");
        assert_eq!(bench.lines(&Snapshot(vec![layer])), expected, "{path}");
    }
    assert!(materialise(&bench.store, &bench.lease, &scan, "none").is_err());
    let all = materialise(&bench.store, &bench.lease, &scan, "").expect("layer");
    assert_eq!(bench.lines(&Snapshot(vec![all])).len(), lines.len());
}

#[test]
fn octal_modes_leave_links_alone() {
    let Some(bench) = bench() else { return };
    let from = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), &["dir d 0755 0:0", "link d/l x"]));
    let mut copy = copy("d", "/d");
    copy.mode = Some(ChmodSpec::Octal(0o600));
    let layer = bench.layer(&Snapshot::default(), &[from], &one(copy)).expect("copy");
    assert_eq!(attributes(&bench, &layer, "d/l").mode, 0o777);
}

#[test]
fn many_names_in_a_directory_of_the_base() {
    let Some(bench) = bench() else { return };
    let names = || (0..40).map(|number| format!("f{number:02}"));
    let mut base = vec!["dir d 0750 2:2".to_owned(), "dir d/kept 0700 3:3".to_owned()];
    base.extend(names().map(|name| format!("file d/{name} 0600 1:1 old")));
    base.push("dir d/f39x 0755 0:0".into());
    let base: Vec<&str> = base.iter().map(String::as_str).collect();
    let base = bench.snapshot(&Snapshot::default(), &base);
    let mut new = vec!["dir s 0755 0:0".to_owned()];
    new.extend(names().map(|name| format!("file s/{name} 0644 0:0 new")));
    let lines: Vec<&str> = new.iter().map(String::as_str).collect();
    let from = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), &lines));
    let made = bench.copy(&base, from, copy("s", "/d")).expect("copy");
    let mut expected = vec!["dir d 0750 2:2".to_owned()];
    expected.extend(names().map(|name| format!("file d/{name} 0644 0:0 new")));
    assert_eq!(made, expected);
    let mut blocked = lines.clone();
    blocked.push("file s/f39x 0644 0:0 new");
    let from = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), &blocked));
    let error = bench.copy(&base, from, copy("s", "/d")).expect_err("a directory is in the way");
    assert!(error.to_string().contains("onto /d/f39x, which is a directory"), "{error}");
}

#[test]
fn a_socket_is_copied_as_an_empty_file() {
    let Some(bench) = bench() else { return };
    let root = bench.directory("context", &["dir d 0755 0:0"]);
    let _socket = std::os::unix::net::UnixListener::bind(root.join("d/s")).expect("socket");
    std::fs::set_permissions(root.join("d/s"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("mode");
    for source in ["d", "d/s", "d/*"] {
        let context = bench.context(&root, &[]);
        let made = bench.copy(&Snapshot::default(), context, copy(source, "/x/")).expect("copy");
        assert_eq!(made, ["dir x 0755 0:0", "file x/s 0600 0:0"], "{source}");
    }
}

#[test]
fn owners_that_no_file_says() {
    let Some(bench) = bench() else { return };
    let base = bench.snapshot(
        &Snapshot::default(),
        &[
            "dir etc 0755 0:0",
            "file etc/passwd 0644 0:0 app:x:41:42::",
            "file etc/group 0644 0:0 staff:x:50:",
        ],
    );
    let empty = Snapshot::default();
    let made_for = |base: &Snapshot, user: &str, group: Option<&str>| {
        let owner = Some(OwnerSpec { user: user.into(), group: group.map(str::to_owned) });
        let action = MkDir { path: "/d".into(), mode: 0o755, owner, parents: true, created: None };
        bench.run(base, &[], &[FileAction::MkDir(action)]).expect("directory")
    };
    for (base, user, group, expected) in [
        (&empty, "root", Some("root"), "0:0"),
        (&empty, "", Some(""), "0:0"),
        (&base, "", Some("staff"), "0:50"),
        (&base, "app", Some(""), "41:0"),
        // A user that nobody knows yet.
        (&base, "none", None, "0:0"),
        (&base, "none", Some("staff"), "0:50"),
        (&base, "app", Some("none"), "41:42"),
        (&empty, "none", Some("none"), "0:0"),
        // A number may have a sign; -1 is no change, and what is copied belongs to root.
        (&empty, "+1", None, "1:1"),
        (&empty, "1", Some("+2"), "1:2"),
        (&empty, "-0", None, "0:0"),
        (&empty, "-1", Some("5"), "0:5"),
        (&empty, "5", Some("-1"), "5:0"),
        (&empty, "-2", None, "4294967294:4294967294"),
    ] {
        assert_eq!(made_for(base, user, group), [format!("dir d 0755 {expected}")], "{user}:{group:?}");
    }
}
