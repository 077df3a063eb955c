//! Contexts on temporary directories, with an index that lives in a store of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use layer_store::{IdRanges, Kind, Mode, OpenOptions, StatIndex, Store};
use tempfile::TempDir;

use super::{ContextError, ContextScan, OpenFile, scan};
use crate::request::LocalContext;

fn index(temp: &TempDir) -> StatIndex {
    let options = OpenOptions { mode: Mode::Root, ids: IdRanges::default() };
    Store::open(&temp.path().join("store"), &options).expect("store").stat_index()
}

struct Fixture {
    temp: TempDir,
    index: StatIndex,
}

impl Fixture {
    fn new(files: &[&str]) -> Self {
        let temp = TempDir::new().expect("temporary directory");
        let index = index(&temp);
        let fixture = Self { temp, index };
        fs::create_dir(fixture.root()).expect("context");
        for file in files {
            let path = fixture.root().join(file);
            fs::create_dir_all(path.parent().expect("parent")).expect("directories");
            fs::write(path, file).expect("file");
        }
        fixture
    }

    fn root(&self) -> PathBuf {
        self.temp.path().join("context")
    }

    fn scan(&self, ignore: &[&str]) -> ContextScan {
        let ignore: Vec<String> = ignore.iter().map(|rule| rule.to_string()).collect();
        scan(&LocalContext::Directory(self.root()), &ignore, &self.index).expect("scan")
    }
}

fn names(scan: &ContextScan) -> Vec<String> {
    fn below(scan: &ContextScan, path: &Path, found: &mut Vec<String>) {
        let mut directories = Vec::new();
        let listed = scan.each::<ContextError>(path, &mut |name, entry| {
            if entry.attributes.kind == Kind::Directory {
                directories.push((found.len(), path.join(&name)));
            }
            found.push(path.join(name).display().to_string());
            Ok(())
        });
        listed.expect("listing");
        // What is below a directory stands behind it.
        for (at, directory) in directories.into_iter().rev() {
            let mut inside = Vec::new();
            below(scan, &directory, &mut inside);
            found.splice(at + 1..at + 1, inside);
        }
    }
    let mut found = Vec::new();
    scan.list_below(Path::new("")).expect("listing");
    below(scan, Path::new(""), &mut found);
    found
}

#[test]
fn ignore_rules() {
    let fixture = Fixture::new(&["a/b/c.txt", "a/b/d.txt", "a/e", "foo", "x/foo", "x/y.log", "z.log"]);
    for (rules, expected) in [
        (&[][..], "a a/b a/b/c.txt a/b/d.txt a/e foo x x/foo x/y.log z.log"),
        (&["**", "!a/b/c.txt"], "a a/b a/b/c.txt"),
        (&["a", "!a/b/*.txt"], "a a/b a/b/c.txt a/b/d.txt foo x x/foo x/y.log z.log"),
        (&["a", "!**/d.txt"], "a a/b a/b/d.txt foo x x/foo x/y.log z.log"),
        (&["foo"], "a a/b a/b/c.txt a/b/d.txt a/e x x/foo x/y.log z.log"),
        (&["*.log"], "a a/b a/b/c.txt a/b/d.txt a/e foo x x/foo x/y.log"),
        (&["**/*.log", "a"], "foo x x/foo"),
        (&["*", "!zzz"], ""),
        (&["a", "!a/none"], "foo x x/foo x/y.log z.log"),
    ] {
        assert_eq!(names(&fixture.scan(rules)).join(" "), expected, "{rules:?}");
    }
}

#[test]
fn what_hides_a_path() {
    let fixture = Fixture::new(&["a/b/c"]);
    for (rules, path, expected) in [
        (&["a"][..], "a/b/c", Some("a")),
        (&["*", "**/c"], "a/b/c", Some("**/c")),
        (&["*", "!a/b"], "a/b/c", None),
        (&["x"], "a", None),
        (&["*"], "", None),
    ] {
        let scan = fixture.scan(rules).with_places(vec!["f:1".to_owned(), "f:3".to_owned()]);
        let found = scan.hidden_by(Path::new(path));
        let position = rules.iter().position(|rule| Some(*rule) == expected);
        let place = position.map(|position| ["f:1", "f:3"][position].to_owned());
        assert_eq!(found.as_ref().map(|rule| rule.text.as_str()), expected, "{rules:?} {path}");
        assert_eq!(found.and_then(|rule| rule.place), place, "{rules:?} {path}");
    }
}

#[test]
fn facts_of_entries() {
    let fixture = Fixture::new(&["f"]);
    let root = fixture.root();
    fs::set_permissions(root.join("f"), fs::Permissions::from_mode(0o2751)).expect("mode");
    symlink("/etc/passwd", root.join("l")).expect("link");
    let fifo = (root.join("p"), rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo.0, fifo.1, rustix::fs::Mode::RWXU, 0).expect("fifo");
    let _socket = std::os::unix::net::UnixListener::bind(root.join("s")).expect("socket");
    let scan = fixture.scan(&[]);
    assert_eq!(names(&scan), ["f", "l", "p", "s"]);
    let entry = |path: &str| scan.lookup(Path::new(path)).expect("lookup").expect("entry");
    let file = entry("f").attributes;
    assert_eq!((file.mode, file.uid, file.gid, file.kind), (0o2751, 0, 0, Kind::File { size: 1 }));
    assert_eq!(entry("l").attributes.kind, Kind::Symlink { target: "/etc/passwd".into() });
    assert_eq!(entry("p").attributes.kind, Kind::Fifo);
    assert_eq!(entry("s").attributes.kind, Kind::Socket);
    // Neither the link nor what it leads to is opened.
    assert!(scan.lookup(Path::new("l/x")).expect("lookup").is_none());
    assert!(scan.open(Path::new("l")).is_err());
    assert!(scan.open(Path::new("p")).is_err());
}

#[test]
fn a_root_that_is_a_link() {
    let fixture = Fixture::new(&["f"]);
    let link = fixture.temp.path().join("link");
    symlink("context", &link).expect("link");
    let scan = scan(&LocalContext::Directory(link), &[], &fixture.index).expect("scan");
    assert_eq!(names(&scan), ["f"]);
    let missing = LocalContext::Directory(fixture.temp.path().join("none"));
    assert!(matches!(super::scan(&missing, &[], &fixture.index), Err(ContextError::Root { .. })));
}

#[test]
fn changes_after_the_scan() {
    let fixture = Fixture::new(&["grown", "gone", "d/linked", "same"]);
    let scan = fixture.scan(&[]);
    names(&scan);
    let root = fixture.root();
    fs::write(root.join("grown"), "other length").expect("write");
    fs::remove_file(root.join("gone")).expect("remove");
    fs::remove_dir_all(root.join("d")).expect("remove");
    symlink("/etc", root.join("d")).expect("link");
    for path in ["grown", "gone", "d/linked"] {
        let path = PathBuf::from(path);
        assert!(matches!(scan.open(&path), Err(ContextError::Changed { .. })), "open {}", path.display());
        let error = scan.digests(std::slice::from_ref(&path)).expect_err("changed");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    let Ok(OpenFile::File(opened)) = scan.open(Path::new("same")) else { panic!("open") };
    fs::write(root.join("same"), "written while it is read").expect("write");
    assert!(matches!(opened.check(), Err(ContextError::Changed { .. })));
}

#[test]
fn digests_follow_content() {
    let fixture = Fixture::new(&["a", "b"]);
    fs::write(fixture.root().join("b"), "a").expect("write");
    let paths = [PathBuf::from("a"), PathBuf::from("b")];
    let first = fixture.scan(&[]).digests(&paths).expect("digests");
    assert_eq!(first[0], first[1]);
    assert_eq!(first[0], *blake3::hash(b"a").as_bytes());
    fs::write(fixture.root().join("b"), "c").expect("write");
    let second = fixture.scan(&[]).digests(&paths).expect("digests");
    assert_eq!(first[0], second[0]);
    assert_ne!(first[1], second[1]);
}

#[test]
fn files_given_by_value() {
    let fixture = Fixture::new(&[]);
    let files = BTreeMap::from([
        ("Dockerfile".to_owned(), bytes::Bytes::from_static(b"FROM x")),
        ("d/e".to_owned(), bytes::Bytes::from_static(b"y")),
    ]);
    let scan = scan(&LocalContext::Memory(files), &["d/f".into()], &fixture.index).expect("scan");
    assert_eq!(names(&scan), ["Dockerfile", "d", "d/e"]);
    let digests = scan.digests(&["d/e".into()]).expect("digest");
    assert_eq!(digests, [*blake3::hash(b"y").as_bytes()]);
}
