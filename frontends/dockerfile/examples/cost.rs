//! What parsing and lowering cost: wall seconds, the best of three. The argument is the number of instructions.
//!
//!     cargo run --release -p dockerfile --example cost -- 10000

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for developers")]

use std::fmt::Write as _;
use std::time::Instant;

use dockerfile::Options;
use graph::{Known, Need, Step};

const KINDS: [&str; 4] = ["ARG a{}=1", "ENV e{}=$a{} f{}=x", "LABEL l{}=$e{}", "RUN echo $a{} {}"];

fn main() {
    let count: usize = std::env::args().nth(1).map_or(10_000, |count| count.parse().unwrap());
    // Each variable has a name of its own, or names come back after this many.
    for (title, names) in [("every name its own", usize::MAX), ("300 names", 100), ("three names", 1)] {
        let mut text = "FROM scratch\n".to_owned();
        for number in 0..count {
            let name = (number / KINDS.len() % names).to_string();
            writeln!(text, "{}", KINDS[number % KINDS.len()].replace("{}", &name)).unwrap();
        }
        let parsed = best(|| dockerfile::parse(text.as_bytes()).map(drop).unwrap());
        let lowered = best(|| lower(&text));
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

fn lower(text: &str) {
    let (options, mut known) = (Options::default(), Known::default());
    loop {
        match dockerfile::lower(&options, &known).unwrap() {
            Step::Done(_) => return,
            Step::Need(needs) => {
                for need in needs.into_keys() {
                    let Need::File(context, path) = need else { unreachable!("the file names nothing else") };
                    let content = (path == "Dockerfile").then(|| text.to_owned().into());
                    known.files.insert((context, path), content);
                }
            }
        }
    }
}
