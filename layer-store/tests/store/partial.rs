//! Blobs that come in two goes.

use std::io::Write;

use layer_store::{Keep, StoreError};
use oci::{Descriptor, Digest, MediaType};

use crate::support::{Place, place};

fn described(bytes: &[u8]) -> Descriptor {
    Descriptor::new(MediaType::Other(String::new()), Digest::sha256(bytes), bytes.len() as u64)
}

#[test]
fn the_next_process_goes_on_where_the_last_was_stopped() {
    let place = place();
    let store = place.store.clone();
    let blob = described(b"first and second");
    let mut writer = store.lease().unwrap().known_blob(&blob).unwrap();
    writer.write_all(b"first ").unwrap();
    drop(writer);
    assert!(store.open_blob(&blob.digest).unwrap().is_none(), "half of it is nothing");

    let lease = store.lease().unwrap();
    let mut writer = lease.known_blob(&blob).unwrap();
    assert_eq!(writer.had().1, 6);
    let mut had = String::new();
    std::io::Read::read_to_string(&mut writer.read_had().unwrap(), &mut had).unwrap();
    assert_eq!(had, "first ");
    // Who comes while it is being written starts a copy of its own.
    assert_eq!(lease.known_blob(&blob).unwrap().had().1, 0);
    writer.write_all(b"and second").unwrap();
    writer.commit_as(&blob).unwrap();
    assert_eq!(store.read_blob(&blob).unwrap().unwrap(), &b"first and second"[..]);
    assert_eq!(parts(&store), 0);
    assert_eq!(lease.known_blob(&blob).unwrap().had().1, 0, "nothing is left of it");
    assert_eq!(parts(&store), 0, "and nothing of who wrote nothing");
}

#[test]
fn parts_of_other_bytes_go() {
    let Place { dir: _dir, store, lease } = place();
    let blob = described(b"right");
    for wrong in [&b"wrong"[..], b"far too long for that"] {
        let mut writer = lease.known_blob(&blob).unwrap();
        writer.write_all(wrong).unwrap();
        let error = writer.commit_as(&blob).unwrap_err();
        assert!(matches!(error, StoreError::Mismatch { .. } | StoreError::Length { .. }), "{error}");
        assert_eq!(parts(&store), 0);
    }
    let mut writer = lease.known_blob(&blob).unwrap();
    writer.write_all(b"longer than it may be").unwrap();
    drop(writer);
    assert_eq!(lease.known_blob(&blob).unwrap().had().1, 0);

    let left = || {
        let mut writer = lease.known_blob(&blob).unwrap();
        writer.write_all(b"ri").unwrap();
        writer
    };
    let held = left();
    store.forget_partial(&blob.digest).unwrap();
    assert_eq!(parts(&store), 1, "not from under who writes it");
    drop(held);
    store.forget_partial(&blob.digest).unwrap();
    assert_eq!(parts(&store), 0);
    drop(left());
    drop(lease);
    assert_eq!(store.collect(Keep::AllRecords).unwrap().blob_bytes, 2);
    assert_eq!(parts(&store), 0);
}

fn parts(store: &layer_store::Store) -> usize {
    std::fs::read_dir(store.root().join("partial")).unwrap().count()
}
