//! From the options of `run` to what the container is made with.

use std::path::Path;

use builder::error::Category;
use builder::toolchain::RunOptions;
use runtime_exec::{
    Capabilities, DEFAULT_SHM_SIZE, FirstProcess, MountSource, MountSpec, NetworkMode, OpenPaths,
    PublishedPort, ReadOnly, Rlimit, SecurityOptions, SystemCallFilter, SystemCalls,
};

use crate::args::{MountArg, RunArgs, RunNetwork, SecurityArg, Switch, TmpfsArg};
use crate::commands::given;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::proxies;

/// What the container is made with.
pub fn options(args: &RunArgs, environment: &Environment) -> Result<RunOptions, Failure> {
    let command = args.command.iter().map(|word| {
        let text = word.clone().into_string();
        text.map_err(|word| Failure::usage(format!("{} is not UTF-8", word.to_string_lossy())))
    });
    let network = match args.network {
        RunNetwork::None => NetworkMode::None,
        RunNetwork::Host => NetworkMode::Host,
        RunNetwork::Private => NetworkMode::Private,
    };
    let capabilities =
        Capabilities::DEFAULT.changed(&args.cap_add, &args.cap_drop).map_err(Failure::usage)?;
    let (extra_hosts, gateway) = given::hosts(&args.add_host, network)?;
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
        network,
        gateway,
        security: security(&args.security, capabilities)?,
        name: args.name.clone(),
        resolvers: given::resolvers(&args.resolvers),
        ports: ports(args, network)?,
        mounts: mounts(args)?,
        root_access: if args.read_only { ReadOnly::Yes } else { ReadOnly::No },
        capabilities,
        no_new_privs: no_new_privileges(&args.security) == Switch::On,
        rlimits: rlimits(args),
        limits: crate::commands::limits::limits(&args.limits)?,
        shm_size: args.shm_size.unwrap_or(DEFAULT_SHM_SIZE),
        first_process: if args.init { FirstProcess::Init } else { FirstProcess::Program },
        extra_hosts,
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

/// Those of files first, then the proxies of Docker's settings: options win over both.
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
    let given: Vec<&str> = args.env.iter().map(|text| text.split('=').next().unwrap_or_default()).collect();
    all.extend(proxies::variables(environment, &given)?);
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
        all.push(given::mount("--volume", &volume.host, &volume.target, volume.read_only)?);
    }
    for mount in &args.mounts {
        all.push(match mount {
            MountArg::Bind { host, target, read_only } => given::mount("--mount", host, target, *read_only)?,
            MountArg::Tmpfs(tmpfs) => in_memory(tmpfs),
        });
    }
    all.extend(args.tmpfs.iter().map(in_memory));
    for device in &args.devices {
        all.push(given::mount("--device", &device.host, &device.target, ReadOnly::No)?);
    }
    Ok(all)
}

fn in_memory(tmpfs: &TmpfsArg) -> MountSpec {
    MountSpec {
        target: tmpfs.target.clone(),
        source: MountSource::Tmpfs { size: tmpfs.size },
        read_only: tmpfs.read_only,
    }
}

/// Ports lead into a private network; what listens in the host's is reached there anyway.
fn ports(args: &RunArgs, network: NetworkMode) -> Result<Vec<PublishedPort>, Failure> {
    match network {
        _ if args.ports.is_empty() => Ok(Vec::new()),
        NetworkMode::Private => Ok(args.ports.iter().map(|port| port.0).collect()),
        NetworkMode::Host => {
            Err(Failure::usage("--publish: in the network of the host all ports are the host's"))
        }
        NetworkMode::None => Err(Failure::usage("--publish: nothing leads into the network none")),
    }
}

fn rlimits(args: &RunArgs) -> Vec<Rlimit> {
    let limit = |given: &crate::args::UlimitArg| Rlimit {
        resource: given.resource,
        // Negative is "none", as for docker.
        soft: u64::try_from(given.soft).ok(),
        hard: u64::try_from(given.hard).ok(),
    };
    args.ulimits.iter().map(limit).collect()
}

/// The last word counts.
fn no_new_privileges(options: &[SecurityArg]) -> Switch {
    let word = |option: &SecurityArg| match option {
        SecurityArg::NoNewPrivileges(switch) => Some(*switch),
        SecurityArg::Unfiltered
        | SecurityArg::UsualFilter
        | SecurityArg::Profile(_)
        | SecurityArg::AppArmor(_)
        | SecurityArg::NoLabels
        | SecurityArg::AllPaths
        | SecurityArg::Mask(_)
        | SecurityArg::Unmask(_) => None,
    };
    options.iter().rev().find_map(word).unwrap_or(Switch::Off)
}

fn security(options: &[SecurityArg], capabilities: Capabilities) -> Result<SecurityOptions, Failure> {
    let mut security = SecurityOptions::default();
    for option in options {
        match option {
            SecurityArg::Unfiltered => security.system_calls = SystemCalls::Unfiltered,
            SecurityArg::UsualFilter => security.system_calls = SystemCalls::Default,
            SecurityArg::Profile(file) => {
                security.system_calls = SystemCalls::Filter(filter(file, capabilities)?);
            }
            SecurityArg::AppArmor(profile) => {
                // Where there is no AppArmor, nothing is confined by it.
                let meant = profile != "unconfined" || Path::new("/sys/kernel/security/apparmor").exists();
                security.apparmor = meant.then(|| profile.clone());
            }
            SecurityArg::AllPaths => security.system_paths.open = OpenPaths::All,
            SecurityArg::Mask(paths) => security.system_paths.more.extend(paths.iter().cloned()),
            SecurityArg::Unmask(paths) => match &mut security.system_paths.open {
                OpenPaths::These(open) => open.extend(paths.iter().cloned()),
                OpenPaths::All => {}
            },
            SecurityArg::NoNewPrivileges(_) | SecurityArg::NoLabels => {}
        }
    }
    Ok(security)
}

fn filter(file: &Path, capabilities: Capabilities) -> Result<SystemCallFilter, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Category::Local, format!("--security-opt seccomp={}: {error}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    SystemCallFilter::from_profile(&text, capabilities).map_err(|error| failed(&error))
}
