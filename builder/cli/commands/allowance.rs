//! `rbuild registry limits`.

use std::fmt::Write as _;
use std::time::SystemTime;

use builder::toolchain;
use registry_client::PullAllowance;
use serde_json::{Value, json};

use super::access;
use crate::args::{Global, LimitsArgs, ListForm};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Prints what a registry says of its limit. That it says nothing is no failure.
pub fn run(args: &LimitsArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let name = super::name(args.image.strip_prefix("docker://").unwrap_or(&args.image))?;
    let mut open = host::open(global, environment, Form::Quiet, None)?;
    open.add(&access::of(&args.access, name.repository())?, global, environment)?;
    let session = open.session.clone();
    let found = open.work(async move { toolchain::pull_allowance(&session, &name).await })?;
    super::print(&match args.format {
        ListForm::Table => table(&found),
        ListForm::Json => format!("{:#}\n", object(&found)),
    });
    Ok(())
}

fn table(found: &PullAllowance) -> String {
    let Some(limit) = &found.limit else {
        return format!("{} tells no limit of pulls\n", found.host);
    };
    let mut text = format!("registry   {}\n", found.host);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<10} {value}");
        }
    };
    line("limit", limit.allowed());
    line("remaining", limit.remaining.map(|left| left.to_string()));
    line("resets", limit.reset_date());
    line("counted", found.counted.clone());
    text
}

fn object(found: &PullAllowance) -> Value {
    let limit = found.limit.unwrap_or_default();
    let seconds =
        |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs());
    json!({
        "registry": found.host,
        "limit": limit.limit,
        "windowSeconds": limit.window.map(|window| window.as_secs()),
        "remaining": limit.remaining,
        "resets": limit.resets.and_then(seconds),
        "counted": found.counted,
    })
}
