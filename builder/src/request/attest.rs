//! Attestations that are asked for.

use oci::Reference;

/// What is attested of each image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttestRequest {
    /// How it was built.
    pub provenance: Option<ProvenanceRequest>,
    /// What software is in it.
    pub sbom: Option<SbomRequest>,
}

impl AttestRequest {
    /// Whether anything is asked for.
    pub fn is_empty(&self) -> bool {
        self.provenance.is_none() && self.sbom.is_none()
    }
}

/// A statement of how something was built (`--provenance`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenanceRequest {
    /// How much it says.
    pub mode: ProvenanceMode,
    /// In which form.
    pub version: ProvenanceVersion,
    /// Who built it, a URI; empty for this program on some machine.
    pub builder_id: String,
    /// It is said that a rebuild gives the same.
    pub reproducible: bool,
    /// Name of its file in outputs that are files.
    pub filename: String,
    /// Not in outputs that are files.
    pub inline_only: bool,
}

/// How much provenance says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvenanceMode {
    /// Sources and times: no arguments, no names of secrets.
    Min,
    /// All of it: arguments, the build file, the steps.
    Max,
}

/// The form of provenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvenanceVersion {
    /// SLSA 1.
    V1,
    /// SLSA 0.2.
    V02,
}

/// A list of the software that is in it (`--sbom`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SbomRequest {
    /// The image that makes it; without one packages are read here.
    pub generator: Option<Reference>,
    /// Name of its file in outputs that are files.
    pub filename: String,
}
