//! A file that appears under its name only when it is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use layer_store::StagedBlob;

use super::error::ExportError;

/// Writes a whole file; a failure leaves nothing.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), ExportError> {
    let mut file = UnfinishedFile::create(path)?;
    file.write_all(content).map_err(|source| ExportError::io(path, source))?;
    file.finish()
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// Written beside its destination, then renamed. Dropping it removes what was written.
#[derive(Debug)]
pub(crate) struct UnfinishedFile {
    file: Option<File>,
    temporary: PathBuf,
    destination: PathBuf,
}

impl UnfinishedFile {
    /// Starts a file; its directory is made where it is absent. A destination that is no regular
    /// file (a pipe, a device) is written to directly.
    pub(crate) fn create(destination: &Path) -> Result<Self, ExportError> {
        let failed = |source| ExportError::io(destination, source);
        if std::fs::metadata(destination).is_ok_and(|metadata| !metadata.is_file()) {
            let file = OpenOptions::new().write(true).open(destination).map_err(failed)?;
            return Ok(Self {
                file: Some(file),
                temporary: PathBuf::new(),
                destination: destination.to_owned(),
            });
        }
        let destination = std::fs::canonicalize(destination).unwrap_or_else(|_| destination.to_owned());
        let parent = match destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        std::fs::create_dir_all(&parent).map_err(failed)?;
        let (file, temporary) = beside(&parent, &destination).map_err(failed)?;
        Ok(Self { file: Some(file), temporary, destination })
    }

    /// Standard output, which has its name already.
    pub(crate) fn stdout() -> Result<Self, ExportError> {
        let file = io::stdout().as_fd().try_clone_to_owned().map(File::from).map_err(ExportError::Stdout)?;
        Ok(Self { file: Some(file), temporary: PathBuf::new(), destination: "standard output".into() })
    }

    /// Makes a blob its content, without a copy where both are on one file system.
    pub(crate) fn take(&mut self, blob: StagedBlob) -> Result<(), ExportError> {
        let blob = match self.temporary.as_os_str().is_empty() {
            true => Some(blob),
            false => blob.move_over(&self.temporary)?,
        };
        let Some(blob) = blob else { return Ok(()) };
        io::copy(&mut blob.open()?, self).map_err(|source| ExportError::io(&self.destination, source))?;
        blob.discard();
        Ok(())
    }

    /// Gives it its name.
    pub(crate) fn finish(mut self) -> Result<(), ExportError> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.flush().map_err(|source| ExportError::io(&self.destination, source))?;
        drop(file);
        if self.temporary.as_os_str().is_empty() {
            return Ok(());
        }
        let renamed = std::fs::rename(&self.temporary, &self.destination);
        if renamed.is_ok() {
            self.temporary = PathBuf::new();
        }
        renamed.map_err(|source| ExportError::io(&self.destination, source))
    }
}

fn beside(parent: &Path, destination: &Path) -> io::Result<(File, PathBuf)> {
    let name = destination.file_name().unwrap_or_default().to_string_lossy().into_owned();
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!(".{name}.{}-{number}.unfinished", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

impl Write for UnfinishedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_mut().map_or(Ok(bytes.len()), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appears_when_finished_and_leaves_nothing_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/image.tar");
        let mut file = UnfinishedFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists());
        drop(file);
        assert_eq!(std::fs::read_dir(dir.path().join("sub")).unwrap().count(), 0);
        let mut file = UnfinishedFile::create(&path).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(dir.path().join("sub")).unwrap().count(), 1);
    }
}
