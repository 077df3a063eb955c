//! The operations of the distribution-spec.

pub(crate) mod access;
pub(crate) mod blob;
pub(crate) mod image;
pub(crate) mod link;
mod manifest;
mod pages;
mod pull;
mod referrers;
mod remove;
pub(crate) mod source;
mod tags;
pub(crate) mod upload;
pub(crate) mod url;
