//! `HEALTHCHECK`.

use std::time::Duration;

use graph::Diagnostic;

use super::duration::{self, DurationFault};
use super::flags::{Flags, Takes};
use super::{CommandForm, Healthcheck, Keyword, simple};
use crate::syntax::{Operands, Statement, Word};

const SHORTEST: Duration = Duration::from_millis(1);

pub(super) fn parse(statement: &Statement) -> Result<Healthcheck, Diagnostic> {
    let Operands::Typed(kind, rest) = &statement.operands else {
        return Err(simple::at_least_one(statement, Keyword::Healthcheck));
    };
    match kind.value.to_uppercase().as_str() {
        "NONE" if is_empty(rest) => Ok(Healthcheck::None),
        "NONE" => Err(Diagnostic::error("HEALTHCHECK NONE takes no arguments", statement.rest.span)),
        "CMD" => command(statement, rest),
        _ => {
            let flags = known_flags();
            Flags::read(statement, &flags)?;
            let message = format!("Unknown type {:?} in HEALTHCHECK (try CMD)", kind.value.to_uppercase());
            Err(Diagnostic::error(message, kind.span))
        }
    }
}

/// Nothing, or an array without members, which BuildKit takes for nothing.
fn is_empty(rest: &Operands) -> bool {
    match rest {
        Operands::Absent => true,
        Operands::Json(members) => members.is_empty(),
        Operands::Text(_)
        | Operands::Words(_)
        | Operands::Pairs(_)
        | Operands::Typed(..)
        | Operands::Inner(_) => false,
    }
}

fn known_flags() -> [(&'static str, Takes); 5] {
    ["interval", "timeout", "start-period", "start-interval", "retries"].map(|name| (name, Takes::Value))
}

fn command(statement: &Statement, rest: &Operands) -> Result<Healthcheck, Diagnostic> {
    let mut flags = Flags::read(statement, &known_flags())?;
    let form = simple::form(rest);
    let empty = match &form {
        CommandForm::Shell(text) => text.is_empty(),
        CommandForm::Exec(members) => members.is_empty(),
    };
    if empty {
        return Err(Diagnostic::error("Missing command after HEALTHCHECK CMD", statement.span));
    }
    let mut duration = |name: &str| match flags.value(name) {
        Some(value) if !value.value.is_empty() => interval(name, &value),
        Some(_) | None => Ok(Duration::ZERO),
    };
    Ok(Healthcheck::Command {
        form,
        interval: duration("interval")?,
        timeout: duration("timeout")?,
        start_period: duration("start-period")?,
        start_interval: duration("start-interval")?,
        retries: match flags.value("retries") {
            Some(value) if !value.value.is_empty() => retries(&value)?,
            Some(_) | None => 0,
        },
    })
}

fn interval(name: &str, value: &Word) -> Result<Duration, Diagnostic> {
    let text = &value.value;
    let message = match duration::parse(text) {
        Ok(found) if found == Duration::ZERO || found >= SHORTEST => return Ok(found),
        Ok(_) | Err(DurationFault::Negative) => format!("Interval {name:?} cannot be less than 1ms"),
        Err(DurationFault::Invalid) => format!("invalid duration {text:?} for --{name}"),
        Err(DurationFault::NoUnit) => format!("missing unit in duration {text:?} for --{name}"),
        Err(DurationFault::Unit(unit)) => format!("unknown unit {unit:?} in duration {text:?} for --{name}"),
    };
    Err(Diagnostic::error(message, value.span).with_help("a number and ms, s, m or h, like 30s"))
}

fn retries(value: &Word) -> Result<u32, Diagnostic> {
    let message = match value.value.parse::<i32>() {
        Ok(number) => match u32::try_from(number) {
            Ok(number) => return Ok(number),
            Err(_) => format!("--retries cannot be negative ({number})"),
        },
        Err(_) => format!("--retries must be a whole number, not {:?}", value.value),
    };
    Err(Diagnostic::error(message, value.span))
}
