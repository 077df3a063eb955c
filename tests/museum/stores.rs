//! The store: names that come from outside, who may enter it, and what is read from images.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use defence::Defence;
use layer_store::{
    Attributes, Content, Kind, Lease, Mode as StoreMode, OpenOptions, Sharing, Snapshot, Store,
};
use oci::{Digest, ImageDocument};
use runtime_exec::HostMode;

use crate::exhibit::{Exhibit, Loot, stolen, treasury};
use crate::modes::Mode;
use crate::support::Place;

pub const EXHIBITS: &[Exhibit] = &[
    Exhibit::entered("cache-id-with-dots", &[Defence::CacheNamesHashed], &Mode::ALL, cache_id),
    Exhibit::entered("store-open-to-others", &[Defence::StoreClosed], &Mode::ALL, store_open),
    Exhibit::entered("accounts-behind-link", &[Defence::ReadInside], &Mode::ALL, accounts_behind_link),
    Exhibit::entered("accounts-as-pipe", &[Defence::ReadInside], &Mode::ALL, accounts_as_pipe),
    Exhibit::entered("accounts-without-end", &[Defence::ReadBounded], &Mode::ALL, accounts_without_end),
    Exhibit::outside("digest-as-path", &[Defence::DigestsHex], |_| {
        let text = format!("sha256:{:/<64}", "../../../../etc/passwd");
        text.parse::<Digest>().ok().map(|digest| digest.hex().to_owned())
    }),
    Exhibit::outside("manifest-and-index", &[Defence::DocumentsOneThing], |_| {
        let both = r#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{
            "mediaType":"application/vnd.oci.image.config.v1+json","size":2,
            "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#;
        let read = ImageDocument::parse(None, both.into());
        read.is_ok().then(|| "a document with two meanings".to_owned())
    }),
];

/// A store in the directory of a test.
pub struct Shop {
    pub dir: PathBuf,
    pub store: Store,
    pub lease: Lease,
    pub mode: StoreMode,
}

pub fn shop(place: &Place) -> Shop {
    let mode = match place.host.mode() {
        HostMode::Root => StoreMode::Root,
        HostMode::Mapped => StoreMode::Mapped,
        HostMode::SingleId => StoreMode::SingleId,
    };
    let dir = place.fresh();
    let store = Store::open(&dir.join("store"), &OpenOptions { mode, ..OpenOptions::root() }).unwrap();
    let lease = store.lease().unwrap();
    Shop { dir, store, lease, mode }
}

fn cache_id(place: &Place) -> Loot {
    let shop = shop(place);
    let _ = shop.lease.cache_mount("../../planted", Sharing::Shared);
    let names: Vec<_> = fs::read_dir(&shop.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    (names.len() > 1).then(|| format!("{names:?}"))
}

/// A directory that somebody made for it, as one makes directories.
fn store_open(place: &Place) -> Loot {
    let dir = place.fresh();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    let mode = shop(place).mode;
    Store::open(&dir, &OpenOptions { mode, ..OpenOptions::root() }).unwrap();
    let bits = fs::metadata(&dir).unwrap().permissions().mode() & 0o777;
    (bits & 0o077 != 0).then(|| format!("mode {bits:o}, and files that set the user id below"))
}

fn accounts_behind_link(place: &Place) -> Loot {
    let shop = shop(place);
    let mut writer = shop.lease.write_layer(&Snapshot::default()).unwrap();
    let target = treasury(place).join("canary");
    let link = Attributes::new(Kind::Symlink { target }, 0o777);
    writer.symlink("passwd".as_ref(), &link).unwrap();
    let image = Snapshot(vec![writer.commit().unwrap()]);
    let read = shop.store.stack(&image).unwrap().read_file("/passwd".as_ref(), 1 << 20).ok()??;
    stolen(&String::from_utf8_lossy(&read))
}

/// Whoever reads it waits for ever.
fn accounts_as_pipe(place: &Place) -> Loot {
    const PATIENCE: Duration = Duration::from_secs(2);
    let shop = shop(place);
    let mut writer = shop.lease.write_layer(&Snapshot::default()).unwrap();
    writer.special("passwd".as_ref(), &Attributes::new(Kind::Fifo, 0o644)).unwrap();
    let id = writer.commit().unwrap();
    let pipe = shop.store.layer_dir(&id).join("passwd");
    let view = shop.store.stack(&Snapshot(vec![id])).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let _ = view.read_file("/passwd".as_ref(), 1 << 20);
        let _ = sender.send(());
    });
    let waits = receiver.recv_timeout(PATIENCE).is_err();
    if waits {
        drop(fs::OpenOptions::new().write(true).open(pipe).unwrap());
    }
    reading.join().unwrap();
    waits.then(|| "the builder waits for ever".to_owned())
}

fn accounts_without_end(place: &Place) -> Loot {
    const LIMIT: u64 = 1 << 10;
    let shop = shop(place);
    let mut writer = shop.lease.write_layer(&Snapshot::default()).unwrap();
    let bytes = vec![b'x'; 2 << 10];
    let file = Attributes::new(Kind::File { size: bytes.len() as u64 }, 0o644);
    writer.file("passwd".as_ref(), &file, Content::Bytes(&bytes)).unwrap();
    let image = Snapshot(vec![writer.commit().unwrap()]);
    let read = shop.store.stack(&image).unwrap().read_file("/passwd".as_ref(), LIMIT).ok()??;
    (read.len() as u64 > LIMIT).then(|| format!("{} bytes", read.len()))
}
