//! Archives with entries of all kinds, cut and put together again.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

use flate2::read::{GzDecoder, MultiGzDecoder};
use serde_json::Value;

use super::*;

/// Bytes that no compressor makes short.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

fn archive() -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    let attributes = |kind, mode| Attributes::new(kind, mode);
    let file = |tar: &mut TarWriter<Vec<u8>>, name: &str, content: &[u8]| {
        let mut attributes = attributes(Kind::File { size: content.len() as u64 }, 0o4755);
        attributes.uid = 1000;
        attributes.mtime.secs = 77;
        attributes.xattrs.insert(OsString::from("user.a"), vec![0, 255]);
        tar.file(name.as_ref(), &attributes, &mut &content[..]).unwrap();
    };
    tar.entry(Path::new("dir"), &attributes(Kind::Directory, 0o755)).unwrap();
    file(&mut tar, "dir/empty", b"");
    file(&mut tar, "dir/large", &noise(2 * CHUNK as usize + 5));
    file(&mut tar, "dir/just", &noise(CHUNK as usize));
    file(&mut tar, &format!("dir/{}", "long/".repeat(60)), b"short");
    let link = attributes(Kind::Symlink { target: "large".into() }, 0o777);
    tar.entry(Path::new("dir/link"), &link).unwrap();
    let linked = attributes(Kind::File { size: 0 }, 0o644);
    tar.hardlink(Path::new("hard"), Path::new("dir/large"), &linked).unwrap();
    tar.entry(Path::new("null"), &attributes(Kind::CharDevice { major: 1, minor: 3 }, 0o666)).unwrap();
    tar.finish().unwrap()
}

fn packed(archive: &[u8], piece: usize) -> Made<Vec<u8>> {
    let mut writer = EstargzWriter::new(Vec::new(), None);
    archive.chunks(piece).for_each(|piece| writer.write_all(piece).unwrap());
    writer.finish().unwrap()
}

/// The bytes of the member that begins there.
fn member(layer: &[u8], at: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(&layer[usize::try_from(at.as_u64().unwrap()).unwrap()..]).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn members_hold_the_archive_and_each_chunk_by_itself() {
    let archive = archive();
    let made = packed(&archive, 1 << 20);
    assert!(packed(&archive, 511).to == made.to, "however the archive comes");
    let mut whole = Vec::new();
    MultiGzDecoder::new(made.to.as_slice()).read_to_end(&mut whole).unwrap();
    assert_eq!((whole.len() as u64, DiffId(Digest::sha256(&whole))), (made.archive_size, made.diff_id));
    let entries = archive.len() - 2 * BLOCK;
    assert!(whole[..entries] == archive[..entries]);

    let footer = &made.to[made.to.len() - 51..];
    let offset = u64::from_str_radix(std::str::from_utf8(&footer[16..32]).unwrap(), 16).unwrap();
    let tail = member(&made.to, &offset.into());
    assert!(whole.ends_with(&tail));
    let size = Header(&tail[..BLOCK].try_into().unwrap()).size().unwrap();
    let index = &tail[BLOCK..BLOCK + usize::try_from(size).unwrap()];
    assert_eq!(Digest::sha256(index), made.index);
    let index: Value = serde_json::from_slice(index).unwrap();
    let lines = index["entries"].as_array().unwrap();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["dir", "reg", "reg", "chunk", "chunk", "reg", "reg", "symlink", "hardlink", "char"]);
    let mut large = Vec::new();
    for line in lines.iter().filter(|line| line["offset"].is_u64()) {
        let chunk = member(&made.to, &line["offset"]);
        assert_eq!(line["chunkDigest"], Digest::sha256(&chunk).to_string());
        if line["name"] == "dir/large" {
            assert_eq!(line["chunkOffset"].as_u64().unwrap_or(0), large.len() as u64);
            large.extend(chunk);
        }
    }
    assert_eq!(lines[2]["digest"], Digest::sha256(&large).to_string());
    assert!(
        lines[4]["chunkSize"].is_null() && lines[3]["chunkSize"] == CHUNK && lines[2]["chunkSize"] == CHUNK
    );
    assert_eq!(lines[2]["size"], large.len());
    assert_eq!(
        (&lines[1]["mode"], &lines[1]["uid"], &lines[1]["xattrs"]["user.a"]),
        (&0o4755.into(), &1000.into(), &"AP8=".into())
    );
    assert_eq!(lines[1]["modtime"], "1970-01-01T00:01:17Z");
    assert_eq!((&lines[7]["linkName"], &lines[8]["linkName"]), (&"large".into(), &"dir/large".into()));
    assert_eq!((&lines[9]["devMajor"], &lines[9]["devMinor"]), (&1.into(), &3.into()));
}

#[test]
fn what_has_no_place_in_an_index_is_refused() {
    let attributes = Attributes::new(Kind::File { size: 0 }, 0o644);
    let mut tar = TarWriter::new(Vec::new());
    tar.file(INDEX_NAME.as_ref(), &attributes, &mut io::empty()).unwrap();
    let mut writer = EstargzWriter::new(Vec::new(), None);
    let error = writer.write_all(&tar.finish().unwrap()).unwrap_err();
    assert!(error.to_string().contains(INDEX_NAME), "{error}");
    let mut writer = EstargzWriter::new(Vec::new(), None);
    writer.write_all(&archive()[..9 * BLOCK]).unwrap();
    assert!(writer.finish().is_err(), "cut within a file");
}
