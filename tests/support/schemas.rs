//! Documents held against the schemas of the specifications, by Python's jsonschema.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::missing;

/// A schema refers to others by addresses that end in their file names; nothing is fetched.
const VALIDATE: &str = r#"
import json, pathlib, sys, warnings
warnings.simplefilter("ignore")
import jsonschema
directory, name, document = map(pathlib.Path, sys.argv[1:4])
def here(address):
    return json.loads((directory / address.rsplit("/", 1)[-1]).read_text())
schema = here(str(name))
base = schema.get("$id") or schema.get("id") or ""
resolver = jsonschema.RefResolver(base, schema, handlers={"https": here, "http": here})
kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft4Validator)
errors = list(kind(schema, resolver=resolver).iter_errors(json.loads(document.read_text())))
for error in errors[:10]:
    print("/".join(map(str, error.absolute_path)), error.message[:300])
sys.exit(1 if errors else 0)
"#;

/// Schemas that lie beside this repository; `None`, said aloud, where they or jsonschema are missing.
pub struct Schemas(PathBuf);

impl Schemas {
    /// Finds them.
    pub fn find() -> Option<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/schemas");
        if !directory.is_dir() {
            missing("../shared/schemas");
            return None;
        }
        let module = Command::new("python3").args(["-c", "import jsonschema"]).output();
        if !module.is_ok_and(|done| done.status.success()) {
            missing("python3-jsonschema");
            return None;
        }
        Some(Self(directory))
    }

    /// Fails with what is wrong.
    pub fn validate(&self, schema: &str, document: &Path) {
        let schema = self.0.join(schema);
        let done = Command::new("python3")
            .args(["-c", VALIDATE])
            .args([schema.parent().unwrap(), Path::new(schema.file_name().unwrap()), document])
            .output()
            .unwrap();
        let said = [done.stdout, done.stderr].concat();
        assert!(
            done.status.success(),
            "{} against {}: {}",
            document.display(),
            schema.display(),
            String::from_utf8_lossy(&said)
        );
    }
}
