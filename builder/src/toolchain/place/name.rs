//! How places are written: `docker://NAME`, `store:NAME`, `oci:DIR[:TAG|@DIGEST]` and so on. Pure.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use oci::{Digest, Reference};
use thiserror::Error;

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `docker://NAME`: a registry.
    Registry(Reference),
    /// `store:NAME`: the store.
    Store(Reference),
    /// `NAME`: the store's image, else the registry's. A source only.
    Either(Reference),
    /// `oci:DIR[:TAG|@DIGEST]`: an OCI layout.
    Layout {
        /// Its directory.
        dir: PathBuf,
        /// Which image of it.
        image: InLayout,
    },
    /// `oci-archive:FILE[:TAG|@DIGEST]`: an OCI layout in a tar.
    LayoutArchive {
        /// The tar.
        file: PathBuf,
        /// Which image of it.
        image: InLayout,
    },
    /// `docker-archive:FILE[:NAME]`: what `docker save` writes.
    DockerArchive {
        /// The tar.
        file: PathBuf,
        /// Which image of it; the only one where absent.
        name: Option<Reference>,
    },
    /// `dir:DIR`: skopeo's directory of one image.
    Directory(PathBuf),
}

/// Which image of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InLayout {
    /// The only one.
    Only,
    /// The one with that `org.opencontainers.image.ref.name`.
    Tag(String),
    /// The one with that digest.
    Digest(Digest),
}

/// A text that names no place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} names no image: {reason}")]
pub struct PlaceNameError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Transports of other tools that are refused by name.
const FOREIGN: &[&str] = &[
    "containers-storage",
    "docker-daemon",
    "ostree",
    "atomic",
    "sif",
    "tarball",
    "oci-layout",
    "http",
    "https",
];

fn parse(text: &str) -> Result<Place, String> {
    let (transport, rest) = text.split_once(':').unwrap_or(("", text));
    let reference = |name: &str| name.parse::<Reference>().map_err(|error| error.to_string());
    match transport {
        "docker" => match rest.strip_prefix("//") {
            Some(name) => Ok(Place::Registry(reference(name)?)),
            None if rest.starts_with('/') => Err("a registry's image is written docker://NAME".to_owned()),
            // An image that is called docker.
            None => Ok(Place::Either(reference(text)?)),
        },
        "store" => Ok(Place::Store(reference(rest)?)),
        "oci" => in_layout(rest).map(|(dir, image)| Place::Layout { dir, image }),
        "oci-archive" => in_layout(rest).map(|(file, image)| Place::LayoutArchive { file, image }),
        "docker-archive" => {
            let (file, name) = rest.split_once(':').map_or((rest, None), |(file, name)| (file, Some(name)));
            Ok(Place::DockerArchive { file: path(file)?, name: name.map(reference).transpose()? })
        }
        "dir" => Ok(Place::Directory(path(rest)?)),
        other if FOREIGN.contains(&other) => Err(format!(
            "{other}: is not supported; docker://, store:, oci:, oci-archive:, docker-archive: and dir: are"
        )),
        _ => Ok(Place::Either(reference(text)?)),
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    match text.is_empty() {
        true => Err("no path is given".to_owned()),
        false => Ok(text.into()),
    }
}

/// The path ends at the first colon, as skopeo has it; a tag may contain further ones.
fn in_layout(text: &str) -> Result<(PathBuf, InLayout), String> {
    if let Some((dir, digest)) = text.rsplit_once('@')
        && let Ok(digest) = digest.parse::<Digest>()
    {
        return Ok((path(dir)?, InLayout::Digest(digest)));
    }
    match text.split_once(':') {
        Some((_, "")) => Err("the tag is empty".to_owned()),
        Some((dir, tag)) => Ok((path(dir)?, InLayout::Tag(tag.to_owned()))),
        None => Ok((path(text)?, InLayout::Only)),
    }
}

impl FromStr for Place {
    type Err = PlaceNameError;

    fn from_str(text: &str) -> Result<Self, PlaceNameError> {
        parse(text).map_err(|reason| PlaceNameError { text: text.to_owned(), reason })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = |f: &mut fmt::Formatter<'_>, kind: &str, path: &Path, image: &InLayout| {
            write!(f, "{kind}:{}", path.display())?;
            match image {
                InLayout::Only => Ok(()),
                InLayout::Tag(tag) => write!(f, ":{tag}"),
                InLayout::Digest(digest) => write!(f, "@{digest}"),
            }
        };
        match self {
            Place::Registry(name) => write!(f, "docker://{}", name.familiar()),
            Place::Store(name) => write!(f, "store:{}", name.familiar()),
            Place::Either(name) => f.write_str(&name.familiar()),
            Place::Layout { dir, image } => layout(f, "oci", dir, image),
            Place::LayoutArchive { file, image } => layout(f, "oci-archive", file, image),
            Place::DockerArchive { file, name } => {
                write!(f, "docker-archive:{}", file.display())?;
                name.as_ref().map_or(Ok(()), |name| write!(f, ":{}", name.familiar()))
            }
            Place::Directory(dir) => write!(f, "dir:{}", dir.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_alike() {
        let digest = format!("oci:a/b@sha256:{}", "0".repeat(64));
        for text in [
            "docker://a.example/b:1",
            "docker://alpine:latest",
            "store:app:1",
            "app:1",
            "docker:latest",
            "oci:dir",
            "oci:dir:v1",
            "oci:dir:a.example/b:1",
            &digest,
            "oci-archive:f.tar",
            "oci-archive:/x/f.tar:v1",
            "docker-archive:f.tar",
            "docker-archive:f.tar:app:1",
            "dir:/some/where",
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
        }
    }

    #[test]
    fn the_kind_is_what_was_written() {
        let is = |text: &str| text.parse::<Place>().unwrap();
        assert!(matches!(is("docker:1"), Place::Either(_)));
        assert!(matches!(is("localhost:5000/a"), Place::Either(_)));
        assert!(matches!(is("docker://localhost:5000/a"), Place::Registry(_)));
        let Place::Layout { image, .. } = is("oci:d:x:y") else { panic!("a layout") };
        assert_eq!(image, InLayout::Tag("x:y".to_owned()));
    }

    #[test]
    fn what_names_no_place_is_refused_with_its_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("docker:/x", "docker://NAME"),
            ("docker://", "empty"),
            ("docker-daemon:x:1", "not supported"),
            ("containers-storage:x", "not supported"),
            ("https://a.example/b", "not supported"),
            ("oci:", "no path"),
            ("oci:dir:", "tag is empty"),
            ("dir:", "no path"),
            ("docker-archive:f:UPPER", "lower case"),
        ] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
