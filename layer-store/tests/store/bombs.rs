//! Archives that want more than any image needs, and what is decided about odd ones.

use std::io::Read;
use std::path::Path;

use layer_store::tar::{TarReader, TarWriter};
use layer_store::{Attributes, Kind, Snapshot};

use crate::support::{directory, file, place, unpack};

const BLOCK: usize = 512;

/// One header block with a right checksum.
fn header(flag: u8, name: &str, size: u64) -> Vec<u8> {
    let mut block = vec![0u8; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
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

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn extended(records: &str) -> Vec<u8> {
    [header(b'x', "x", records.len() as u64), padded(records.into())].concat()
}

fn record(key: &str, value: &str) -> String {
    let body = key.len() + value.len() + 3;
    let length = (body..).find(|length| length.to_string().len() + body == *length).unwrap();
    format!("{length} {key}={value}\n")
}

fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

/// The first error of a whole archive.
fn refusal(from: impl Read) -> String {
    let mut reader = TarReader::new(from);
    loop {
        match reader.next_entry() {
            Ok(Some(_)) => {}
            Ok(None) => return "none".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}

/// The same block for ever.
struct Endless(Vec<u8>, usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for byte in &mut *buffer {
            *byte = self.0[self.1 % self.0.len()];
            self.1 += 1;
        }
        Ok(buffer.len())
    }
}

#[test]
fn headers_without_end_are_refused() {
    let many = extended(&record("SCHILY.xattr.user.a", &"v".repeat(100_000)));
    for (name, block) in [
        ("extended headers", many),
        ("long names", [header(b'L', "x", 100_000), padded(vec![b'n'; 100_000])].concat()),
        ("sparse maps", extended(&record("GNU.sparse.offset", "1").repeat(4000))),
        ("extended headers for all", [header(b'g', "x", 13), padded(record("comment", "c").into())].concat()),
    ] {
        let text = refusal(Endless(block, 0).take(64 << 20));
        assert!(text.contains("without end"), "{name}: {text}");
    }
}

#[test]
fn sizes_and_devices_that_cannot_be_are_refused() {
    let huge = record("size", "9223372036854775807");
    let sparse = record("GNU.sparse.major", "1")
        + &record("GNU.sparse.minor", "0")
        + &record("GNU.sparse.realsize", "18446744073709551615");
    let mut device = header(b'3', "device", 0);
    device[329..337].copy_from_slice(b"0010000\0");
    device[148..156].fill(b' ');
    let sum: u32 = device.iter().map(|byte| u32::from(*byte)).sum();
    device[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let negative = record("uid", "-1");
    for (name, bytes, expected) in [
        ("size", [extended(&huge), header(b'0', "a", 0)].concat(), "a size that no file has"),
        (
            "sparse size",
            [extended(&sparse), header(b'0', "a", 512), padded(b"0\n".to_vec())].concat(),
            "malformed sparse map",
        ),
        ("device", [device, end()].concat(), "device number"),
        ("owner", [extended(&negative), header(b'0', "a", 0)].concat(), "malformed number"),
        ("type", [header(b'V', "a", 0), end()].concat(), "a type of entry"),
        ("a lone empty block", [vec![0; BLOCK], header(b'0', "a", 0)].concat(), "an empty block"),
    ] {
        let text = refusal(&bytes[..]);
        assert!(text.contains(expected), "{name}: {text}");
    }
}

#[test]
fn directories_without_end_are_refused() {
    let place = place();
    let mut tar = TarWriter::new(Vec::new());
    tar.entry("d/".repeat(600).as_ref(), &directory()).unwrap();
    let bytes = tar.finish().unwrap();
    let error = unpack(&place.lease, &bytes, &Snapshot::default()).unwrap_err();
    assert!(
        error.to_string().contains("leads out") || error.to_string().contains("cannot be kept"),
        "{error}"
    );
}

fn add(tar: &mut TarWriter<Vec<u8>>, path: &str, content: &str) {
    let attributes = Attributes { kind: Kind::File { size: content.len() as u64 }, ..file(0o644) };
    tar.file(Path::new(path), &attributes, &mut content.as_bytes()).unwrap();
}

#[test]
fn the_last_of_several_entries_of_one_name_counts() {
    let place = place();
    let mut tar = TarWriter::new(Vec::new());
    add(&mut tar, "f", "first");
    tar.hardlink("g".as_ref(), "f".as_ref(), &file(0o644)).unwrap();
    add(&mut tar, "./f", "second");
    tar.entry("d".as_ref(), &directory()).unwrap();
    add(&mut tar, "d/kept", "1");
    tar.entry("d".as_ref(), &Attributes { mode: 0o700, ..directory() }).unwrap();
    tar.entry("e".as_ref(), &directory()).unwrap();
    add(&mut tar, "e/gone", "1");
    add(&mut tar, "e", "a file");
    let mut bytes = tar.finish().unwrap();
    // What follows the end belongs to the digest, and to nothing else.
    bytes.extend(vec![7; 3 * BLOCK]);
    let id = unpack(&place.lease, &bytes, &Snapshot::default()).unwrap();
    let view = place.store.stack(&Snapshot(vec![id])).unwrap();
    let text =
        |path: &str| view.read_file(path.as_ref(), 99).unwrap().map(|it| String::from_utf8(it).unwrap());
    // The link still leads to the file that had the name when it was made.
    assert_eq!((text("f").as_deref(), text("g").as_deref()), (Some("second"), Some("first")));
    assert_eq!(text("d/kept").as_deref(), Some("1"));
    assert_eq!(view.lookup("d".as_ref()).unwrap().unwrap().attributes.mode, 0o700);
    assert_eq!((text("e").as_deref(), text("e/gone")), (Some("a file"), None));
}

#[test]
fn many_links_to_files_below_are_no_work_without_end() {
    let place = place();
    let base = crate::support::layer_of(&place.lease, &Snapshot::default(), &[("f", "1")]);
    let mut tar = TarWriter::new(Vec::new());
    for number in 0..20_000 {
        tar.hardlink(format!("l{number}").as_ref(), "f".as_ref(), &file(0o644)).unwrap();
    }
    let below = Snapshot(vec![base]);
    let id = unpack(&place.lease, &tar.finish().unwrap(), &below).unwrap();
    let view = place.store.stack(&below.with(id)).unwrap();
    assert_eq!(view.read_file("l19999".as_ref(), 9).unwrap().unwrap(), b"1");
}
