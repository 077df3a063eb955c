//! Processes that are killed in the middle, and several on one store.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use layer_store::{ArchiveTimes, CacheKey, Content, LayerId, Packing, Record, ResultId, Snapshot, Store};
use oci::{Compression, Digest};

use crate::support::{archive_of, diff_of, file, options, place};

/// Where a child finds its store, and how many rounds it works.
const STORE: &str = "RBUILD_TEST_STORE";
const ROUNDS: &str = "RBUILD_TEST_ROUNDS";

/// Publishes layers, blobs and records until it is killed or done. Only runs as a child.
#[test]
fn child() {
    let Some(root) = std::env::var_os(STORE) else { return };
    let rounds: u32 = std::env::var(ROUNDS).unwrap().parse().unwrap();
    let store = Store::open(Path::new(&root), &options()).unwrap();
    for round in 0..rounds {
        let lease = store.lease().unwrap();
        let mut writer = lease.write_layer(&Snapshot::default()).unwrap();
        for number in 0..20 {
            let content = format!("{round} {number}").repeat(500);
            writer
                .file(format!("d{number}/f").as_ref(), &file(0o644), Content::Bytes(content.as_bytes()))
                .unwrap();
        }
        let id = writer.commit().unwrap();
        let bytes = archive_of(&lease, &id, &Snapshot::default());
        lease.unpack(&mut &bytes[..], &diff_of(&bytes)).unwrap();
        let gzip = Packing { compression: Compression::Gzip, level: Some(1), times: ArchiveTimes::Kept };
        lease.pack(&id, &Snapshot::default(), &gzip).unwrap();
        let key = CacheKey(*blake3::hash(&round.to_le_bytes()).as_bytes());
        let claim = store.claim(&key).unwrap();
        let record = Record {
            outputs: vec![Snapshot(vec![id])],
            result: ResultId::random(),
            inputs: Vec::new(),
            components: Vec::new(),
            content: None,
            created: 0,
            millis: 0,
        };
        lease.put_record(&key, &record).unwrap();
        drop(claim);
        store.seal(&lease).unwrap();
    }
}

fn start(root: &Path, rounds: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--test-threads=1"])
        .env(STORE, root)
        .env(ROUNDS, rounds.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Everything that has a name is whole.
fn check(root: &Path) -> (usize, usize) {
    let store = Store::open(root, &options()).unwrap();
    assert!(store.take_notices().is_empty());
    let lease = store.lease().unwrap();
    let names = |dir: &str| -> Vec<String> {
        let entries = std::fs::read_dir(root.join(dir)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    for name in names("blobs/sha256") {
        let bytes = std::fs::read(root.join("blobs/sha256").join(&name)).unwrap();
        assert_eq!(Digest::sha256(bytes).hex(), name);
    }
    let layers = names("layers");
    for name in &layers {
        let id: LayerId = name.parse().unwrap();
        store.layer(&id).unwrap().expect(name);
        let bytes = archive_of(&lease, &id, &Snapshot::default());
        assert_eq!(diff_of(&bytes), lease.diff_id(&id).unwrap(), "{name}");
        assert_eq!(
            layer_store::tar::TarReader::new(&bytes[..]).next_entry().unwrap().unwrap().path,
            Path::new("d0/")
        );
    }
    drop(lease);
    assert!(names("leases").is_empty());
    // A document that was about to replace another one is removed later, when surely nobody writes it.
    let left: Vec<_> = names("tmp").into_iter().filter(|name| !name.starts_with("file-")).collect();
    assert!(left.is_empty(), "{left:?}");
    (layers.len(), names("blobs/sha256").len())
}

#[test]
fn killed_at_any_moment() {
    let place = place();
    let root = place.store.root().to_owned();
    drop((place.lease, place.store));
    let mut seen = (0, 0);
    for turn in 0..15u64 {
        let mut child = start(&root, 1000);
        std::thread::sleep(Duration::from_millis(40 + turn * 21));
        child.kill().unwrap();
        child.wait().unwrap();
        seen = check(&root);
    }
    assert!(seen.0 > 2, "the children came to something: {seen:?}");
}

#[test]
fn several_processes_on_one_store() {
    let place = place();
    let root = place.store.root().to_owned();
    drop((place.lease, place.store));
    let children: Vec<Child> = (0..3).map(|_| start(&root, 6)).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let (layers, _) = check(&root);
    // Each made its own six, and all share the six that are named after their content.
    assert_eq!(layers, 3 * 6 + 6);
    let store = Store::open(&root, &options()).unwrap();
    let key = CacheKey(*blake3::hash(&3u32.to_le_bytes()).as_bytes());
    assert!(store.record(&key).unwrap().is_some());
}

#[test]
fn a_full_disk_is_an_error_and_nothing_more() {
    if !crate::support::root() {
        return;
    }
    let dir = tempfile::TempDir::new().unwrap();
    let options = Some(c"size=2m");
    rustix::mount::mount("tmpfs", dir.path(), "tmpfs", rustix::mount::MountFlags::empty(), options).unwrap();
    let _mounted = crate::support::Mounted(dir.path().to_owned());
    let store = Store::open(&dir.path().join("store"), &crate::support::options()).unwrap();
    let lease = store.lease().unwrap();
    let big = vec![1u8; 4 << 20];
    assert!(matches!(lease.put_blob(&big), Err(layer_store::StoreError::Io { .. })));
    let mut writer = lease.write_layer(&Snapshot::default()).unwrap();
    let error = writer.file("big".as_ref(), &file(0o644), Content::Bytes(&big)).unwrap_err();
    assert!(error.to_string().contains("big"), "{error}");
    drop(writer);
    // What was half written is gone, and the store goes on.
    lease.put_blob(&big[..1 << 20]).unwrap();
    crate::support::layer_of(&lease, &Snapshot::default(), &[("small", "1")]);
}
