//! Any bytes as a layer: entries or an error, never a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut reader = layer_store::tar::TarReader::new(bytes);
    while let Ok(Some(_)) = reader.next_entry() {}
});
