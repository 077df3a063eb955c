//! The files of one source on their way, written side by side.
//!
//! Files get their places one after the other, in the order of the copy, and their contents together. So what a
//! copy makes does not depend on which of them is ready first.

use std::path::{Path, PathBuf};

use layer_store::{Attributes, Content, NewFile};
use rayon::prelude::*;

use super::FileError;
use super::dest::Dest;
use super::earlier::Earlier;
use super::tree::Tree;
use crate::context::{ContentDigest, ContextFile, ContextScan, OpenFile};

/// So many files are written together.
const AT_ONCE: usize = if cfg!(test) { 3 } else { 512 };

/// Files that are to be written.
#[derive(Default)]
pub(super) struct Batch(Vec<Waiting>);

/// A file that is to be written.
pub(super) struct Waiting {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
    pub(super) attributes: Attributes,
    pub(super) origin: Origin,
}

/// Where a file comes from.
pub(super) enum Origin {
    /// The context.
    Context,
    /// A layer. Its files never change, so one that stays as it is needs no second inode.
    Layer(PathBuf),
}

/// A file with its place.
struct Job {
    new: NewFile,
    waiting: Waiting,
    found: Option<ContextFile>,
}

impl Batch {
    /// Adds a file, and writes all once they are enough.
    pub(super) fn add(
        &mut self,
        waiting: Waiting,
        (dest, tree, earlier): (&mut Dest, &Tree, &Earlier),
    ) -> Result<(), FileError> {
        self.0.push(waiting);
        if self.0.len() < AT_ONCE { Ok(()) } else { self.write(dest, tree, earlier) }
    }

    /// Writes those that wait.
    pub(super) fn write(&mut self, dest: &mut Dest, tree: &Tree, earlier: &Earlier) -> Result<(), FileError> {
        let mut waiting = std::mem::take(&mut self.0);
        let scan = match tree {
            Tree::Context(scan) => Some(&**scan),
            Tree::Stack(_) => None,
        };
        let found = match scan {
            Some(scan) => found(scan, &mut waiting, earlier)?,
            None => waiting.iter().map(|_| None).collect(),
        };
        let mut jobs = Vec::with_capacity(waiting.len());
        for (waiting, found) in waiting.into_iter().zip(found) {
            let new = dest.new_file(&waiting.target, &waiting.attributes)?;
            jobs.push(Job { new, waiting, found });
        }
        let written: Vec<Result<_, FileError>> = jobs.into_par_iter().map(|job| job.run(scan)).collect();
        for written in written {
            if let Some((target, digest)) = written? {
                dest.content_is(&target, digest)?;
            }
        }
        Ok(())
    }
}

/// What the context knows of the files. Those that the earlier layer has come from there.
fn found(
    scan: &ContextScan,
    waiting: &mut [Waiting],
    earlier: &Earlier,
) -> Result<Vec<Option<ContextFile>>, FileError> {
    let sources: Vec<PathBuf> = waiting.iter().map(|waiting| waiting.source.clone()).collect();
    let files = scan.files(&sources)?;
    for (waiting, file) in waiting.iter_mut().zip(&files) {
        if let Some(host) = earlier.file(&waiting.target, file.digest) {
            waiting.origin = Origin::Layer(host);
        }
    }
    Ok(files.into_iter().map(Some).collect())
}

impl Job {
    /// Writes the file. Gives the digest of its content where that is known.
    fn run(self, scan: Option<&ContextScan>) -> Result<Option<(PathBuf, ContentDigest)>, FileError> {
        let Self { new, waiting: Waiting { source, target, attributes, origin }, found } = self;
        let digest = match (origin, scan, found) {
            (Origin::Layer(host), _, found) => {
                new.fill(&attributes, Content::HardLinkOf(&host))?;
                found.and_then(|found| found.digest)
            }
            (Origin::Context, Some(scan), Some(found)) => {
                of_context(new, attributes, scan, (&source, &found))?
            }
            (Origin::Context, _, _) => None,
        };
        Ok(digest.map(|digest| (target, digest)))
    }
}

fn of_context(
    new: NewFile,
    mut attributes: Attributes,
    scan: &ContextScan,
    (source, found): (&Path, &ContextFile),
) -> Result<Option<ContentDigest>, FileError> {
    match scan.open_found(source, found)? {
        OpenFile::Bytes(bytes) => new.fill(&attributes, Content::Bytes(&bytes))?,
        OpenFile::Stored(file) => new.fill(&attributes, Content::File(&file))?,
        OpenFile::File(opened) => {
            attributes.xattrs = opened.xattrs();
            new.fill(&attributes, Content::File(&opened.file))?;
            opened.check()?;
            // A digest covers extended attributes where there are any.
            return Ok(found.digest.filter(|_| attributes.xattrs.is_empty()));
        }
    }
    Ok(None)
}
