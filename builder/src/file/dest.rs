//! The tree that is written: the base, with what this step wrote on top, in one layer.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use layer_store::{Attributes, Content, FirstNames, Kind, LayerWriter, NewFile, StackView, Time};

use super::FileError;
use super::base::Base;
use super::error::shown;
use super::leaves::Leaves;
use super::links::{Last, resolve};
use super::owner::Unknown;
use crate::context::ContentDigest;

/// The destination of a step. Paths are real ones, as in [`Tree`](super::tree::Tree).
pub(super) struct Dest {
    base: Base,
    writer: LayerWriter,
    /// Directories that this step wrote, and whatever it removed or put in place of what it removed.
    written: HashMap<PathBuf, Written>,
    /// Everything else that it wrote.
    leaves: Leaves,
    now: Time,
    /// What a name stands for that the tree does not know.
    unknown: Unknown,
    remarks: Vec<String>,
}

/// What this step made of a path.
#[derive(Clone)]
struct Written {
    /// `None`: it was removed.
    attributes: Option<Attributes>,
    /// A directory that shows what the base has below it.
    shows_base: bool,
}

/// Who owns what is made without a model.
pub(super) type Owner = (u32, u32);

impl Dest {
    pub(super) fn new(base: StackView, writer: LayerWriter, now: Time, unknown: Unknown) -> Self {
        let base = Base::new(base);
        Self {
            base,
            writer,
            written: HashMap::new(),
            leaves: Leaves::default(),
            now,
            unknown,
            remarks: Vec::new(),
        }
    }

    /// For files of a source that have several names.
    pub(super) fn first_names(&self) -> FirstNames {
        self.writer.first_names()
    }

    /// The layer, and what there is to say about it.
    pub(super) fn finish(self) -> (LayerWriter, Vec<String>) {
        (self.writer, self.remarks)
    }

    /// What a name in `--chown` stands for that the tree does not know.
    pub(super) fn unknown(&self) -> Unknown {
        self.unknown
    }

    /// Says something that is no error.
    pub(super) fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// What is at a path, no link followed.
    pub(super) fn lookup(&self, path: &Path) -> Result<Option<Attributes>, FileError> {
        if let Some(written) = self.written.get(path) {
            return Ok(written.attributes.clone());
        }
        if let Some(leaf) = self.leaf(path)? {
            return Ok(Some(leaf));
        }
        let found = self.in_base(path)?;
        let root = path.as_os_str().is_empty();
        Ok(found.or_else(|| root.then(|| Attributes::new(Kind::Directory, 0o755))))
    }

    /// What this step wrote at a path that is not in `written`.
    fn leaf(&self, path: &Path) -> Result<Option<Attributes>, FileError> {
        if self.leaves.may_have(path) { Ok(self.writer.written(path)?) } else { Ok(None) }
    }

    /// Whether this step wrote something at a path, or removed what was there.
    fn is_written(&self, path: &Path) -> Result<bool, FileError> {
        Ok(self.written.contains_key(path) || self.leaf(path)?.is_some())
    }

    /// What the base has at a path that this step did not write, if it still shows.
    fn in_base(&self, path: &Path) -> Result<Option<Attributes>, FileError> {
        let above = path.ancestors().skip(1).find_map(|above| self.written.get(above));
        if above.is_some_and(|above| !above.shows_base) {
            return Ok(None);
        }
        self.base.lookup(path)
    }

    /// The real path behind an absolute one, all links followed, as far as anything exists.
    pub(super) fn resolve(&self, path: &str) -> Result<PathBuf, FileError> {
        self.resolve_below(Path::new(""), Path::new(path), Last::Follow)
    }

    /// The same with a directory of the tree as the root.
    pub(super) fn resolve_below(&self, root: &Path, path: &Path, last: Last) -> Result<PathBuf, FileError> {
        let target = |at: &Path| {
            let found = self.lookup(&root.join(at))?;
            Ok(found.and_then(|found| found.symlink_target().map(Path::to_path_buf)))
        };
        Ok(root.join(resolve(path, last, target, |_| {})?))
    }

    /// Reads a small file, links followed. `None`: there is none.
    pub(super) fn read_file(&self, path: &str, limit: u64) -> Result<UserFile, FileError> {
        let real = self.resolve(path)?;
        match self.lookup(&real)?.map(|found| found.kind) {
            None => Ok(UserFile::Missing),
            Some(Kind::File { size }) if size > limit => Ok(UserFile::TooLong),
            Some(Kind::File { .. }) => self.content(&real),
            Some(_) => Ok(UserFile::NotAFile),
        }
    }

    fn content(&self, real: &Path) -> Result<UserFile, FileError> {
        use std::io::Read;
        let written = self.is_written(real)?;
        let mut file = if written { self.writer.view()?.open(real)? } else { self.base.open(real)? };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|source| FileError::Read { path: shown(real), source })?;
        Ok(UserFile::Bytes(bytes))
    }

    /// Makes a directory with all that is missing above it; what exists stays as it is.
    pub(super) fn make_all(&mut self, path: &Path, mode: u32, owner: Owner) -> Result<(), FileError> {
        self.make_all_at(path, mode, owner, None)
    }

    /// The same with the time of what is made; `None` is now.
    pub(super) fn make_all_at(
        &mut self,
        path: &Path,
        mode: u32,
        owner: Owner,
        made: Option<Time>,
    ) -> Result<(), FileError> {
        let mut above: Vec<&Path> = path.ancestors().collect();
        above.pop();
        for path in above.into_iter().rev() {
            match self.lookup(path)?.map(|found| found.kind) {
                Some(Kind::Directory) => {}
                Some(_) => return Err(FileError::PathThroughFile { path: shown(path) }),
                None => {
                    let mut attributes = Attributes::new(Kind::Directory, mode & 0o777);
                    (attributes.uid, attributes.gid) = owner;
                    attributes.mtime = made.unwrap_or(self.now);
                    self.directory(path, &attributes)?;
                }
            }
        }
        Ok(())
    }

    /// Makes a directory, or gives an existing one these attributes. What else is there must have
    /// been removed.
    pub(super) fn directory(&mut self, path: &Path, attributes: &Attributes) -> Result<(), FileError> {
        check_name(path)?;
        let shows_base = match self.written.get(path) {
            Some(Written { attributes: Some(_), shows_base }) => *shows_base,
            removed @ (Some(Written { attributes: None, .. }) | None) => {
                let removed = removed.is_some();
                self.parents(path)?;
                let hides_directory = removed && self.base_directory(path)?;
                let shows_base = !removed && self.base_directory(path)?;
                self.writer.directory(path, attributes)?;
                if hides_directory {
                    self.writer.opaque(path)?;
                }
                return self.note(path, attributes, shows_base);
            }
        };
        self.writer.directory(path, attributes)?;
        self.note(path, attributes, shows_base)
    }

    fn base_directory(&self, path: &Path) -> Result<bool, FileError> {
        Ok(self.in_base(path)?.is_some_and(|there| there.is_dir()))
    }

    fn note(&mut self, path: &Path, attributes: &Attributes, shows_base: bool) -> Result<(), FileError> {
        let written = Written { attributes: Some(attributes.clone()), shows_base };
        self.written.insert(path.into(), written);
        Ok(())
    }

    /// Puts the directories above a path into the layer, as the base has them.
    fn parents(&mut self, path: &Path) -> Result<(), FileError> {
        let missing: Vec<&Path> = path
            .ancestors()
            .skip(1)
            .filter(|above| !above.as_os_str().is_empty())
            .take_while(|above| !self.written.contains_key(*above))
            .collect();
        for above in missing.into_iter().rev() {
            let Some(attributes) = self.base.lookup(above)?.filter(Attributes::is_dir) else {
                return Err(FileError::PathThroughFile { path: shown(above) });
            };
            self.writer.directory(above, &attributes)?;
            self.note(above, &attributes, true)?;
        }
        Ok(())
    }

    /// Gets ready for something that is no directory.
    fn make_way(&mut self, path: &Path) -> Result<(), FileError> {
        check_name(path)?;
        self.parents(path)
    }

    fn note_leaf(&mut self, path: &Path, attributes: &Attributes) -> Result<(), FileError> {
        if self.written.contains_key(path) {
            return self.note(path, attributes, false);
        }
        self.leaves.add(path);
        Ok(())
    }

    /// Writes a file in place of whatever is there (no directory).
    pub(super) fn file(
        &mut self,
        path: &Path,
        attributes: &Attributes,
        content: Content<'_>,
    ) -> Result<(), FileError> {
        self.make_way(path)?;
        self.writer.file(path, attributes, content)?;
        self.note_leaf(path, attributes)
    }

    /// Makes room for a file that another thread may write; from now on it counts as written.
    pub(super) fn new_file(&mut self, path: &Path, attributes: &Attributes) -> Result<NewFile, FileError> {
        self.make_way(path)?;
        let file = self.writer.new_file(path)?;
        self.note_leaf(path, attributes)?;
        Ok(file)
    }

    /// Says what the digest of a file's content is that was just written.
    pub(super) fn content_is(&mut self, path: &Path, digest: ContentDigest) -> Result<(), FileError> {
        Ok(self.writer.content_is(path, digest)?)
    }

    /// Puts a file of the base into the layer as it is, so that it can get another name there.
    pub(super) fn copy_up(&mut self, path: &Path) -> Result<(), FileError> {
        if self.is_written(path)? {
            return Ok(());
        }
        let Some(attributes) = self.in_base(path)? else { return Ok(()) };
        let file = self.base.open(path)?;
        self.file(path, &attributes, Content::File(&file))
    }

    /// Another name for a file of this layer.
    pub(super) fn hardlink(&mut self, path: &Path, existing: &Path) -> Result<(), FileError> {
        self.make_way(path)?;
        self.writer.hardlink(path, existing)?;
        match self.lookup(existing)? {
            Some(attributes) => self.note_leaf(path, &attributes),
            None => Ok(()),
        }
    }

    /// A link, FIFO or device.
    pub(super) fn special(&mut self, path: &Path, attributes: &Attributes) -> Result<(), FileError> {
        self.make_way(path)?;
        match &attributes.kind {
            Kind::Symlink { .. } => self.writer.symlink(path, attributes)?,
            Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {
                self.writer.special(path, attributes)?;
            }
            Kind::File { .. } | Kind::Directory | Kind::Socket => return Ok(()),
        }
        self.note_leaf(path, attributes)
    }

    /// Removes whatever is at a path, so that something of another type can take its place at once.
    pub(super) fn remove(&mut self, path: &Path) -> Result<(), FileError> {
        let there = match self.written.get(path) {
            Some(written) => written.attributes.is_some(),
            None => self.leaf(path)?.is_some(),
        };
        if there {
            self.writer.remove(path)?;
        }
        self.written.retain(|known, _| !known.starts_with(path));
        self.written.insert(path.into(), Written { attributes: None, shows_base: false });
        Ok(())
    }

    /// The moment that counts as now for the whole step.
    pub(super) fn now(&self) -> Time {
        self.now
    }
}

/// Refuses names that layers use for deletions.
fn check_name(path: &Path) -> Result<(), FileError> {
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    if name.starts_with(b".wh.") {
        return Err(FileError::Whiteout { path: shown(path) });
    }
    Ok(())
}

/// What reading a small file gave.
pub(super) enum UserFile {
    Bytes(Vec<u8>),
    Missing,
    NotAFile,
    TooLong,
}

/// The directory of a destination as it is written: itself, if it says that it is one.
pub(super) fn directory_of(dest: &str) -> String {
    if dest.is_empty() || dest.ends_with('/') || dest.ends_with("/.") {
        return dest.to_owned();
    }
    match dest.rsplit_once('/') {
        Some((directory, _)) => format!("{directory}/"),
        None => "/".to_owned(),
    }
}

/// The directory that a path is in; the root is in itself.
pub(super) fn parent(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}
