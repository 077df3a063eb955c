//! Keys change when, and only when, what is copied would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use graph::{ChmodSpec, Copy, OwnerSpec};
use layer_store::Snapshot;

use super::support::{Bench, bench, copy};
use crate::file::{FileInput, bind_digest, selection_digest};

const LINES: &[&str] = &[
    "dir d 0755 0:0",
    "file d/a 0644 0:0 one",
    "dir d/s 0755 0:0",
    "file d/s/b 0644 0:0 two",
    "link d/l a",
    "file other 0644 0:0 x",
    "link ld d",
];

fn digest(bench: &Bench, root: &Path, copy: &Copy) -> [u8; 32] {
    selection_digest(&bench.store, &bench.context(root, &[]), copy).expect("digest")
}

#[test]
fn what_changes_a_key() {
    type Change = fn(&Path);
    let changes: &[(&str, Change, bool)] = &[
        ("nothing", |_| (), false),
        ("another file", |root| fs::write(root.join("other"), "yy").expect("write"), false),
        ("mode of the top", |root| chmod(&root.join("d"), 0o700), false),
        ("content", |root| fs::write(root.join("d/a"), "ONE").expect("write"), true),
        ("mode", |root| chmod(&root.join("d/a"), 0o664), true),
        ("mode of a directory", |root| chmod(&root.join("d/s"), 0o775), true),
        ("name", |root| fs::rename(root.join("d/a"), root.join("d/A")).expect("rename"), true),
        (
            "target",
            |root| {
                fs::remove_file(root.join("d/l")).expect("remove");
                std::os::unix::fs::symlink("b", root.join("d/l")).expect("link");
            },
            true,
        ),
        ("empty directory", |root| fs::create_dir(root.join("d/e")).expect("directory"), true),
        (
            "time",
            |root| {
                fs::File::open(root.join("d/a"))
                    .and_then(|file| file.set_modified(std::time::SystemTime::UNIX_EPOCH))
                    .expect("time")
            },
            false,
        ),
        (
            "a second name",
            |root| fs::hard_link(root.join("d/a"), root.join("elsewhere")).expect("link"),
            false,
        ),
    ];
    let Some(bench) = bench() else { return };
    for (number, (name, change, changes_key)) in changes.iter().enumerate() {
        let root = bench.directory(&number.to_string(), LINES);
        let before = digest(&bench, &root, &copy("d", "/x"));
        change(&root);
        let after = digest(&bench, &root, &copy("d", "/x"));
        assert_eq!(before != after, *changes_key, "{name}");
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

#[test]
fn what_the_copy_overrides_does_not_count() {
    let Some(bench) = bench() else { return };
    let root = bench.directory("context", LINES);
    let mut octal = copy("d", "/x");
    octal.mode = Some(ChmodSpec::Octal(0o600));
    let before = digest(&bench, &root, &octal);
    chmod(&root.join("d/a"), 0o755);
    assert_eq!(before, digest(&bench, &root, &octal));
    let stage = |owner: &str| {
        let line = format!("file f 0644 {owner} x");
        FileInput::Snapshot(bench.snapshot(&Snapshot::default(), &[&line]))
    };
    let mut owned = copy("f", "/f");
    let key = |copy: &Copy, owner: &str| selection_digest(&bench.store, &stage(owner), copy).expect("digest");
    assert_ne!(key(&owned, "1:1"), key(&owned, "2:2"));
    owned.owner = Some(OwnerSpec { user: "5".into(), group: None });
    assert_eq!(key(&owned, "1:1"), key(&owned, "2:2"));
}

#[test]
fn names_and_patterns() {
    let Some(bench) = bench() else { return };
    let root = bench.directory(
        "context",
        &[
            "dir a 0755 0:0",
            "file a/x.txt 0644 0:0 x",
            "dir b 0755 0:0",
            "file b/x.txt 0644 0:0 x",
            "file b/y 0644 0:0 y",
        ],
    );
    let key = |source: &str| digest(&bench, &root, &copy(source, "/z/"));
    assert_eq!(key("a/*.txt"), key("b/*.txt"), "the directory above does not count");
    assert_ne!(key("b/*.txt"), key("b/*"));
    assert_ne!(key("b/y"), key("b/x.txt"), "the name counts");
    assert_eq!(key("a"), key("a/"));
    let mut excluding = copy("b", "/z/");
    excluding.exclude = vec!["y".into()];
    assert_eq!(digest(&bench, &root, &excluding), key("a"));
}

#[test]
fn stages_and_links() {
    let Some(bench) = bench() else { return };
    let empty = Snapshot::default();
    let whole = bench.snapshot(&empty, LINES);
    let in_two = bench.snapshot(&bench.snapshot(&empty, &LINES[..3]), &LINES[3..]);
    let key = |snapshot: &Snapshot, source: &str| {
        selection_digest(&bench.store, &FileInput::Snapshot(snapshot.clone()), &copy(source, "/x"))
            .expect("digest")
    };
    assert_eq!(key(&whole, "d"), key(&in_two, "d"), "layers do not count");
    assert_eq!(key(&whole, "d"), key(&whole, "ld"), "a link stands for what it leads to");
}

#[test]
fn bind_mounts() {
    let Some(bench) = bench() else { return };
    let root = bench.directory("context", LINES);
    let key = |path: &str| bind_digest(&bench.store, &bench.context(&root, &[]), path).expect("digest");
    let before = (key("d"), key("d/s"), key(""));
    assert_eq!(key("ld"), before.0);
    fs::write(root.join("d/a"), "ONE").expect("write");
    assert_ne!(key("d"), before.0);
    assert_eq!(key("d/s"), before.1);
    assert_ne!(key(""), before.2);
    assert!(bind_digest(&bench.store, &bench.context(&root, &[]), "none").is_err());
}
