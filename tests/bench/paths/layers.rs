//! Contexts and layers of many small files.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use builder::context::scan;
use builder::file::{FileInput, bind_digest};
use builder::request::LocalContext;
use layer_store::{
    ArchiveTimes, Attributes, Content, IdRanges, Kind, LayerId, Lease, Mode, OpenOptions, Packing, Snapshot,
    Store, Walk,
};
use oci::{Compression, DiffId, Digest};
use tempfile::TempDir;

const FILES: usize = 10_000;
const IN_A_DIRECTORY: usize = 100;

/// A store that vanishes.
struct Place {
    store: Store,
    lease: Lease,
    dir: TempDir,
}

impl Place {
    /// A function that calls this owns the whole place, so that its directory is there as long as the function.
    fn remains(&self) {
        assert!(self.dir.path().exists());
    }
}

fn place() -> Place {
    let dir = TempDir::new().unwrap();
    let mode = if rustix::process::geteuid().is_root() { Mode::Root } else { Mode::SingleId };
    let options = OpenOptions { mode, ids: IdRanges::default() };
    let store = Store::open(&dir.path().join("store"), &options).unwrap();
    Place { lease: store.lease().unwrap(), store, dir }
}

pub(crate) fn key() -> Box<dyn FnMut()> {
    let place = place();
    let context = place.dir.path().join("context");
    for (path, content) in files(0) {
        let path = context.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    // Of younger files the store believes no digest.
    std::thread::sleep(Duration::from_millis(1_500));
    Box::new(move || {
        place.remains();
        let from = LocalContext::Directory(context.clone());
        let scan = scan(&from, &[], &place.store.stat_index()).unwrap();
        bind_digest(&place.store, &FileInput::Context(Arc::new(scan)), "/").unwrap();
    })
}

pub(crate) fn pack() -> Box<dyn FnMut()> {
    let place = place();
    let id = layer(&place.lease, 0);
    let packing = Packing { compression: Compression::Gzip, level: None, times: ArchiveTimes::Kept };
    Box::new(move || {
        place.remains();
        place.lease.pack_into(&id, &Snapshot::default(), &packing, &mut std::io::sink()).unwrap();
    })
}

pub(crate) fn unpack() -> Box<dyn FnMut()> {
    let made = place();
    let mut archive = Vec::new();
    let id = layer(&made.lease, 0);
    made.lease.pack_into(&id, &Snapshot::default(), &Packing::PLAIN, &mut archive).unwrap();
    let diff = DiffId(Digest::sha256(&archive));
    let into = place();
    Box::new(move || {
        into.remains();
        into.lease.unpack(&mut &archive[..], &diff).unwrap();
    })
}

pub(crate) fn walk() -> Box<dyn FnMut()> {
    let place = place();
    let snapshot = Snapshot((0..3).map(|number| layer(&place.lease, number)).collect());
    let view = place.store.stack(&snapshot).unwrap();
    Box::new(move || {
        place.remains();
        let mut seen = 0;
        let mut see = |_: &Path, _: &layer_store::Entry| {
            seen += 1;
            Ok(Walk::Continue)
        };
        view.walk(Path::new(""), &mut see).unwrap();
        assert!(seen >= FILES);
    })
}

fn layer(lease: &Lease, number: usize) -> LayerId {
    let mut writer = lease.write_layer(&Snapshot::default()).unwrap();
    let attributes = Attributes::new(Kind::File { size: 0 }, 0o644);
    for (path, content) in files(number) {
        writer.file(&path, &attributes, Content::Bytes(content.as_bytes())).unwrap();
    }
    writer.commit().unwrap()
}

/// Names and contents, the same each time; of two numbers half of the names are the same.
fn files(number: usize) -> impl Iterator<Item = (PathBuf, String)> {
    (0..FILES).map(move |nth| {
        let nth = nth + number * FILES / 2;
        let mut content = String::new();
        for word in 0..1 + nth % 200 {
            write!(content, "{} ", nth * word % 977).unwrap();
        }
        (PathBuf::from(format!("d{}/f{nth}", nth / IN_A_DIRECTORY)), content)
    })
}
