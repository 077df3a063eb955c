//! How many pulls a registry allows.

use oci::Reference;
use registry_client::PullAllowance;

use super::error::ToolError;
use super::place::PlaceError;
use crate::Session;

/// Asks the registry of an image, which need not be there for an answer that tells a limit.
pub async fn pull_allowance(session: &Session, name: &Reference) -> Result<PullAllowance, ToolError> {
    Ok(session.client.pull_allowance(name).await.map_err(PlaceError::from)?)
}
