//! Archives of layers that write outside, hide something, or do not end.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use defence::Defence;
use layer_store::tar::{TarReader, TarWriter};
use layer_store::{Attributes, Kind, LayerId, Snapshot, Time, Unpacked};
use oci::{ChainId, DiffId, Digest};

use crate::exhibit::{CANARY, Exhibit, Loot, treasury};
use crate::modes::Mode;
use crate::stores::{Shop, shop};
use crate::support::Place;

const OUT: &[Defence] = &[Defence::NamesClean, Defence::PathsBeneath];

pub const EXHIBITS: &[Exhibit] = &[
    Exhibit::entered("archive-name-with-dots", OUT, &Mode::ALL, |place| written(place, |dir| dir.dots())),
    Exhibit::entered("archive-name-through-link", &[Defence::PathsBeneath], &Mode::ALL, |place| {
        written(place, |_| "link/d".to_owned())
    }),
    Exhibit::entered("archive-hard-link-out", OUT, &Mode::ALL, hard_link_out),
    Exhibit::entered("archive-file-over-link", &[Defence::FilesNew], &Mode::ALL, file_over_link),
    Exhibit::entered("archive-times-through-link", &[Defence::TimesUnfollowed], &Mode::ALL, times),
    Exhibit::entered("archive-whiteout-through-link", &[Defence::PathsBeneath], &Mode::ALL, whiteout),
    Exhibit::entered("archive-device-as-mark", &[Defence::MarksDefused], &Mode::ALL, device_as_mark),
    Exhibit::entered("archive-attribute-as-mark", &[Defence::MarksDefused], &Mode::ALL, attribute_as_mark),
    Exhibit::entered("archive-headers-without-end", &[Defence::HeadersBounded], &Mode::ALL, headers),
    Exhibit::entered("archive-with-two-sizes", &[Defence::SizesAgree], &Mode::ALL, two_sizes),
    Exhibit::entered("archive-without-bottom", &[Defence::DepthBounded], &Mode::ALL, without_bottom),
    Exhibit::entered("archive-of-another-digest", &[Defence::ContentVerified], &Mode::ALL, other_digest),
];

/// A directory of the host with one in it, `d`.
struct Outside(PathBuf);

impl Outside {
    fn new(place: &Place) -> Outside {
        let dir = treasury(place);
        fs::create_dir(dir.join("d")).unwrap();
        Outside(dir)
    }

    /// The way from a tree that is being unpacked to `d`.
    fn dots(&self) -> String {
        format!("{}{}/d", "../".repeat(12), self.0.strip_prefix("/").unwrap().display())
    }
}

fn file(size: usize) -> Attributes {
    Attributes::new(Kind::File { size: size as u64 }, 0o644)
}

fn add(tar: &mut TarWriter<Vec<u8>>, path: &str, content: &str) {
    tar.file(Path::new(path), &file(content.len()), &mut content.as_bytes()).unwrap();
}

fn link(tar: &mut TarWriter<Vec<u8>>, path: &str, target: &Path) {
    let kind = Kind::Symlink { target: target.to_owned() };
    let mtime = Time { secs: 1_000_000_000, nanos: 0 };
    tar.entry(path.as_ref(), &Attributes { mtime, ..Attributes::new(kind, 0o777) }).unwrap();
}

fn archive(build: impl FnOnce(&mut TarWriter<Vec<u8>>)) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    build(&mut tar);
    tar.finish().unwrap()
}

fn unpack(shop: &Shop, archive: &[u8], below: &Snapshot) -> layer_store::Result<LayerId> {
    let diff = DiffId(Digest::sha256(archive));
    match shop.lease.unpack(&mut &archive[..], &diff)? {
        Unpacked::Complete(id) => Ok(id),
        Unpacked::NeedsBelow(pending) => {
            pending.complete(below, &ChainId::extend(Some(&ChainId(Digest::sha256("below"))), &diff))
        }
    }
}

/// A file below a name that leads to `d`.
fn written(place: &Place, way: impl Fn(&Outside) -> String) -> Loot {
    let outside = Outside::new(place);
    let bytes = archive(|tar| {
        link(tar, "link", &outside.0);
        add(tar, &format!("{}/planted", way(&outside)), "x");
    });
    let _ = unpack(&shop(place), &bytes, &Snapshot::default());
    outside.0.join("d/planted").exists().then(|| "wrote a file of the host".to_owned())
}

fn hard_link_out(place: &Place) -> Loot {
    let outside = Outside::new(place);
    let file = outside.0.join("canary");
    let way = outside.dots().replace("/d", "/canary");
    let bytes = archive(|tar| tar.hardlink("got".as_ref(), way.as_ref(), &self::file(0)).unwrap());
    let shop = shop(place);
    let id = unpack(&shop, &bytes, &Snapshot::default()).ok()?;
    let same =
        fs::metadata(shop.store.layer_dir(&id).join("got")).ok()?.ino() == file.metadata().unwrap().ino();
    same.then(|| "a file of the host is in the image".to_owned())
}

fn file_over_link(place: &Place) -> Loot {
    let file = Outside::new(place).0.join("canary");
    let bytes = archive(|tar| {
        link(tar, "link", &file);
        add(tar, "link", "overwritten!");
    });
    let _ = unpack(&shop(place), &bytes, &Snapshot::default());
    let now = fs::read_to_string(&file).unwrap();
    (now != CANARY).then_some(now)
}

fn times(place: &Place) -> Loot {
    let file = Outside::new(place).0.join("canary");
    let before = file.metadata().unwrap().modified().unwrap();
    let bytes = archive(|tar| link(tar, "link", &file));
    unpack(&shop(place), &bytes, &Snapshot::default()).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    assert!(now == before || now == UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    (now != before).then(|| "dated a file of the host".to_owned())
}

fn whiteout(place: &Place) -> Loot {
    let outside = Outside::new(place);
    let bytes = archive(|tar| {
        link(tar, "link", &outside.0);
        add(tar, "link/d/.wh.gone", "");
    });
    let _ = unpack(&shop(place), &bytes, &Snapshot::default());
    let made = fs::symlink_metadata(outside.0.join("d/gone"));
    made.is_ok_and(|made| made.file_type().is_char_device()).then(|| "made a node on the host".to_owned())
}

/// What a layer does to `d/below` of the layer below.
fn hidden_below(place: &Place, build: impl FnOnce(&Shop, &mut TarWriter<Vec<u8>>)) -> Loot {
    let shop = shop(place);
    let base = unpack(&shop, &archive(|tar| add(tar, "d/below", "1")), &Snapshot::default()).unwrap();
    let below = Snapshot(vec![base]);
    let id = unpack(&shop, &archive(|tar| build(&shop, tar)), &below).unwrap();
    let upper = shop.store.layer_dir(&id);
    let (d, mark) = (upper.join("d"), upper.join("d/below"));
    let is_mark =
        fs::symlink_metadata(mark).is_ok_and(|it| it.file_type().is_char_device() && it.rdev() == 0);
    let opaque = format!("{}opaque", shop.mode.overlay_prefix());
    let is_opaque = rustix::fs::lgetxattr(d, opaque.as_str(), &mut [0u8; 8][..]).is_ok();
    (is_mark || is_opaque).then(|| "a file of another layer is hidden".to_owned())
}

fn device_as_mark(place: &Place) -> Loot {
    hidden_below(place, |_, tar| {
        tar.entry("d/below".as_ref(), &Attributes::new(Kind::CharDevice { major: 0, minor: 0 }, 0o600))
            .unwrap();
    })
}

fn attribute_as_mark(place: &Place) -> Loot {
    hidden_below(place, |shop, tar| {
        let mut marked = Attributes::new(Kind::Directory, 0o755);
        marked.xattrs.insert(format!("{}opaque", shop.mode.overlay_prefix()).into(), b"y".to_vec());
        tar.entry("d".as_ref(), &marked).unwrap();
    })
}

/// One header block with a right checksum.
fn header(flag: u8, size: u64) -> Vec<u8> {
    let mut block = vec![0u8; 512];
    block[0] = b'f';
    block[100..107].copy_from_slice(b"0000644");
    for field in [108..115, 116..123] {
        block[field].copy_from_slice(b"0000000");
    }
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[136..147].copy_from_slice(b"00000000000");
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Content, up to the next block.
fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(512), 0);
    padded
}

/// Long names before an entry that never comes: what is read of them lies in memory.
fn headers(_: &Place) -> Loot {
    const PATIENCE: u64 = 8 << 20;
    let one = [header(b'L', 100_000), padded(&[b'n'; 100_000])].concat();
    let mut taken = 0u64;
    let endless = Endless { block: &one, at: 0, taken: &mut taken };
    let _ = TarReader::new(endless.take(PATIENCE)).next_entry().map(drop);
    (taken >= PATIENCE).then(|| format!("read {taken} bytes of headers"))
}

/// The same block for ever.
struct Endless<'a> {
    block: &'a [u8],
    at: usize,
    taken: &'a mut u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at = (self.at + count) % self.block.len();
        *self.taken += count as u64;
        Ok(count)
    }
}

/// One reader sees an entry where another one sees the content of the entry before.
fn two_sizes(_: &Place) -> Loot {
    let record = b"10 size=0\n";
    let bytes = [header(b'x', record.len() as u64), padded(record), header(b'0', 512), padded(b"x")].concat();
    let mut reader = TarReader::new(&bytes[..]);
    reader.next_entry().is_ok().then(|| "an archive with two meanings".to_owned())
}

fn without_bottom(place: &Place) -> Loot {
    let name = "d/".repeat(600);
    let bytes = archive(|tar| tar.entry(name.as_ref(), &Attributes::new(Kind::Directory, 0o755)).unwrap());
    let unpacked = unpack(&shop(place), &bytes, &Snapshot::default());
    unpacked.is_ok().then(|| "directories without end".to_owned())
}

fn other_digest(place: &Place) -> Loot {
    let bytes = archive(|tar| add(tar, "a", "x"));
    let unpacked = shop(place).lease.unpack(&mut &bytes[..], &DiffId(Digest::sha256("other"))).map(drop);
    unpacked.is_ok().then(|| "a layer of another digest".to_owned())
}
