//! Long work ends early when that is asked for, and leaves nothing.

use std::fs::File;
use std::io::{self, Read, Write};

use layer_store::{Content, Packing, Snapshot, Store, StoreError};

use crate::support::{archive_of, diff_of, file, layer_of, place};

/// Never ends; asks to stop after its first piece.
struct Endless<'a>(&'a Store);

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(1);
        self.0.stop();
        Ok(buffer.len())
    }
}

/// Asks to stop when the first piece arrives.
struct Sink<'a>(&'a Store);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.stop();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stopped(error: &StoreError) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) == Some(canceled()) {
            return true;
        }
        next = error.source();
    }
    false
}

fn canceled() -> i32 {
    rustix::io::Errno::CANCELED.raw_os_error()
}

#[test]
fn a_stream_that_is_copied_ends() {
    let place = place();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    let content = Content::Reader(&mut Endless(&place.store));
    let error = writer.file("f".as_ref(), &file(0o644), content).unwrap_err();
    assert!(stopped(&error), "{error:?}");
    let error = writer.file("g".as_ref(), &file(0o644), Content::Bytes(b"1")).unwrap_err();
    assert!(stopped(&error), "{error:?}");
    drop(writer);
    let left = std::fs::read_dir(place.dir.path().join("store/tmp")).unwrap().flatten();
    let left: Vec<_> = left.flat_map(|own| std::fs::read_dir(own.path()).unwrap().flatten()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_that_is_copied_ends() {
    let place = place();
    let path = place.dir.path().join("large");
    std::fs::write(&path, vec![1; 1 << 20]).unwrap();
    let mut writer = place.lease.write_layer(&Snapshot::default()).unwrap();
    let from = File::open(&path).unwrap();
    writer.file("f".as_ref(), &file(0o644), Content::File(&from)).unwrap();
    place.store.stop();
    let error = writer.file("g".as_ref(), &file(0o644), Content::File(&from)).unwrap_err();
    assert!(stopped(&error), "{error:?}");
}

#[test]
fn packing_and_unpacking_end() {
    let source = place();
    let large = "x".repeat(4 << 20);
    let id = layer_of(&source.lease, &Snapshot::default(), &[("f", &large)]);
    let archive = archive_of(&source.lease, &id, &Snapshot::default());
    let error = source
        .lease
        .pack_into(
            &id,
            &Snapshot::default(),
            &Packing { level: None, ..Packing::PLAIN },
            &mut Sink(&source.store),
        )
        .unwrap_err();
    assert!(stopped(&error), "{error:?}");
    let target = place();
    let mut tar = (&archive[..1 << 20]).chain(Endless(&target.store));
    let error = target.lease.unpack(&mut tar, &diff_of(&archive)).unwrap_err();
    assert!(stopped(&error), "{error:?}");
}
