//! Files that the frontend asks for.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use graph::{ContextName, Span};
use layer_store::{Kind, StackView, StoreError};
use thiserror::Error;

use super::{Extra, all};
use crate::error::{BuildError, Categorised, Category, Cause};
use crate::request::LocalContext;
use crate::worker::{Permit, blocking};

/// No build file and no ignore file is larger.
const MOST_BYTES: u64 = 16 << 20;

type Answers = BTreeMap<(ContextName, String), Option<Bytes>>;

/// A file that cannot be read.
#[derive(Debug, Error)]
enum FileNeedError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: larger than {MOST_BYTES} bytes", path = path.display())]
    TooLarge { path: PathBuf },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Categorised for FileNeedError {
    fn category(&self) -> Category {
        Category::Local
    }
}

/// Reads them all. A file that is not there is an answer.
pub(super) async fn read(
    contexts: &BTreeMap<ContextName, LocalContext>,
    extra: &Extra,
    wanted: Vec<(ContextName, String, Option<Span>)>,
) -> Result<Answers, BuildError> {
    if wanted.is_empty() {
        return Ok(Answers::new());
    }
    let names: Vec<&str> = wanted.iter().map(|(_, path, _)| path.as_str()).collect();
    let step = extra.begin(format!("[internal] load {}", names.join(", ")), None).await;
    let result =
        all(wanted.into_iter().map(|(name, path, span)| one(contexts, name, path, span)).collect()).await;
    extra.end(step, &result).await;
    Ok(result?.into_iter().collect())
}

async fn one(
    contexts: &BTreeMap<ContextName, LocalContext>,
    name: ContextName,
    path: String,
    span: Option<Span>,
) -> Result<((ContextName, String), Option<Bytes>), BuildError> {
    let content = match contexts.get(&name) {
        None => return Err(BuildError::NoContext { name: display(&name), span }),
        Some(LocalContext::Memory(files)) => files.get(&path).cloned(),
        Some(LocalContext::Layers { view, .. }) => {
            let (view, file) = (view.clone(), path.clone());
            blocking(Permit::free(), move || read_layered(&view, &file)).await.map_err(|error| {
                BuildError::Need { what: format!("{path} cannot be read"), span, cause: Cause::from(error) }
            })?
        }
        Some(LocalContext::Directory(directory)) => {
            let file = directory.join(&path);
            blocking(Permit::free(), move || read_file(&file)).await.map_err(|error| BuildError::Need {
                what: format!("{path} cannot be read"),
                span,
                cause: Cause::from(error),
            })?
        }
    };
    Ok(((name, path), content))
}

/// Links lead nowhere but inside the tree. Ignore files mean nothing here: the tree holds what was
/// fetched, and nothing of it has to be sent anywhere.
fn read_layered(view: &StackView, path: &str) -> Result<Option<Bytes>, FileNeedError> {
    if path.ends_with(".dockerignore") {
        return Ok(None);
    }
    let Some((real, entry)) = view.resolve(Path::new(path))? else { return Ok(None) };
    match entry.attributes.kind {
        Kind::File { size } if size > MOST_BYTES => Err(FileNeedError::TooLarge { path: path.into() }),
        Kind::File { .. } => Ok(view.read_file(&real, MOST_BYTES)?.map(Bytes::from)),
        Kind::Directory
        | Kind::Symlink { .. }
        | Kind::Fifo
        | Kind::CharDevice { .. }
        | Kind::BlockDevice { .. }
        | Kind::Socket => Ok(None),
    }
}

fn read_file(path: &Path) -> Result<Option<Bytes>, FileNeedError> {
    let io = |source| FileNeedError::Io { path: path.to_owned(), source };
    let size = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(io(error)),
    };
    if size > MOST_BYTES {
        return Err(FileNeedError::TooLarge { path: path.to_owned() });
    }
    std::fs::read(path).map(|bytes| Some(bytes.into())).map_err(io)
}

fn display(name: &ContextName) -> String {
    match name {
        ContextName::Main => "main".to_owned(),
        ContextName::BuildFile => "build file".to_owned(),
        ContextName::Named(name) => name.clone(),
    }
}
