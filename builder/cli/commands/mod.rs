//! One file for each command.

mod access;
mod allowance;
mod arguments;
mod artifact;
mod asked;
mod browse;
mod build;
mod call;
mod context;
mod copy;
mod crypt;
mod debug;
mod doctor;
mod edit;
mod elsewhere;
mod given;
mod history;
mod images;
mod inspect;
mod kept;
mod layers;
mod limits;
mod login;
mod look;
mod manifest;
mod metadata;
mod mount;
mod outputs;
mod places;
mod prune;
mod reproduce;
mod run;
mod save;
mod serve;
mod sign;
mod store;
mod suspect;
mod sync;
mod tags;
mod transfer;
mod verify;

use std::fmt::Write as _;
use std::io::Write as _;

use crate::args::{Cli, Command, Method, PlatformArgs};
use crate::environment::Environment;
use crate::failure::Failure;

/// Runs a command; the value is the exit code.
pub fn dispatch(cli: &Cli, environment: &Environment) -> Result<u8, Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Build(args) => build::run(args, global, environment)?,
        Command::Check(args) => build::ask_alone(Method::Check, args, global, environment)?,
        Command::Args(args) => build::ask_alone(Method::Variables, args, global, environment)?,
        Command::Explain(args) => history::explain(args, global, environment)?,
        Command::History(command) => history::run(command, global, environment)?,
        Command::Logs(args) => history::logs(args, global, environment)?,
        Command::Pull(args) => transfer::pull(args, global, environment)?,
        Command::Push(args) => transfer::push(args, global, environment)?,
        Command::Copy(args) => copy::run(args, global, environment)?,
        Command::Save(args) => save::save(args, global, environment)?,
        Command::Load(args) => save::load(args, global, environment)?,
        Command::Sync(args) => sync::run(args, global, environment)?,
        Command::Images(args) => images::list(args, global, environment)?,
        Command::Rm(args) => images::remove(args, global, environment)?,
        Command::Tag(args) => images::tag(args, global, environment)?,
        Command::Prune(args) => prune::run(args, global, environment)?,
        Command::Inspect(args) => inspect::run(args, global, environment)?,
        Command::Digest(args) => inspect::digest(args, global, environment)?,
        Command::Tags(args) => tags::list(args, global, environment)?,
        Command::Catalog(args) => tags::catalog(args, global, environment)?,
        Command::Delete(args) => tags::delete(args, global, environment)?,
        Command::Manifest(command) => manifest::run(command, global, environment)?,
        Command::Append(args) => edit::append(args, global, environment)?,
        Command::Mutate(args) => edit::mutate(args, global, environment)?,
        Command::Rebase(args) => edit::rebase(args, global, environment)?,
        Command::Flatten(args) => edit::flatten(args, global, environment)?,
        Command::Artifact(command) => artifact::run(command, global, environment)?,
        Command::Attach(args) => artifact::attach(args, global, environment)?,
        Command::Discover(args) => artifact::discover(args, global, environment)?,
        Command::Sign(args) => sign::sign(args, global, environment)?,
        Command::VerifySignature(args) => sign::verify(args, global, environment)?,
        Command::Login(args) => login::login(args, global, environment)?,
        Command::Logout(args) => login::logout(args, global, environment)?,
        Command::Auth(command) => login::auth(command, global, environment)?,
        Command::Registry(command) => serve::run(command, global, environment)?,
        Command::Validate(args) => manifest::validate(args, global, environment)?,
        Command::Verify(args) => verify::run(args, global, environment)?,
        Command::Layers(args) => layers::run(args, global, environment)?,
        Command::Browse(args) => browse::run(args, global, environment)?,
        Command::Ls(args) => look::ls(args, global, environment)?,
        Command::Tree(args) => look::tree(args, global, environment)?,
        Command::Cat(args) => look::cat(args, global, environment)?,
        Command::Diff(args) => look::diff(args, global, environment)?,
        Command::Mount(args) => mount::mount(args, global, environment)?,
        Command::Unmount(args) => mount::unmount(args, global, environment)?,
        Command::Unshare(args) => mount::unshare(args, global, environment)?,
        Command::Cache(command) => kept::run(command, global, environment)?,
        Command::Store(command) => store::run(command, global, environment)?,
        Command::Context(command) => context::run(command)?,
        Command::Debug(args) => return debug::run(args, global, environment),
        Command::Doctor(args) => return doctor::run(args, global, environment),
        Command::Run(args) => return run::run(args, global, environment),
    }
    Ok(0)
}

/// Prints a result. A reader that went away is no failure.
fn print(text: &str) {
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
}

/// Says something about the work.
pub(crate) fn say(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

/// Ends when the user asks to stop.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
    }
}

/// The name of an image, as the user wrote it.
fn name(text: &str) -> Result<oci::Reference, Failure> {
    text.parse().map_err(Failure::usage)
}

/// A place, as the user wrote it.
fn place(text: &str) -> Result<builder::toolchain::Place, Failure> {
    text.parse().map_err(Failure::usage)
}

/// Writes a small file that the user asked for.
fn write_file(path: &std::path::Path, content: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, content).map_err(|error| {
        Failure::new(
            builder::error::Category::Local,
            format!("{} cannot be written: {error}", path.display()),
        )
    })
}

/// A platform, this machine's where none is named.
fn platform(text: Option<&str>) -> Result<oci::Platform, Failure> {
    match text {
        None | Some("local") => Ok(oci::Platform::host()),
        Some(text) => text.parse().map_err(|error| Failure::usage(format!("--platform: {error}"))),
    }
}

/// The platform that options name, if they do.
fn chosen(args: &PlatformArgs) -> Result<Option<oci::Platform>, Failure> {
    let PlatformArgs { platform: text, override_os, override_arch, override_variant } = args;
    if text.is_some() {
        return platform(text.as_deref()).map(Some);
    }
    if override_os.is_none() && override_arch.is_none() && override_variant.is_none() {
        return Ok(None);
    }
    let host = oci::Platform::host();
    let os = override_os.as_deref().unwrap_or(&host.os);
    let architecture = override_arch.as_deref().unwrap_or(&host.architecture);
    let text = match override_variant {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    };
    text.parse().map(Some).map_err(|error| Failure::usage(format!("--override-os and the like: {error}")))
}

/// Rows as a table, each column as wide as its widest cell.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    columns_apart(rows, 3)
}

/// The same, with that many blanks between columns.
fn columns_apart<const N: usize>(rows: &[[String; N]], gap: usize) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}{:gap$}", "");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
