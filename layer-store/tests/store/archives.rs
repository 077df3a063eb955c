//! Other programs read what we write, and we read what they write.

use std::path::Path;
use std::process::Command;

use layer_store::tar::TarReader;
use layer_store::{Attributes, Content, Kind, Snapshot, Time};

use crate::support::{
    archive_of, assert_same, directory, file, place, root, symlink, tree_at, tree_of, unpack,
};

fn program(name: &str) -> bool {
    let found = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin", "/root/.pyenv/shims"]
        .iter()
        .any(|dir| Path::new(dir).join(name).exists());
    if !found {
        crate::support::skip(name);
    }
    found
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A layer with everything that is hard to say in an archive.
fn rich_layer(place: &crate::support::Place) -> Snapshot {
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    let long = "n".repeat(255);
    let mut dir = directory();
    dir.mode = 0o1777;
    writer.directory("d".as_ref(), &dir).unwrap();
    let deep: String = (0..20).map(|number| format!("directory-{number}/")).collect();
    writer.file(format!("{deep}leaf").as_ref(), &file(0o4755), Content::Bytes(b"setuid")).unwrap();
    writer.file(Path::new("d").join(&long).as_path(), &file(0o600), Content::Bytes(b"long")).unwrap();
    let raw = std::os::unix::ffi::OsStrExt::from_bytes(b"d/\xff\xfe\n");
    writer.file(Path::new::<std::ffi::OsStr>(raw), &file(0o644), Content::Bytes(b"raw")).unwrap();
    let mut owned = file(0o640);
    (owned.uid, owned.gid) = (3_000_000, 2_097_152);
    owned.mtime = Time { secs: -86_400, nanos: 0 };
    owned.xattrs.insert("user.note".into(), b"a\0b\n".to_vec());
    writer.file("d/owned".as_ref(), &owned, Content::Bytes(b"owned")).unwrap();
    writer.hardlink("d/again".as_ref(), "d/owned".as_ref()).unwrap();
    writer.symlink("d/loop".as_ref(), &symlink("loop")).unwrap();
    writer.symlink("d/far".as_ref(), &symlink(&format!("/{}", "t".repeat(200)))).unwrap();
    writer.special("d/pipe".as_ref(), &Attributes::new(Kind::Fifo, 0o622)).unwrap();
    writer
        .special("d/null".as_ref(), &Attributes::new(Kind::CharDevice { major: 1, minor: 3 }, 0o666))
        .unwrap();
    writer.file("d/empty".as_ref(), &file(0), Content::Bytes(b"")).unwrap();
    Snapshot(vec![writer.commit().unwrap()])
}

#[test]
fn others_read_what_we_write() {
    if !root() {
        return;
    }
    let place = place();
    let snapshot = rich_layer(&place);
    let expected = tree_of(&place.store.stack(&snapshot).unwrap());
    let archive = place.dir.path().join("layer.tar");
    std::fs::write(&archive, archive_of(&place.lease, &snapshot.0[0], &Snapshot::default())).unwrap();
    for name in ["tar", "bsdtar", "python3"] {
        if !program(name) {
            continue;
        }
        let out = place.dir.path().join(name);
        std::fs::create_dir(&out).unwrap();
        let script = "import sys,tarfile; t=tarfile.open(sys.argv[1]); t.extraction_filter=tarfile.fully_trusted_filter if hasattr(tarfile,'fully_trusted_filter') else None; t.extractall(sys.argv[2])";
        match name {
            "tar" => run(Command::new(name)
                .args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
                .arg(&archive)
                .arg("-C")
                .arg(&out)),
            "bsdtar" => run(Command::new(name)
                .env("LC_ALL", "C.UTF-8")
                .args(["--numeric-owner", "-xpf"])
                .arg(&archive)
                .arg("-C")
                .arg(&out)),
            _ => run(Command::new(name).args(["-c", script]).arg(&archive).arg(&out)),
        };
        let mut found = tree_at(&out);
        let mut expected = expected.clone();
        if name == "python3" {
            // It knows no extended attributes, and dates only files.
            for tree in [&mut found, &mut expected] {
                tree.values_mut().for_each(|seen| {
                    seen.xattrs.clear();
                    seen.mtime *= i64::from(seen.kind == "file");
                });
            }
        }
        assert_same(&found, &expected, name);
    }
}

#[test]
fn we_read_what_others_write() {
    if !root() {
        return;
    }
    let place = place();
    let snapshot = rich_layer(&place);
    let source = place.store.layer_dir(&snapshot.0[0]);
    let expected = tree_at(&source);
    let formats: &[(&str, &[&str])] = &[
        ("tar", &["--format=gnu", "--numeric-owner"]),
        ("tar", &["--format=posix", "--xattrs", "--xattrs-include=user.*", "--numeric-owner"]),
        ("tar", &["--format=posix", "--pax-option=globexthdr.name=g,comment=x", "--numeric-owner"]),
        ("bsdtar", &["--format=pax", "--xattrs", "--numeric-owner"]),
    ];
    for (number, (name, arguments)) in formats.iter().enumerate() {
        if !program(name) {
            continue;
        }
        let archive = place.dir.path().join(format!("{number}.tar"));
        run(Command::new(name).args(*arguments).arg("-cf").arg(&archive).arg("-C").arg(&source).arg("."));
        let id = unpack(&place.lease, &std::fs::read(&archive).unwrap(), &Snapshot::default()).unwrap();
        let mut found = tree_at(&place.store.layer_dir(&id));
        let mut expected = expected.clone();
        if !arguments.contains(&"--xattrs") {
            for tree in [&mut found, &mut expected] {
                tree.values_mut().for_each(|seen| seen.xattrs.clear());
            }
        }
        assert_same(&found, &expected, &format!("{name} {arguments:?}"));
    }
}

#[test]
fn sparse_files_of_every_format() {
    if !program("tar") {
        return;
    }
    let place = place();
    let source = place.dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let holes = std::fs::File::create(source.join("holes")).unwrap();
    holes.set_len(50 << 20).unwrap();
    // More parts than one header holds.
    for part in 0..40u64 {
        std::os::unix::fs::FileExt::write_all_at(&holes, format!("part {part}").as_bytes(), part << 20)
            .unwrap();
    }
    std::fs::write(source.join("after"), "after").unwrap();
    let formats: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ];
    let expected = std::fs::read(source.join("holes")).unwrap();
    for arguments in formats {
        let archive = place.dir.path().join("sparse.tar");
        run(Command::new("tar")
            .args(arguments)
            .arg("-Scf")
            .arg(&archive)
            .arg("-C")
            .arg(&source)
            .args(["holes", "after"]));
        let bytes = std::fs::read(&archive).unwrap();
        assert!(bytes.len() < 10 << 20, "{arguments:?}");
        let id = unpack(&place.lease, &bytes, &Snapshot::default()).unwrap();
        let dir = place.store.layer_dir(&id);
        assert!(std::fs::read(dir.join("holes")).unwrap() == expected, "{arguments:?}");
        assert_eq!(std::fs::read_to_string(dir.join("after")).unwrap(), "after");
        let mut reader = TarReader::new(&bytes[..]);
        let mut entry = reader.next_entry().unwrap().unwrap();
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut entry.body, &mut body).unwrap();
        assert!(body == expected, "{arguments:?}, as a stream");
    }
}

#[test]
fn huge_holes_cost_little() {
    let place = place();
    let host = place.dir.path().join("lastlog");
    let holes = std::fs::File::create(&host).unwrap();
    holes.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"x", 63 << 20).unwrap();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    writer
        .file("lastlog".as_ref(), &file(0o644), Content::File(&std::fs::File::open(&host).unwrap()))
        .unwrap();
    let id = writer.commit().unwrap();
    let archive = place.dir.path().join("layer.tar");
    let mut sink = std::fs::File::create(&archive).unwrap();
    place.lease.pack_into(&id, &Snapshot::default(), &layer_store::Packing::PLAIN, &mut sink).unwrap();
    assert!(std::fs::metadata(&archive).unwrap().len() > 64 << 20);
    let diff = place.lease.diff_id(&id).unwrap();
    place.lease.unpack(&mut std::fs::File::open(&archive).unwrap(), &diff).unwrap();
    let unpacked = place.store.layer_dir(&layer_store::LayerId::from_diff(&diff)).join("lastlog");
    let metadata = std::fs::metadata(unpacked).unwrap();
    assert_eq!(metadata.len(), 64 << 20);
    assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) < 1000);
}

#[test]
fn an_empty_layer_is_two_empty_blocks() {
    let place = place();
    let id = place.lease.write_layer(&Snapshot::default()).unwrap().commit().unwrap();
    assert_eq!(archive_of(&place.lease, &id, &Snapshot::default()), vec![0; 1024]);
}

/// As others do: what an image's archive says of its root counts for who looks here, and no archive of ours says
/// anything of it, as none of BuildKit's does.
#[test]
fn attributes_of_the_root_are_read_and_never_written() {
    if !root() {
        return;
    }
    let place = place();
    let mut tar = layer_store::tar::TarWriter::new(Vec::new());
    let mut top = directory();
    (top.mode, top.uid) = (0o711, 5);
    tar.entry(Path::new("."), &top).unwrap();
    tar.entry("d".as_ref(), &directory()).unwrap();
    let layer = unpack(&place.lease, &tar.finish().unwrap(), &Snapshot::default()).unwrap();
    let entry =
        place.store.stack(&Snapshot(vec![layer.clone()])).unwrap().lookup("".as_ref()).unwrap().unwrap();
    assert_eq!((entry.attributes.mode, entry.attributes.uid), (0o711, 5));
    let archive = archive_of(&place.lease, &layer, &Snapshot::default());
    let mut reader = TarReader::new(&archive[..]);
    assert_eq!(reader.next_entry().unwrap().unwrap().path, Path::new("d/"));
    assert!(reader.next_entry().unwrap().is_none());
}

#[test]
fn entries_come_in_canonical_order() {
    let place = place();
    let base = crate::support::layer_of(
        &place.lease,
        &Snapshot::default(),
        &[("z/old", "1"), ("b", "1"), ("gone/x", "1")],
    );
    let below = Snapshot(vec![base]);
    let mut writer = place.lease.write_layer(&below).unwrap();
    writer.file("z/new".as_ref(), &file(0o644), Content::Bytes(b"1")).unwrap();
    writer.file("a".as_ref(), &file(0o644), Content::Bytes(b"1")).unwrap();
    writer.remove("z/old".as_ref()).unwrap();
    writer.remove("b".as_ref()).unwrap();
    writer.remove("gone".as_ref()).unwrap();
    writer.directory("gone".as_ref(), &directory()).unwrap();
    let id = writer.commit().unwrap();
    let bytes = archive_of(&place.lease, &id, &below);
    let mut reader = TarReader::new(&bytes[..]);
    let mut names = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        names.push(entry.path.to_string_lossy().into_owned());
    }
    assert_eq!(names, [".wh.b", "a", "gone/", "gone/.wh.x", "z/", "z/.wh.old", "z/new"]);
}

#[test]
fn compressed_bytes_are_the_same_every_time() {
    use layer_store::{ArchiveTimes, Packing};
    use oci::Compression;
    let place = place();
    let text = "some text that compresses well\n".repeat(100_000);
    let one = crate::support::layer_of(&place.lease, &Snapshot::default(), &[("a", &text)]);
    let two = crate::support::layer_of(&place.lease, &Snapshot::default(), &[("a", &text)]);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let how = Packing { compression, ..Packing::PLAIN };
        let packed = place.lease.pack(&one, &Snapshot::default(), &how).unwrap();
        assert_eq!(packed, place.lease.pack(&two, &Snapshot::default(), &how).unwrap());
        assert_eq!(packed.diff_id, place.lease.diff_id(&one).unwrap());
        let tester = match compression {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        };
        if let Some(tester) = tester.filter(|tester| program(tester)) {
            let blob = place.store.open_blob(&packed.digest).unwrap().unwrap();
            run(Command::new(tester).arg("-t").stdin(blob));
        }
        let blob = place.store.open_blob(&packed.digest).unwrap().unwrap();
        let mut stream = layer_store::open_layer_stream(compression, Box::new(blob));
        place.lease.unpack(&mut stream, &packed.diff_id).unwrap();
        assert!(place.lease.known_blobs(&one).unwrap().contains(&packed.descriptor()));
    }
    let clamped = Packing { times: ArchiveTimes::NotAfter(5), ..Packing::PLAIN };
    let packed = place.lease.pack(&one, &Snapshot::default(), &clamped).unwrap();
    assert_ne!(packed.diff_id, place.lease.diff_id(&one).unwrap());
    let blob = place.store.open_blob(&packed.digest).unwrap().unwrap();
    let mut reader = TarReader::new(blob);
    assert_eq!(reader.next_entry().unwrap().unwrap().attributes.mtime, Time { secs: 5, nanos: 0 });
    let late = 4_000_000_000;
    let set = Packing { times: ArchiveTimes::Exactly(late), ..Packing::PLAIN };
    let packed = place.lease.pack(&one, &Snapshot::default(), &set).unwrap();
    assert_ne!(packed.diff_id, place.lease.diff_id(&one).unwrap());
    let mut reader = TarReader::new(place.store.open_blob(&packed.digest).unwrap().unwrap());
    while let Some(entry) = reader.next_entry().unwrap() {
        assert_eq!(entry.attributes.mtime.secs, late, "{}", entry.path.display());
    }
    assert_eq!(place.lease.pack(&one, &Snapshot::default(), &set).unwrap(), packed);
}
