//! The entries of a layer, put aside: a layer may have millions.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::sync::Arc;

use layer_store::{Spill, SpillWriter, StoreError};

use super::layers::FileReport;

/// Bytes of a record before its names: kind, mode, owner, group, size, lengths of path and target.
const FIXED: usize = 1 + 3 * 4 + 8 + 2 * 4;

/// The length of the target of what has none.
const NO_TARGET: u32 = u32::MAX;

/// The entries of a layer, in the order of its archive.
#[derive(Clone, Debug)]
pub struct FileList(Form);

#[derive(Clone, Debug)]
enum Form {
    Memory(Vec<FileReport>),
    Aside { spill: Arc<Spill>, count: usize },
}

impl FileList {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Memory(files) => files.len(),
            Form::Aside { count, .. } => *count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands out one after the other.
    pub fn each<E: From<StoreError>>(
        &self,
        visit: &mut dyn FnMut(FileReport) -> Result<(), E>,
    ) -> Result<(), E> {
        match &self.0 {
            Form::Memory(files) => files.iter().cloned().try_for_each(visit),
            Form::Aside { spill, count } => {
                let mut at = 0;
                for _ in 0..*count {
                    let mut fixed = [0; FIXED];
                    spill.read_at(at, &mut fixed)?;
                    let (lengths, mut file) = read_fixed(&fixed);
                    let mut names = vec![0; lengths.0 + lengths.1.unwrap_or(0)];
                    spill.read_at(at + FIXED as u64, &mut names)?;
                    at += (FIXED + names.len()) as u64;
                    let target = names.split_off(lengths.0);
                    file.path = path(names);
                    file.target = lengths.1.map(|_| path(target));
                    visit(file)?;
                }
                Ok(())
            }
        }
    }

    /// The same in memory.
    pub fn load(&self) -> Result<Self, StoreError> {
        let mut files = Vec::with_capacity(self.len());
        self.each(&mut |file| {
            files.push(file);
            Ok::<_, StoreError>(())
        })?;
        Ok(Self::from(files))
    }

    /// Those that are in memory.
    pub fn loaded(&self) -> &[FileReport] {
        match &self.0 {
            Form::Memory(files) => files,
            Form::Aside { .. } => &[],
        }
    }
}

impl From<Vec<FileReport>> for FileList {
    fn from(files: Vec<FileReport>) -> Self {
        Self(Form::Memory(files))
    }
}

/// Takes entries and puts them aside.
pub(super) struct FileWriter {
    writer: SpillWriter,
    pub(super) count: usize,
    /// The sizes of all of them.
    pub(super) size: u64,
}

impl FileWriter {
    pub(super) fn new(spill: Spill) -> Self {
        Self { writer: spill.writer(), count: 0, size: 0 }
    }

    pub(super) fn add(&mut self, file: &FileReport) -> Result<(), StoreError> {
        self.count += 1;
        self.size += file.size;
        let path = file.path.as_os_str().as_bytes();
        let target = file.target.as_ref().map(|target| target.as_os_str().as_bytes());
        let mut fixed = Vec::with_capacity(FIXED);
        fixed.push(u8::try_from(file.kind).unwrap_or(b'?'));
        for number in [file.mode, file.uid, file.gid] {
            fixed.extend_from_slice(&number.to_le_bytes());
        }
        fixed.extend_from_slice(&file.size.to_le_bytes());
        for length in [path.len() as u32, target.map_or(NO_TARGET, |target| target.len() as u32)] {
            fixed.extend_from_slice(&length.to_le_bytes());
        }
        self.writer.write(&fixed)?;
        self.writer.write(path)?;
        self.writer.write(target.unwrap_or_default())
    }

    pub(super) fn finish(self) -> Result<FileList, StoreError> {
        let spill = Arc::new(self.writer.finish()?);
        Ok(FileList(Form::Aside { spill, count: self.count }))
    }
}

/// The lengths of path and target, and everything else of a record.
fn read_fixed(bytes: &[u8; FIXED]) -> ((usize, Option<usize>), FileReport) {
    let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
    let size = u64::from_le_bytes(bytes[13..21].try_into().unwrap_or_default());
    let target = Some(short(25)).filter(|length| *length != NO_TARGET);
    let file = FileReport {
        path: PathBuf::new(),
        kind: char::from(bytes[0]),
        mode: short(1),
        uid: short(5),
        gid: short(9),
        size,
        target: None,
    };
    ((short(21) as usize, target.map(|length| length as usize)), file)
}

fn path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}
