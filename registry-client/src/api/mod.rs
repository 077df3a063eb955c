//! The operations of the distribution-spec.

pub(crate) mod access;
pub(crate) mod allowance;
pub(crate) mod blob;
pub(crate) mod image;
pub(crate) mod lanes;
pub(crate) mod link;
mod manifest;
mod pages;
mod pull;
mod referrers;
mod remove;
pub(crate) mod source;
mod tags;
pub(crate) mod upload;
mod upload_notes;
mod upload_parts;
pub(crate) mod url;
