//! Layers for tests, written as text.

use builder::toolchain::{FileReport, HiddenFile, LayerReport};

/// Layers of entries: `- path size`, `d path`, `l path`, `x path`, `o path`.
pub fn layers(texts: &[&str]) -> Vec<LayerReport> {
    texts.iter().enumerate().map(|(position, text)| layer(position, text)).collect()
}

fn layer(position: usize, text: &str) -> LayerReport {
    let files: Vec<FileReport> = text.split(", ").filter(|entry| !entry.is_empty()).map(entry).collect();
    LayerReport {
        diff_id: oci::DiffId(oci::Digest::sha256(text)),
        blob: None,
        size: files.iter().map(|file| file.size).sum(),
        wasted: 0,
        hidden_count: 0,
        hidden: Vec::new(),
        history: Some(oci::History {
            created_by: Some(format!("RUN step {position}")),
            ..oci::History::default()
        }),
        files: files.into(),
    }
}

fn entry(text: &str) -> FileReport {
    let words: Vec<&str> = text.splitn(3, ' ').collect();
    FileReport {
        path: words[1].into(),
        kind: words[0].chars().next().unwrap_or('-'),
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: words.get(2).map_or(0, |size| size.parse().unwrap_or(0)),
        target: None,
    }
}

/// The same, one file of the lowest layer being wasted.
pub fn wasteful(texts: &[&str], path: &str, size: u64) -> Vec<LayerReport> {
    let mut layers = layers(texts);
    layers[0].wasted = size;
    layers[0].hidden = vec![HiddenFile { path: path.into(), size, layer: 0, by: 1 }];
    layers
}
