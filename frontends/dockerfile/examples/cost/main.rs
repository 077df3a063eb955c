//! What parsing and lowering cost: wall seconds, the best of three. The argument is the number of instructions.
//!
//!     cargo run --release -p dockerfile --example cost -- 10000

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers")]

mod long_file;

use std::time::Instant;

fn main() {
    let count: usize = std::env::args().nth(1).map_or(10_000, |count| count.parse().unwrap());
    // Each variable has a name of its own, or names come back after this many.
    for (title, names) in [("every name its own", usize::MAX), ("300 names", 100), ("three names", 1)] {
        let text = long_file::text(count, names);
        let parsed = best(|| dockerfile::parse(text.as_bytes()).map(drop).unwrap());
        let lowered = best(|| long_file::lower(&text));
        println!("{title:20} parsed {parsed:.3} s, parsed and lowered {lowered:.3} s");
    }
}

fn best(run: impl Fn()) -> f64 {
    let time = |_| {
        let begun = Instant::now();
        run();
        begun.elapsed().as_secs_f64()
    };
    (0..3).map(time).fold(f64::MAX, f64::min)
}
