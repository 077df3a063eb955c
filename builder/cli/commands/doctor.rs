//! `rbuild doctor`: what this host offers to builds.

use std::fmt::Write;

use builder::error::Category;
use runtime_exec::{Diagnosis, Finding, HostMode, Refusal, Severity, Survey};
use serde_json::{Value, json};

use crate::args::{DoctorArgs, Global, ReportForm};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;

/// Looks and prints. The code is 0 where builds can run.
pub fn run(args: &DoctorArgs, global: &Global, environment: &Environment) -> Result<u8, Failure> {
    let root = host::store_root(global, environment)?;
    let diagnosis = Survey::take(&root, &host::options(&root, global)).diagnose();
    super::print(&match args.format {
        ReportForm::Text => text(&diagnosis),
        ReportForm::Json => format!("{:#}\n", json(&diagnosis)),
    });
    Ok(if diagnosis.can_build() { 0 } else { Category::Host.exit_code() })
}

fn mode(diagnosis: &Diagnosis) -> Option<&'static str> {
    diagnosis.mode.map(|mode| match mode {
        HostMode::Root => "root",
        HostMode::Mapped => "mapped",
        HostMode::SingleId => "single-id",
    })
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for finding in &diagnosis.findings {
        let word = match finding.severity {
            Severity::Good => "ok",
            Severity::Limited => "limited",
            Severity::Blocking => "blocked",
        };
        let _ = writeln!(text, "{word:<8} {:<18} {}", finding.topic, finding.found);
        details(&mut text, finding);
    }
    match (diagnosis.can_build(), mode(diagnosis)) {
        (true, Some(mode)) => {
            let _ = writeln!(text, "builds can run here, in mode {mode}");
        }
        (_, _) => text.push_str("builds cannot run here\n"),
    }
    text
}

fn details(text: &mut String, finding: &Finding) {
    const INDENT: &str = "                            ";
    if let Some(refusal) = &finding.refused {
        let _ = writeln!(text, "{INDENT}refused: {}", said(refusal));
    }
    if let Some(advice) = &finding.advice {
        let _ = writeln!(text, "{INDENT}change:  {advice}");
    }
}

fn said(refusal: &Refusal) -> String {
    let call = crate::progress::printable(refusal.call.as_bytes());
    let words = crate::progress::printable(refusal.words.as_bytes());
    match (refusal.errno, words.is_empty()) {
        (0, true) => call,
        (0, false) => format!("{call}: {words}"),
        (errno, true) => format!("{call}: {}", std::io::Error::from_raw_os_error(errno)),
        (errno, false) => format!("{call}: {} ({words})", std::io::Error::from_raw_os_error(errno)),
    }
}

fn json(diagnosis: &Diagnosis) -> Value {
    let findings: Vec<Value> = diagnosis
        .findings
        .iter()
        .map(|finding| {
            json!({
                "topic": finding.topic,
                "severity": finding.severity,
                "found": finding.found,
                "refused": finding.refused,
                "advice": finding.advice,
            })
        })
        .collect();
    json!({ "mode": mode(diagnosis), "can_build": diagnosis.can_build(), "findings": findings })
}
