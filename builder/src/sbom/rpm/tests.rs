//! The databases of `tests/rpm`, whole and cut.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use super::*;

/// A file in memory.
struct Bytes<'a>(&'a [u8]);

impl FileExt for Bytes<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let length = rest.len().min(buf.len());
        buf[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

const DATABASES: [(&str, &[u8]); 3] = [
    ("sqlite", include_bytes!("../../../tests/rpm/rpmdb.sqlite")),
    ("ndb", include_bytes!("../../../tests/rpm/Packages.db")),
    ("berkeley", include_bytes!("../../../tests/rpm/Packages")),
];

fn found(bytes: &[u8]) -> (Vec<Package>, Option<RpmError>) {
    packages(&Bytes(bytes), bytes.len() as u64)
}

#[test]
fn each_form_names_the_same_packages() {
    for (form, bytes) in DATABASES {
        let (mut packages, unread) = found(bytes);
        assert!(unread.is_none(), "{form}: {unread:?}");
        packages.sort();
        let told: Vec<_> = packages.iter().map(|one| (one.version.as_str(), one.purl.as_str())).collect();
        let source = "upstream=alpha-1.0-3.src.rpm";
        let expected = [
            ("2:1.0-3", &*format!("pkg:rpm/alpha@1.0-3?arch=noarch&epoch=2&{source}")),
            ("2:2.5~rc1-1", &*format!("pkg:rpm/beta-devel@2.5~rc1-1?arch=noarch&epoch=2&{source}")),
            (
                "3^git1-4.x",
                "pkg:rpm/gamma%2B%2B@3%5Egit1-4.x?arch=noarch&upstream=gamma%2B%2B-3%5Egit1-4.x.src.rpm",
            ),
        ];
        assert_eq!(told, expected, "{form}");
        let licenses: Vec<_> = packages.iter().map(|one| one.license.as_deref().unwrap()).collect();
        assert_eq!(licenses, ["MIT and BSD", "MIT and BSD", "GPL-2.0-or-later"], "{form}");
    }
}

#[test]
fn what_is_cut_or_changed_is_never_passed_over_in_silence() {
    for (form, bytes) in DATABASES {
        for length in (0..bytes.len()).step_by(61) {
            let (packages, unread) = found(&bytes[..length]);
            assert!(packages.len() == 3 || unread.is_some(), "{form} {length}");
        }
        // A page that stands for all: whatever belongs to it asks for no more than the file holds.
        for page in 1..bytes.len() / 512 {
            let mut changed = bytes.to_vec();
            changed.copy_within(512..1024, page * 512);
            let _ = found(&changed);
        }
    }
    assert!(matches!(found(b"neither"), (none, Some(RpmError::Form)) if none.is_empty()));
}

#[test]
fn vendors_are_named_as_package_urls_name_them() {
    for (id, expected) in [("rhel", "redhat"), ("opensuse-leap", "opensuse"), ("fedora", "fedora"), ("", "")]
    {
        let distribution = Distribution { id: id.to_owned(), version: String::new() };
        assert_eq!(vendor(&distribution), expected);
    }
}
