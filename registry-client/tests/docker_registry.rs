//! Against Debian's docker-registry, with oci-client as the other party.

mod support;

use std::path::Path;

use bytes::Bytes;
use oci::{Compression, Descriptor, Document, Index, MediaType, Platform};
use oci_distribution::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_distribution::secrets::RegistryAuth;
use registry_client::{
    BlobSource, Client, Credential, Credentials, Hosts, PushedBlob, RegistryError, Secret, Verify,
};
use support::docker_registry::{DockerRegistry, Setup};
use support::{client, image, layer, options, push, read_blob, reference};

#[tokio::test]
async fn what_is_pushed_is_what_is_pulled() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let (client, name) = (client(), reference(&format!("{}/some/image:v1", registry.host())));
    for size in [0, 1, 100_000, 5_000_000] {
        let image = image(size as u64, size);
        push(&client, &name, &image).await;
        let resolved = client.resolve(&name).await.expect("it is there");
        assert_eq!(resolved, *image.manifest.descriptor());
        let found = client.fetch_image(&name, &Platform::host()).await.expect("it is an image");
        assert_eq!((found.manifest.raw(), found.config.raw()), (image.manifest.raw(), image.config.raw()));
        let bytes =
            read_blob(&client, &name, &found.manifest.parsed().layers[0]).await.expect("the layer is whole");
        assert!(bytes == image.layer, "the layer differs");
        let again = client
            .push_blob(name.repository(), &layer(&image.layer), &BlobSource::bytes(Bytes::new()), &[])
            .await;
        assert_eq!(again.expect("it is there"), PushedBlob::Present);
    }
    assert_eq!(client.tags(name.repository()).await.expect("tags"), ["v1"]);
}

#[tokio::test]
async fn blobs_are_mounted_from_other_repositories() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let (client, image) = (client(), image(7, 50_000));
    let [one, two, three] =
        ["one", "two", "three"].map(|path| reference(&format!("{}/{path}", registry.host())));
    push(&client, &one, &image).await;
    let (descriptor, source) = (layer(&image.layer), BlobSource::bytes(image.layer.clone()));
    let from = [one.repository().clone()];
    let mounted = client.push_blob(two.repository(), &descriptor, &source, &from).await.expect("mounted");
    assert_eq!(mounted, PushedBlob::Mounted);
    let from = [
        reference("elsewhere.example/x").repository().clone(),
        reference(&format!("{}/absent", registry.host())).repository().clone(),
    ];
    let sent = client.push_blob(three.repository(), &descriptor, &source, &from).await.expect("sent");
    assert_eq!(sent, PushedBlob::Uploaded);
    assert!(read_blob(&client, &three, &descriptor).await.expect("whole") == image.layer);
}

#[tokio::test]
async fn indexes_and_manifests_of_both_families() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let client = client();
    for docker in [false, true] {
        let name = reference(&format!("{}/family{}", registry.host(), u8::from(docker)));
        let family = |kind: MediaType| if docker { kind.to_docker() } else { kind };
        let image = image(9, 1000);
        push(&client, &name, &image).await;
        let mut manifest = image.manifest.parsed().clone();
        manifest.media_type = Some(family(MediaType::OciManifest));
        manifest.config.media_type = family(MediaType::OciConfig);
        manifest.layers[0].media_type = family(MediaType::OciLayer(Compression::Gzip));
        let manifest = Document::create(family(MediaType::OciManifest), manifest);
        let by_digest = name.repository().with_digest(manifest.descriptor().digest.clone());
        client
            .push_manifest(&by_digest, &manifest.descriptor().media_type, manifest.raw().clone())
            .await
            .expect("pushed by digest");
        let mut entry: Descriptor = manifest.descriptor().clone();
        entry.platform = Some(Platform::new("linux", "arm64", None));
        let kind = family(MediaType::OciIndex);
        let index = Index {
            schema_version: 2,
            media_type: Some(kind.clone()),
            manifests: vec![entry],
            annotations: Default::default(),
            other: Default::default(),
        };
        let index = Document::create(kind.clone(), index);
        client.push_manifest(&name, &kind, index.raw().clone()).await.expect("the index is pushed");
        assert_eq!(client.resolve(&name).await.expect("there"), *index.descriptor());
        let found =
            client.fetch_image(&name, &Platform::new("linux", "arm64", Some("v8"))).await.expect("an image");
        assert_eq!(found.manifest.raw(), manifest.raw());
        assert_eq!(found.index.map(|index| index.raw().clone()).as_ref(), Some(index.raw()));
        let (found_kind, bytes) =
            client.manifest(name.repository(), &manifest.descriptor().digest).await.expect("there");
        assert_eq!((&found_kind, &bytes), (&manifest.descriptor().media_type, manifest.raw()));
        let none = client
            .fetch_image(&name, &Platform::new("linux", "s390x", None))
            .await
            .expect_err("no such platform");
        assert!(
            matches!(&none, RegistryError::NoPlatform { .. }) && none.to_string().contains("linux/arm64"),
            "{none}"
        );
    }
}

#[tokio::test]
async fn what_is_absent_is_named() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let (client, name) = (client(), reference(&format!("{}/nothing:here", registry.host())));
    let error = client.resolve(&name).await.expect_err("absent");
    assert!(matches!(error, RegistryError::NotFound(_)));
    let text = error.to_string();
    assert!(text.contains(&name.to_string()) && text.contains("MANIFEST_UNKNOWN"), "{text}");
    let error = read_blob(&client, &name, &layer(&Bytes::from_static(b"x"))).await.expect_err("absent");
    assert!(error.contains("404") && error.contains("BLOB_UNKNOWN"), "{error}");
    assert!(matches!(client.tags(name.repository()).await, Err(RegistryError::NotFound(_))));
}

#[tokio::test]
async fn tags_are_listed_and_manifests_go() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let (client, name) = (client(), reference(&format!("{}/many", registry.host())));
    let image = image(1, 10);
    push(&client, &name, &image).await;
    let mut expected: Vec<String> = (0..12).map(|n| format!("t{n:02}")).collect();
    for tag in &expected {
        let tagged = name.with_tag(tag).expect("a tag");
        client
            .push_manifest(&tagged, &MediaType::OciManifest, image.manifest.raw().clone())
            .await
            .expect("tagged");
    }
    expected.insert(0, "latest".to_owned());
    let mut found = client.tags(name.repository()).await.expect("tags");
    found.sort();
    assert_eq!(found, expected);
    let pinned = name.with_digest(image.manifest.descriptor().digest.clone());
    client.delete_manifest(&pinned).await.expect("deleted");
    assert!(matches!(client.resolve(&name).await, Err(RegistryError::NotFound(_))));
    client.delete_blob(name.repository(), &layer(&image.layer).digest).await.expect("deleted");
    assert!(!client.has_blob(name.repository(), &layer(&image.layer)).await.expect("an answer"));
}

fn oracle() -> oci_distribution::Client {
    oci_distribution::Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

#[tokio::test]
async fn oci_client_pulls_what_we_pushed_and_the_reverse() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let (ours, theirs) = (client(), oracle());
    let (name, image) = (reference(&format!("{}/a/b:x", registry.host())), image(3, 200_000));
    push(&ours, &name, &image).await;
    let their_name: oci_distribution::Reference = name.to_string().parse().expect("a name");
    let kinds = vec!["application/vnd.oci.image.layer.v1.tar+gzip"];
    let pulled = theirs.pull(&their_name, &RegistryAuth::Anonymous, kinds).await.expect("they can pull");
    assert_eq!(pulled.digest.as_deref(), Some(image.manifest.descriptor().digest.to_string().as_str()));
    assert!(pulled.layers[0].data[..] == image.layer[..]);
    assert_eq!(pulled.config.data[..], image.config.raw()[..]);

    let data = support::noise(4, 300_000);
    let config = support::image(4, 300_000).config;
    let layers = [ImageLayer::oci_v1_gzip(data.clone(), None)];
    let back: oci_distribution::Reference = format!("{}/back:y", registry.host()).parse().expect("a name");
    let config = Config::oci_v1(config.raw().clone(), None);
    theirs.push(&back, &layers, config, &RegistryAuth::Anonymous, None).await.expect("they can push");
    let back = reference(&back.to_string());
    let found = ours.fetch_image(&back, &Platform::host()).await.expect("we can read it");
    let bytes = read_blob(&ours, &back, &found.manifest.parsed().layers[0]).await.expect("whole");
    assert!(bytes == data);
}

/// `user` with `pass word`.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuIt/9/tGzLcigNq/.RWIDjeEVR30RSf.\n";

fn with_password(password: &str) -> Credential {
    Credential::Basic { username: "user".to_owned(), password: Secret::new(password) }
}

#[tokio::test]
async fn passwords() {
    let Some(registry) = DockerRegistry::start(&Setup { htpasswd: Some(HTPASSWD), ..Setup::default() })
    else {
        return;
    };
    let (name, image) = (reference(&format!("{}/locked", registry.host())), image(5, 70_000));
    let with = |credentials: Credentials| Client::new(support_options(credentials)).expect("a client");
    let known = with(Credentials::anonymous().with(&registry.host(), with_password("pass word")));
    push(&known, &name, &image).await;
    assert!(read_blob(&known, &name, &layer(&image.layer)).await.expect("whole") == image.layer);
    for refused in
        [Credentials::anonymous(), Credentials::anonymous().with(&registry.host(), with_password("wrong"))]
    {
        let error = with(refused).resolve(&name).await.expect_err("locked");
        assert!(
            matches!(error, RegistryError::Denied(_)) && error.to_string().contains("UNAUTHORIZED"),
            "{error}"
        );
    }
}

fn support_options(credentials: Credentials) -> registry_client::ClientOptions {
    registry_client::ClientOptions { credentials, ..options() }
}

#[tokio::test]
async fn certificates() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let extensions = ["subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:false"];
    if !support::own_certificate("/CN=loopback", &extensions, &key, &certificate) {
        support::skipped("openssl is not installed");
        return;
    }
    let Some(registry) =
        DockerRegistry::start(&Setup { tls: Some((&certificate, &key)), ..Setup::default() })
    else {
        return;
    };
    let (name, image) = (reference(&format!("{}/tls", registry.host())), image(6, 3_000_000));
    let trusting = registry_client::ClientOptions { ca_bundles: vec![certificate.clone()], ..options() };
    let trusting = Client::new(trusting).expect("a client");
    push(&trusting, &name, &image).await;
    assert!(read_blob(&trusting, &name, &layer(&image.layer)).await.expect("whole") == image.layer);
    let error = client().resolve(&name).await.expect_err("nobody vouches for it");
    assert!(error.to_string().contains("certificate"), "{error}");

    // by host, as Docker and containers have it, and as containerd has it
    let folder = directory.path().join("certs.d").join(registry.host());
    std::fs::create_dir_all(&folder).expect("made");
    let with_directory = || {
        let hosts = Hosts::default().with_directory(directory.path().join("certs.d"));
        Client::new(registry_client::ClientOptions { hosts, ..options() }).expect("a client")
    };
    let error = with_directory().resolve(&name).await.expect_err("there is none yet").to_string();
    assert!(error.contains(&folder.display().to_string()), "{error}");
    std::fs::copy(&certificate, folder.join("ca.crt")).expect("copied");
    assert_eq!(with_directory().resolve(&name).await.expect("known"), *image.manifest.descriptor());
    std::fs::rename(folder.join("ca.crt"), folder.join("ca.pem")).expect("moved");
    with_directory().resolve(&name).await.expect_err("no longer known");
    let server = format!("server = \"https://{}\"\nca = \"ca.pem\"\n", registry.host());
    std::fs::write(folder.join("hosts.toml"), server).expect("written");
    assert_eq!(with_directory().resolve(&name).await.expect("known"), *image.manifest.descriptor());
    let careless =
        registry_client::ClientOptions { hosts: Hosts::default().verifying(Verify::Never), ..options() };
    let careless = Client::new(careless).expect("a client");
    assert_eq!(careless.resolve(&name).await.expect("any certificate will do"), *image.manifest.descriptor());
}

/// The file that the conformance suite writes.
#[tokio::test]
async fn docker_hub_by_a_local_stand_in() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let host = registry.host();
    let image = image(8, 30_000);
    push(&client(), &reference(&format!("{host}/library/alpine:3.20")), &image).await;
    let conf = format!(
        "unqualified-search-registries = [\"docker.io\"]\n\
         [[registry]]\nprefix = \"docker.io\"\nlocation = \"{host}\"\ninsecure = true\n\
         [[registry]]\nlocation = \"{host}\"\ninsecure = true\n"
    );
    let hosts = Hosts::parse(Path::new("registries.conf"), &conf).expect("a good file");
    let client = Client::new(registry_client::ClientOptions { hosts, ..options() }).expect("a client");
    let name = reference("alpine:3.20");
    let found = client.fetch_image(&name, &Platform::host()).await.expect("the stand-in has it");
    assert_eq!(found.manifest.raw(), image.manifest.raw());
    assert!(read_blob(&client, &name, &layer(&image.layer)).await.expect("whole") == image.layer);
}
