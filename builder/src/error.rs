//! Why a build ended without its result.

use std::fmt;
use std::sync::Arc;

use graph::{Diagnostic, Span};
use registry_client::RegistryError;
use thiserror::Error;

use crate::event::StepId;

/// What kind of failure: decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// A step of the build failed.
    Step,
    /// The request or the build file is wrong.
    Usage,
    /// A registry or the network.
    Remote,
    /// The host cannot do what is needed.
    Host,
    /// Local input or output, or the store.
    Local,
    /// The user asked to stop.
    Interrupted,
}

impl Category {
    /// The exit code of the binary.
    pub fn exit_code(self) -> u8 {
        match self {
            Category::Step => 1,
            Category::Usage => 2,
            Category::Remote => 3,
            Category::Host => 4,
            Category::Local => 5,
            Category::Interrupted => 130,
        }
    }
}

/// An error that knows its category. Every error enum of this crate's ops implements it.
pub trait Categorised: std::error::Error + Send + Sync + 'static {
    /// What kind of failure it is.
    fn category(&self) -> Category;
}

/// A file of the settings or of certificates is this machine's.
impl Categorised for RegistryError {
    fn category(&self) -> Category {
        match matches!(self, RegistryError::File { .. } | RegistryError::Setting { .. }) {
            true => Category::Local,
            false => Category::Remote,
        }
    }
}

/// A typed cause: the error of an op, shared, with its category.
///
/// The binary chooses hints by downcasting [`Cause::error`] to the op's error type.
#[derive(Clone)]
pub struct Cause {
    category: Category,
    error: Arc<dyn std::error::Error + Send + Sync + 'static>,
}

impl Cause {
    /// What kind of failure it is.
    pub fn category(&self) -> Category {
        self.category
    }

    /// The error itself.
    pub fn error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.error
    }

    /// An error of another crate, under a category.
    pub fn new(category: Category, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { category, error: Arc::new(error) }
    }
}

impl<E: Categorised> From<E> for Cause {
    fn from(error: E) -> Self {
        Self { category: error.category(), error: Arc::new(error) }
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// A failed step, with all that helps to understand it.
#[derive(Clone, Debug, Error)]
#[error("{title}: {cause}")]
pub struct StepFailure {
    /// Which step.
    pub step: StepId,
    /// Its title.
    pub title: String,
    /// Where it is written.
    pub span: Option<Span>,
    /// The last lines it wrote; empty where it wrote nothing.
    pub log: Vec<String>,
    /// What went wrong.
    #[source]
    pub cause: Cause,
    /// Other steps that failed, where the build was to go on.
    pub others: Vec<StepFailure>,
}

/// Why a build ended without its result.
#[derive(Clone, Debug, Error)]
pub enum BuildError {
    /// The frontend refused the build file.
    #[error("the build file has errors")]
    Diagnostics(Vec<Diagnostic>),
    /// A step failed.
    #[error(transparent)]
    Step(Box<StepFailure>),
    /// Something the build file asks for could not be had.
    #[error("{what}")]
    Need {
        /// What was asked for: an image, a file.
        what: String,
        /// The text that asks.
        span: Option<Span>,
        /// What went wrong.
        #[source]
        cause: Cause,
    },
    /// A context that is used was not given.
    #[error("no context named {name:?} was given")]
    NoContext {
        /// Its name.
        name: String,
        /// The text that uses it.
        span: Option<Span>,
    },
    /// The frontend asked again for what it was told, so it would never end.
    #[error("the frontend asks without end for {what}")]
    EndlessNeed {
        /// What it asked for.
        what: String,
    },
    /// The result could not be exported.
    #[error("the image could not be exported")]
    Export(#[source] Cause),
    /// The cache could not be exported, and that was to be a failure.
    #[error("the cache could not be exported")]
    Cache(#[source] Cause),
    /// The store failed outside of a step.
    #[error("the store failed")]
    Store(#[source] Cause),
    /// A file the caller asked for could not be written.
    #[error("{path} could not be written")]
    Write {
        /// Where.
        path: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The build took longer than it may.
    #[error("the build took longer than --deadline allows ({} s)", after.as_secs())]
    Late {
        /// How long it may take.
        after: std::time::Duration,
        /// Titles of the steps that ran at its end.
        running: Vec<String>,
    },
    /// The user asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl BuildError {
    /// What kind of failure it is.
    pub fn category(&self) -> Category {
        match self {
            BuildError::Diagnostics(_) | BuildError::NoContext { .. } => Category::Usage,
            BuildError::Step(failure) => failure.cause.category(),
            BuildError::Need { cause, .. } | BuildError::Write { cause, .. } => cause.category(),
            BuildError::Export(cause) | BuildError::Cache(cause) | BuildError::Store(cause) => {
                cause.category()
            }
            BuildError::EndlessNeed { .. } => Category::Usage,
            BuildError::Late { .. } => Category::Step,
            BuildError::Cancelled => Category::Interrupted,
        }
    }

    /// The text of the build file that it is about, where it is about any.
    pub fn span(&self) -> Option<Span> {
        match self {
            BuildError::Step(failure) => failure.span,
            BuildError::Need { span, .. } | BuildError::NoContext { span, .. } => *span,
            BuildError::Diagnostics(all) => all.iter().find_map(|one| one.span),
            BuildError::EndlessNeed { .. }
            | BuildError::Export(_)
            | BuildError::Cache(_)
            | BuildError::Store(_)
            | BuildError::Write { .. }
            | BuildError::Late { .. }
            | BuildError::Cancelled => None,
        }
    }
}

impl Categorised for layer_store::StoreError {
    fn category(&self) -> Category {
        Category::Local
    }
}
