//! The escape museum: attacks that worked on builders and runtimes, each tried here, in every mode that it
//! concerns, with its defence and without. See README.md.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit, reason = "a test may fail and speak")]
#![allow(clippy::disallowed_methods, reason = "a test looks whether it runs in CI")]

#[path = "../../runtime-exec/tests/sandbox/modes.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the tests of runtime-exec")]
mod modes;
#[path = "../../registry-client/tests/support/server.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the tests of registry-client")]
mod servers;
#[path = "../../runtime-exec/tests/sandbox/support.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the tests of runtime-exec")]
mod support;

mod archives;
mod builders;
mod catalogue;
mod descriptors;
mod exhibit;
mod kernel;
mod namespaces;
mod nodes;
mod paths;
mod registries;
mod stores;

use std::path::Path;

use exhibit::{Exhibit, Hall};
use modes::Mode;

fn exhibits() -> impl Iterator<Item = &'static Exhibit> {
    [
        descriptors::EXHIBITS,
        paths::EXHIBITS,
        kernel::EXHIBITS,
        nodes::EXHIBITS,
        namespaces::EXHIBITS,
        archives::EXHIBITS,
        stores::EXHIBITS,
        registries::EXHIBITS,
        builders::EXHIBITS,
    ]
    .into_iter()
    .flatten()
}

fn main() {
    runtime_exec::become_child_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    if args.iter().any(|arg| arg == "--list") {
        return;
    }
    let failed = match words.as_slice() {
        ["in", mode, dir, filter @ ..] => visit(Mode::named(mode).unwrap(), Path::new(dir), filter),
        [.., "looks-at-itself"] => descriptors::look_at_itself(),
        filter => {
            catalogue::check();
            let inside: usize = Mode::possible().iter().map(|mode| mode.run_process(filter)).sum();
            inside + outside(filter)
        }
    };
    std::process::exit(i32::from(failed > 0));
}

fn chosen(exhibit: &Exhibit, filter: &[&str]) -> bool {
    filter.is_empty() || filter.iter().any(|part| exhibit.name.contains(part))
}

/// All exhibits of one mode; how many failed.
fn visit(mode: Mode, dir: &Path, filter: &[&str]) -> usize {
    let Some(place) = mode.enter(dir) else { return 0 };
    let cases = exhibits().filter(|exhibit| chosen(exhibit, filter)).filter_map(|exhibit| {
        let Hall::Entered(modes, attack) = exhibit.hall else { return None };
        let proof = move |place: &support::Place| exhibit.prove(|| attack(place));
        modes.contains(&mode).then_some((exhibit.name, proof))
    });
    modes::report(mode, cases.collect(), &place)
}

/// All exhibits that no mode concerns; how many failed.
fn outside(filter: &[&str]) -> usize {
    let mut failed = 0;
    for exhibit in exhibits().filter(|exhibit| chosen(exhibit, filter)) {
        let Hall::Outside(attack) = exhibit.hall else { continue };
        let proof = || {
            exhibit.prove(|| {
                let dir = tempfile::tempdir().unwrap();
                attack(dir.path())
            });
        };
        let held = std::panic::catch_unwind(proof).is_ok();
        failed += usize::from(!held);
        println!("test outside::{} ... {}", exhibit.name, if held { "ok" } else { "FAILED" });
    }
    failed
}
