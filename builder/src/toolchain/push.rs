//! An image of the store, sent to a registry.

use oci::{Descriptor, Reference};

use super::error::ToolError;
use super::place::{CopyOptions, Place, copy};
use crate::Session;
use crate::event::StepId;
use crate::request::CompressionChoice;

/// Pushes the store's image `name` as `target`. Layers that were never packed are packed as
/// `compression` says; all else goes as it came. What was pushed is returned.
pub async fn push(
    session: &Session,
    name: &Reference,
    target: &Reference,
    compression: CompressionChoice,
    step: StepId,
) -> Result<Descriptor, ToolError> {
    let (from, to) = (Place::Store(name.clone()), Place::Registry(target.clone()));
    let options = CopyOptions { compression, ..CopyOptions::default() };
    Ok(copy(session, &from, &to, &options, step).await?.top)
}
