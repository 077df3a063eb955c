//! Any text as the value of `RUN --mount`: a mount or a diagnostic at the place of the text.
#![no_main]

use graph::Span;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let span = Span { start: 0, end: text.len() };
    let written = dockerfile::Spanned::new(text.to_owned(), span);
    match dockerfile::parse_mount(&written, &mut |value| Ok(value.to_owned())) {
        Ok(mount) => assert_eq!(mount.span, span),
        Err(error) => assert_eq!(error.span, Some(span)),
    }
});
