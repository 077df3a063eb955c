//! Archives that want out, or contradict themselves.

use std::path::Path;

use layer_store::tar::{TarReader, TarWriter};
use layer_store::{Attributes, Kind, Snapshot, StoreError};

use crate::support::{directory, file, place, symlink, unpack};

/// Builds an archive with the writer, which does not judge names.
fn archive(build: impl FnOnce(&mut TarWriter<Vec<u8>>)) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    build(&mut tar);
    tar.finish().unwrap()
}

fn add(tar: &mut TarWriter<Vec<u8>>, path: &str, content: &str) {
    let attributes = Attributes { kind: Kind::File { size: content.len() as u64 }, ..file(0o644) };
    tar.file(Path::new(path), &attributes, &mut content.as_bytes()).unwrap();
}

#[test]
fn what_leads_out_is_refused() {
    type Build = fn(&mut TarWriter<Vec<u8>>);
    let cases: &[(&str, Build)] = &[
        ("dots", |tar| add(tar, "../escaped", "x")),
        ("dots inside", |tar| add(tar, "a/../../escaped", "x")),
        ("hard link out", |tar| tar.hardlink("a".as_ref(), "../../escaped".as_ref(), &file(0o644)).unwrap()),
        ("hard link to nothing", |tar| {
            tar.hardlink("a".as_ref(), "etc/absent".as_ref(), &file(0o644)).unwrap()
        }),
        ("hard link to itself", |tar| tar.hardlink("a".as_ref(), "a".as_ref(), &file(0o644)).unwrap()),
        ("hard link to a directory", |tar| {
            tar.entry("d".as_ref(), &directory()).unwrap();
            tar.hardlink("a".as_ref(), "d".as_ref(), &file(0o644)).unwrap();
        }),
        ("through a link", |tar| {
            tar.entry("l".as_ref(), &symlink("/tmp")).unwrap();
            add(tar, "l/escaped", "x");
        }),
        ("through a chain of links", |tar| {
            tar.entry("d".as_ref(), &directory()).unwrap();
            tar.entry("d/up".as_ref(), &symlink("..")).unwrap();
            tar.entry("d/up2".as_ref(), &symlink("up/..")).unwrap();
            add(tar, "d/up2/escaped", "x");
        }),
        ("below a file", |tar| {
            add(tar, "f", "x");
            add(tar, "f/g", "x");
        }),
        ("a whiteout without a name", |tar| add(tar, "d/.wh.", "")),
        ("a whiteout of the directory", |tar| add(tar, "d/.wh..", "")),
        ("a whiteout of the parent", |tar| add(tar, "d/.wh...", "")),
        ("below a whiteout", |tar| add(tar, ".wh.d/x", "")),
        ("the root as a link", |tar| tar.entry("".as_ref(), &symlink("/tmp")).unwrap()),
    ];
    for (name, build) in cases {
        let place = place();
        let bytes = archive(build);
        let error = unpack(&place.lease, &bytes, &Snapshot::default()).expect_err(name);
        assert!(matches!(error, StoreError::Archive { .. } | StoreError::Path { .. }), "{name}: {error}");
        assert!(!place.dir.path().join("escaped").exists() && !Path::new("/tmp/escaped").exists(), "{name}");
        // A refused archive leaves nothing behind.
        assert!(std::fs::read_dir(place.store.root().join("layers")).unwrap().next().is_none(), "{name}");
    }
}

#[test]
fn absolute_names_stay_inside() {
    let place = place();
    let bytes = archive(|tar| {
        tar.entry("/etc".as_ref(), &directory()).unwrap();
        add(tar, "/etc/rbuild-test", "x");
        add(tar, "./top", "y");
    });
    let id = unpack(&place.lease, &bytes, &Snapshot::default()).unwrap();
    let view = place.store.stack(&Snapshot(vec![id])).unwrap();
    assert_eq!(view.read_file("/etc/rbuild-test".as_ref(), 9).unwrap().unwrap(), b"x");
    assert!(!Path::new("/etc/rbuild-test").exists());
}

#[test]
fn hard_links_to_links_never_lead_out() {
    let place = place();
    let secret = place.dir.path().join("secret");
    std::fs::write(&secret, "host").unwrap();
    let bytes = archive(|tar| {
        tar.entry("l".as_ref(), &symlink(secret.to_str().unwrap())).unwrap();
        tar.hardlink("m".as_ref(), "l".as_ref(), &file(0o644)).unwrap();
        add(tar, "m", "image");
    });
    unpack(&place.lease, &bytes, &Snapshot::default()).unwrap();
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "host");
}

#[test]
fn foreign_overlay_marks_do_not_reach_the_kernel() {
    if !crate::support::root() {
        return;
    }
    let place = place();
    let mut marked = directory();
    marked.xattrs.insert("trusted.overlay.opaque".into(), b"y".to_vec());
    marked.xattrs.insert("user.rbuild.attrs".into(), b"{}".to_vec());
    marked.xattrs.insert("user.kept".into(), b"1".to_vec());
    let bytes = archive(|tar| {
        tar.entry("d".as_ref(), &marked).unwrap();
        tar.entry("c".as_ref(), &Attributes::new(Kind::CharDevice { major: 0, minor: 0 }, 0o600)).unwrap();
    });
    let base = crate::support::layer_of(&place.lease, &Snapshot::default(), &[("d/below", "1"), ("c", "2")]);
    let below = Snapshot(vec![base]);
    let id = unpack(&place.lease, &bytes, &below).unwrap();
    let view = place.store.stack(&below.with(id.clone())).unwrap();
    assert!(view.lookup("d/below".as_ref()).unwrap().is_some());
    assert_eq!(view.lookup("d".as_ref()).unwrap().unwrap().attributes.xattrs.len(), 1);
    // The device is kept aside: it deletes nothing, and the archive gives it back.
    let device = view.lookup("c".as_ref()).unwrap().unwrap().attributes;
    assert_eq!(device.kind, Kind::CharDevice { major: 0, minor: 0 });
    assert!(place.store.layer_dir(&id).join("c").is_file());
}

#[test]
fn a_wrong_digest_is_noticed() {
    let place = place();
    let bytes = archive(|tar| add(tar, "a", "x"));
    let other = crate::support::diff_of(b"other");
    assert!(matches!(place.lease.unpack(&mut &bytes[..], &other), Err(StoreError::Mismatch { .. })));
    let truncated = &bytes[..700];
    let diff = crate::support::diff_of(truncated);
    assert!(place.lease.unpack(&mut &truncated[..], &diff).is_err());
}

#[test]
fn a_broken_header_is_noticed() {
    let whole = archive(|tar| add(tar, "name", "content"));
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for at in [0usize, 100, 124, 148, 156, 257] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        cases.push((format!("byte {at}"), bytes));
    }
    cases.push(("no end of the header".to_owned(), whole[..300].to_vec()));
    cases.push(("no end of the content".to_owned(), whole[..515].to_vec()));
    for (name, bytes) in cases {
        let mut reader = TarReader::new(&bytes[..]);
        let mut entries = 0;
        let failed = loop {
            match reader.next_entry() {
                Ok(Some(mut entry)) => {
                    entries += 1;
                    if std::io::copy(&mut entry.body, &mut std::io::sink()).is_err() {
                        break true;
                    }
                }
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(failed, "{name}: {entries} entries");
    }
}
