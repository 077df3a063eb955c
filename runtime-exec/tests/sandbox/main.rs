//! Sandboxes, made for real, in every mode that this host allows.
//!
//! The program starts itself once for every mode; within a mode the tests run one after the other.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit, missing_docs)]

mod confinement;
mod identities;
mod keepers;
mod life;
mod limits;
mod modes;
mod mounts;
mod network;
mod outside;
mod roots;
mod support;

use std::path::Path;

use modes::{Mode, missing};

fn main() {
    runtime_exec::become_child_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    if args.iter().any(|arg| arg == "--list") {
        return;
    }
    let failed = match words.as_slice() {
        ["in", mode, dir, filter @ ..] => run_mode(Mode::named(mode).unwrap(), Path::new(dir), filter),
        [.., "looks-at-itself"] => life::look_at_itself(),
        ["sacrifice", dir] => life::sacrifice(Path::new(dir)),
        filter => run_all(filter),
    };
    std::process::exit(i32::from(failed > 0));
}

/// Every mode in a process of its own.
fn run_all(filter: &[&str]) -> usize {
    Mode::possible().iter().map(|mode| mode.run_process(filter)).sum()
}

fn run_mode(mode: Mode, dir: &Path, filter: &[&str]) -> usize {
    let Some(place) = mode.enter(dir) else { return 0 };
    let cases = [
        confinement::cases(),
        identities::cases(),
        roots::cases(),
        mounts::cases(),
        keepers::cases(),
        life::cases(),
        limits::cases(),
        network::cases(),
        outside::cases(),
    ];
    let chosen = cases
        .into_iter()
        .flatten()
        .filter(|(name, _)| filter.is_empty() || filter.iter().any(|f| name.contains(f)));
    modes::report(mode, chosen.collect(), &place)
}
