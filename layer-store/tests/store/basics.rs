//! Opening, blobs, records, claims, the index, cache mounts, collection.

use std::io::Write;
use std::time::{Duration, SystemTime};

use layer_store::{
    CacheKey, Keep, Mode, OpenOptions, Packing, Record, ResultId, Sharing, Snapshot, StatKey, Store,
    StoreError,
};
use oci::{Compression, Descriptor, Digest, MediaType};

use crate::support::{archive_of, layer_of, options, place, skip, unpack};

fn record(outputs: Vec<Snapshot>) -> Record {
    Record {
        outputs,
        result: ResultId::random(),
        inputs: Vec::new(),
        components: Vec::new(),
        content: None,
        created: 7,
        millis: 3,
    }
}

#[test]
fn a_store_is_private_and_refuses_other_modes() {
    use std::os::unix::fs::MetadataExt;
    let place = place();
    assert_eq!(std::fs::metadata(place.store.root()).unwrap().mode() & 0o777, 0o700);
    let other = OpenOptions { mode: Mode::Mapped, ..options() };
    assert!(matches!(Store::open(place.store.root(), &other), Err(StoreError::OtherMode { .. })));
    let mut ids = options();
    ids.ids.users.clear();
    assert!(matches!(Store::open(place.store.root(), &ids), Err(StoreError::OtherIds { .. })));
    Store::open(place.store.root(), &options()).unwrap();
    let version = place.store.root().join("version.json");
    let text = std::fs::read_to_string(&version).unwrap().replace("\"format\":1", "\"format\":2");
    std::fs::write(&version, text).unwrap();
    let error = Store::open(place.store.root(), &options()).unwrap_err();
    assert!(matches!(error, StoreError::OtherFormat { found: 2, .. }), "{error}");
}

#[test]
fn access_lists_are_taken_from_its_directories_once() {
    const LIST: &str = "system.posix_acl_default";
    let list: Vec<u8> = [2u32.to_le_bytes().as_slice(), &entry(1, 7), &entry(4, 5), &entry(0x20, 0)].concat();
    let place = place();
    let root = place.store.root().to_owned();
    let give = |dir: &str| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(root.join(dir), LIST, &list, flags)
    };
    let has = |dir: &str| rustix::fs::getxattr(root.join(dir), LIST, &mut [0u8; 100]).is_ok();
    if give("layers").is_err() {
        return skip("a file system with access lists");
    }
    let reopen = || drop(Store::open(&root, &options()).unwrap());
    reopen();
    assert!(has("layers"), "they were looked for again");
    // A store that does not remember it, as older ones do not.
    let version = root.join("version.json");
    let text = std::fs::read_to_string(&version).unwrap();
    assert!(text.contains("plain-directories"), "{text}");
    std::fs::write(&version, text.replace("\"plain-directories\"", "")).unwrap();
    reopen();
    assert!(!has("layers"));
    assert_eq!(std::fs::read_to_string(&version).unwrap(), text);
    // One that is made anew.
    give("").unwrap();
    std::fs::remove_dir(root.join("partial")).unwrap();
    reopen();
    assert!(root.join("partial").is_dir() && !has("partial"));
}

/// An entry of an access list as the kernel has it.
fn entry(tag: u16, permissions: u16) -> [u8; 8] {
    let mut bytes = [0xff; 8];
    bytes[..2].copy_from_slice(&tag.to_le_bytes());
    bytes[2..4].copy_from_slice(&permissions.to_le_bytes());
    bytes
}

#[test]
fn blobs_are_named_by_what_they_are() {
    let place = place();
    let digest = place.lease.put_blob(b"hello").unwrap();
    let blob = Descriptor::new(MediaType::OciConfig, digest.clone(), 5);
    assert!(place.store.has_blob(&blob));
    assert_eq!(place.store.read_blob(&blob).unwrap().unwrap(), "hello");
    let longer = Descriptor { size: 6, ..blob.clone() };
    assert!(!place.store.has_blob(&longer));
    let mut writer = place.lease.blob().unwrap();
    writer.write_all(b"other").unwrap();
    assert!(matches!(writer.commit_as(&blob), Err(StoreError::Mismatch { .. })));
    let mut writer = place.lease.blob().unwrap();
    writer.write_all(b"longer than that").unwrap();
    assert!(matches!(writer.commit_as(&blob), Err(StoreError::Length { .. })));
    std::fs::write(place.store.root().join("blobs/sha256").join(digest.hex()), "jello").unwrap();
    assert!(place.store.read_blob(&blob).unwrap().is_none(), "a damaged blob counts as absent");
    assert_eq!(place.lease.put_blob(b"hello").unwrap(), digest);
    assert_eq!(place.store.read_blob(&blob).unwrap().unwrap(), "hello");
    let absent = Descriptor::new(MediaType::OciConfig, Digest::sha256("absent"), 6);
    assert!(place.store.read_blob(&absent).unwrap().is_none());
}

#[test]
fn sha512_blobs() {
    let place = place();
    let mut hasher = oci::Hasher::new(oci::Algorithm::Sha512);
    hasher.update(b"x");
    let blob = Descriptor::new(MediaType::OciConfig, hasher.finish(), 1);
    let mut writer = place.lease.blob().unwrap();
    writer.write_all(b"x").unwrap();
    writer.commit_as(&blob).unwrap();
    assert!(place.store.has_blob(&blob));
}

#[test]
fn records_need_their_layers() {
    let place = place();
    let id = layer_of(&place.lease, &Snapshot::default(), &[("a", "1")]);
    let (key, record) = (CacheKey([1; 32]), record(vec![Snapshot(vec![id.clone()])]));
    assert!(place.store.record(&key).unwrap().is_none());
    place.lease.put_record(&key, &record).unwrap();
    assert_eq!(place.store.record(&key).unwrap().unwrap(), record);
    std::fs::remove_dir_all(place.store.root().join("layers").join(id.as_str())).unwrap();
    assert!(place.store.record(&key).unwrap().is_none());
}

#[test]
fn layers_of_another_boot_must_have_been_synced() {
    let place = place();
    let base = Snapshot::default();
    let (kept, lost) =
        (layer_of(&place.lease, &base, &[("a", "1")]), layer_of(&place.lease, &base, &[("b", "1")]));
    let mark =
        |id: &layer_store::LayerId| place.store.root().join("layers").join(id.as_str()).join("unsynced");
    assert!(mark(&kept).exists());
    std::fs::write(mark(&lost), "another boot").unwrap();
    // Nothing is known that its files could be compared with.
    place.store.seal(&place.lease).unwrap();
    assert!(!mark(&kept).exists() && mark(&lost).exists());
    assert!(place.store.layer(&kept).unwrap().is_some());
    assert!(place.store.layer(&lost).unwrap().is_none());
    assert!(matches!(place.store.stack(&Snapshot(vec![lost])), Err(StoreError::AbsentLayer { .. })));
}

/// What was not synced may be torn: files that the kernel had not written are empty or short.
#[test]
fn layers_of_another_boot_are_proven_by_their_files() {
    let place = place();
    let files = |name: &str| layer_of(&place.lease, &Snapshot::default(), &[(name, "content"), ("z", "1")]);
    let (whole, torn, forged) = (files("a"), files("b"), files("c"));
    let dir = |id: &layer_store::LayerId| place.store.root().join("layers").join(id.as_str());
    for id in [&whole, &torn, &forged] {
        place.store.content_id(id).unwrap();
        std::fs::write(dir(id).join("unsynced"), "another boot").unwrap();
    }
    std::fs::write(dir(&torn).join("fs/b"), "").unwrap();
    std::fs::write(dir(&forged).join("fs/c"), "tnetnoc").unwrap();
    let there = |id: &layer_store::LayerId| place.store.layer(id).unwrap().is_some();
    for _ in 0..2 {
        assert_eq!([there(&whole), there(&torn), there(&forged)], [true, false, false]);
    }
    // It is decided once.
    std::fs::write(dir(&torn).join("fs/b"), "content").unwrap();
    assert!(!there(&torn));
    place.store.seal(&place.lease).unwrap();
    assert!(!dir(&whole).join("unsynced").exists());
    let damaged = place.store.check(layer_store::Repair::Yes).unwrap();
    assert_eq!(damaged.len(), 2, "{damaged:?}");
    assert!(there(&whole) && !dir(&torn).exists());
}

#[test]
fn what_can_be_proven_later_is_not_synced_at_the_end_of_a_build() {
    for (old, synced) in [(false, false), (true, true)] {
        let place = place();
        let id = layer_of(&place.lease, &Snapshot::default(), &[("a", "1")]);
        let dir = place.store.root().join("layers").join(id.as_str());
        let mark = dir.join("unsynced");
        if old {
            let done = std::process::Command::new("touch").args(["-d", "1 hour ago"]).arg(&mark).status();
            assert!(done.unwrap().success());
        }
        place.store.settle(&place.lease).unwrap();
        assert_eq!(!mark.exists(), synced, "{old}");
        std::fs::write(dir.join("fs/a"), "2").unwrap();
        std::fs::write(mark, "another boot").unwrap();
        assert_eq!(place.store.layer(&id).unwrap(), None);
    }
}

/// What a warm build finds has been synced or proven; its documents are blobs.
#[test]
fn blobs_alone_are_not_synced_at_the_end_of_a_build() {
    let place = place();
    let digest = place.lease.put_blob(b"{}").unwrap();
    let marks = || {
        let boots = std::fs::read_dir(place.store.root().join("unsynced")).unwrap();
        boots.flat_map(|boot| std::fs::read_dir(boot.unwrap().path()).unwrap()).count()
    };
    place.store.settle(&place.lease).unwrap();
    assert_eq!(marks(), 1, "{digest}");
    place.store.seal(&place.lease).unwrap();
    assert_eq!(marks(), 0);
}

/// The digests of files of an image's layer are noted while they are unpacked.
#[test]
fn layers_of_images_are_proven_by_their_files() {
    let place = place();
    let nothing = Snapshot::default();
    let source = layer_of(&place.lease, &nothing, &[("a/b", "content"), ("c", ""), ("d", "more")]);
    let archive = archive_of(&place.lease, &source, &nothing);
    let unpacked = || unpack(&place.lease, &archive, &nothing).unwrap();
    let id = unpacked();
    let dir = place.store.root().join("layers").join(id.as_str());
    for (torn, there) in [(None, true), (Some("a/b"), false), (Some("d"), false)] {
        place.store.settle(&place.lease).unwrap();
        assert!(dir.join("unsynced").exists());
        std::fs::write(dir.join("unsynced"), "").unwrap();
        if let Some(file) = torn {
            std::fs::write(dir.join("fs").join(file), "").unwrap();
        }
        assert_eq!(place.store.layer(&id).unwrap().is_some(), there, "{torn:?}");
        // It is unpacked again where it is torn.
        assert!(place.store.layer(&unpacked()).unwrap().is_some(), "{torn:?}");
    }
    std::fs::write(dir.join("fs/d"), "MORE").unwrap();
    let damage = place.store.check(layer_store::Repair::No).unwrap();
    assert_eq!(damage.len(), 1, "{damage:?}");
}

#[test]
fn a_damaged_index_costs_records_only() {
    let place = place();
    let id = layer_of(&place.lease, &Snapshot::default(), &[("a", "1")]);
    place.lease.put_record(&CacheKey([1; 32]), &record(vec![Snapshot(vec![id.clone()])])).unwrap();
    let root = place.store.root().to_owned();
    drop(place.lease);
    drop(place.store);
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(root.join(format!("index.db{suffix}")));
    }
    std::fs::write(root.join("index.db"), vec![b'x'; 8192]).unwrap();
    let store = Store::open(&root, &options()).unwrap();
    assert_eq!(store.take_notices().len(), 1);
    assert!(store.record(&CacheKey([1; 32])).unwrap().is_none());
    assert!(store.layer(&id).unwrap().is_some());
    std::fs::remove_file(root.join("index.db")).unwrap();
    let store = Store::open(&root, &options()).unwrap();
    assert!(store.layer(&id).unwrap().is_some());
}

#[test]
fn claims_exclude_threads_and_end_with_their_value() {
    let place = place();
    let key = CacheKey([9; 32]);
    let claim = place.store.claim(&key).unwrap();
    assert!(place.store.try_claim(&key).unwrap().is_none());
    let store = place.store.clone();
    let waiter = std::thread::spawn(move || store.claim(&key).map(drop));
    std::thread::sleep(Duration::from_millis(20));
    assert!(!waiter.is_finished());
    drop(claim);
    waiter.join().unwrap().unwrap();
    drop(place.store.try_claim(&key).unwrap().unwrap());
    assert!(!place.store.root().join("locks").join(format!("claim-{key}")).exists());
}

#[test]
fn files_of_a_group_are_told_apart() {
    let place = place();
    let index = place.store.stat_index();
    let key = |ino| StatKey { dev: 1, ino, size: 3, mtime: 5, ctime: 7, mode: 0o100_644 };
    let digest = |key: &StatKey| *blake3::hash(&key.ino.to_le_bytes()).as_bytes();
    let all: Vec<StatKey> = (0..3000).map(key).collect();
    let entries: Vec<_> = all.iter().map(|key| (*key, digest(key))).collect();
    index.put_many(&entries, SystemTime::now()).unwrap();
    let known: Vec<_> = all.iter().map(|key| Some(digest(key))).collect();
    // Found together; with one that is new, gone or changed; the second look is at groups made by the first.
    let mut changed = all.clone();
    changed[1500].mtime = 6;
    let mut new = known.clone();
    new[1500] = None;
    let fewer = [&all[..700], &all[701..]].concat();
    let fewer_known = [&known[..700], &known[701..]].concat();
    for _ in 0..2 {
        assert_eq!(index.get_many(&all).unwrap(), known);
        assert_eq!(index.get_many(&changed).unwrap(), new);
        assert_eq!(index.get_many(&fewer).unwrap(), fewer_known);
    }
}

#[test]
fn racy_files_are_not_indexed() {
    let place = place();
    let index = place.store.stat_index();
    let key = |ino, age: u64| {
        let time = SystemTime::now() - Duration::from_secs(age);
        let nanos = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64;
        StatKey { dev: u64::MAX, ino, size: 3, mtime: nanos, ctime: nanos, mode: 0o100_644 }
    };
    let (old, new) = (key(1, 60), key(2, 0));
    index.put_many(&[(old, [1; 32]), (new, [2; 32])], SystemTime::now()).unwrap();
    let changed = StatKey { size: 4, ..old };
    assert_eq!(index.get_many(&[old, new, changed]).unwrap(), [Some([1; 32]), None, None]);
}

#[test]
fn cache_mounts_share_as_asked() {
    let place = place();
    let one = place.lease.cache_mount("x", Sharing::Shared).unwrap();
    let two = place.lease.cache_mount("x", Sharing::Shared).unwrap();
    assert!(one.is_new() && !two.is_new());
    assert_eq!(one.dir(), two.dir());
    let own = place.lease.cache_mount("x", Sharing::Private).unwrap();
    assert_ne!(own.dir(), one.dir());
    drop((one, two));
    let locked = place.lease.cache_mount("x", Sharing::Locked).unwrap();
    let lease = place.lease.clone();
    let waiter = std::thread::spawn(move || lease.cache_mount("x", Sharing::Locked).map(drop));
    std::thread::sleep(Duration::from_millis(20));
    assert!(!waiter.is_finished());
    drop(locked);
    waiter.join().unwrap().unwrap();
    assert_eq!(place.store.remove_cache_mounts().unwrap(), 1);
}

#[test]
fn collection_keeps_what_is_referred_to() {
    let place = place();
    let base = Snapshot::default();
    let used = layer_of(&place.lease, &base, &[("a", "1")]);
    let unused = layer_of(&place.lease, &base, &[("b", "1")]);
    place.lease.put_record(&CacheKey([1; 32]), &record(vec![Snapshot(vec![used.clone()])])).unwrap();
    let gzip = Packing { compression: Compression::Gzip, ..Packing::PLAIN };
    let packed = place.lease.pack(&used, &base, &gzip).unwrap();
    let gone = place.lease.pack(&unused, &base, &gzip).unwrap();
    // A live lease keeps everything.
    assert_eq!(place.store.collect(Keep::AllRecords).unwrap().layers, 0);
    let store = place.store.clone();
    drop(place.lease);
    let collected = store.collect(Keep::AllRecords).unwrap();
    assert_eq!((collected.layers, collected.blobs), (1, 1));
    assert!(store.layer(&used).unwrap().is_some() && store.layer(&unused).unwrap().is_none());
    assert!(store.has_blob(&packed.descriptor()) && !store.has_blob(&gone.descriptor()));
    let collected = store.collect(Keep::NoRecords).unwrap();
    assert_eq!((collected.layers, collected.records), (1, 1));
    assert!(std::fs::read_dir(store.root().join("tmp")).unwrap().next().is_none());
}

/// A process answers for what it made or uses, not for the whole store.
#[test]
fn sealing_covers_what_the_lease_made_or_uses() {
    let place = place();
    let base = Snapshot::default();
    let other = place.store.lease().unwrap();
    let (own, used, foreign) = (
        layer_of(&place.lease, &base, &[("a", "1")]),
        layer_of(&other, &base, &[("b", "1")]),
        layer_of(&other, &base, &[("c", "1")]),
    );
    let key = CacheKey([3; 32]);
    other.put_record(&key, &record(vec![Snapshot(vec![used.clone()])])).unwrap();
    assert!(place.lease.record(&key).unwrap().is_some());
    place.store.seal(&place.lease).unwrap();
    let marked = |id: &layer_store::LayerId| {
        place.store.root().join("layers").join(id.as_str()).join("unsynced").exists()
    };
    assert_eq!([marked(&own), marked(&used), marked(&foreign)], [false, false, true]);
}
