//! Go modules, by the build information that Go's linker puts into programs (Go 1.18 and later).

use std::io;
use std::os::unix::fs::FileExt;

use super::Package;
use super::purl::purl;

const ELF: &[u8; 4] = b"\x7fELF";
const MAGIC: &[u8] = b"\xff Go buildinf:";
const SECTION: &[u8] = b".go.buildinfo";
/// Where the strings begin behind the magic.
const STRINGS: usize = 32;
/// Set where the strings stand in the section itself.
const INLINE: u8 = 2;
/// The module text stands between marks of this length.
const MARK: usize = 16;
/// No section of build information, and no table of sections, is longer.
const LONGEST: u64 = 8 << 20;

/// The modules of a program, if it is one that Go linked.
pub(super) fn read(file: &impl FileExt, found_in: &str) -> Vec<Package> {
    let section = section(file).ok().flatten();
    section.and_then(|bytes| modules(&bytes, found_in)).unwrap_or_default()
}

/// The section with the build information of a 64-bit little-endian program.
fn section(file: &impl FileExt) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    if &header[..4] != ELF || header[4..6] != [2, 1] {
        return Ok(None);
    }
    let table = u64_at(&header, 40);
    let (size, count, names) = (u16_at(&header, 58), u16_at(&header, 60), u16_at(&header, 62));
    if size != 64 || names >= count {
        return Ok(None);
    }
    let sections = bytes_at(file, table, u64::from(size) * u64::from(count))?;
    let part = |number: u16| &sections[usize::from(number) * 64..][..64];
    let strings = bytes_at(file, u64_at(part(names), 24), u64_at(part(names), 32))?;
    for number in 0..count {
        let (name, offset, length) =
            (u32_at(part(number), 0), u64_at(part(number), 24), u64_at(part(number), 32));
        let name = usize::try_from(name).ok().and_then(|at| strings.get(at..)).unwrap_or_default();
        if name.strip_prefix(SECTION).is_some_and(|rest| rest.first() == Some(&0)) {
            return bytes_at(file, offset, length).map(Some);
        }
    }
    Ok(None)
}

fn bytes_at(file: &impl FileExt, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The compiler and the modules that the information names.
fn modules(section: &[u8], found_in: &str) -> Option<Vec<Package>> {
    let info = section.strip_prefix(MAGIC)?;
    let flags = info.get(1)?;
    if flags & INLINE == 0 {
        return None;
    }
    let (version, rest) = string(section.get(STRINGS..)?)?;
    let (text, _) = string(rest)?;
    let text = text.get(MARK..text.len().checked_sub(MARK)?)?;
    let mut found = vec![package("stdlib", text_of(version)?.trim_start_matches("go"), found_in)];
    // A replacement stands behind the module that it replaces.
    for line in text_of(text)?.lines() {
        let mut words = line.split('\t');
        let (kind, path, version) = (words.next()?, words.next(), words.next().unwrap_or_default());
        match (kind, path) {
            ("mod" | "dep", Some(path)) => found.push(package(path, version, found_in)),
            ("=>", Some(path)) => {
                found.pop();
                found.push(package(path, version, found_in));
            }
            (_, _) => {}
        }
    }
    Some(found)
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// A string behind its length, which is written in groups of seven bits, the lowest first.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift) = (0_usize, 0_u32);
    for (at, byte) in bytes.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return bytes.get(at + 1..)?.split_at_checked(length);
        }
    }
    None
}

fn package(path: &str, version: &str, found_in: &str) -> Package {
    let version = if version == "(devel)" { "" } else { version };
    let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
    Package {
        name: path.to_owned(),
        version: version.to_owned(),
        purl: purl("golang", namespace, name, version, &[]),
        supplier: None,
        license: None,
        found_in: found_in.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn information(text: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, INLINE]);
        bytes.resize(STRINGS, 0);
        bytes.extend([6]);
        bytes.extend(b"go1.22");
        let length = text.len() + 2 * MARK;
        bytes.extend([(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
        bytes.extend([b'x'; MARK]);
        bytes.extend(text.as_bytes());
        bytes.extend([b'y'; MARK]);
        bytes
    }

    #[test]
    fn modules_and_their_replacements() {
        let text = "path\ta.b/c/cmd\nmod\ta.b/c\t(devel)\t\ndep\td.e/f\tv1.0.0\th1:x=\n=>\tg.h/f\tv1.1.0\th1:y=\nbuild\tCGO_ENABLED=0\n";
        let found: Vec<String> =
            modules(&information(text), "p").unwrap().into_iter().map(|package| package.purl).collect();
        assert_eq!(found, ["pkg:golang/stdlib@1.22", "pkg:golang/a.b/c", "pkg:golang/g.h/f@v1.1.0"]);
        for length in 0..information(text).len() {
            drop(modules(&information(text)[..length], "p"));
        }
    }
}
