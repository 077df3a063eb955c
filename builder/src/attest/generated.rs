//! Lists of software that a generator wrote.

use std::path::{Path, PathBuf};

use layer_store::{Kind, StackView, StoreError};
use serde_json::Value;
use thiserror::Error;

/// Where a generator puts its lists.
pub(crate) const GENERATED: &str = "/run/out";
/// No list is longer.
const LONGEST: u64 = 256 << 20;
const ENDING: &str = ".spdx.json";

/// Why there are no statements.
#[derive(Debug, Error)]
pub enum StatementError {
    /// A tree cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A generator wrote nothing.
    #[error("the generator wrote no *{ENDING} into BUILDKIT_SCAN_DESTINATION")]
    Nothing,
    /// A generator wrote something else.
    #[error("the generator's {} is no SPDX document: {why}", file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// Why.
        why: String,
    },
}

/// The documents with the names of their files, sorted.
pub(super) fn documents(view: &StackView) -> Result<Vec<(String, Value)>, StatementError> {
    let mut all = Vec::new();
    for (name, entry) in view.read_dir(Path::new(GENERATED))? {
        let file = PathBuf::from(&name);
        let name = name.to_string_lossy().into_owned();
        if !name.ends_with(ENDING) || !matches!(entry.attributes.kind, Kind::File { .. }) {
            continue;
        }
        let bytes = view.read_file(&Path::new(GENERATED).join(&file), LONGEST)?.unwrap_or_default();
        let document = document(&bytes).map_err(|why| StatementError::Form { file, why })?;
        all.push((name, document));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    if all.is_empty() { Err(StatementError::Nothing) } else { Ok(all) }
}

/// A document, or the one in an in-toto statement, which is what generators of BuildKit write.
fn document(bytes: &[u8]) -> Result<Value, String> {
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if let Some(kind) = value.get("predicateType") {
        if *kind != super::statement::SPDX {
            return Err(format!("it is a statement of the type {kind}"));
        }
        value = value["predicate"].take();
    }
    match value["spdxVersion"].is_string() {
        true => Ok(value),
        false => Err("it has no spdxVersion".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_stands_alone_or_in_a_statement() {
        let document = |text: &str| document(text.as_bytes());
        let alone = document(r#"{"spdxVersion":"SPDX-2.3"}"#).unwrap();
        let within =
            r#"{"predicateType":"https://spdx.dev/Document","predicate":{"spdxVersion":"SPDX-2.3"}}"#;
        assert_eq!(document(within).unwrap(), alone);
        for (text, why) in [
            ("{", "EOF"),
            ("[]", "no spdxVersion"),
            (r#"{"predicateType":"x","predicate":{"spdxVersion":"SPDX-2.3"}}"#, "of the type \"x\""),
            (r#"{"predicateType":"https://spdx.dev/Document"}"#, "no spdxVersion"),
        ] {
            assert!(document(text).unwrap_err().contains(why), "{text}");
        }
    }
}
