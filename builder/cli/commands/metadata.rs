//! The small files that tell scripts what a build was: `--metadata-file` and `--ref-file`.

use std::path::PathBuf;

use builder::error::{Categorised, Category};
use builder::event::StepId;
use builder::export::{ExportError, write_whole};
use builder::request::{BuildOutcome, ProvenanceMode};
use oci::Reference;
use serde_json::{Map, Value, json};

use super::arguments::is_true;
use crate::args::BuildArgs;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::remark;
use crate::report::BuildFile;

/// How much of the provenance is in the description.
const PROVENANCE: &str = "BUILDX_METADATA_PROVENANCE";
/// Whether remarks about the build file are.
const WARNINGS: &str = "BUILDX_METADATA_WARNINGS";

/// What is to be written.
#[derive(Clone, Debug, Default)]
pub struct SmallFiles {
    description: Option<PathBuf>,
    build: Option<PathBuf>,
    warnings: Warnings,
    /// How much of the provenance is in the description; `None`: nothing.
    pub provenance: Option<ProvenanceMode>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Warnings {
    Told,
    #[default]
    Silent,
}

impl SmallFiles {
    /// What options and environment ask for.
    pub fn of(args: &BuildArgs, environment: &Environment) -> Result<Self, Failure> {
        let provenance = match (&args.metadata_file, environment.non_empty(PROVENANCE)) {
            (None, _) => None,
            (Some(_), None | Some("min" | "true" | "1")) => Some(ProvenanceMode::Min),
            (Some(_), Some("max")) => Some(ProvenanceMode::Max),
            (Some(_), Some("disabled" | "false" | "0")) => None,
            (Some(_), Some(other)) => {
                return Err(Failure::usage(format!("{PROVENANCE}={other}: known are min, max, disabled")));
            }
        };
        let warnings = if is_true(environment.get(WARNINGS)) { Warnings::Told } else { Warnings::Silent };
        Ok(Self {
            description: args.metadata_file.clone(),
            build: args.ref_file.clone(),
            warnings,
            provenance,
        })
    }

    /// Writes the files of a build that went well.
    pub fn write(&self, outcome: &BuildOutcome, file: &BuildFile) -> Result<(), Failure> {
        let failed = |error: ExportError| Failure::from_error(error.category(), &error);
        if let Some(path) = &self.description {
            let text = serde_json::to_vec_pretty(&self.describe(outcome, file))
                .map_err(|error| Failure::from_error(Category::Local, &error))?;
            write_whole(path, &text).map_err(failed)?;
        }
        if let Some(path) = &self.build {
            write_whole(path, outcome.build.id.as_bytes()).map_err(failed)?;
        }
        Ok(())
    }

    /// The description, with the keys that buildx uses. There a build's name has a builder and a node before it.
    fn describe(&self, outcome: &BuildOutcome, file: &BuildFile) -> Value {
        let mut all = Map::new();
        if !outcome.build.id.is_empty() {
            all.insert("buildx.build.ref".to_owned(), json!(format!("default/default/{}", outcome.build.id)));
        }
        for (platform, value) in &outcome.provenance {
            let key = match outcome.provenance.len() {
                1 => "buildx.build.provenance".to_owned(),
                _ => format!("buildx.build.provenance/{platform}"),
            };
            all.insert(key, value.clone());
        }
        if self.warnings == Warnings::Told && !outcome.warnings.is_empty() {
            let first = outcome.build.steps.first().map(|step| StepId(step.id));
            // As buildx names it: without directories.
            let name = file.name.rsplit('/').next().unwrap_or_default().to_owned();
            let file = &BuildFile { name, text: file.text.clone() };
            let told = outcome.warnings.iter().map(|one| remark::about_text(first, one, file));
            all.insert("buildx.build.warnings".to_owned(), told.collect());
        }
        if let Some(id) = &outcome.image_id {
            all.insert("containerimage.config.digest".to_owned(), json!(id));
        }
        if let Some(descriptor) = &outcome.descriptor {
            all.insert("containerimage.descriptor".to_owned(), json!(descriptor));
            all.insert("containerimage.digest".to_owned(), json!(descriptor.digest));
        }
        if !outcome.names.is_empty() {
            let names: Vec<String> = outcome.names.iter().map(Reference::to_string).collect();
            all.insert("image.name".to_owned(), json!(names.join(",")));
        }
        Value::Object(all)
    }
}
