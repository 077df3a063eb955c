//! Flipped bytes and full disks: the next command works, and the check names what is damaged.

use std::path::{Path, PathBuf};

use layer_store::{
    CacheKey, Keep, LayerId, Origin, Packing, Record, Repair, ResultId, Snapshot, Store, StoredImage,
    StoredVariant,
};
use oci::{Compression, Descriptor, MediaType, Platform};

use crate::support::{Place, archive_of, diff_of, layer_of, options, place, root, unpack};

const KEY: CacheKey = CacheKey([7; 32]);

/// A store with an image, whose one layer came with its blob, and a step upon it.
fn full(place: &Place) -> (LayerId, LayerId) {
    let lease = &place.lease;
    let nothing = Snapshot::default();
    let source = layer_of(lease, &nothing, &[("a/b", "some content"), ("c", "more of it")]);
    let archive = archive_of(lease, &source, &nothing);
    let pulled = unpack(lease, &archive, &nothing).unwrap();
    let blob = lease.put_blob(&archive).unwrap();
    let blob = Descriptor::new(MediaType::OciLayer(Compression::None), blob, archive.len() as u64);
    lease.adopt_blob(&pulled, &blob).unwrap();
    let base = Snapshot(vec![pulled.clone()]);
    let step = layer_of(lease, &base, &[("d", "made by a step")]);
    assert_eq!(lease.diff_id(&step).unwrap(), diff_of(&archive_of(lease, &step, &base)));
    lease.pack(&step, &base, &Packing { compression: Compression::Gzip, ..Packing::PLAIN }).unwrap();
    let config = lease.put_blob(b"{}").unwrap();
    let variant = StoredVariant {
        platform: Platform::host(),
        config: Descriptor::new(MediaType::OciConfig, config, 2),
        manifest: None,
        snapshot: base.with(step.clone()),
    };
    let image = StoredImage { created: 1, index: None, variants: vec![variant] };
    place.store.seal(lease).unwrap();
    place.store.tag(&"example.test/app:1".parse().unwrap(), &image).unwrap();
    let record = Record {
        outputs: vec![base.with(step.clone())],
        result: ResultId::random(),
        inputs: Vec::new(),
        components: Vec::new(),
        content: None,
        created: 1,
        millis: 1,
    };
    lease.put_record(&KEY, &record).unwrap();
    (pulled, step)
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if std::fs::metadata(&path).unwrap().len() > 0 {
            found.push(path);
        }
    }
}

/// What every command does first, and a build after that.
fn next_command(root: &Path) -> Store {
    let store = Store::open(root, &options()).unwrap();
    let lease = store.lease().unwrap();
    store.images().unwrap();
    store.image(&"example.test/app:1".parse().unwrap()).unwrap();
    if let Some(record) = store.record(&KEY).unwrap() {
        let view = store.stack(&record.outputs[0]).unwrap();
        view.read_dir("".as_ref()).unwrap();
    }
    layer_of(&lease, &Snapshot::default(), &[("new", "1")]);
    lease.put_blob(b"{}").unwrap();
    store.seal(&lease).unwrap();
    store
}

#[test]
fn a_flipped_byte_costs_what_it_hit() {
    let place = place();
    full(&place);
    let root = place.store.root().to_owned();
    assert_eq!(place.store.check(Repair::No).unwrap(), []);
    let Place { dir, store, lease } = place;
    drop((store, lease));
    let mut all = Vec::new();
    files(&root, &mut all);
    // What says whose store it is cannot be guessed: that one is refused, by name.
    all.retain(|path| !path.ends_with("version.json") && !path.to_string_lossy().contains("-shm"));
    assert!(all.len() > 12, "{all:?}");
    for path in all {
        let whole = std::fs::read(&path).unwrap();
        let relative = path.strip_prefix(&root).unwrap();
        let first = relative.iter().next().unwrap().to_string_lossy().into_owned();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x11;
            std::fs::write(&path, &bytes).unwrap();
            let store = next_command(&root);
            let found = store.check(Repair::No).unwrap();
            let healed = std::fs::read(&path).is_ok_and(|now| now == whole);
            if (first == "blobs" || relative.components().any(|it| it.as_os_str() == "fs")) && !healed {
                let named = found.iter().any(|damage| relative.starts_with(&damage.path));
                assert!(named, "{relative:?} at {at}: {found:?}");
            }
            drop(store);
            std::fs::write(&path, &whole).unwrap();
        }
    }
    drop(dir);
}

#[test]
fn repair_leaves_a_clean_store() {
    let place = place();
    let (pulled, step) = full(&place);
    assert_eq!(place.store.layer(&pulled).unwrap().unwrap().origin, Origin::Image);
    std::fs::write(place.store.layer_dir(&step).join("d"), "made by nobody").unwrap();
    let found = place.store.check(Repair::Yes).unwrap();
    let paths: Vec<_> = found.iter().map(|damage| damage.path.to_string_lossy().into_owned()).collect();
    assert!(paths[0].starts_with("layers/") && paths[1].starts_with("images/"), "{found:?}");
    assert_eq!(place.store.check(Repair::No).unwrap(), []);
    assert!(place.store.record(&KEY).unwrap().is_none());
    assert!(place.store.layer(&pulled).unwrap().is_some());
}

#[test]
fn a_disk_that_is_full_at_any_write() {
    if !root() {
        return;
    }
    let dir = tempfile::TempDir::new().unwrap();
    let flags = rustix::mount::MountFlags::empty();
    let mut failed = 0;
    for pages in (8..400).step_by(7) {
        let size = std::ffi::CString::new(format!("size={}k", pages * 4)).unwrap();
        rustix::mount::mount("tmpfs", dir.path(), "tmpfs", flags, Some(size.as_c_str())).unwrap();
        let _mounted = crate::support::Mounted(dir.path().to_owned());
        let root = dir.path().join("store");
        let work = || -> layer_store::Result<()> {
            let store = Store::open(&root, &options())?;
            let lease = store.lease()?;
            let mut writer = lease.write_layer(&Snapshot::default())?;
            let content = [1u8; 60_000];
            let attributes = crate::support::file(0o644);
            writer.file("d/f".as_ref(), &attributes, layer_store::Content::Bytes(&content))?;
            let id = writer.commit()?;
            let gzip = Packing { compression: Compression::None, ..Packing::PLAIN };
            lease.pack(&id, &Snapshot::default(), &gzip)?;
            store.content_id(&id)?;
            store.seal(&lease)?;
            store.tag(&"x".parse().unwrap(), &StoredImage { created: 1, index: None, variants: vec![] })?;
            drop(lease);
            store.collect(Keep::NoRecords).map(drop)
        };
        failed += usize::from(work().is_err());
        rustix::mount::mount_remount(dir.path(), flags, "size=16m").unwrap();
        work().unwrap();
        let store = Store::open(&root, &options()).unwrap();
        assert_eq!(store.check(Repair::No).unwrap(), [], "{pages} pages");
    }
    assert!(failed > 3, "{failed} of the disks were too small");
}

/// A process that has opened a layer does not go on with what it remembers of it.
#[test]
fn a_layer_that_vanishes_or_is_replaced_is_looked_at_again() {
    let place = place();
    let (pulled, step) = full(&place);
    let snapshot = Snapshot(vec![pulled, step.clone()]);
    let dir = place.store.layer_dir(&step).parent().unwrap().to_owned();
    assert!(place.store.stack(&snapshot).unwrap().lookup(Path::new("d")).unwrap().is_some());
    std::fs::rename(dir.join("meta.json"), dir.join("away")).unwrap();
    assert!(place.store.stack(&snapshot).is_err() && place.store.record(&KEY).unwrap().is_none());
    std::fs::rename(dir.join("away"), dir.join("meta.json")).unwrap();
    assert!(place.store.stack(&snapshot).is_ok() && place.store.record(&KEY).unwrap().is_some());
    std::fs::rename(&dir, dir.with_extension("away")).unwrap();
    assert!(place.store.stack(&snapshot).is_err() && place.store.record(&KEY).unwrap().is_none());
    std::fs::rename(dir.with_extension("away"), &dir).unwrap();
    assert!(place.store.stack(&snapshot).is_ok());
}

/// A power cut may leave a blob that was not synced empty, short or with other bytes.
#[test]
fn blobs_of_another_boot_are_read_before_they_are_used() {
    let place = place();
    let blobs = [&b"whole"[..], b"empty", b"other"].map(|bytes| {
        let digest = place.lease.put_blob(bytes).unwrap();
        Descriptor::new(MediaType::OciConfig, digest, bytes.len() as u64)
    });
    let root = place.store.root().to_owned();
    let at = |nth: usize| root.join("blobs/sha256").join(blobs[nth].digest.hex());
    let marks = |boot: &str| -> Vec<PathBuf> {
        let found = std::fs::read_dir(root.join("unsynced").join(boot)).into_iter().flatten();
        found.map(|entry| entry.unwrap().path()).collect()
    };
    drop((place.lease, place.store));
    let [boot] = &marks("")[..] else { panic!("{:?}", marks("")) };
    std::fs::rename(boot, root.join("unsynced/another")).unwrap();
    std::fs::write(at(1), "").unwrap();
    std::fs::write(at(2), "rehto").unwrap();
    let store = Store::open(&root, &options()).unwrap();
    let here =
        |nth: usize| store.has_blob(&blobs[nth]) && store.open_blob(&blobs[nth].digest).unwrap().is_some();
    assert_eq!([here(0), here(1), here(2)], [true, false, false]);
    assert!(!at(1).exists() && !at(2).exists());
    let lease = store.lease().unwrap();
    lease.put_blob(b"other").unwrap();
    assert!(here(2));
    store.seal(&lease).unwrap();
    assert_eq!(marks(boot.file_name().unwrap().to_str().unwrap()), Vec::<PathBuf>::new());
    assert!(Store::open(&root, &options()).unwrap().has_blob(&blobs[0]));
    assert!(!root.join("unsynced/another").exists());
}
