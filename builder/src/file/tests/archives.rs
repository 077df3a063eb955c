//! `ADD` of archives.

use std::fs;
use std::io::Write;

use graph::{Copy, OwnerSpec, Unpack};
use layer_store::Snapshot;

use super::support::{Bench, bench, copy, identity};
use crate::file::{FileError, FileInput};

/// One entry: type, name, mode, owner, and target or content.
type Entry<'a> = (char, &'a str, u32, u64, &'a str);

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for &(kind, name, mode, owner, text) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner + 1);
        header.set_mtime(1_000_000_000);
        header.set_size(0);
        match kind {
            'f' => {
                header.set_size(text.len() as u64);
                builder.append_data(&mut header, name, text.as_bytes()).expect("file");
            }
            'd' => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, name, std::io::empty()).expect("directory");
            }
            'l' | 'h' => {
                let kind = if kind == 'l' { tar::EntryType::Symlink } else { tar::EntryType::Link };
                header.set_entry_type(kind);
                builder.append_link(&mut header, name, text).expect("link");
            }
            other => panic!("{other}"),
        }
    }
    builder.into_inner().expect("archive")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("gzip");
    encoder.finish().expect("gzip")
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).expect("bzip2");
    encoder.finish().expect("bzip2")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).expect("xz");
    encoder.finish().expect("xz")
}

fn add(source: &str, dest: &str) -> Copy {
    let mut copy = copy(source, dest);
    copy.unpack = Unpack::Detect;
    copy
}

fn run(bench: &Bench, base: &Snapshot, bytes: &[u8], copy: Copy) -> Result<Vec<String>, FileError> {
    let root = bench.directory("context", &[]);
    fs::write(root.join("archive"), bytes).expect("archive");
    bench.copy(base, bench.context(&root, &[]), copy)
}

const ENTRIES: &[Entry<'_>] = &[
    ('d', "./", 0o700, 9, ""),
    ('f', "./a", 0o4755, 1234, "one"),
    ('f', "deep/er/b", 0o600, 5, "two"),
    ('l', "l", 0o777, 6, "a"),
    ('h', "hard", 0o755, 1234, "a"),
];

const UNPACKED: &[&str] = &[
    "dir x 0755 0:0",
    "file x/a 4755 1234:1235 one",
    "dir x/deep 0755 0:0",
    "dir x/deep/er 0755 0:0",
    "file x/deep/er/b 0600 5:6 two",
    "file x/hard 4755 1234:1235 one",
    "link x/l a",
];

#[test]
fn every_compression_is_told_by_content() {
    let Some(bench) = bench() else { return };
    let plain = archive(ENTRIES);
    let zstd = zstd::encode_all(&plain[..], 1).expect("zstd");
    for bytes in [gzip(&plain), bzip2(&plain), xz(&plain), zstd, plain] {
        let made = run(&bench, &Snapshot::default(), &bytes, add("archive", "/x")).expect("unpacked");
        assert_eq!(made, UNPACKED);
    }
}

#[test]
fn what_is_no_archive_is_copied() {
    let Some(bench) = bench() else { return };
    let empty = archive(&[]);
    for bytes in [b"text".to_vec(), Vec::new(), b"BZh".to_vec(), b"BZhello and no archive".to_vec()] {
        let made = run(&bench, &Snapshot::default(), &bytes, add("archive", "/x/")).expect("copied");
        let expected = format!("file x/archive 0644 0:0 {}", String::from_utf8_lossy(&bytes));
        assert_eq!(made, ["dir x 0755 0:0", expected.trim_end()]);
    }
    // What cannot be shown as text.
    for bytes in [gzip(b"text"), gzip(&empty)] {
        let root = bench.directory("context", &[]);
        fs::write(root.join("archive"), &bytes).expect("archive");
        let action = graph::FileAction::Copy(Box::new(add("archive", "/x")));
        let layer =
            bench.layer(&Snapshot::default(), &[bench.context(&root, &[])], &[action]).expect("copied");
        let view = bench.store.stack(&layer).expect("view");
        let held = view.read_file(std::path::Path::new("x"), 1 << 20).expect("file");
        assert_eq!(held, Some(bytes));
    }
    let copied = run(&bench, &Snapshot::default(), &archive(ENTRIES), {
        let mut copy = add("archive", "/x/");
        copy.unpack = Unpack::Never;
        copy.exclude = vec!["*".into()];
        copy
    });
    assert_eq!(copied.expect("copied").len(), 2);
}

#[test]
fn owners() {
    let Some(bench) = bench() else { return };
    let mut owned = add("archive", "/x");
    owned.owner = Some(OwnerSpec { user: "3".into(), group: Some("4".into()) });
    let made = run(&bench, &Snapshot::default(), &archive(&ENTRIES[1..2]), owned).expect("unpacked");
    assert_eq!(made, ["dir x 0755 3:4", "file x/a 4755 3:4 one"]);
}

#[test]
fn onto_what_is_there() {
    let Some(bench) = bench() else { return };
    let base = bench.snapshot(
        &Snapshot::default(),
        &[
            "dir real 0711 7:7",
            "link x real",
            "dir real/deep 0700 1:1",
            "file real/deep/er 0644 0:0 in the way",
            "dir real/a 0755 0:0",
            "file real/a/below 0644 0:0",
            "file real/kept 0644 2:2 kept",
            "link real/inner /deep",
        ],
    );
    let made = run(&bench, &base, &archive(&ENTRIES[1..2]), add("archive", "/x/")).expect("unpacked");
    assert_eq!(made, ["dir real 0711 7:7", "file real/a 4755 1234:1235 one"]);
    let entries = [
        ('d', "deep/er", 0o750, 3, ""),
        ('d', "deep", 0o755, 3, ""),
        ('h', "again", 0o644, 0, "kept"),
        ('f', "inner/f", 0o644, 0, "f"),
    ];
    let made = run(&bench, &base, &archive(&entries), add("archive", "/x")).expect("unpacked");
    assert_eq!(
        made,
        [
            "dir real 0711 7:7",
            "file real/again 0644 2:2 kept",
            "dir real/deep 0755 3:4",
            "dir real/deep/er 0750 3:4",
            "file real/deep/f 0644 0:1 f",
            "file real/kept 0644 2:2 kept",
        ]
    );
}

#[test]
fn directories_that_come_and_go() {
    let Some(bench) = bench() else { return };
    let base = bench.snapshot(&Snapshot::default(), &["dir d 0755 0:0", "file d/old 0644 0:0"]);
    let entries = [('f', "d", 0o644, 0, "file"), ('d', "d", 0o700, 0, ""), ('f', "d/new", 0o644, 0, "new")];
    let root = bench.directory("context", &[]);
    fs::write(root.join("archive"), archive(&entries)).expect("archive");
    let action = graph::FileAction::Copy(Box::new(add("archive", "/")));
    let layer = bench.layer(&base, &[bench.context(&root, &[])], &[action]).expect("unpacked");
    let merged = Snapshot(base.0.into_iter().chain(layer.0).collect());
    assert_eq!(bench.lines(&merged), ["dir d 0700 0:1", "file d/new 0644 0:1 new"]);
}

#[test]
fn refused() {
    let Some(bench) = bench() else { return };
    for (entries, part) in [
        (&[('f', "a/.wh.b", 0o644, 0, "")][..], ".wh."),
        (&[('f', "a", 0o644, 0, ""), ('h', "b", 0o644, 0, "nothing")], "hard link"),
        (&[('f', "a", 0o644, 0, ""), ('f', "a/b", 0o644, 0, "")], "/x/a is not a directory"),
    ] {
        let error =
            run(&bench, &Snapshot::default(), &archive(entries), add("archive", "/x")).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
    }
    let mut cut = archive(&[('f', "a", 0o644, 0, "some text"), ('f', "b", 0o644, 0, "more")]);
    cut.truncate(1024 + 512 + 2);
    assert!(run(&bench, &Snapshot::default(), &cut, add("archive", "/x")).is_err());
}

#[test]
fn from_stages_with_hard_links() {
    let Some(bench) = bench() else { return };
    let text =
        String::from_utf8(archive(&[('f', "a", 0o644, 0, "x"), ('h', "b", 0o644, 0, "a")])).expect("text");
    let line = format!("file archive 0644 0:0 {text}");
    let from = FileInput::Snapshot(bench.snapshot(&Snapshot::default(), &[&line]));
    let action = graph::FileAction::Copy(Box::new(add("archive", "/x")));
    let layer = bench.layer(&Snapshot::default(), &[from], &[action]).expect("unpacked");
    assert_eq!(identity(&bench, &layer, "x/a"), identity(&bench, &layer, "x/b"));
}

#[test]
fn an_entry_without_a_name_is_the_directory_itself() {
    let Some(bench) = bench() else { return };
    let mut bytes = archive(&[('f', "x", 0o644, 1, ""), ('f', "f", 0o644, 7, "new")]);
    bytes[0] = 0;
    let sum: u32 = (0..512).map(|at| if (148..156).contains(&at) { 32 } else { u32::from(bytes[at]) }).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let base = bench.snapshot(&Snapshot::default(), &["dir f 0755 0:0", "file f/old 0644 0:0 old"]);
    let made = run(&bench, &base, &bytes, add("archive", "/")).expect("add");
    assert_eq!(made, ["file f 0644 7:8 new"]);
}
