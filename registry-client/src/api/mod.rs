//! The operations of the distribution-spec.

pub(crate) mod blob;
pub(crate) mod image;
mod manifest;
mod pull;
mod remove;
pub(crate) mod source;
mod tags;
pub(crate) mod upload;
pub(crate) mod url;
