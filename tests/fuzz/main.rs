//! The fuzz targets over what is at hand, changed at random: whatever the bytes, nothing panics.
//!
//! Each run of the tests does the same few thousand inputs. `FUZZ_RUNS` sets their number for each target,
//! `FUZZ_SEED` makes others: `FUZZ_RUNS=1000000 FUZZ_SEED=7 cargo test --release --test fuzz -- --nocapture`.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may fail and speak")]
#![allow(clippy::disallowed_methods, reason = "whoever runs the tests says how long")]

mod mutate;
mod seeds;
mod targets;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use mutate::Random;
use seeds::Seeds;

const RUNS: u64 = 2000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn run(name: &str, target: fn(&[u8]), seeds: &Seeds) {
    let runs = setting("FUZZ_RUNS", RUNS);
    let mut random = Random::new(setting("FUZZ_SEED", 1));
    let mut slowest = Duration::ZERO;
    for (number, input) in seeds.files.iter().cloned().enumerate() {
        assert!(catch_unwind(|| target(&input)).is_ok(), "{name}: file {number}: {}", input.escape_ascii());
    }
    for number in 0..runs {
        let input = mutate::mutate(seeds, &mut random);
        let begun = Instant::now();
        let ended = catch_unwind(|| target(&input));
        slowest = slowest.max(begun.elapsed());
        assert!(ended.is_ok(), "{name}: input {number}: b\"{}\"", input.escape_ascii());
    }
    eprintln!("{name}: {} files, {runs} inputs, the slowest {slowest:?}", seeds.files.len());
}

/// A test for each target: its name, and what it begins with.
macro_rules! targets {
    ($($name:ident: $seeds:expr,)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), targets::$name, &$seeds);
        })*
    };
}

targets! {
    dockerfile: seeds::dockerfiles(),
    lowering: seeds::dockerfiles(),
    ignored: seeds::ignore_files(),
    expansion: seeds::words(),
    mounts: seeds::mounts(),
    git_remotes: seeds::git_remotes(),
    names: seeds::names(),
    documents: seeds::documents(),
    patterns: seeds::ignore_files(),
    tar: seeds::archives(),
    registries: seeds::registries(),
    rpm_databases: seeds::rpm_databases(),
}
