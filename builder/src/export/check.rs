//! What no output can be made of. Looked at before a step runs, since all of it is known then.

use oci::Platform;

use super::assemble::Family;
use super::error::ExportError;
use crate::request::{AttestationPlace, BuildRequest, Output, OutputKind};

/// Refuses outputs that cannot be made for these platforms.
pub(crate) fn check(request: &BuildRequest, platforms: &[Platform]) -> Result<(), ExportError> {
    let several = request.force_index || platforms.len() > 1;
    for output in &request.outputs {
        let inline = output.attestation_place == AttestationPlace::Index && !request.attest.is_empty();
        let with_index = several || inline;
        check_annotations(output, platforms, with_index)?;
        if !request.attest.is_empty() {
            check_attestations(output)?;
        }
        if matches!(output.kind, OutputKind::Docker(_) | OutputKind::Load(_)) && platforms.len() > 1 {
            return Err(ExportError::SeveralPlatforms { count: platforms.len() });
        }
    }
    Ok(())
}

/// Attestations are OCI documents, and an archive for Docker holds one image and nothing else.
fn check_attestations(output: &Output) -> Result<(), ExportError> {
    match (&output.kind, Family::of(output)) {
        (OutputKind::Docker(_) | OutputKind::Load(_), _) => Err(ExportError::NoAttestations {
            reason: "a docker archive holds none; use type=oci or --provenance=false --sbom=false",
        }),
        (OutputKind::Image(_) | OutputKind::Oci(..), Family::Docker) => Err(ExportError::NoAttestations {
            reason: "Docker's documents have none; use oci-mediatypes=true",
        }),
        (OutputKind::Image(_) | OutputKind::Oci(..), Family::Oci) => Ok(()),
        (OutputKind::Local(..) | OutputKind::Tar(..) | OutputKind::CacheOnly, _) => Ok(()),
    }
}

fn check_annotations(output: &Output, platforms: &[Platform], with_index: bool) -> Result<(), ExportError> {
    let refuse = |key: &str, reason: String| Err(ExportError::Annotation { key: key.to_owned(), reason });
    match output.kind {
        OutputKind::Image(_) | OutputKind::Oci(..) | OutputKind::Docker(_) | OutputKind::Load(_) => {}
        OutputKind::Local(..) | OutputKind::Tar(..) | OutputKind::CacheOnly => return Ok(()),
    }
    if let (Some(first), Family::Docker) = (output.annotations.0.first(), Family::of(output)) {
        return refuse(&first.key, "Docker's documents have none; use oci-mediatypes=true".to_owned());
    }
    if let Some(of_index) = output.annotations.of_index().filter(|_| !with_index) {
        let reason = "it is for an index, and an image for one platform has none".to_owned();
        return refuse(&of_index.key, reason);
    }
    for annotation in &output.annotations.0 {
        if let Some(platform) = &annotation.platform
            && !platforms.contains(platform)
        {
            return refuse(&annotation.key, format!("{platform} is not built"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Annotation, AnnotationPlace, Annotations, Destination, Layout};

    #[test]
    fn annotations_must_have_a_document_to_stand_in() {
        let output = |place, platform: Option<&str>, oci_media_types| {
            let platform = platform.map(|text| text.parse().unwrap());
            let annotation = Annotation { place, platform, key: "k".to_owned(), value: String::new() };
            let kind = OutputKind::Oci(Destination::Stdout, Layout::Archive);
            Output { annotations: Annotations(vec![annotation]), oci_media_types, ..Output::new(kind) }
        };
        let built = ["linux/amd64".parse().unwrap()];
        for (place, platform, oci_media_types, with_index, fine) in [
            (AnnotationPlace::Manifest, None, true, false, true),
            (AnnotationPlace::Manifest, None, false, false, false),
            (AnnotationPlace::Manifest, Some("linux/amd64"), true, false, true),
            (AnnotationPlace::ManifestDescriptor, Some("linux/arm64"), true, false, false),
            (AnnotationPlace::Index, None, true, false, false),
            (AnnotationPlace::IndexDescriptor, None, true, true, true),
        ] {
            let checked = check_annotations(&output(place, platform, oci_media_types), &built, with_index);
            assert_eq!(checked.is_ok(), fine, "{place:?} {platform:?} {oci_media_types} {checked:?}");
        }
    }
}
