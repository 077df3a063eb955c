//! Build arguments, and ignore rules that an option names.

use std::collections::BTreeMap;
use std::path::Path;

use builder::cache::request::{CacheDestination, CacheTarget};
use builder::error::Category;
use bytes::Bytes;
use dockerfile::Options;

use crate::args::{BuildArg, BuildArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::proxies;

/// What `--ignorefile` names: its name and text.
pub fn ignore_file(args: &BuildArgs) -> Result<Option<(String, Bytes)>, Failure> {
    let Some(path) = &args.ignore_file else { return Ok(None) };
    let text = std::fs::read(path).map_err(|error| unreadable("--ignorefile", path, &error))?;
    Ok(Some((path.display().to_string(), text.into())))
}

fn unreadable(option: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Category::Local, format!("{option} {}: {error}", path.display()))
}

/// The arguments of a file: lines `NAME=VALUE`, or `NAME` as `--build-arg` takes it; those that begin with `#`
/// are comments.
fn args_of_file(path: &Path) -> Result<Vec<BuildArg>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable("--build-arg-file", path, &error))?;
    let lines = text.lines().map(str::trim_start).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let parse = |(number, line): (usize, &str)| {
        let fault = |fault| Failure::usage(format!("{}:{}: {fault}", path.display(), number + 1));
        line.parse::<BuildArg>().map_err(fault)
    };
    lines.map(parse).collect()
}

/// Proxies and `SOURCE_DATE_EPOCH` that are set, then what files say, then what the command line says. A proxy has
/// two spellings, and what is said of one of them is said of both.
pub fn build_args(
    args: &BuildArgs,
    environment: &Environment,
) -> Result<BTreeMap<String, Option<String>>, Failure> {
    let mut given = Vec::new();
    for file in &args.build_arg_files {
        given.extend(args_of_file(file)?);
    }
    given.extend_from_slice(&args.build_args);
    let said = |name: &str| given.iter().any(|arg: &BuildArg| arg.name.eq_ignore_ascii_case(name));
    let proxies = proxies::arguments(environment)?.into_iter().filter(|(name, _)| !said(name));
    let mut all: BTreeMap<String, Option<String>> =
        proxies.map(|(name, value)| (name, Some(value))).collect();
    if let Some(epoch) = environment.non_empty("SOURCE_DATE_EPOCH") {
        all.insert("SOURCE_DATE_EPOCH".to_owned(), Some(epoch.to_owned()));
    }
    for arg in given {
        let value = arg.value.or_else(|| environment.get(&arg.name).map(str::to_owned));
        all.insert(arg.name, value);
    }
    Ok(all)
}

/// `BUILDKIT_INLINE_CACHE=1` is `--cache-to type=inline`.
pub fn cache_to(args: &BuildArgs, options: &Options) -> Vec<CacheTarget> {
    let mut all = args.cache_to.clone();
    let wanted =
        options.build_args.get("BUILDKIT_INLINE_CACHE").is_some_and(|value| is_true(value.as_deref()));
    if wanted && all.iter().all(|target| target.destination != CacheDestination::Inline) {
        all.push(CacheTarget::inline());
    }
    all
}

/// Whether a build argument switches something on.
pub fn is_true(value: Option<&str>) -> bool {
    value.and_then(dockerfile::go_bool) == Some(true)
}
