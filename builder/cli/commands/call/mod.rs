//! Answers about a build that is not run: checks, outlines, targets.

mod check;
mod describe;
mod sarif;
mod variables;

use std::sync::{Arc, Mutex, PoisonError};

use builder::BuildError;
use builder::request::Frontend;
use dockerfile::survey::{Survey, TargetInfo};
use dockerfile::{Coverage, Options};
use graph::Diagnostic;

use crate::args::{CallArg, Format, Method, Status};
use crate::failure::Failure;
use crate::report::{BuildFile, Colour, build_failure};

/// What the frontend found out besides the graph.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    survey: Survey,
    targets: Vec<TargetInfo>,
}

/// The frontend of a question. Its answers end in `answers`.
pub fn frontend(method: Method, options: Options, answers: Arc<Mutex<Answers>>) -> Frontend {
    let keep = move |change: &dyn Fn(&mut Answers)| {
        change(&mut answers.lock().unwrap_or_else(PoisonError::into_inner));
    };
    match method {
        Method::Build => Box::new(move |known| dockerfile::lower(&options, known)),
        Method::Check => {
            let options = Options { coverage: Coverage::Check, ..options };
            Box::new(move |known| dockerfile::lower(&options, known))
        }
        Method::Outline => Box::new(move |known| {
            let (step, survey) = dockerfile::lower_with_survey(&options, known)?;
            keep(&|answers| answers.survey.clone_from(&survey));
            Ok(step)
        }),
        Method::Variables => {
            let options = Options { coverage: Coverage::Check, ..options };
            Box::new(move |known| {
                let (step, survey) = dockerfile::lower_with_survey(&options, known)?;
                keep(&|answers| answers.survey.clone_from(&survey));
                Ok(step)
            })
        }
        Method::Targets => Box::new(move |known| {
            let (step, targets) = dockerfile::targets(&options, known)?;
            keep(&|answers| answers.targets.clone_from(&targets));
            Ok(step)
        }),
    }
}

/// Prints the answer. `result` holds the remarks of the frontend.
pub fn answer(
    call: CallArg,
    result: Result<Vec<Diagnostic>, BuildError>,
    answers: &Answers,
    file: &BuildFile,
) -> Result<(), Failure> {
    let json = |value: serde_json::Value| super::print(&format!("{value:#}\n"));
    match call.method {
        Method::Check => return check(call, result, file),
        Method::Build | Method::Outline | Method::Targets | Method::Variables => {}
    }
    result.map_err(|error| build_failure(&error, file, Colour::No))?;
    match (call.method, call.format) {
        (Method::Outline, Format::Json) => json(describe::outline_json(&answers.survey.outline, file)),
        (Method::Outline, Format::Text | Format::Sarif) => {
            super::print(&describe::outline_text(&answers.survey.outline));
        }
        (Method::Targets, Format::Json) => json(describe::targets_json(&answers.targets, file)),
        (Method::Targets, Format::Text | Format::Sarif) => {
            super::print(&describe::targets_text(&answers.targets));
        }
        (Method::Variables, Format::Json) => json(variables::json(&answers.survey.variables, file)),
        (Method::Variables, Format::Text | Format::Sarif) => {
            super::print(&variables::text(&answers.survey.variables, file));
        }
        (Method::Build | Method::Check, _) => {}
    }
    Ok(())
}

fn check(
    call: CallArg,
    result: Result<Vec<Diagnostic>, BuildError>,
    file: &BuildFile,
) -> Result<(), Failure> {
    let found = check::Found::of(result).map_err(|error| build_failure(&error, file, Colour::No))?;
    match call.format {
        Format::Text => super::print(&found.text(file)),
        Format::Json => super::print(&format!("{:#}\n", found.json(file))),
        Format::Sarif => super::print(&format!("{:#}\n", sarif::report(&found, file))),
    }
    match call.status {
        Status::Report if !found.is_empty() => Err(Failure { code: 2, text: String::new() }),
        Status::Report | Status::Ignore => Ok(()),
    }
}
