//! Files that are nearly all zeros: they cost what they hold, in the store and in archives.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use layer_store::{Content, LayerId, Packing, Snapshot};
use oci::Compression;

use crate::support::{Place, archive_of, file, place, unpack};

const TIB: u64 = 1 << 40;

/// A layer with a file of that length that has a few bytes at these places.
fn layer_with(place: &Place, name: &str, size: u64, marks: &[u64]) -> LayerId {
    let host = place.dir.path().join("source");
    let source = File::create(&host).unwrap();
    source.set_len(size).unwrap();
    for at in marks {
        source.write_all_at(b"mark", *at).unwrap();
    }
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    let source = File::open(&host).unwrap();
    writer.file(name.as_ref(), &file(0o644), Content::File(&source)).unwrap();
    writer.commit().unwrap()
}

fn assert_sparse(path: &Path, size: u64, marks: &[u64]) {
    let found = File::open(path).unwrap();
    let metadata = found.metadata().unwrap();
    assert_eq!(metadata.len(), size, "{path:?}");
    assert!(metadata.blocks() * 512 < 32 << 20, "{path:?} takes {} blocks", metadata.blocks());
    for at in marks {
        let mut bytes = [0; 4];
        found.read_exact_at(&mut bytes, *at).unwrap();
        assert_eq!(&bytes, b"mark", "{path:?} at {at}");
    }
}

#[test]
fn two_tebibytes_of_nothing_cost_nothing() {
    let place = place();
    let marks = [0, 5 << 30, 2 * TIB - 4];
    // The name is as long as names get, and needs its own record.
    let name = format!("var/log/{}", "l".repeat(255));
    let id = layer_with(&place, &name, 2 * TIB, &marks);
    let bytes = archive_of(&place.lease, &id, &Snapshot::default());
    assert!(bytes.len() < 8 << 20, "{}", bytes.len());
    let again = unpack(&place.lease, &bytes, &Snapshot::default()).unwrap();
    assert_sparse(&place.store.layer_dir(&again).join(&name), 2 * TIB, &marks);
    assert_eq!(archive_of(&place.lease, &again, &Snapshot::default()), bytes);
    assert_eq!(place.store.content_id(&id).unwrap(), place.store.content_id(&again).unwrap());
    let gzip = Packing { compression: Compression::Gzip, ..Packing::PLAIN };
    assert!(place.lease.pack(&id, &Snapshot::default(), &gzip).unwrap().size < 1 << 20);
}

#[test]
fn others_read_our_sparse_files() {
    let place = place();
    let (size, marks) = (3 << 30, [1 << 30, (2 << 30) + 7]);
    let id = layer_with(&place, "d/lastlog", size, &marks);
    let archive = place.dir.path().join("layer.tar");
    std::fs::write(&archive, archive_of(&place.lease, &id, &Snapshot::default())).unwrap();
    let python = "import sys,tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])";
    for program in ["tar", "bsdtar", "python3"] {
        let out = place.dir.path().join(program);
        std::fs::create_dir(&out).unwrap();
        let mut command = Command::new(program);
        match program {
            "python3" => command.args(["-c", python]).arg(&archive).arg(&out),
            _ => command.arg("-xf").arg(&archive).arg("-C").arg(&out),
        };
        match command.output() {
            Err(_) => crate::support::skip(program),
            Ok(output) => {
                assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
                assert_sparse(&out.join("d/lastlog"), size, &marks);
            }
        }
    }
}

#[test]
fn content_alone_decides_what_is_sparse() {
    let place = place();
    let size = (1 << 30) + (2 << 20);
    let holes = layer_with(&place, "f", size, &[size - 4]);
    // The same bytes, some of the zeros written out.
    let host = place.dir.path().join("written");
    let written = File::create(&host).unwrap();
    written.set_len(size).unwrap();
    written.write_all_at(&vec![0; 3 << 20], 5 << 20).unwrap();
    written.write_all_at(b"mark", size - 4).unwrap();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    let source = File::open(&host).unwrap();
    writer.file("f".as_ref(), &file(0o644), Content::File(&source)).unwrap();
    let written = writer.commit().unwrap();
    let archive = archive_of(&place.lease, &holes, &Snapshot::default());
    assert!(archive.len() < 4 << 20);
    assert_eq!(archive, archive_of(&place.lease, &written, &Snapshot::default()));
}
