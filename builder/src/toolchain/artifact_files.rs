//! The files of an artifact, written into a directory under their titles.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use oci::{Descriptor, ImageDocument, Platform};

use super::artifact::TITLE;
use super::error::ToolError;
use super::place::{Place, PlaceError, Source, into_blocking};
use crate::Session;
use crate::export::UnfinishedFile;
use crate::request::CompressionChoice;
use crate::worker::{Permit, blocking};

/// What becomes of files that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// They are replaced.
    Replaced,
    /// They are an error, and nothing is written.
    Kept,
}

/// Writes the files of an artifact into a directory, each under its title
/// (`org.opencontainers.image.title`), and returns their paths. What has no title is passed over. A file
/// appears when it is whole and verified.
///
/// # Errors
///
/// A title leads out of the directory or stands twice, nothing has a title, or a file is there that is to be
/// kept. Nothing is written then.
pub async fn fetch_files(
    session: &Session,
    place: &Place,
    platform: Option<&Platform>,
    (directory, earlier): (&Path, Earlier),
) -> Result<Vec<PathBuf>, ToolError> {
    let source = Source::open(session, place, CompressionChoice::default()).await?;
    let document = match platform {
        Some(platform) => source.for_platform(platform).await?,
        None => source.top().clone(),
    };
    let ImageDocument::Manifest(manifest) = document else {
        return Err(PlaceError::refused(place, "it is an index: name one of its manifests by digest").into());
    };
    let files = titled(&manifest.parsed().layers).map_err(|why| PlaceError::refused(place, why))?;
    if files.is_empty() {
        return Err(PlaceError::refused(place, "nothing in it has a title to be written under").into());
    }
    let paths: Vec<PathBuf> = files.iter().map(|(path, _)| directory.join(path)).collect();
    let checked = paths.clone();
    let there =
        blocking(Permit::free(), move || checked.into_iter().find(|path| path.symlink_metadata().is_ok()));
    if let (Earlier::Kept, Some(path)) = (earlier, there.await) {
        return Err(PlaceError::io(&path, io::Error::from(io::ErrorKind::AlreadyExists)).into());
    }
    for ((_, blob), path) in files.iter().zip(&paths) {
        let (reader, path) = (source.blob(blob).await?, path.clone());
        let written = into_blocking(reader, move |mut incoming| {
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            let mut file = UnfinishedFile::create(&path).map_err(io::Error::other)?;
            io::copy(&mut incoming, &mut file)?;
            file.finish().map_err(io::Error::other)
        });
        written.await.map_err(|error| PlaceError::blob(&blob.digest, error))?;
    }
    Ok(paths)
}

/// The blobs that have titles, with these as paths below a directory.
fn titled(layers: &[Descriptor]) -> Result<Vec<(PathBuf, &Descriptor)>, String> {
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for layer in layers {
        let Some(title) = layer.annotations.get(TITLE) else { continue };
        let path = Path::new(title);
        let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let path: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        if !stays || path.as_os_str().is_empty() || title.contains('\0') || title.ends_with('/') {
            return Err(format!("the title {title:?} is no path below a directory"));
        }
        if !seen.insert(path.clone()) {
            return Err(format!("the title {title:?} stands twice"));
        }
        files.push((path, layer));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use oci::{Digest, MediaType};

    use super::*;

    #[test]
    fn titles_stay_below_the_directory() {
        let layer = |title: &str| {
            let mut layer = Descriptor::new(MediaType::from("x/y"), Digest::sha256(b""), 0);
            layer.annotations.insert(TITLE.to_owned(), title.to_owned());
            layer
        };
        for good in ["a", "a/b.json", "./a", "..a"] {
            assert!(titled(&[layer(good)]).is_ok(), "{good}");
        }
        for bad in ["", ".", "/a", "../a", "a/../b", "a/..", "a/", "a\0b"] {
            assert!(titled(&[layer(bad)]).is_err(), "{bad:?}");
        }
        assert!(titled(&[layer("a"), layer("./a")]).is_err());
        let untitled = Descriptor::new(MediaType::OciEmpty, Digest::sha256(b"{}"), 2);
        assert!(titled(&[untitled]).unwrap().is_empty());
    }
}
