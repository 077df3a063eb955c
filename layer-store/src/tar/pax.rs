//! PAX extended headers: `length key=value\n` records.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::acl;
use crate::attributes::Time;
use crate::truth::{ACL_ACCESS, ACL_DEFAULT};

/// What the extended headers before an entry say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Time>,
    pub(super) xattrs: BTreeMap<OsString, Vec<u8>>,
    /// Access lists that were given as texts.
    pub(super) access_lists: BTreeMap<OsString, Vec<u8>>,
    pub(super) sparse: SparsePax,
}

/// GNU's sparse files in PAX archives, versions 0.0, 0.1 and 1.0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SparsePax {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) real_size: Option<u64>,
    /// Offset, length, offset, length …
    pub(super) map: Option<Vec<u64>>,
}

/// Why a header was refused.
pub(super) type Reason = &'static str;

impl Pax {
    /// Takes the records of one header.
    pub(super) fn read(&mut self, mut data: &[u8]) -> Result<(), Reason> {
        let mut size = None;
        while !data.is_empty() {
            let (key, value, rest) = record(data).ok_or("malformed extended header")?;
            if key == b"size" && size.replace(value).is_some_and(|before| before != value) {
                return Err("two different sizes");
            }
            self.take(key, value)?;
            data = rest;
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Reason> {
        let bytes = || Some(value.to_vec()).filter(|value| !value.is_empty());
        match key {
            b"path" => self.path = without_nul(bytes())?,
            b"linkpath" => self.link = without_nul(bytes())?,
            b"size" => self.size = optional(value, number)?,
            b"uid" => self.uid = optional(value, id)?,
            b"gid" => self.gid = optional(value, id)?,
            b"mtime" => self.mtime = optional(value, time)?,
            b"GNU.sparse.major" => self.sparse.major = optional(value, number)?,
            b"GNU.sparse.minor" => self.sparse.minor = optional(value, number)?,
            b"GNU.sparse.name" => self.sparse.name = without_nul(bytes())?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = optional(value, number)?,
            b"GNU.sparse.numblocks" => {}
            b"GNU.sparse.map" => self.sparse.map = Some(numbers(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.sparse.map.get_or_insert_default().push(number(value).ok_or("malformed sparse map")?);
            }
            _ => self.take_xattr(key, value)?,
        }
        Ok(())
    }

    /// All extended attributes; one that is given as itself counts more than a text.
    pub(super) fn all_xattrs(self) -> BTreeMap<OsString, Vec<u8>> {
        let mut all = self.access_lists;
        all.extend(self.xattrs);
        all
    }

    fn take_xattr(&mut self, key: &[u8], value: &[u8]) -> Result<(), Reason> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.insert(
                OsString::from_vec(without_nul(Some(name.to_vec()))?.unwrap_or_default()),
                value.to_vec(),
            );
        } else if let Some(name) = key.strip_prefix(b"SCHILY.acl.").and_then(acl_attribute) {
            // An archive that has the attribute itself as well is exact there.
            let value = acl::from_text(value).ok_or("malformed access list")?;
            self.access_lists.insert(name.into(), value);
        } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            let name = percent_decoded(name).ok_or("malformed extended attribute")?;
            let value = base64_decoded(value).ok_or("malformed extended attribute")?;
            // Archives that have both forms agree; the plain one is exact.
            self.xattrs
                .entry(OsString::from_vec(without_nul(Some(name))?.unwrap_or_default()))
                .or_insert(value);
        }
        Ok(())
    }
}

/// The attribute that holds an access list. Those of NFS 4 have none.
fn acl_attribute(kind: &[u8]) -> Option<&'static str> {
    match kind {
        b"access" => Some(ACL_ACCESS),
        b"default" => Some(ACL_DEFAULT),
        _ => None,
    }
}

fn without_nul(value: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Reason> {
    if value.as_ref().is_some_and(|value| value.contains(&0)) {
        return Err("a NUL inside a name");
    }
    Ok(value)
}

fn optional<T>(value: &[u8], parse: fn(&[u8]) -> Option<T>) -> Result<Option<T>, Reason> {
    if value.is_empty() {
        return Ok(None);
    }
    parse(value).map(Some).ok_or("malformed number in an extended header")
}

/// Key, value and what follows.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(number(&data[..blank])?).ok()?;
    if length > data.len() || length < blank + 3 || data[length - 1] != b'\n' {
        return None;
    }
    let body = &data[blank + 1..length - 1];
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &data[length..]))
}

pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn id(text: &[u8]) -> Option<u32> {
    number(text).and_then(|id| u32::try_from(id).ok())
}

fn numbers(text: &[u8]) -> Result<Vec<u64>, Reason> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(|byte| *byte == b',').map(|part| number(part).ok_or("malformed sparse map")).collect()
}

/// Decimal seconds with an optional fraction, rounded down to nanoseconds.
fn time(text: &[u8]) -> Option<Time> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let secs = i64::try_from(number(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| u32::from(fraction.get(at).copied().unwrap_or(b'0') - b'0');
    let nanos = (0..9).fold(0, |all, at| all * 10 + digit(at));
    Some(match (negative, nanos) {
        (false, _) => Time { secs, nanos },
        (true, 0) => Time { secs: -secs, nanos },
        (true, _) => Time { secs: -secs - 1, nanos: 1_000_000_000 - nanos },
    })
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            decoded.extend(crate::ids::unhex(std::str::from_utf8(tail.get(..2)?).ok()?)?);
            rest = &tail[2..];
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    Some(decoded)
}

fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let (mut decoded, mut bits, mut held) = (Vec::new(), 0u32, 0u32);
    for byte in text.iter().filter(|byte| **byte != b'=' && !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(decoded)
}

/// One record, with its own length in front.
pub(super) fn write_record(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let body = key.len() + value.len() + 3;
    let mut length = body + digits(body);
    if digits(length) != digits(body) {
        length = body + digits(length);
    }
    out.extend(length.to_string().bytes());
    out.push(b' ');
    out.extend(key);
    out.push(b'=');
    out.extend(value);
    out.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let cases: &[(&str, Option<Time>)] = &[
            ("1", Some(Time { secs: 1, nanos: 0 })),
            ("1.5", Some(Time { secs: 1, nanos: 500_000_000 })),
            ("-1.25", Some(Time { secs: -2, nanos: 750_000_000 })),
            ("1.1234567899", Some(Time { secs: 1, nanos: 123_456_789 })),
            ("1.x", None),
            (".5", None),
        ];
        for (text, expected) in cases {
            assert_eq!(time(text.as_bytes()), *expected, "{text}");
        }
    }

    #[test]
    fn records_carry_their_length() {
        for length in 0..1200 {
            let value = vec![b'v'; length];
            let mut out = Vec::new();
            write_record(b"key", &value, &mut out);
            assert_eq!(record(&out), Some((&b"key"[..], &value[..], &b""[..])), "{length}");
        }
    }

    #[test]
    fn hostile_records_are_refused() {
        for text in [
            "",
            "5",
            "5 a=b",
            "6 a=b\nx",
            "99 a=b\n",
            "0 a=b\n",
            "6 aab\n",
            "7 size=1\n",
            "10 uid=99999999999\n",
        ] {
            assert!(text.is_empty() || Pax::default().read(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Pax::default().read(b"10 size=1\n10 size=2\n").is_err());
    }

    #[test]
    fn encoded_attributes() {
        let mut pax = Pax::default();
        let mut out = Vec::new();
        write_record(b"LIBARCHIVE.xattr.user.a%3db", b"AAEC/w==", &mut out);
        pax.read(&out).unwrap();
        assert_eq!(pax.xattrs[std::ffi::OsStr::new("user.a=b")], [0, 1, 2, 255]);
    }
}
