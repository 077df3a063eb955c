//! Build arguments that exist without or before any stage.

use std::collections::BTreeMap;

use graph::{Diagnostic, ProxyEnv};
use oci::Platform;

use super::env::Env;
use super::options::Options;
use crate::instruction::{ArgDecl, Instruction, InstructionKind};
use crate::syntax::EscapeChar;

/// Arguments that concern the build and are never in the environment of a step.
pub(crate) const NOT_IN_ENVIRONMENT: &[&str] = &["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];

/// The variable that sets the time of everything.
pub(crate) const EPOCH: &str = "SOURCE_DATE_EPOCH";

const PROXIES: &[&str] = &["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"];

/// `TARGETPLATFORM` and the like, in the global scope; build arguments override them.
pub(crate) fn predefined(
    build: &Platform,
    target: &Platform,
    stage: &str,
    overrides: &BTreeMap<String, String>,
) -> Env {
    let version = |platform: &Platform| platform.os_version.clone().unwrap_or_default();
    let variant = |platform: &Platform| platform.variant.clone().unwrap_or_default();
    let stage = if stage.is_empty() { "default" } else { stage };
    let short = |platform: &Platform| Platform { os_version: None, ..platform.clone() }.to_string();
    let values = [
        ("BUILDPLATFORM", short(build)),
        ("BUILDOS", build.os.clone()),
        ("BUILDOSVERSION", version(build)),
        ("BUILDARCH", build.architecture.clone()),
        ("BUILDVARIANT", variant(build)),
        ("TARGETPLATFORM", target.to_string()),
        ("TARGETOS", target.os.clone()),
        ("TARGETOSVERSION", version(target)),
        ("TARGETARCH", target.architecture.clone()),
        ("TARGETVARIANT", variant(target)),
        ("TARGETSTAGE", stage.to_owned()),
    ];
    let mut env = Env::default();
    for (name, value) in values {
        env.set(name, overrides.get(name).unwrap_or(&value));
    }
    env
}

/// Whether a build argument has a meaning without an `ARG` that declares it.
pub(crate) fn is_predefined(name: &str) -> bool {
    let of_platform = ["BUILD", "TARGET"]
        .iter()
        .filter_map(|scope| name.strip_prefix(scope))
        .any(|part| ["PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT", "STAGE"].contains(&part));
    of_platform
        || name == EPOCH
        || name.starts_with("BUILDKIT_")
        || PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// Adds the `ARG`s before the first `FROM` to the predefined ones.
pub(crate) fn globals(
    mut env: Env,
    instructions: &[Instruction],
    overrides: &BTreeMap<String, String>,
    escape: EscapeChar,
) -> Result<Env, Diagnostic> {
    for declared in leading(instructions) {
        declare(&mut env, declared, overrides, escape)?;
    }
    Ok(env)
}

/// Gives an argument its value: a build argument's, else its default; without either it has none.
pub(crate) fn declare(
    env: &mut Env,
    ArgDecl { name, default }: &ArgDecl,
    overrides: &BTreeMap<String, String>,
    escape: EscapeChar,
) -> Result<(), Diagnostic> {
    let value = match (overrides.get(&name.value), default) {
        (Some(value), _) => value.clone(),
        (None, None) => return Ok(()),
        (None, Some(default)) => {
            let values = |name: &str| env.get(name).map(str::to_owned);
            crate::expand(&default.value, &values, escape)
                .map_err(|error| Diagnostic::error(error.to_string(), default.span))?
                .text
        }
    };
    env.set(&name.value, &value);
    Ok(())
}

/// The names declared before the first `FROM`.
pub(crate) fn leading(instructions: &[Instruction]) -> impl Iterator<Item = &ArgDecl> {
    instructions
        .iter()
        .map_while(
            |instruction| {
                if let InstructionKind::Arg(args) = &instruction.kind { Some(args) } else { None }
            },
        )
        .flatten()
}

/// The proxies among the build arguments, under both spellings of each name.
pub(crate) fn proxies(arguments: &BTreeMap<String, String>) -> ProxyEnv {
    let mut proxies = Vec::new();
    for name in PROXIES {
        let given = arguments.iter().rfind(|(key, _)| key.eq_ignore_ascii_case(name));
        if let Some((_, value)) = given {
            proxies.push(((*name).to_owned(), value.clone()));
            proxies.push((name.to_ascii_lowercase(), value.clone()));
        }
    }
    ProxyEnv(proxies)
}

/// The build arguments that have a value.
pub(crate) fn given(options: &Options) -> BTreeMap<String, String> {
    options.build_args.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
}
