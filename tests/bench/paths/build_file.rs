//! A long build file, read.

#[path = "../../../frontends/dockerfile/examples/cost/long_file.rs"]
mod long_file;

pub(crate) fn parse() -> Box<dyn FnMut()> {
    let text = text();
    Box::new(move || drop(dockerfile::parse(text.as_bytes()).unwrap()))
}

pub(crate) fn lower() -> Box<dyn FnMut()> {
    let text = text();
    Box::new(move || long_file::lower(&text))
}

fn text() -> String {
    long_file::text(10_000, 100)
}
