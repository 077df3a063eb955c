//! Any bytes as a Dockerfile and as its ignore file: every question that can be asked about them has
//! an answer.
#![no_main]

use bytes::Bytes;
use graph::{ContextName, Known};

libfuzzer_sys::fuzz_target!(|input: (&[u8], &[u8])| {
    let (text, ignore) = input;
    let options = dockerfile::Options::default();
    let mut known = Known::default();
    let file = |context, name: &str, bytes: Option<&[u8]>| {
        ((context, name.to_owned()), bytes.map(Bytes::copy_from_slice))
    };
    known.files.extend([
        file(ContextName::BuildFile, "Dockerfile", Some(text)),
        file(ContextName::BuildFile, "Dockerfile.dockerignore", None),
        file(ContextName::Main, ".dockerignore", Some(ignore)),
    ]);
    let _ = dockerfile::lower(&options, &known);
});
