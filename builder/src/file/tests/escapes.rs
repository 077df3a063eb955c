//! Attempts to read or write outside of a root, from both sides.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::symlink;

use graph::{FileAction, MkFile, OwnerSpec, Unpack};
use layer_store::Snapshot;

use super::support::{bench, copy};
use crate::file::FileInput;

#[test]
fn reading_through_links_of_a_context() {
    let Some(bench) = bench() else { return };
    let outside = bench.directory(
        "outside",
        &["file secret 0644 0:0 secret", "dir dir 0755 0:0", "file dir/secret 0644 0:0 secret"],
    );
    let root = bench.directory("context", &["dir d 0755 0:0"]);
    symlink(outside.join("secret"), root.join("file")).expect("link");
    symlink(&outside, root.join("tree")).expect("link");
    symlink("../../outside/secret", root.join("d/up")).expect("link");
    for source in ["file", "tree", "tree/secret", "tree/dir/*", "d/up", "../outside/secret", "tr*/secret"] {
        let made = bench.copy(&Snapshot::default(), bench.context(&root, &[]), copy(source, "/x"));
        let text = format!("{made:?}");
        assert!(!text.contains("0:0 secret"), "{source}: {text}");
    }
    // As parts of a tree they stay what they are.
    let made = bench.copy(&Snapshot::default(), bench.context(&root, &[]), copy("d", "/x")).expect("copy");
    assert_eq!(made, ["dir x 0755 0:0", "link x/up ../../outside/secret"]);
}

#[test]
fn writing_through_links_of_the_destination() {
    let Some(bench) = bench() else { return };
    let outside = bench.directory("outside", &[]);
    let shown = outside.display().to_string();
    let lines = [
        format!("link abs {shown}"),
        "link up ../../../../../../../..".to_owned(),
        "link loop loop".to_owned(),
        format!("link f {shown}/f"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let base = bench.snapshot(&Snapshot::default(), &lines);
    let from = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), &["file x 0644 0:0 x"]));
    for dest in ["/abs/", "/abs/y", "/up/tmp/", "/f", "/../../../etc/"] {
        bench.copy(&base, from.clone(), copy("x", dest)).expect(dest);
    }
    let file = MkFile { path: "/f".into(), mode: 0o644, owner: None, content: bytes::Bytes::new() };
    bench.run(&base, &[], &[FileAction::MkFile(file)]).expect("made file");
    assert!(bench.copy(&base, from, copy("x", "/loop/")).is_err());
    assert_eq!(fs::read_dir(&outside).expect("listing").count(), 0);
}

#[test]
fn user_files_that_lead_out() {
    let Some(bench) = bench() else { return };
    let outside = bench.directory("outside", &["file passwd 0644 0:0 evil:x:66:66::"]);
    let host = format!("link etc/passwd {}/passwd", outside.display());
    let from = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), &["file x 0644 0:0 x"]));
    for passwd in [
        host.as_str(),
        "link etc/passwd ../../../../etc/passwd",
        "dir etc/passwd 0755 0:0",
        "fifo etc/passwd 0644 0:0",
    ] {
        let base = bench.snapshot(&Snapshot::default(), &["dir etc 0755 0:0", passwd]);
        let mut copy = copy("x", "/x");
        copy.owner = Some(OwnerSpec { user: "evil".into(), group: None });
        // A link that ends nowhere inside the tree is a missing file, and an unknown name counts as root.
        if let Ok(lines) = bench.copy(&base, from.clone(), copy) {
            assert_eq!(passwd, host, "{lines:?}");
            assert!(lines.contains(&"file x 0644 0:0 x".to_owned()), "{lines:?}");
        }
    }
}

#[test]
fn archives_that_lead_out() {
    let Some(bench) = bench() else { return };
    let outside = bench.directory("outside", &["file secret 0644 0:0 secret"]);
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |kind: tar::EntryType, name: &str, target: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().expect("gnu").linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        builder.append(&header, Cursor::new(content)).expect("entry");
    };
    let host = outside.display().to_string();
    add(tar::EntryType::Symlink, "abs", &host, b"");
    add(tar::EntryType::Regular, "abs/written", "", b"w");
    add(tar::EntryType::Symlink, "up", "../../../../../../../../../../../tmp", b"");
    add(tar::EntryType::Regular, "up/written-by-rbuild-test", "", b"w");
    let bytes = builder.into_inner().expect("tar");
    let root = bench.directory("context", &[]);
    fs::write(root.join("a.tar"), bytes).expect("archive");
    let mut copy = copy("a.tar", "/dest/");
    copy.unpack = Unpack::Detect;
    let made = bench.copy(&Snapshot::default(), bench.context(&root, &[]), copy).expect("unpacked");
    assert!(
        made.iter().filter(|line| !line.starts_with("dir dest ")).all(|line| line.contains(" dest/")),
        "{made:#?}"
    );
    assert_eq!(fs::read_dir(&outside).expect("listing").count(), 1);
    assert!(!std::path::Path::new("/tmp/written-by-rbuild-test").exists());
}
