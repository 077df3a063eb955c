//! Documents of images, from layers and configs that are made up.

use std::collections::BTreeMap;

use oci::Digest;

use super::*;
use crate::request::{Annotation, AnnotationPlace, Annotations, ForeignLayers};

fn diff(name: &str) -> DiffId {
    DiffId(Digest::sha256(name))
}

fn entry(text: &str, created: Option<&str>, empty_layer: bool) -> History {
    History {
        created: created.map(str::to_owned),
        created_by: Some(text.to_owned()),
        empty_layer,
        ..History::default()
    }
}

fn layer(name: &str, media_type: MediaType) -> LayerEntry {
    LayerEntry {
        diff_id: diff(name),
        blob: Descriptor::new(media_type, Digest::sha256(format!("blob {name}")), 10),
    }
}

const NOW: &str = "2026-01-02T03:04:05Z";

fn times(layers: &[&str]) -> Times {
    Times { epoch: None, layers: layers.iter().map(|time| Some((*time).to_owned())).collect() }
}

/// Base with one layer and two entries, then a layer, then an entry without a layer.
fn config() -> ImageConfig {
    ImageConfig {
        architecture: "arm64".into(),
        os: "linux".into(),
        history: vec![
            entry("base layer", Some("2001-01-01T00:00:00Z"), false),
            entry("base CMD", Some("2001-01-01T00:00:01Z"), true),
            entry("RUN make", None, false),
            entry("CMD x", None, true),
        ],
        ..ImageConfig::default()
    }
}

fn show(config: &ImageConfig) -> Vec<String> {
    let mark = |entry: &History| if entry.empty_layer { "-" } else { "L" };
    let created = |entry: &History| entry.created.clone().unwrap_or_else(|| "?".into());
    config.history.iter().map(|entry| format!("{} {}", mark(entry), &created(entry))).collect()
}

#[test]
fn entries_of_this_build_are_stamped_and_the_base_is_not() {
    let base = BasePart { history: 2, layers: 1 };
    let done = finish_config(config(), base, vec![diff("a"), diff("b")], &Platform::host(), &times(&[NOW]));
    assert_eq!(
        show(&done),
        ["L 2001-01-01T00:00:00Z", "- 2001-01-01T00:00:01Z", &format!("L {NOW}"), &format!("- {NOW}")]
    );
    assert_eq!(done.created.as_deref(), Some(NOW));
    assert_eq!(done.architecture, "arm64");
    assert_eq!(done.rootfs.diff_ids, [diff("a"), diff("b")]);
}

#[test]
fn an_epoch_replaces_times_that_are_there() {
    let mut config = config();
    config.history[2].created = Some("2026-06-06T00:00:00Z".into());
    let base = BasePart { history: 2, layers: 1 };
    let done = finish_config(
        config,
        base,
        vec![diff("a"), diff("b")],
        &Platform::host(),
        &Times { epoch: Some(NOW.into()), layers: vec![None] },
    );
    assert_eq!(show(&done)[2], format!("L {NOW}"));
    assert_eq!(show(&done)[1], "- 2001-01-01T00:00:01Z");
    assert_eq!(done.created.as_deref(), Some(NOW));
}

#[test]
fn entries_without_a_layer_take_the_time_of_their_neighbours() {
    let check = |entries: &[(bool, Option<&str>)], expected: &[&str]| {
        let history = entries.iter().map(|(empty, created)| entry("x", *created, *empty)).collect();
        let config = ImageConfig { history, ..ImageConfig::default() };
        let layers = entries.iter().filter(|(empty, _)| !empty).count();
        let diff_ids = (0..layers).map(|number| diff(&number.to_string())).collect();
        let times = times(&["t1", "t2"][..layers]);
        let done = finish_config(config, BasePart::default(), diff_ids, &Platform::host(), &times);
        assert_eq!(show(&done), expected);
        assert_eq!(
            done.created.as_deref(),
            expected.last().map(|last| &last[2..]).filter(|time| *time != "?")
        );
    };
    check(&[(true, None), (false, None), (true, None), (false, None)], &["- t1", "L t1", "- t1", "L t2"]);
    check(&[(true, Some("base")), (true, None), (false, None)], &["- base", "- t1", "L t1"]);
    check(&[(true, Some("base")), (true, None)], &["- base", "- base"]);
    check(&[(true, None)], &["- ?"]);
}

#[test]
fn an_image_that_adds_nothing_keeps_the_time_of_its_base() {
    let mut config = config();
    config.history.truncate(2);
    let base = BasePart { history: 2, layers: 1 };
    for times in [times(&[]), Times { epoch: Some(NOW.into()), layers: Vec::new() }] {
        let done = finish_config(config.clone(), base, vec![diff("a")], &Platform::host(), &times);
        assert_eq!(done.created.as_deref(), Some("2001-01-01T00:00:01Z"));
    }
}

#[test]
fn history_is_made_to_fit_the_layers() {
    let check = |standing_in_base: usize, layers_in_base: usize| {
        let mut config = config();
        let own = config.history.split_off(2);
        config.history = (0..standing_in_base).map(|_| entry("base", None, false)).chain(own).collect();
        let base = BasePart { history: standing_in_base, layers: layers_in_base };
        let diff_ids: Vec<DiffId> = (0..=layers_in_base).map(|number| diff(&number.to_string())).collect();
        let done = finish_config(config, base, diff_ids.clone(), &Platform::host(), &times(&[]));
        let standing = done.history.iter().filter(|entry| !entry.empty_layer).count();
        assert_eq!(standing, diff_ids.len(), "{standing_in_base} entries, {layers_in_base} layers");
    };
    for (entries, layers) in [(0, 0), (0, 3), (1, 3), (3, 3), (5, 2)] {
        check(entries, layers);
    }
}

#[test]
fn scratch_gets_the_platform_that_was_asked_for() {
    let platform: Platform = "linux/arm/v7".parse().unwrap();
    let done = finish_config(ImageConfig::default(), BasePart::default(), vec![], &platform, &times(&[]));
    assert_eq!(
        (done.os.as_str(), done.architecture.as_str(), done.variant.as_deref()),
        ("linux", "arm", Some("v7"))
    );
    assert_eq!(done.created, None);
}

#[test]
fn one_family_and_the_blobs_stay() {
    let gzip = Compression::Gzip;
    let layers = || {
        vec![
            layer("a", MediaType::DockerLayer(gzip)),
            layer("b", MediaType::OciLayer(Compression::Zstd)),
            layer("c", MediaType::DockerForeignLayer(gzip)),
        ]
    };
    let annotations = Annotations(vec![annotation(AnnotationPlace::Manifest, None, "a.b")]);
    let style = Style { annotations: &annotations, ..Style::PLAIN };
    let oci = image(&Platform::host(), config(), layers(), &style);
    let types = |image: &AssembledImage| -> Vec<String> {
        image.manifest.parsed().layers.iter().map(|layer| layer.media_type.to_string()).collect()
    };
    assert_eq!(
        types(&oci),
        [
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.oci.image.layer.v1.tar+gzip"
        ]
    );
    assert_eq!(oci.manifest.parsed().annotations["a.b"], "value");
    assert_eq!(oci.manifest.parsed().layers[0].digest, layers()[0].blob.digest);
    let style = Style { family: Family::Docker, ..style };
    let docker = image(&Platform::host(), config(), layers(), &style);
    assert_eq!(docker.manifest.parsed().config.media_type, MediaType::DockerConfig);
    assert_eq!(types(&docker)[0], MediaType::DockerLayer(gzip).to_string());
    assert!(docker.manifest.parsed().annotations.is_empty());
}

#[test]
fn layers_that_may_not_be_distributed_say_so_where_that_is_asked_for() {
    let mut foreign = layer("c", MediaType::DockerForeignLayer(Compression::Gzip));
    foreign.blob.other.insert("urls".to_owned(), serde_json::json!(["https://example.org/c"]));
    let made = |foreign_layers| {
        let style = Style { foreign_layers, ..Style::PLAIN };
        let made = image(&Platform::host(), config(), vec![foreign.clone()], &style);
        made.manifest.parsed().layers[0].clone()
    };
    let kept = made(ForeignLayers::Keep);
    assert_eq!(kept.media_type, MediaType::OciForeignLayer(Compression::Gzip));
    assert_eq!(kept.other["urls"][0], "https://example.org/c");
    let converted = made(ForeignLayers::Convert);
    assert_eq!(converted.media_type, MediaType::OciLayer(Compression::Gzip));
    assert!(converted.other.is_empty());
}

fn annotation(place: AnnotationPlace, platform: Option<&str>, key: &str) -> Annotation {
    let platform = platform.map(|text| text.parse().unwrap());
    Annotation { place, platform, key: key.to_owned(), value: "value".to_owned() }
}

#[test]
fn the_index_names_each_platform_and_each_document_has_its_annotations() {
    let annotations = Annotations(vec![
        annotation(AnnotationPlace::Index, None, "index"),
        annotation(AnnotationPlace::ManifestDescriptor, Some("linux/amd64"), "descriptor"),
        annotation(AnnotationPlace::Manifest, Some("linux/arm/v7"), "manifest"),
    ]);
    let style = Style { annotations: &annotations, ..Style::PLAIN };
    let one = image(&"linux/amd64".parse().unwrap(), config(), vec![], &style);
    let two = image(&"linux/arm/v7".parse().unwrap(), config(), vec![], &style);
    let more = Descriptor::new(MediaType::OciManifest, Digest::sha256("more"), 4);
    let index = index(&[one.clone(), two.clone()], &[more], &style);
    let entries = &index.parsed().manifests;
    let platforms: Vec<String> = entries
        .iter()
        .map(|entry| entry.platform.as_ref().map_or("none".to_owned(), Platform::to_string))
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm/v7", "none"]);
    assert_eq!(entries[0].digest, one.manifest.descriptor().digest);
    let keys = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>().join(",");
    assert_eq!(keys(&index.parsed().annotations), "index");
    assert_eq!([keys(&entries[0].annotations), keys(&entries[1].annotations)], ["descriptor", ""]);
    let of_manifests = [&one, &two].map(|image| keys(&image.manifest.parsed().annotations));
    assert_eq!(of_manifests, ["", "manifest"]);
}
