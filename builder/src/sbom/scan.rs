//! Which file of a tree goes to which reader.

use std::ffi::OsStr;
use std::path::Path;

use layer_store::{Entry, Kind, StackView, StoreError, Walk};

use super::debian::Distribution;
use super::{Package, alpine, cargo, debian, golang, node, python, rpm};

/// Databases and lock files longer than this are not what they seem.
const LONGEST: u64 = 64 << 20;

/// Where distributions keep rpm's database.
const RPM_PLACES: [&str; 3] = ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"];

/// What a file is by its place and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Debian,
    Alpine,
    Rpm,
    /// What SQLite has not yet put into rpm's database.
    RpmChanges,
    Python,
    Node,
    Cargo,
    Program,
}

/// What was found in a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Software {
    /// All packages, sorted, each once.
    pub packages: Vec<Package>,
    /// What was there and could not be read, a sentence each.
    pub unread: Vec<String>,
}

/// The software of a tree.
pub(crate) fn scan(view: &StackView) -> Result<Software, StoreError> {
    let mut distribution = Distribution::default();
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Some(text) = view.read_file(Path::new(path), LONGEST)? {
            distribution = Distribution::read(&String::from_utf8_lossy(&text));
            break;
        }
    }
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    view.walk(Path::new("/"), &mut |path, entry| {
        if let Some(reader) = reader_of(path, entry) {
            let found_in = path.to_string_lossy();
            match reader {
                Reader::Rpm => {
                    let (found, why) = rpm::read(&view.open(path)?, size(entry), &distribution, &found_in);
                    all.extend(found);
                    unread.extend(why.map(|why| {
                        format!("not all of /{} was read: {why}", found_in.trim_start_matches('/'))
                    }));
                }
                Reader::RpmChanges => unread
                    .push(format!("/{} has changes that were not read", found_in.trim_start_matches('/'))),
                Reader::Program => all.extend(golang::read(&view.open(path)?, &found_in)),
                Reader::Debian | Reader::Alpine | Reader::Python | Reader::Node | Reader::Cargo => {
                    if let Some(bytes) = view.read_file(path, LONGEST)? {
                        all.extend(packages(reader, &bytes, &distribution, &found_in));
                    }
                }
            }
        }
        Ok(Walk::Continue)
    })?;
    all.sort();
    all.dedup();
    Ok(Software { packages: all, unread })
}

fn size(entry: &Entry) -> u64 {
    match entry.attributes.kind {
        Kind::File { size } => size,
        Kind::Directory
        | Kind::Symlink { .. }
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Socket => 0,
    }
}

fn packages(reader: Reader, bytes: &[u8], distribution: &Distribution, found_in: &str) -> Vec<Package> {
    let text = String::from_utf8_lossy(bytes);
    match reader {
        Reader::Debian => debian::read(&text, distribution, found_in),
        Reader::Alpine => alpine::read(&text, distribution, found_in),
        Reader::Python => python::read(&text, found_in).into_iter().collect(),
        Reader::Node => node::read(bytes, found_in).into_iter().collect(),
        Reader::Cargo => cargo::read(&text, found_in),
        Reader::Rpm | Reader::RpmChanges | Reader::Program => Vec::new(),
    }
}

fn reader_of(path: &Path, entry: &Entry) -> Option<Reader> {
    let Kind::File { size } = entry.attributes.kind else { return None };
    let path = path.strip_prefix("/").unwrap_or(path);
    let name = path.file_name().unwrap_or_default();
    let parent = path.parent().unwrap_or(Path::new(""));
    let parent_name = parent.file_name().unwrap_or_default();
    let by_place = match path.to_str() {
        Some("var/lib/dpkg/status") => Some(Reader::Debian),
        Some("lib/apk/db/installed" | "usr/lib/apk/db/installed") => Some(Reader::Alpine),
        Some(_) | None if RPM_PLACES.iter().any(|place| parent == Path::new(place)) => {
            return rpm_reader(name, size);
        }
        Some(_) | None if parent == Path::new("var/lib/dpkg/status.d") => {
            (path.extension() != Some(OsStr::new("md5sums"))).then_some(Reader::Debian)
        }
        Some(_) | None if name == "METADATA" && ends(parent_name, ".dist-info") => Some(Reader::Python),
        Some(_) | None if name == "PKG-INFO" && ends(parent_name, ".egg-info") => Some(Reader::Python),
        Some(_) | None if ends(name, ".egg-info") => Some(Reader::Python),
        Some(_) | None if name == "package.json" && in_node_modules(parent) => Some(Reader::Node),
        Some(_) | None if name == "Cargo.lock" => Some(Reader::Cargo),
        Some(_) | None => None,
    };
    match by_place {
        Some(reader) => (size <= LONGEST).then_some(reader),
        None => (entry.attributes.mode & 0o111 != 0).then_some(Reader::Program),
    }
}

/// The files of rpm's databases, one for each form.
fn rpm_reader(name: &OsStr, size: u64) -> Option<Reader> {
    match name.to_str() {
        Some("rpmdb.sqlite" | "Packages.db" | "Packages") => Some(Reader::Rpm),
        Some("rpmdb.sqlite-wal") => (size > 0).then_some(Reader::RpmChanges),
        Some(_) | None => None,
    }
}

fn ends(name: &OsStr, end: &str) -> bool {
    name.as_encoded_bytes().ends_with(end.as_bytes())
}

/// `node_modules/NAME` or `node_modules/@SCOPE/NAME`, and nothing deeper.
fn in_node_modules(package: &Path) -> bool {
    let above = package.parent();
    let is_modules =
        |path: Option<&Path>| path.and_then(Path::file_name).is_some_and(|name| name == "node_modules");
    let scope = above.and_then(Path::file_name);
    is_modules(above)
        || (scope.is_some_and(|scope| scope.as_encoded_bytes().starts_with(b"@"))
            && is_modules(above.and_then(Path::parent)))
}

#[cfg(test)]
mod tests {
    use layer_store::Attributes;

    use super::*;

    #[test]
    fn files_go_by_their_places() {
        let entry = |mode| Entry {
            attributes: Attributes::new(Kind::File { size: 9 }, mode),
            identity: (0, 0),
            links: 1,
        };
        for (path, mode, expected) in [
            ("/var/lib/dpkg/status", 0o644, Some(Reader::Debian)),
            ("/var/lib/dpkg/status-old", 0o644, None),
            ("/var/lib/dpkg/status.d/base", 0o644, Some(Reader::Debian)),
            ("/var/lib/dpkg/status.d/base.md5sums", 0o644, None),
            ("/var/lib/rpm/rpmdb.sqlite", 0o644, Some(Reader::Rpm)),
            ("/usr/lib/sysimage/rpm/Packages.db", 0o644, Some(Reader::Rpm)),
            ("/var/lib/rpm/Packages", 0o644, Some(Reader::Rpm)),
            ("/usr/share/rpm/rpmdb.sqlite-wal", 0o644, Some(Reader::RpmChanges)),
            ("/var/lib/rpm/rpmdb.sqlite-shm", 0o644, None),
            ("/opt/rpmdb.sqlite", 0o644, None),
            ("/usr/lib/python3/dist-packages/a-1.dist-info/METADATA", 0o644, Some(Reader::Python)),
            ("/usr/lib/python3/dist-packages/a-1.egg-info", 0o644, Some(Reader::Python)),
            ("/app/node_modules/a/package.json", 0o644, Some(Reader::Node)),
            ("/app/node_modules/@s/a/package.json", 0o644, Some(Reader::Node)),
            ("/app/node_modules/a/lib/package.json", 0o644, None),
            ("/app/package.json", 0o644, None),
            ("/src/Cargo.lock", 0o644, Some(Reader::Cargo)),
            ("/usr/bin/x", 0o755, Some(Reader::Program)),
            ("/usr/share/x", 0o644, None),
        ] {
            assert_eq!(reader_of(Path::new(path), &entry(mode)), expected, "{path}");
        }
    }
}
