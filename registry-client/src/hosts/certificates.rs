//! Certificates kept by host, in the directories of Docker, containers and containerd: `HOST/*.crt` are
//! authorities, `HOST/NAME.cert` with `HOST/NAME.key` is who we are.

use std::path::{Path, PathBuf};

use crate::RegistryError;

/// What one host's connections are made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Certificates {
    /// PEM files of authorities, trusted beside the usual ones.
    pub(crate) authorities: Vec<PathBuf>,
    /// PEM files of our certificate and its key.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
    /// Every directory that was looked into.
    pub(crate) consulted: Vec<PathBuf>,
}

impl Certificates {
    /// These, and others.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.authorities.extend(other.authorities.iter().cloned());
        self.client = self.client.or_else(|| other.client.clone());
        self.consulted.extend(other.consulted.iter().cloned());
        self
    }

    /// Whether there is none of our own to show and none to trust.
    pub(crate) fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.client.is_none()
    }
}

/// What a directory for one host holds.
pub(super) fn of(directory: &Path) -> Result<Certificates, RegistryError> {
    let mut found = Certificates { consulted: vec![directory.to_owned()], ..Certificates::default() };
    read(directory, &mut found)?;
    Ok(found)
}

/// Collects what is there for a host (with its port). All directories count; the first certificate of
/// ours is the one that is shown.
pub(super) fn find(directories: &[PathBuf], host: &str) -> Result<Certificates, RegistryError> {
    let mut found = Certificates::default();
    for directory in directories {
        for name in names(host) {
            let own = directory.join(name);
            found.consulted.push(own.clone());
            read(&own, &mut found)?;
        }
    }
    Ok(found)
}

/// The names that a host's folder may have, also as containerd writes a port; none for what is no host.
pub(super) fn names(host: &str) -> Vec<String> {
    if !is_name(host) {
        return Vec::new();
    }
    let spelt = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    std::iter::once(host.to_owned()).chain(spelt.map(|(name, port)| format!("{name}_{port}_"))).collect()
}

/// A host is part of a path here.
fn is_name(host: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_' | b'[' | b']');
    !host.is_empty() && host != "." && host != ".." && host.bytes().all(good)
}

fn read(directory: &Path, found: &mut Certificates) -> Result<(), RegistryError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let fail = |source| RegistryError::File { path: directory.to_owned(), source };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(()),
        Err(error) => return Err(fail(error)),
    };
    let mut files: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(fail)?;
    files.sort();
    for file in files {
        match file.extension().and_then(std::ffi::OsStr::to_str) {
            Some("crt") => found.authorities.push(file),
            Some("cert") if found.client.is_none() => {
                let key = file.with_extension("key");
                if !key.exists() {
                    let reason = format!("there is no {} beside it", key.display());
                    return Err(RegistryError::Setting { path: file, reason });
                }
                found.client = Some((file, key));
            }
            Some("key") if !file.with_extension("cert").exists() => {
                let reason = "there is no certificate (.cert) for this key".to_owned();
                return Err(RegistryError::Setting { path: file, reason });
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_the_directories_of_a_host() {
        let top = tempfile::tempdir().expect("a directory");
        let put = |path: &str| {
            let path = top.path().join(path);
            std::fs::create_dir_all(path.parent().expect("below")).expect("made");
            std::fs::write(path, "").expect("written");
        };
        for file in ["a/r.example:5000/x.crt", "a/r.example:5000/me.cert", "a/r.example:5000/me.key"] {
            put(file);
        }
        put("b/r.example_5000_/y.crt");
        put("b/other/lonely.cert");
        put("b/third/lonely.key");
        let directories = ["a", "b", "absent"].map(|name| top.path().join(name));
        let found = find(&directories, "r.example:5000").expect("good directories");
        let names: Vec<_> = found.authorities.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["x.crt", "y.crt"]);
        assert!(found.client.is_some_and(|(cert, key)| cert.ends_with("me.cert") && key.ends_with("me.key")));
        assert_eq!(found.consulted.len(), 6);
        assert!(find(&directories, "r.example").expect("nothing there").is_empty());
        for hostile in ["..", "../a", "a/b", ""] {
            assert!(find(&directories, hostile).expect("not looked at").consulted.is_empty(), "{hostile}");
        }
        for (host, part) in [("other", "lonely.key"), ("third", "for this key")] {
            let error = find(&directories, host).expect_err(host).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
