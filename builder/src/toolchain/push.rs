//! An image of the store, sent to a registry.

use oci::{Descriptor, Reference};

use super::error::ToolError;
use super::place::{CopyOptions, Place, copy};
use crate::Session;
use crate::event::StepId;

/// Pushes the store's image `name` as `target`, as the options say. What was pushed is returned.
pub async fn push(
    session: &Session,
    name: &Reference,
    target: &Reference,
    options: &CopyOptions,
    step: StepId,
) -> Result<Descriptor, ToolError> {
    let (from, to) = (Place::Store(name.clone()), Place::Registry(target.clone()));
    Ok(copy(session, &from, &to, options, step).await?.top)
}
