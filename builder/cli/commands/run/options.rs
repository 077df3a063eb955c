//! From the options of `run` to what the container is made with.

use std::path::Path;

use builder::error::Category;
use builder::toolchain::RunOptions;
use runtime_exec::{Capabilities, DEFAULT_SHM_SIZE, MountSource, MountSpec, NetworkMode, ReadOnly, Rlimit};

use crate::args::{PrivilegeArg, RunArgs, RunNetwork};
use crate::environment::Environment;
use crate::failure::Failure;

/// What the container is made with.
pub fn options(args: &RunArgs, environment: &Environment) -> Result<RunOptions, Failure> {
    let command = args.command.iter().map(|word| {
        let text = word.clone().into_string();
        text.map_err(|word| Failure::usage(format!("{} is not UTF-8", word.to_string_lossy())))
    });
    let hosts = args.add_host.iter();
    Ok(RunOptions {
        command: command.collect::<Result<_, _>>()?,
        entrypoint: args.entrypoint.as_ref().map(|program| match program.as_str() {
            "" => Vec::new(),
            program => vec![program.to_owned()],
        }),
        env: variables(args, environment)?,
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        hostname: args.hostname.clone(),
        network: match args.network {
            RunNetwork::None => NetworkMode::None,
            RunNetwork::Host => NetworkMode::Host,
            RunNetwork::Private => NetworkMode::Private,
        },
        dns: args.dns.clone(),
        mounts: mounts(args)?,
        root_access: if args.read_only { ReadOnly::Yes } else { ReadOnly::No },
        capabilities: Capabilities::DEFAULT.changed(&args.cap_add, &args.cap_drop).map_err(Failure::usage)?,
        no_new_privs: args.security.last() == Some(&PrivilegeArg::NoNew),
        rlimits: rlimits(args)?,
        limits: crate::commands::limits::limits(&args.limits)?,
        shm_size: args.shm_size.unwrap_or(DEFAULT_SHM_SIZE),
        extra_hosts: hosts
            .map(|host| graph::ExtraHost { name: host.name.clone(), address: host.address })
            .collect(),
        terminal: terminal(args)?,
    })
}

fn terminal(args: &RunArgs) -> Result<Option<(u16, u16)>, Failure> {
    if !args.tty {
        return Ok(None);
    }
    let window = super::window().ok_or_else(|| Failure::usage("--tty: standard input is no terminal"))?;
    Ok(Some(window))
}

/// Those of files first: an option wins over them.
fn variables(args: &RunArgs, environment: &Environment) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::new();
    for file in &args.env_files {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::new(Category::Local, format!("--env-file {}: {error}", file.display()))
        })?;
        let lines =
            text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
        all.extend(lines.filter_map(|line| variable(line, environment)));
    }
    all.extend(args.env.iter().filter_map(|text| variable(text, environment)));
    Ok(all)
}

fn variable(text: &str, environment: &Environment) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.to_owned(), environment.get(text)?.to_owned())),
    }
}

fn mounts(args: &RunArgs) -> Result<Vec<MountSpec>, Failure> {
    let mut all = Vec::new();
    for volume in &args.volumes {
        all.push(mount("--volume", &volume.host, &volume.target, volume.read_only)?);
    }
    for device in &args.devices {
        all.push(mount("--device", &device.host, &device.target, ReadOnly::No)?);
    }
    Ok(all)
}

/// A path that is not there is refused, never made.
fn mount(option: &str, host: &Path, target: &str, read_only: ReadOnly) -> Result<MountSpec, Failure> {
    let failed = |error| Failure::new(Category::Local, format!("{option} {}: {error}", host.display()));
    let path = std::fs::canonicalize(host).map_err(failed)?;
    Ok(MountSpec { target: target.to_owned(), source: MountSource::Directory(path), read_only })
}

fn rlimits(args: &RunArgs) -> Result<Vec<Rlimit>, Failure> {
    let limit = |given: &crate::args::UlimitArg| {
        let resource = given.name.parse().map_err(Failure::usage)?;
        // Negative is "none", as for docker.
        Ok(Rlimit { resource, soft: u64::try_from(given.soft).ok(), hard: u64::try_from(given.hard).ok() })
    };
    args.ulimits.iter().map(limit).collect()
}
