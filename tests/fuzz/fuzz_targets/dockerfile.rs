//! Any bytes as a Dockerfile: diagnostics or a file, never a panic, and spans that lie in the text.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let end = text.len();
    match dockerfile::parse(text) {
        Ok(file) => assert!(file.instructions.iter().all(|one| one.span.end <= end)),
        Err(all) => assert!(all.iter().filter_map(|one| one.span).all(|span| span.end <= end)),
    }
});
