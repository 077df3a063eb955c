//! Attestations: statements about what was built, for others to check.
//!
//! - `facts`: what is known of a build, gathered before its outputs are made;
//! - `provenance`: those facts in SLSA's forms. Pure;
//! - `redact`: passwords in addresses. Pure;
//! - `statement`: in-toto statements about images and files;
//! - `generated`: lists of software that generators wrote;
//! - `manifest`: statements as a manifest that images are stored with.

mod facts;
mod generated;
mod manifest;
mod provenance;
mod redact;
mod statement;

pub use facts::BuildFacts;
pub(crate) use generated::GENERATED;
pub use generated::StatementError;
pub(crate) use manifest::{AttestationManifest, attestation_manifest};
pub(crate) use provenance::of_platforms as provenance;
pub(crate) use statement::{Named, Statement, Statements, Subjects, Trees, statements};
