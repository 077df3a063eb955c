//! Contexts that are fetched or unpacked before there is a graph, as trees of the store.
//!
//! A repository, an archive behind a URL and one on standard input all end as layers, made by the
//! same code that serves `ADD`, so links inside them lead nowhere but inside them.

mod archive;
mod error;
mod git;
mod http;
mod layout;
mod secrets;
mod time;

use layer_store::Snapshot;

pub use archive::{archive_context, is_archive};
pub use error::RemoteError;
pub use git::{git_commit, git_context};
pub use http::{HttpContext, http_context, http_source};
pub use layout::layout_image;
pub use secrets::RemoteSecrets;
pub use time::context_time;
pub(crate) use time::source_time;

use crate::Session;
use crate::request::LocalContext;

fn context(session: &Session, snapshot: Snapshot) -> Result<LocalContext, RemoteError> {
    let view = session.store.stack(&snapshot)?;
    Ok(LocalContext::Layers { snapshot, view })
}
