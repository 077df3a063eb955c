//! An SPDX 2.3 document, as JSON.

use serde_json::{Value, json};

use super::{Package, Software};

const NOTHING: &str = "NOASSERTION";

/// What a document describes.
#[derive(Clone, Debug)]
pub(crate) struct Described<'a> {
    /// Its name, as people know it.
    pub name: &'a str,
    /// What names it for ever: the digest of its config or of its files.
    pub identity: &'a str,
    /// When it was made, as RFC 3339 has it.
    pub created: &'a str,
}

/// The document. The same software of the same thing gives the same bytes.
pub(crate) fn document(described: &Described<'_>, software: &Software) -> Value {
    let root = "SPDXRef-Image";
    let mut entries = vec![json!({
        "SPDXID": root,
        "name": described.name,
        "versionInfo": described.identity,
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "primaryPackagePurpose": "CONTAINER",
    })];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", root)];
    for (number, package) in software.packages.iter().enumerate() {
        let id = format!("SPDXRef-Package-{}-{number}", id_text(&package.name));
        relationships.push(relationship(root, "CONTAINS", &id));
        entries.push(entry(&id, package));
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": described.name,
        "documentNamespace": format!("urn:rbuild:sbom:{}", described.identity),
        "creationInfo": {
            "created": described.created,
            "creators": [format!("Tool: rbuild-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": entries,
        "relationships": relationships,
    });
    if !software.unread.is_empty() {
        document["comment"] = json!(software.unread.join("\n"));
    }
    document
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn entry(id: &str, package: &Package) -> Value {
    let mut entry = json!({
        "SPDXID": id,
        "name": package.name,
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "sourceInfo": format!("named by {}", package.found_in),
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": package.purl,
        }],
    });
    if !package.version.is_empty() {
        entry["versionInfo"] = json!(package.version);
    }
    if let Some(supplier) = &package.supplier {
        entry["supplier"] = json!(format!("Person: {supplier}"));
    }
    // Not every text that packages give is an expression of SPDX, so it is told as a comment.
    if let Some(license) = &package.license {
        entry["licenseComments"] = json!(format!("declared as: {license}"));
    }
    entry
}

/// Letters, digits, dots and dashes are all that an id may hold.
fn id_text(name: &str) -> String {
    name.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' })
        .collect()
}
