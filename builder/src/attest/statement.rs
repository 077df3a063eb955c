//! In-toto statements.

use std::collections::BTreeMap;

use layer_store::StackView;
use oci::Platform;
use serde_json::{Value, json};

use super::facts::{BuildFacts, by_algorithm, image_purl};
use super::generated::{StatementError, documents};
use super::provenance;
use crate::request::AttestRequest;
use crate::sbom::{self, Described, Software};

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
pub(super) const SPDX: &str = "https://spdx.dev/Document";

/// Names of what a statement is about, with digests by algorithm.
pub(crate) type Subjects = Vec<(String, BTreeMap<String, String>)>;

/// A statement about something that was built.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    /// The kind of its predicate.
    pub predicate_type: &'static str,
    /// All of it.
    pub value: Value,
    /// Its file, where outputs are files.
    pub filename: String,
}

/// What statements are about.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// Its subjects.
    pub subjects: Subjects,
    /// For which platform.
    pub platform: Platform,
    /// A name for people.
    pub name: String,
    /// A digest that stands for all of it.
    pub identity: String,
    /// When it was made, as RFC 3339 has it.
    pub created: String,
    /// When the build began and ended; `None` where a rebuild gives the same.
    pub span: Option<(String, String)>,
}

impl Named {
    /// The subjects of an image with these names; without any it has one that says nothing.
    pub(crate) fn image_subjects(
        names: &[oci::Reference],
        platform: &Platform,
        digest: &oci::Digest,
    ) -> Subjects {
        let digest = by_algorithm(digest);
        match names {
            [] => vec![("_".to_owned(), digest)],
            names => names.iter().map(|name| (image_purl(name, platform), digest.clone())).collect(),
        }
    }
}

/// Statements, and remarks about what they lack.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Statements {
    /// The statements.
    pub all: Vec<Statement>,
    /// The remarks.
    pub remarks: Vec<String>,
}

impl Statements {
    fn software(&mut self, named: &Named, described: &Described<'_>, software: Software, filename: &str) {
        let document = sbom::document(described, &software);
        self.all.push(statement(named, SPDX, document, filename));
        self.remarks.extend(software.unread.into_iter().map(|why| format!("{filename}: {why}")));
    }
}

/// What is looked through.
#[derive(Clone, Debug)]
pub(crate) struct Trees {
    /// The tree itself.
    pub view: StackView,
    /// Those beside it, by name.
    pub scans: Vec<(String, StackView)>,
    /// That of a generator that has looked through all of them.
    pub generated: Option<StackView>,
}

/// The statements that are asked for about a tree.
pub(crate) fn statements(
    request: &AttestRequest,
    facts: &BuildFacts,
    named: &Named,
    trees: &Trees,
) -> Result<Statements, StatementError> {
    let mut made = Statements::default();
    if let (Some(wanted), Some(generated)) = (&request.sbom, &trees.generated) {
        for (file, document) in documents(generated)? {
            let is_own = file == "sbom.spdx.json";
            made.all.push(statement(named, SPDX, document, if is_own { &wanted.filename } else { &file }));
        }
    } else if let Some(wanted) = &request.sbom {
        let Named { name, identity, created, .. } = named;
        let own = Described { name, identity, created };
        made.software(named, &own, sbom::scan(&trees.view)?, &wanted.filename);
        for (about, view) in &trees.scans {
            // Names as BuildKit's scanners give them: `sbom-context.spdx.json` beside `sbom.spdx.json`.
            let (stem, rest) = wanted.filename.split_once('.').unwrap_or((&wanted.filename, ""));
            let dot = if rest.is_empty() { "" } else { "." };
            let (name, identity) = (format!("{stem}-{about}"), format!("{identity}:{about}"));
            let described = Described { name: &name, identity: &identity, created };
            made.software(named, &described, sbom::scan(view)?, &format!("{name}{dot}{rest}"));
        }
    }
    if let Some(wanted) = &request.provenance {
        let platform = named.platform.to_string();
        let predicate = provenance::predicate(wanted, facts, &platform, &named.span);
        let kind = provenance::predicate_type(wanted.version);
        made.all.push(statement(named, kind, predicate, &wanted.filename));
    }
    Ok(made)
}

fn statement(named: &Named, predicate_type: &'static str, predicate: Value, filename: &str) -> Statement {
    let subjects: Vec<Value> =
        named.subjects.iter().map(|(name, digest)| json!({"name": name, "digest": digest})).collect();
    let value = json!({
        "_type": STATEMENT,
        "predicateType": predicate_type,
        "subject": subjects,
        "predicate": predicate,
    });
    Statement { predicate_type, value, filename: filename.to_owned() }
}
