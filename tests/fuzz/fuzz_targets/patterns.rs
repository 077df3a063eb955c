//! Ignore files and globs: any text gives patterns or an error, and matching ends.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (text, path) = input;
    if let Ok(patterns) = graph::Patterns::new(graph::parse_ignore_file(text.as_bytes())) {
        let _ = patterns.matches_or_parent(path);
    }
});
