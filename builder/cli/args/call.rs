//! `--call` and `--check`: asking about a build instead of running it.

use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::build::BuildArgs;

/// What is asked, and how the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallArg {
    pub method: Method,
    pub format: Format,
    pub status: Status,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Nothing: the build is run.
    Build,
    Check,
    Outline,
    Targets,
    /// The variables of each stage.
    Variables,
}

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Json,
    /// SARIF 2.1.0, of a check only
    Sarif,
}

/// Whether violations are a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Report,
    Ignore,
}

/// `rbuild check` and `rbuild args`: a question in place of a build.
#[derive(Debug, Args)]
pub struct AskArgs {
    /// How to print the answer
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub format: Format,
    #[command(flatten)]
    pub build: BuildArgs,
}

impl CallArg {
    /// `--check`.
    pub const CHECK: Self = Self { method: Method::Check, format: Format::Text, status: Status::Report };
}

impl FromStr for CallArg {
    type Err = String;

    /// `METHOD[,format=text|json|sarif][,ignorestatus[=BOOL]]`
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let method = match parts.next().unwrap_or_default() {
            "build" => Method::Build,
            "check" | "lint" => Method::Check,
            "outline" => Method::Outline,
            "targets" => Method::Targets,
            other => return Err(format!("{other:?} is none of build, check, outline, targets")),
        };
        let mut call = Self { method, ..Self::CHECK };
        for part in parts {
            match part.split_once('=').unwrap_or((part, "")) {
                ("format", "text" | "txt") => call.format = Format::Text,
                ("format", "json") => call.format = Format::Json,
                ("format", "sarif") if method == Method::Check => call.format = Format::Sarif,
                ("format", "sarif") => return Err("format=sarif is for check".to_owned()),
                ("format", other) => return Err(format!("format {other:?} is none of text, json, sarif")),
                ("ignorestatus", "" | "true" | "1") => call.status = Status::Ignore,
                ("ignorestatus", "false" | "0") => call.status = Status::Report,
                (other, _) => return Err(format!("unknown option {other:?}")),
            }
        }
        Ok(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls() {
        let call = |method, format, status| Ok(CallArg { method, format, status });
        for (text, expected) in [
            ("build", call(Method::Build, Format::Text, Status::Report)),
            ("lint", call(Method::Check, Format::Text, Status::Report)),
            ("check,format=json", call(Method::Check, Format::Json, Status::Report)),
            ("check,format=sarif,ignorestatus=true", call(Method::Check, Format::Sarif, Status::Ignore)),
            ("outline,format=text,ignorestatus", call(Method::Outline, Format::Text, Status::Ignore)),
            ("targets,ignorestatus=false", call(Method::Targets, Format::Text, Status::Report)),
        ] {
            assert_eq!(text.parse::<CallArg>(), expected, "{text}");
        }
        for bad in [
            "",
            "checks",
            "variables",
            "check,format=xml",
            "outline,format=sarif",
            "check,x=1",
            "check,ignorestatus=x",
        ] {
            assert!(bad.parse::<CallArg>().is_err(), "{bad}");
        }
    }
}
