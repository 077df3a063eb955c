//! `RUN`.

use graph::Diagnostic;

use super::flags::{Flags, Takes};
use super::{CommandForm, Device, Run, RunNetwork, RunSecurity, Script, simple};
use crate::mount::{csv_fields, go_bool};
use crate::suggest::with_guess;
use crate::syntax::{Statement, Word, parse_heredoc};

pub(super) fn parse(statement: &Statement) -> Result<Run, Diagnostic> {
    let mut flags = Flags::read(
        statement,
        &[
            ("mount", Takes::Values),
            ("network", Takes::Value),
            ("security", Takes::Value),
            ("device", Takes::Values),
        ],
    )?;
    let mounts = flags.values("mount");
    mounts.iter().try_for_each(check_mount)?;
    Ok(Run {
        form: simple::form(&statement.operands),
        heredocs: statement.heredocs.clone(),
        mounts,
        network: flags.value("network").map_or(Ok(RunNetwork::Default), |value| network(&value))?,
        security: flags.value("security").map_or(Ok(RunSecurity::Sandbox), |value| security(&value))?,
        devices: flags.values("device").iter().map(device).collect::<Result<_, _>>()?,
    })
}

impl Run {
    /// What is to be run, heredocs put where they belong.
    pub fn script(&self) -> Script {
        let text = match &self.form {
            CommandForm::Exec(args) => return Script::Exec(args.clone()),
            CommandForm::Shell(text) => text,
        };
        let Some(first) = self.heredocs.first() else {
            return Script::Shell(text.clone());
        };
        if !matches!(parse_heredoc(text), Ok(Some(_))) {
            // The shell reads the heredocs itself.
            let bodies = self.heredocs.iter().map(|doc| format!("\n{}{}", doc.content, doc.name));
            return Script::Shell(text.clone() + &bodies.collect::<String>());
        }
        let content = first.text();
        if content.starts_with("#!") {
            return Script::File { name: first.name.clone(), content };
        }
        Script::Shell(content)
    }
}

/// What can be said about a mount before its variables are known.
fn check_mount(value: &Word) -> Result<(), Diagnostic> {
    let fields =
        csv_fields(&value.value).map_err(|error| Diagnostic::error(error.to_string(), value.span))?;
    for field in fields {
        let Some((key, from)) = field.split_once('=') else {
            continue;
        };
        let variable = from.find('$').is_some_and(|at| at + 1 < from.len());
        if key.eq_ignore_ascii_case("from") && variable {
            let message = "'from' doesn't support variable expansion, define alias stage instead";
            return Err(Diagnostic::error(message, value.span));
        }
    }
    Ok(())
}

fn network(value: &Word) -> Result<RunNetwork, Diagnostic> {
    match value.value.as_str() {
        "default" => Ok(RunNetwork::Default),
        "none" => Ok(RunNetwork::None),
        "host" => Ok(RunNetwork::Host),
        other => {
            let message = format!("invalid network mode {other:?}");
            Err(Diagnostic::error(with_guess(message, other, ["default", "none", "host"]), value.span))
        }
    }
}

fn security(value: &Word) -> Result<RunSecurity, Diagnostic> {
    match value.value.as_str() {
        "sandbox" => Ok(RunSecurity::Sandbox),
        "insecure" => Ok(RunSecurity::Insecure),
        other => {
            let message = format!("security {other:?} is not valid");
            Err(Diagnostic::error(with_guess(message, other, ["sandbox", "insecure"]), value.span))
        }
    }
}

fn device(value: &Word) -> Result<Device, Diagnostic> {
    let error = |message: String| Diagnostic::error(message, value.span);
    if value.value.is_empty() {
        return Err(error("invalid device: its name is empty".to_owned()));
    }
    let mut device = Device { name: String::new(), required: false, span: value.span };
    for field in csv_fields(&value.value).map_err(|fault| error(fault.to_string()))? {
        match field.split_once('=').map(|(key, text)| (key.to_lowercase(), text)) {
            None if field.eq_ignore_ascii_case("required") => device.required = true,
            Some((key, text)) if key == "required" => {
                device.required =
                    go_bool(text).ok_or_else(|| error(format!("invalid value for {key}: {text}")))?;
            }
            Some((key, _)) if key == "name" && !device.name.is_empty() => {
                return Err(error(format!("device name already set to {}", device.name)));
            }
            Some((key, text)) if key == "name" => device.name = text.to_owned(),
            _ if device.name.is_empty() => device.name = field,
            None => return Err(error(format!("invalid field '{field}' must be a key=value pair"))),
            Some((key, _)) => {
                let message = format!("unexpected key '{key}' in '{field}'");
                return Err(error(with_guess(message, &key, ["name", "required"])));
            }
        }
    }
    Ok(device)
}
