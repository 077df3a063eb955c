//! Failed steps, kept: to look around in, and to fail again elsewhere.
//!
//! - `document`: what is written down of a step;
//! - `keep`: leaving it in the journal of the build;
//! - `enter`: a process in the state of a step, after it or before it;
//! - `bundle`: a step with all it stands on in one file, and failing again from it.
//!
//! Never written down: secrets, proxies, the log. A bundle holds what the step stood on, not what it left:
//! that is made again.

mod bundle;
mod document;
mod enter;
mod error;
mod keep;

use layer_store::{BuildId, Store};

pub use bundle::{export, import};
pub use document::FailedStep;
pub use enter::{DebugOptions, Entitled, Moment, enter, reproduce};
pub use error::DebugError;
pub(crate) use keep::keep;

/// Reads what was kept of a step. `None`: nothing was, or it is gone.
pub fn load(store: &Store, build: &BuildId, step: u32) -> layer_store::Result<Option<FailedStep>> {
    let document = store.state(build, step)?;
    Ok(document.and_then(|document| serde_json::from_value(document).ok()))
}
