//! `rbuild sync`.

use std::fmt::Write as _;

use builder::error::Category;
use builder::event::StepId;
use builder::sync::{Planned, Scope, SyncError, SyncList, SyncPlan, SyncSource, SyncTarget, plan_sync};
use builder::toolchain::{self, CopyOptions, Referrers};
use builder::{Categorised, Session};
use oci::{Digest, Reference, Repository};
use registry_client::{Credential, Verify};

use super::access;
use crate::args::{Global, SyncArgs, SyncFrom, SyncTo};
use crate::client::Additions;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress;

/// Copies many images, and prints their digests.
pub fn run(args: &SyncArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let (source, target) = (source(args)?, target(args)?);
    let options = CopyOptions {
        platform: super::chosen(&args.platform)?,
        referrers: if args.referrers { Referrers::Follow } else { Referrers::Leave },
        types: super::transfer::types(args.types),
        ..CopyOptions::default()
    };
    let form = progress::choose(args.quiet, None, environment).map_err(Failure::usage)?;
    let mut open = host::open(global, environment, form, None)?;
    let mut all = access(args, &source)?;
    if let SyncSource::List(list) = &source {
        let listed = additions(list);
        all.logins.extend(listed.logins);
        all.trust.extend(listed.trust);
    }
    open.add(&all, global, environment)?;
    let session = open.session.clone();
    let scope = if args.scoped { Scope::Full } else { Scope::Base };
    let done = open.work(async move {
        let plan = plan_sync(&session, &source, &target, scope).await?;
        copy_all(&session, plan, &options, args).await
    })?;
    if let Some(file) = &args.digestfile {
        let lines: String =
            done.copied.iter().map(|(copy, digest)| format!("{digest} {}\n", copy.to)).collect();
        super::write_file(file, lines.as_bytes())?;
    }
    done.told(args)
}

/// What became of all of them.
#[derive(Default)]
struct Done {
    copied: Vec<(Planned, Digest)>,
    /// Not copied, since nothing was to be.
    planned: Vec<Planned>,
    failures: Vec<SyncError>,
}

async fn copy_all(
    session: &Session,
    plan: SyncPlan,
    options: &CopyOptions,
    args: &SyncArgs,
) -> Result<Done, SyncError> {
    let mut done = Done::default();
    for failure in plan.failures {
        match args.keep_going || args.dry_run {
            true => done.failures.push(failure),
            false => return Err(failure),
        }
    }
    if args.dry_run {
        return Ok(Done { planned: plan.copies, ..done });
    }
    for (number, planned) in plan.copies.into_iter().enumerate() {
        let step = StepId(u32::try_from(number).unwrap_or(u32::MAX));
        match copy_one(session, &planned, options, step).await {
            Ok(digest) => done.copied.push((planned, digest)),
            Err(failure) if args.keep_going => done.failures.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    Ok(done)
}

async fn copy_one(
    session: &Session,
    planned: &Planned,
    options: &CopyOptions,
    step: StepId,
) -> Result<Digest, SyncError> {
    let title = format!("copy {} to {}", planned.from, planned.to);
    let copy = toolchain::copy(session, &planned.from, &planned.to, options, step);
    host::shown(&session.events, step, title, copy).await.map(|copied| copied.top.digest).map_err(|source| {
        SyncError::Copy { from: planned.from.to_string(), to: planned.to.to_string(), source }
    })
}

impl Done {
    /// Prints it; a failure where some were not copied.
    fn told(&self, args: &SyncArgs) -> Result<(), Failure> {
        for Planned { from, to } in &self.planned {
            super::print(&format!("would copy {from} to {to}\n"));
        }
        for (Planned { to, .. }, digest) in &self.copied {
            super::print(&match args.quiet {
                true => format!("{digest}\n"),
                false => format!("{digest} {to}\n"),
            });
        }
        let Some(first) = self.failures.first() else { return Ok(()) };
        let all = self.planned.len() + self.copied.len() + self.failures.len();
        let mut text = format!("error: {} of {all} were not copied:\n", self.failures.len());
        for failure in &self.failures {
            let _ = writeln!(text, "  {failure}");
        }
        Err(Failure { code: first.category().exit_code(), text })
    }
}

fn source(args: &SyncArgs) -> Result<SyncSource, Failure> {
    let text = args.source.as_str();
    match args.src {
        SyncFrom::Dir => Ok(SyncSource::Directory(text.into())),
        SyncFrom::Yaml => {
            let read = std::fs::read_to_string(text)
                .map_err(|error| Failure::new(Category::Local, format!("{text}: {error}")))?;
            let list = SyncList::parse(text.as_ref(), &read);
            list.map(SyncSource::List).map_err(|error| Failure::from_error(error.category(), &error))
        }
        SyncFrom::Docker => {
            let last = text.rsplit('/').next().unwrap_or(text);
            match last.contains([':', '@']) {
                true => text.parse::<Reference>().map(SyncSource::Image).map_err(Failure::usage),
                false => text.parse::<Repository>().map(SyncSource::Repository).map_err(Failure::usage),
            }
        }
    }
}

fn target(args: &SyncArgs) -> Result<SyncTarget, Failure> {
    match args.dest {
        SyncTo::Dir => Ok(SyncTarget::Directory(args.destination.clone().into())),
        SyncTo::Docker => {
            let prefix = args.destination.trim_end_matches('/');
            // Whether it is a registry shows with a name below it.
            let probe = format!("{prefix}/x");
            match probe.parse::<Repository>() {
                Ok(found) if probe.starts_with(&format!("{}/", found.registry)) => {
                    Ok(SyncTarget::Registry(prefix.to_owned()))
                }
                Ok(_) => Err(Failure::usage(format!("{prefix} names no registry"))),
                Err(error) => Err(Failure::usage(error)),
            }
        }
    }
}

/// What options say of the registries of both sides.
fn access(args: &SyncArgs, source: &SyncSource) -> Result<Additions, Failure> {
    let refused = |side: &str, what: &str| {
        Failure::usage(format!("--{side}- options about a registry, but the images {what}"))
    };
    let said = args.from.said();
    let from = match source {
        SyncSource::Image(name) => access::at(&name.repository().to_string(), &said)?,
        SyncSource::Repository(repository) => access::at(&repository.to_string(), &said)?,
        SyncSource::Directory(_) => access::nowhere(&said, || refused("src", "are in a directory"))?,
        // Its own words are for each of its registries.
        SyncSource::List(_) => access::nowhere(&said, || {
            refused("src", "are in a list, which has its own credentials and tls-verify")
        })?,
    };
    let said = args.to.said();
    let to = match args.dest {
        SyncTo::Docker => access::at(args.destination.trim_end_matches('/'), &said)?,
        SyncTo::Dir => access::nowhere(&said, || refused("dest", "go to a directory"))?,
    };
    access::both(from, to)
}

fn additions(list: &SyncList) -> Additions {
    let mut additions = Additions::default();
    for listed in &list.registries {
        if listed.insecure {
            additions.trust.push((listed.host.clone(), Verify::Never));
        }
        if let Some((username, password)) = &listed.login {
            let credential = Credential::Basic { username: username.clone(), password: password.clone() };
            additions.logins.push((listed.host.clone(), Some(credential)));
        }
    }
    additions
}
