//! Layers written anew: times set or cut, files left out. Layers that this leaves as they are keep their blobs.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use layer_store::tar::{TarEntry, TarReader, TarWriter};
use layer_store::{Compressor, Kind, Lease, Time, open_layer_stream};
use oci::{Compression, Descriptor, DiffId, Hashing, History};

use super::Image;
use crate::Session;
use crate::event::StepId;
use crate::toolchain::error::ToolError;
use crate::toolchain::place::{PlaceError, made_of};

/// What is different in all layers afterwards.
#[derive(Clone, Debug, Default)]
pub struct LayerChange {
    /// Times in the layers and in the config.
    pub times: Option<NewTimes>,
    /// Files and directories that are left out, as paths from the root of the image.
    pub left_out: Vec<PathBuf>,
}

/// What becomes of times. In seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTimes {
    /// All are this.
    Set(i64),
    /// Later ones are this.
    AtMost(i64),
}

impl NewTimes {
    fn of(self, time: Time) -> Time {
        match self {
            Self::Set(secs) => Time { secs, nanos: 0 },
            Self::AtMost(secs) if (time.secs, time.nanos) > (secs, 0) => Time { secs, nanos: 0 },
            Self::AtMost(_) => time,
        }
    }

    /// For a document's time. One that cannot be read is later than any.
    fn of_text(self, text: &str, new: Timestamp) -> String {
        let keeps = match self {
            Self::Set(_) => false,
            Self::AtMost(_) => text.parse::<Timestamp>().is_ok_and(|time| time <= new),
        };
        if keeps { text.to_owned() } else { new.to_string() }
    }

    fn seconds(self) -> i64 {
        match self {
            Self::Set(seconds) | Self::AtMost(seconds) => seconds,
        }
    }
}

/// Writes the layers and the times of the config anew.
///
/// # Errors
///
/// A layer is no tar or cannot be had, a path that is to be left out is in no layer, or a file that stays is a
/// hard link to one that goes.
pub(super) async fn rewrite(
    session: &Session,
    mut image: Image,
    change: &LayerChange,
    step: StepId,
) -> Result<Image, ToolError> {
    if let Some(times) = change.times {
        date_config(&mut image, times)?;
    }
    if change.times.is_none() && change.left_out.is_empty() {
        return Ok(image);
    }
    let change = LayerChange {
        left_out: change.left_out.iter().map(|path| clean(path)).collect(),
        times: change.times,
    };
    if change.left_out.iter().any(|path| path.as_os_str().is_empty()) {
        return Err(PlaceError::refused(&image.shown, "its root directory cannot be left out").into());
    }
    let source = image.source(session);
    let mut met = vec![false; change.left_out.len()];
    for index in 0..image.manifest.layers.len() {
        let blob = image.manifest.layers[index].clone();
        let Some(form) = blob.media_type.compression().filter(|_| !blob.media_type.is_foreign()) else {
            let reason = format!("layer {}: {} cannot be written anew", blob.digest, blob.media_type);
            return Err(PlaceError::refused(&image.shown, reason).into());
        };
        let (lease, layer_change) = (session.lease.clone(), change.clone());
        let work = move |incoming| layer(&lease, form, Box::new(incoming), &layer_change);
        let written = made_of(session, &source, &blob, step, work).await?;
        met.iter_mut().zip(&written.met).for_each(|(met, here)| *met |= here);
        if written.differs {
            let (digest, size) = written.blob;
            image.manifest.layers[index] = Descriptor::new(blob.media_type, digest, size);
            image.config.rootfs.diff_ids[index] = written.diff;
        }
    }
    match met.iter().position(|met| !met) {
        None => Ok(image),
        Some(index) => {
            let reason = format!("no layer has /{}", change.left_out[index].display());
            Err(PlaceError::refused(&image.shown, reason).into())
        }
    }
}

fn date_config(image: &mut Image, times: NewTimes) -> Result<(), ToolError> {
    let refuse = |_| PlaceError::refused(&image.shown, format!("{} is no time", times.seconds()));
    let new = Timestamp::from_second(times.seconds()).map_err(refuse)?;
    let date = |time: &mut Option<String>| {
        if let Some(text) = time {
            *text = times.of_text(text, new);
        }
    };
    date(&mut image.config.created);
    image.config.history.iter_mut().for_each(|History { created, .. }| date(created));
    Ok(())
}

/// A layer that was written.
struct Written {
    blob: (oci::Digest, u64),
    diff: DiffId,
    /// Whether anything in it is not as it was.
    differs: bool,
    /// Which of the paths that go were in it.
    met: Vec<bool>,
}

fn layer(
    lease: &Lease,
    form: Compression,
    reader: Box<dyn Read + Send>,
    change: &LayerChange,
) -> io::Result<Written> {
    let sink = BufWriter::new(lease.blob().map_err(io::Error::other)?);
    let to = Hashing::sha256(Compressor::new(form, None, sink)?);
    let mut tar = TarReader::new(open_layer_stream(form, reader));
    let (to, differs, met) = copy(&mut tar, to, change)?;
    // What is behind the archive's end counts for the digest that it is held against.
    io::copy(&mut tar.into_inner(), &mut io::sink())?;
    let writer = to.inner.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    let blob = writer.commit().map_err(io::Error::other)?;
    Ok(Written { blob, diff: DiffId(to.hasher.finish()), differs, met })
}

/// Copies an archive with the change; whether there was any, and which paths were met.
fn copy<R: Read, W: Write>(
    from: &mut TarReader<R>,
    to: W,
    change: &LayerChange,
) -> io::Result<(W, bool, Vec<bool>)> {
    let mut to = TarWriter::new(to);
    let (mut differs, mut met) = (false, vec![false; change.left_out.len()]);
    while let Some(mut entry) = from.next_entry().map_err(io::Error::other)? {
        let path = clean(&entry.path);
        if let Some(index) = left_out(change, &meant(&path)) {
            (met[index], differs) = (true, true);
            continue;
        }
        if let Some(times) = change.times {
            let new = times.of(entry.attributes.mtime);
            differs |= new != entry.attributes.mtime;
            entry.attributes.mtime = new;
        }
        if let Some(link) = &entry.link
            && left_out(change, &clean(&link.0)).is_some()
        {
            let (path, target) = (path.display(), clean(&link.0));
            let why = format!("/{path} is a hard link to /{}, which is left out", target.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        write(&mut to, entry).map_err(io::Error::other)?;
    }
    Ok((to.finish().map_err(io::Error::other)?, differs, met))
}

fn write<W: Write>(to: &mut TarWriter<W>, entry: TarEntry<'_>) -> layer_store::Result<()> {
    let TarEntry { path, attributes, link, mut body } = entry;
    match (link, &attributes.kind) {
        (Some(link), _) => to.hardlink(&path, &link.0, &attributes),
        (None, Kind::File { .. }) => to.file(&path, &attributes, &mut body),
        (
            None,
            Kind::Directory
            | Kind::Symlink { .. }
            | Kind::Fifo
            | Kind::CharDevice { .. }
            | Kind::BlockDevice { .. }
            | Kind::Socket,
        ) => to.entry(&path, &attributes),
    }
}

fn left_out(change: &LayerChange, path: &Path) -> Option<usize> {
    change.left_out.iter().position(|gone| path.starts_with(gone))
}

/// A path from the root, without what only spells it.
fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir)).collect()
}

/// The path that an entry is about: a mark for a deleted name is about that name.
fn meant(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().as_bytes();
    match name.strip_prefix(b".wh.") {
        Some(rest) if !rest.starts_with(b".wh.") => path.with_file_name(OsStr::from_bytes(rest)),
        Some(_) | None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use layer_store::Attributes;

    use super::*;

    fn changed(change: &LayerChange) -> io::Result<(Vec<String>, bool, Vec<bool>)> {
        let mut tar = TarWriter::new(Vec::new());
        let dated = |kind, secs| {
            let mut attributes = Attributes::new(kind, 0o644);
            attributes.mtime.secs = secs;
            attributes
        };
        tar.entry(Path::new("./a/"), &dated(Kind::Directory, 10)).unwrap();
        tar.file(Path::new("a/b"), &dated(Kind::File { size: 2 }, 20), &mut &b"xy"[..]).unwrap();
        tar.file(Path::new("a/bc"), &dated(Kind::File { size: 0 }, 30), &mut &b""[..]).unwrap();
        tar.hardlink(Path::new("link"), Path::new("a/b"), &dated(Kind::File { size: 0 }, 20)).unwrap();
        tar.whiteout(Path::new("c/d")).unwrap();
        let tar = tar.finish().unwrap();
        let (out, differs, met) = copy(&mut TarReader::new(tar.as_slice()), Vec::new(), change)?;
        let mut entries = Vec::new();
        let mut reader = TarReader::new(out.as_slice());
        while let Some(mut entry) = reader.next_entry().unwrap() {
            let mut text = String::new();
            entry.body.read_to_string(&mut text).unwrap();
            entries.push(format!("{} {} {text}", clean(&entry.path).display(), entry.attributes.mtime.secs));
        }
        Ok((entries, differs, met))
    }

    #[test]
    fn times_change_and_what_is_left_out_goes_with_its_marks() {
        let change = |times, paths: &[&str]| LayerChange {
            times,
            left_out: paths.iter().map(|path| clean(Path::new(path))).collect(),
        };
        let whole = ["a 10 ", "a/b 20 xy", "a/bc 30 ", "link 20 ", "c/.wh.d 0 "].map(str::to_owned);
        assert_eq!(changed(&change(None, &[])).unwrap(), (whole.to_vec(), false, vec![]));
        assert!(!changed(&change(Some(NewTimes::AtMost(30)), &[])).unwrap().1);
        let (entries, differs, _) = changed(&change(Some(NewTimes::AtMost(15)), &[])).unwrap();
        assert!(differs && entries[..2] == ["a 10 ", "a/b 15 xy"], "{entries:?}");
        let (entries, ..) =
            changed(&change(Some(NewTimes::Set(5)), &["/link", "c/d/", "x", "a/bc"])).unwrap();
        assert_eq!(entries, ["a 5 ", "a/b 5 xy"]);
        let (entries, differs, met) = changed(&change(None, &["/a", "link", "x"])).unwrap();
        assert_eq!((entries, differs, met), (vec!["c/.wh.d 0 ".to_owned()], true, vec![true, true, false]));
        let error = changed(&change(None, &["a/b"])).unwrap_err().to_string();
        assert_eq!(error, "/link is a hard link to /a/b, which is left out");
    }

    #[test]
    fn times_of_documents_are_cut_where_they_are_later() {
        let new = Timestamp::from_second(100).unwrap();
        for (times, text, expected) in [
            (NewTimes::AtMost(100), "1970-01-01T00:00:01.5Z", "1970-01-01T00:00:01.5Z"),
            (NewTimes::AtMost(100), "2020-01-01T00:00:00Z", "1970-01-01T00:01:40Z"),
            (NewTimes::AtMost(100), "once", "1970-01-01T00:01:40Z"),
            (NewTimes::Set(100), "1970-01-01T00:00:01Z", "1970-01-01T00:01:40Z"),
        ] {
            assert_eq!(times.of_text(text, new), expected, "{times:?} {text}");
        }
    }
}
