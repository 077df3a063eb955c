//! Access lists as archives of star, GNU tar and libarchive write them, in the form of Linux' own attributes.

use std::collections::BTreeMap;

/// Version of the attribute's form.
const VERSION: u32 = 2;
/// Id of an entry that has none.
const NOBODY: u32 = u32::MAX;

/// The value of `system.posix_acl_*` for a text such as `user::rw-,user:joe:rw-:1000,mask::rw-`; its entries
/// may also stand in lines. `None`: the text is none.
///
/// Named entries without a number are left out: the names are those of another machine.
pub(super) fn from_text(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let entries = text.split([',', '\n']).map(|entry| entry.split('#').next().unwrap_or_default().trim());
    let mut sorted = BTreeMap::new();
    for entry in entries.filter(|entry| !entry.is_empty()) {
        if let Some((tag, id, permissions)) = parse(entry)? {
            sorted.insert((tag, id), permissions);
        }
    }
    // The kernel wants them by tag and id.
    let mut value = VERSION.to_le_bytes().to_vec();
    for ((tag, id), permissions) in sorted {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    (value.len() > 4).then_some(value)
}

/// Tag, id and permissions; inner `None`: nobody knows whom it means.
#[allow(clippy::option_option, reason = "an entry that is no entry, and one that means nobody here")]
fn parse(entry: &str) -> Option<Option<(u16, u32, u16)>> {
    let mut fields = entry.split(':');
    let (tag, name, permissions) = (fields.next()?, fields.next()?, fields.next()?);
    let number = fields.next().or(Some(name)).filter(|_| !name.is_empty());
    let bits = permissions.chars().try_fold(0, |bits, letter| match letter {
        'r' => Some(bits | 4),
        'w' => Some(bits | 2),
        'x' => Some(bits | 1),
        '-' => Some(bits),
        _ => None,
    })?;
    let tag = match (tag, name.is_empty()) {
        ("user" | "u", true) => 0x01,
        ("user" | "u", false) => 0x02,
        ("group" | "g", true) => 0x04,
        ("group" | "g", false) => 0x08,
        ("mask" | "m", true) => 0x10,
        ("other" | "o", true) => 0x20,
        _ => return None,
    };
    let Some(number) = number else { return Some(Some((tag, NOBODY, bits))) };
    Some(number.parse().ok().filter(|id| *id != NOBODY).map(|id| (tag, id, bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_writers_become_the_attribute() {
        let entry = |tag: u16, bits: u16, id: u32| {
            [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let expected = [
            VERSION.to_le_bytes().to_vec(),
            entry(1, 6, NOBODY),
            entry(2, 6, 1000),
            entry(4, 4, NOBODY),
            entry(16, 6, NOBODY),
            entry(32, 4, NOBODY),
        ]
        .concat();
        for text in [
            // libarchive, star.
            "user::rw-,group::r--,other::r--,user:joe:rw-:1000,mask::rw-",
            // GNU tar with --numeric-owner.
            "user::rw-\nuser:1000:rw-\ngroup::r--\nmask::rw-\nother::r--\n",
            // A name that is nobody here.
            "user::rw-\nuser:1000:rw-\nuser:joe:rwx\ngroup::r--\nmask::rw- # effective\nother::r--\n",
        ] {
            assert_eq!(from_text(text.as_bytes()).as_ref(), Some(&expected), "{text}");
        }
        for wrong in ["", "user", "user::rwz", "mask:x:rwx", "owner@:rwx"] {
            assert_eq!(from_text(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
