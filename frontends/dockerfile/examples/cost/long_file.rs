//! A long build file, and lowering it: for the example beside this file and for `tests/bench/paths`.

use std::fmt::Write as _;

use dockerfile::Options;
use graph::{Known, Need, Step};

const KINDS: [&str; 4] = ["ARG a{}=1", "ENV e{}=$a{} f{}=x", "LABEL l{}=$e{}", "RUN echo $a{} {}"];

/// So many instructions upon `scratch`. Names of variables come back after `names` of each kind.
pub fn text(instructions: usize, names: usize) -> String {
    let mut text = "FROM scratch\n".to_owned();
    for number in 0..instructions {
        let name = (number / KINDS.len() % names).to_string();
        writeln!(text, "{}", KINDS[number % KINDS.len()].replace("{}", &name)).unwrap();
    }
    text
}

/// Parses a build file that names no other, and makes its graph.
pub fn lower(text: &str) {
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
