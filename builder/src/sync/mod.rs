//! Many images at once: which ones, where to, and one copy after the other.
//!
//! - `list`: a YAML file of repositories, as skopeo has it; pure;
//! - `versions`: which tags a condition on versions lets through; pure;
//! - `plan`: every image with its place at the target.
//!
//! What is there already is not sent again, so a run that was stopped is simply run again.

mod error;
mod list;
mod plan;
mod versions;

pub use error::SyncError;
pub use list::{Listed, SyncList};
pub use plan::{Planned, Scope, SyncPlan, SyncSource, SyncTarget, plan_sync};
