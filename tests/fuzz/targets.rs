//! What is done with any bytes: the bodies of the fuzz targets.
//!
//! Nothing here may panic. `fuzz_targets` hands them to libFuzzer, `main.rs` runs them in the test run.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use dockerfile::{EscapeChar, Options, Spanned};
use graph::{ContextName, ImageFacts, Known, Need, Span, Step};
use oci::{Document, ImageConfig, Index, Manifest, MediaType};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Two inputs from one: what is before the first zero byte, and what is after it.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    let border = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (&bytes[..border], bytes.get(border + 1..).unwrap_or_default())
}

/// A Dockerfile: diagnostics or a file, with spans that lie in the text.
pub fn dockerfile(bytes: &[u8]) {
    let end = bytes.len();
    match dockerfile::parse(bytes) {
        Ok(file) => assert!(file.instructions.iter().all(|one| one.span.end <= end)),
        Err(all) => assert!(all.iter().filter_map(|one| one.span).all(|span| span.end <= end)),
    }
}

/// A Dockerfile, and the triggers of its base images: every question about them comes to an end.
pub fn lowering(bytes: &[u8]) {
    let (file, triggers) = halves(bytes);
    let triggers: Vec<String> = text(triggers).split('\u{1}').map(str::to_owned).collect();
    let options = Options::default();
    let mut known = Known::default();
    for _ in 0..50 {
        let Ok(Step::Need(needs)) = dockerfile::lower(&options, &known) else { return };
        assert!(!needs.is_empty());
        needs.into_keys().for_each(|need| answer(need, file, &triggers, &mut known));
    }
    panic!("endless questions");
}

fn answer(need: Need, file: &[u8], triggers: &[String], known: &mut Known) {
    match need {
        Need::File(context, path) => {
            let is_it = context == ContextName::BuildFile && path == "Dockerfile";
            known.files.insert((context, path), is_it.then(|| Bytes::copy_from_slice(file)));
        }
        Need::Image(reference, platform) => {
            known.images.insert((reference, platform), image(triggers));
        }
        Need::Time(source) => drop(known.times.insert(source, Some(5))),
        Need::GitRef(url, reference) => drop(known.git.insert((url, reference), "2".repeat(40))),
    }
}

fn image(triggers: &[String]) -> ImageFacts {
    let digest = format!("sha256:{}", "1".repeat(64));
    let descriptor = serde_json::json!({"mediaType": "x/y", "digest": digest, "size": 1});
    let descriptor: oci::Descriptor = serde_json::from_value(descriptor).expect("a descriptor");
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]},
        "config": {"Env": ["=", "x", "PATH"], "WorkingDir": "..", "OnBuild": triggers},
    });
    let config = serde_json::from_value(config).expect("an image configuration");
    ImageFacts { manifest: descriptor.clone(), resolved: descriptor, config }
}

/// An ignore file, with a Dockerfile that copies: rules or an error with its place.
pub fn ignored(bytes: &[u8]) {
    let options = Options::default();
    let mut known = Known::default();
    let file = |context, name: &str, bytes: Option<&[u8]>| {
        ((context, name.to_owned()), bytes.map(Bytes::copy_from_slice))
    };
    known.files.extend([
        file(ContextName::BuildFile, "Dockerfile", Some(b"FROM scratch\nCOPY a b/c* /d/\n")),
        file(ContextName::BuildFile, "Dockerfile.dockerignore", None),
        file(ContextName::Main, ".dockerignore", Some(bytes)),
    ]);
    let _ = dockerfile::lower(&options, &known);
}

/// A word with variables: a value or an error, for both escape characters.
pub fn expansion(bytes: &[u8]) {
    let text = text(bytes);
    let values = |name: &str| (name.len() % 2 == 1).then(|| "v a/l".to_owned());
    for escape in [EscapeChar::Backslash, EscapeChar::Backtick] {
        let _ = dockerfile::expand(&text, &values, escape);
        let _ = dockerfile::expand_words(&text, &values, escape);
    }
    let _ = dockerfile::expand_heredoc(&text, &values);
}

/// The value of `RUN --mount`: a mount, or a diagnostic at the place of the text.
pub fn mounts(bytes: &[u8]) {
    let text = text(bytes);
    let span = Span { start: 0, end: text.len() };
    match dockerfile::parse_mount(&Spanned::new(text, span), &mut |value| Ok(value.to_owned())) {
        Ok(mount) => assert_eq!(mount.span, span),
        Err(error) => assert_eq!(error.span, Some(span)),
    }
}

/// The address of a git repository: a remote, an error, or something else altogether. A part of an
/// address never begins like an option of the git program.
pub fn git_remotes(bytes: &[u8]) {
    if let Ok(Some(remote)) = dockerfile::parse_git_remote(&text(bytes)) {
        assert!(!remote.url.starts_with('-'), "{remote:?}");
        let commit = remote.commit().map_or_else(|| "0".repeat(40), str::to_owned);
        let _ = remote.source(commit, None);
    }
}

/// Names of images, platforms and digests: what parses is written the same way again.
pub fn names(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(name) = text.parse::<oci::Reference>() {
        assert_eq!(name.to_string().parse::<oci::Reference>().as_ref(), Ok(&name));
    }
    if let Ok(platform) = text.parse::<oci::Platform>() {
        assert_eq!(platform.to_string().parse::<oci::Platform>().as_ref(), Ok(&platform));
    }
    if let Ok(digest) = text.parse::<oci::Digest>() {
        assert_eq!(digest.to_string(), text);
    }
}

/// Manifests, indexes and configs: a document or an error.
pub fn documents(bytes: &[u8]) {
    let raw = bytes.to_vec();
    let _ = Document::<Manifest>::parse(MediaType::OciManifest, raw.clone().into());
    let _ = Document::<Index>::parse(MediaType::OciIndex, raw.clone().into());
    let _ = Document::<ImageConfig>::parse(MediaType::OciConfig, raw.into());
}

/// An ignore file, and a path: patterns or an error, and matching ends.
pub fn patterns(bytes: &[u8]) {
    let (rules, path) = halves(bytes);
    if let Ok(patterns) = graph::Patterns::new(graph::parse_ignore_file(rules)) {
        let _ = patterns.matches_or_parent(text(path));
    }
    let _ = graph::glob(&text(rules), path);
}

/// A layer: entries or an error.
pub fn tar(bytes: &[u8]) {
    let mut reader = layer_store::tar::TarReader::new(bytes);
    while let Ok(Some(_)) = reader.next_entry() {}
}

/// Settings and passwords of registries. (Headers are held to the same by properties in their crate.)
pub fn registries(bytes: &[u8]) {
    let text = text(bytes);
    let _ = registry_client::Hosts::parse(Path::new("registries.conf"), &text);
    let _ = registry_client::AuthFile::parse(Path::new("config.json"), bytes);
}

/// A file in memory.
struct InMemory<'a>(&'a [u8]);

impl FileExt for InMemory<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buf.len());
        buf[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

/// A database of rpm: packages, and what could not be read. More than it holds is never asked for.
pub fn rpm_databases(bytes: &[u8]) {
    let (packages, _) = builder::sbom::rpm_packages(&InMemory(bytes), bytes.len() as u64);
    assert!(packages.len() <= bytes.len());
}
