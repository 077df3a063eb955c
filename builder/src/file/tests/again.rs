//! Files that are as they were in the last layer of the same actions get one name more; no other does.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use graph::FileAction;
use layer_store::Snapshot;

use super::support::{Bench, bench, copy};
use crate::file::{Again, FileInput, run_file, selection_digest};

const LINES: &[&str] =
    &["dir d 0755 0:0", "file d/a 0644 0:0 one", "file d/b 0644 0:0 two", "file d/c 0644 0:0 two"];

/// A layer of `COPY . /app`, made as a build makes it: the key first.
fn layer(bench: &Bench, root: &Path, again: Again) -> Snapshot {
    let copy = copy("/", "/app");
    let input = bench.context(root, &[]);
    selection_digest(&bench.store, &input, &copy).expect("digest");
    let inputs = [FileInput::Snapshot(Snapshot::default()), input];
    let actions = [FileAction::Copy(Box::new(copy))];
    let base = Snapshot::default();
    let made = run_file(&bench.store, &bench.lease, &actions, &base, &inputs, again).expect("layer");
    Snapshot(vec![made.layer])
}

fn inode(bench: &Bench, layer: &Snapshot, path: &str) -> u64 {
    let host = bench.store.layer_dir(&layer.0[0]).join("app").join(path);
    fs::metadata(host).expect("file").ino()
}

#[test]
fn unchanged_files_are_linked_and_others_copied() {
    type Change = fn(&Path);
    let changes: &[(&str, Change, &str)] = &[
        ("nothing", |_| (), ""),
        ("content", |root| write(&root.join("d/a"), "ONE"), "d/a"),
        (
            "mode",
            |root| fs::set_permissions(root.join("d/a"), fs::Permissions::from_mode(0o600)).unwrap(),
            "d/a",
        ),
        ("time", |root| date(&root.join("d/a"), 7), "d/a"),
        ("the content of another", |root| write(&root.join("d/a"), "two"), "d/a"),
    ];
    for (name, change, copied) in changes {
        let Some(bench) = bench() else { return };
        let root = bench.directory("context", LINES);
        let first = layer(&bench, &root, Again::Files);
        change(&root);
        let second = layer(&bench, &root, Again::Files);
        let fresh = layer(&bench, &root, Again::Nothing);
        for path in ["d/a", "d/b", "d/c"] {
            let same = inode(&bench, &first, path) == inode(&bench, &second, path);
            assert_eq!(same, path != *copied, "{name}: {path}");
            assert_ne!(inode(&bench, &fresh, path), inode(&bench, &second, path), "{name}: {path}");
        }
        assert_eq!(bench.lines(&second), bench.lines(&fresh), "{name}");
        let content = |layer: &Snapshot| bench.store.content_id(&layer.0[0]).expect("content");
        assert_eq!(content(&second), content(&fresh), "{name}");
        assert_eq!(content(&first) == content(&second), ["nothing", "time"].contains(name), "{name}");
    }
}

#[test]
fn an_earlier_layer_that_is_gone_is_no_failure() {
    let Some(bench) = bench() else { return };
    let root = bench.directory("context", LINES);
    let first = layer(&bench, &root, Again::Files);
    fs::remove_dir_all(bench.store.layer_dir(&first.0[0])).expect("remove");
    let second = layer(&bench, &root, Again::Files);
    assert_eq!(bench.lines(&second).len(), 5);
}

/// Writes a file and keeps its time.
fn write(path: &Path, content: &str) {
    fs::write(path, content).expect("write");
    date(path, 9);
}

fn date(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("time");
}
