//! Settings and headers that a registry client reads: nothing makes it panic.
#![no_main]

use std::path::Path;

#[path = "../../../registry-client/src/auth/challenge.rs"]
#[allow(dead_code)]
mod challenge;
#[path = "../../../registry-client/src/api/link.rs"]
#[allow(dead_code)]
mod link;

libfuzzer_sys::fuzz_target!(|text: &str| {
    challenge::parse(text);
    for link in link::parse(text) {
        link.is("next");
    }
    let _ = registry_client::Hosts::parse(Path::new("registries.conf"), text);
    let _ = registry_client::AuthFile::parse(Path::new("config.json"), text.as_bytes());
});
