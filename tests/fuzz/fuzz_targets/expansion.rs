//! Any text as a word with variables: a value or an error, for both escape characters.
#![no_main]

use dockerfile::EscapeChar;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let values = |name: &str| (name.len() % 2 == 1).then(|| "v a/l".to_owned());
    for escape in [EscapeChar::Backslash, EscapeChar::Backtick] {
        let _ = dockerfile::expand(text, &values, escape);
        let _ = dockerfile::expand_words(text, &values, escape);
    }
    let _ = dockerfile::expand_heredoc(text, &values);
});
