//! Media types, and documents as others write and read them.

use bytes::Bytes;
use oci::{Compression, Digest, Document, DocumentError, ImageConfig, ImageDocument, Manifest, MediaType};

const ALL: &[MediaType] = &[
    MediaType::OciManifest,
    MediaType::OciIndex,
    MediaType::OciConfig,
    MediaType::OciEmpty,
    MediaType::OciLayer(Compression::None),
    MediaType::OciLayer(Compression::Gzip),
    MediaType::OciLayer(Compression::Zstd),
    MediaType::OciForeignLayer(Compression::Gzip),
    MediaType::DockerManifest,
    MediaType::DockerList,
    MediaType::DockerConfig,
    MediaType::DockerLayer(Compression::None),
    MediaType::DockerLayer(Compression::Gzip),
    MediaType::DockerLayer(Compression::Zstd),
    MediaType::DockerForeignLayer(Compression::Gzip),
];

#[test]
fn families() {
    for kind in ALL {
        assert_eq!(MediaType::from(kind.as_str()), *kind);
        assert_eq!(kind.to_oci().to_docker().to_oci(), kind.to_oci(), "{kind}");
        assert_eq!(kind.to_oci().compression(), kind.compression(), "{kind}");
        let is = |kind: &MediaType| [kind.is_manifest(), kind.is_index(), kind.is_config(), kind.is_layer()];
        assert_eq!(is(&kind.to_oci()), is(kind), "{kind}");
        assert_eq!(is(&kind.to_docker()), is(kind), "{kind}");
        assert_eq!(
            is(kind).iter().filter(|yes| **yes).count(),
            usize::from(*kind != MediaType::OciEmpty),
            "{kind}"
        );
    }
    let other = MediaType::Other("application/x".to_owned());
    assert_eq!((other.to_oci(), other.to_docker(), other.is_layer()), (other.clone(), other.clone(), false));
    let header = "Application/vnd.oci.image.index.v1+json; charset=utf-8";
    assert_eq!(MediaType::from_content_type(header), MediaType::OciIndex);
}

const CONFIG: &str = r#"{"created":"2020-01-01T00:00:00Z","author":"me","architecture":"arm64","variant":"v8","os":"linux","config":{"User":"1:2","ExposedPorts":{"80/tcp":{}},"Env":["A=b"],"Entrypoint":["/e"],"Cmd":[],"Volumes":{"/v":{}},"WorkingDir":"/w","Labels":{"l":"m"},"StopSignal":"SIGINT","Healthcheck":{"Test":["CMD","x"],"Interval":5000000000,"Retries":3},"OnBuild":["RUN x"],"Shell":["/bin/sh","-c"],"ArgsEscaped":true,"Unknown":[1]},"rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},"history":[{"created":"2020-01-01T00:00:00Z","created_by":"x","empty_layer":true}],"container":"kept","docker_version":"1"}"#;

#[test]
fn a_config_keeps_everything() {
    let config: ImageConfig = serde_json::from_str(CONFIG).expect("a config");
    let written: serde_json::Value = serde_json::to_value(&config).expect("JSON");
    let original: serde_json::Value = serde_json::from_str(CONFIG).expect("JSON");
    assert_eq!(written, original);
    assert_eq!(config.config.cmd, Some(Vec::new()), "an empty command is not an absent one");
}

#[test]
fn oci_spec_reads_what_we_write() {
    let ours: ImageConfig = serde_json::from_str(CONFIG).expect("a config");
    let theirs: oci_spec::image::ImageConfiguration =
        serde_json::from_slice(&serde_json::to_vec(&ours).expect("JSON")).expect("theirs");
    assert_eq!(theirs.architecture().to_string(), ours.architecture);
    assert_eq!(
        theirs.rootfs().diff_ids(),
        &ours.rootfs.diff_ids.iter().map(|id| id.to_string()).collect::<Vec<_>>()
    );
    let run = theirs.config().as_ref().expect("a run config");
    assert_eq!(
        (run.user().as_deref(), run.working_dir().as_deref(), run.env().as_ref()),
        (Some("1:2"), Some("/w"), ours.config.env.as_ref())
    );
    assert_eq!(run.exposed_ports().as_deref(), Some(&["80/tcp".to_owned()][..]));
    let back: ImageConfig =
        serde_json::from_slice(&serde_json::to_vec(&theirs).expect("JSON")).expect("ours again");
    assert_eq!((back.rootfs, back.history, back.config.cmd), (ours.rootfs, ours.history, ours.config.cmd));
}

const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"a/b","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":9,"urls":["https://x"],"annotations":{"k":"v"}}],"annotations":{"m":"n"},"subject":{"mediaType":"x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1}}"#;

#[test]
fn a_manifest_keeps_everything_and_oci_spec_agrees() {
    let ours: Manifest = serde_json::from_str(MANIFEST).expect("a manifest");
    let written: serde_json::Value = serde_json::to_value(&ours).expect("JSON");
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(MANIFEST).expect("JSON"));
    let theirs: oci_spec::image::ImageManifest = serde_json::from_value(written).expect("theirs");
    assert_eq!(theirs.layers()[0].digest().to_string(), ours.layers[0].digest.to_string());
    assert_eq!(theirs.layers()[0].media_type().to_string(), ours.layers[0].media_type.to_string());
    assert_eq!(theirs.config().size(), ours.config.size);
}

#[test]
fn null_is_nothing() {
    let config: ImageConfig = serde_json::from_str(r#"{"architecture":"amd64","os":"linux","config":null,"rootfs":{"type":"layers","diff_ids":null},"history":null,"os.features":null}"#).expect("a config");
    assert_eq!(
        config,
        ImageConfig { architecture: "amd64".to_owned(), os: "linux".to_owned(), ..ImageConfig::default() }
    );
    let digest = Digest::sha256("");
    let text = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{digest}","size":0}},"layers":null,"annotations":null}}"#
    );
    let manifest: Manifest = serde_json::from_str(&text).expect("a manifest");
    assert!(manifest.layers.is_empty() && manifest.annotations.is_empty());
}

#[test]
fn what_a_document_is() {
    let config = format!(
        r#""config":{{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"{}","size":0}}"#,
        Digest::sha256("")
    );
    let check = |announced: Option<&str>, body: &str, expected: Result<MediaType, &str>| {
        let announced = announced.map(MediaType::from);
        let found = ImageDocument::parse(announced.as_ref(), Bytes::copy_from_slice(body.as_bytes()));
        match (found, expected) {
            (Ok(document), Ok(kind)) => {
                assert_eq!(document.descriptor().media_type, kind, "{body}");
                assert_eq!(document.descriptor().digest, Digest::sha256(body));
                assert_eq!(matches!(document, ImageDocument::Index(_)), kind.is_index());
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{body}: {error}"),
            (found, expected) => panic!("{body}: {found:?}, not {expected:?}"),
        }
    };
    let (oci, docker) = (MediaType::OciManifest, MediaType::DockerManifest);
    let manifest = format!(r#"{{"schemaVersion":2,{config},"layers":[]}}"#);
    check(None, &manifest, Ok(oci.clone()));
    check(Some("application/json"), &manifest, Ok(oci.clone()));
    check(Some(docker.as_str()), &manifest, Ok(docker.clone()));
    let typed = format!(r#"{{"schemaVersion":2,"mediaType":"{docker}",{config},"layers":[]}}"#);
    check(None, &typed, Ok(docker.clone()));
    check(Some(docker.as_str()), &typed, Ok(docker.clone()));
    check(Some(oci.as_str()), &typed, Err("announced as"));
    check(Some(MediaType::OciIndex.as_str()), &manifest, Err("has layers"));
    check(None, r#"{"schemaVersion":2,"manifests":[]}"#, Ok(MediaType::OciIndex));
    check(
        Some(MediaType::DockerList.as_str()),
        r#"{"schemaVersion":2,"manifests":[]}"#,
        Ok(MediaType::DockerList),
    );
    check(Some(oci.as_str()), r#"{"schemaVersion":2,"manifests":[]}"#, Err("has manifests"));
    check(None, &format!(r#"{{"schemaVersion":2,{config},"layers":[],"manifests":[]}}"#), Err("both"));
    check(None, r#"{"schemaVersion":2,"mediaType":"application/x"}"#, Err("neither"));
    check(None, "{}", Err("neither"));
    check(None, "[]", Err("neither"));
    check(None, r#"{"schemaVersion":1,"fsLayers":[]}"#, Err("schema 1"));
    check(None, "not JSON", Err("expected"));
}

#[test]
fn documents_are_held_against_their_descriptors() {
    let document: Document<Manifest> =
        Document::parse(MediaType::OciManifest, MANIFEST.into()).expect("a manifest");
    let mut descriptor = document.descriptor().clone();
    descriptor.annotations.insert("kept".to_owned(), "yes".to_owned());
    let again: Document<Manifest> =
        Document::parse_as(&descriptor, document.raw().clone()).expect("the same");
    assert_eq!((again.descriptor(), again.raw()), (&descriptor, document.raw()));
    let other =
        Document::<Manifest>::parse_as(&descriptor, Bytes::from_static(b"{}")).expect_err("other bytes");
    assert!(matches!(other, DocumentError::Mismatch { size: 2, .. }));
    descriptor.size += 1;
    assert!(Document::<Manifest>::parse_as(&descriptor, document.raw().clone()).is_err());
}
