//! Images made of layers, exported, and read by others.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may fail, speak and look around"
)]

mod support;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use builder::event::StepId;
use builder::export::export;
use builder::image::{image_facts, pull_image};
use builder::request::{
    Destination, ImageOutput, Keep, Layout, LocalMode, Output, OutputKind, PullPolicy, Push, TreeOptions,
};
use builder::{Session, toolchain};
use graph::ImageSource;
use layer_store::{Snapshot, StoreError};
use oci::{Compression, Platform, Reference};
use support::docker_registry::{DockerRegistry, Setup};
use support::{Place, first_layer, name, output, place, request, second_layer, target};

const STEP: StepId = StepId(1000);

fn own_image(session: &Session) -> Snapshot {
    let first = Snapshot(vec![first_layer(session)]);
    let second = second_layer(session, &first);
    first.with(second)
}

/// Runs a program that reads images; `None` where it is not installed (an error in CI).
fn reader(program: &str, arguments: &[&str]) -> Option<String> {
    let done = match Command::new(program).args(arguments).output() {
        Ok(done) => done,
        Err(error) => {
            support::skipped(&format!("{program}: {error}"));
            return None;
        }
    };
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8(done.stdout).unwrap())
}

fn inspect(image: &str) -> Option<serde_json::Value> {
    let text = reader("skopeo", &["inspect", "--tls-verify=false", image])?;
    Some(serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn archives_are_read_by_skopeo() {
    let Some(place) = place() else { return };
    let session = &place.session;
    let oci = place.directory.path().join("sub/oci.tar");
    let docker = place.directory.path().join("docker.tar");
    let outputs = vec![
        output(OutputKind::Oci(Destination::Path(oci.clone()), Layout::Archive)),
        output(OutputKind::Docker(Destination::Path(docker.clone()))),
    ];
    let finished = target(None, own_image(session), 2);
    let exported = export(session, request(outputs, &["demo:1"], vec![finished])).await.unwrap();
    assert_eq!(exported.names, [name("demo:1")]);
    if let Some(seen) = inspect(&format!("oci-archive:{}:1", oci.display())) {
        assert_eq!(seen["Digest"], exported.descriptor.unwrap().digest.to_string());
        assert_eq!(seen["Layers"].as_array().unwrap().len(), 2);
    }
    if let Some(seen) = inspect(&format!("docker-archive:{}:demo:1", docker.display())) {
        assert_eq!(seen["Layers"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn the_same_layers_make_the_same_archive() {
    let Some(place) = place() else { return };
    let session = &place.session;
    let finished = target(None, own_image(session), 2);
    let mut seen = Vec::new();
    for number in 0..2 {
        let path = place.directory.path().join(format!("{number}.tar"));
        let outputs = vec![output(OutputKind::Oci(Destination::Path(path.clone()), Layout::Archive))];
        export(session, request(outputs, &[], vec![finished.clone()])).await.unwrap();
        seen.push(std::fs::read(path).unwrap());
    }
    assert!(seen[0] == seen[1], "the archives differ");
}

#[tokio::test]
async fn a_layout_directory_holds_several_images() {
    let Some(place) = place() else { return };
    let session = &place.session;
    let layout = place.directory.path().join("layout");
    let snapshot = own_image(session);
    for (tag, compression) in [("demo:gzip", Compression::Gzip), ("demo:zstd", Compression::Zstd)] {
        let mut one = output(OutputKind::Oci(Destination::Path(layout.clone()), Layout::Directory));
        one.compression.form = compression;
        export(session, request(vec![one], &[tag], vec![target(None, snapshot.clone(), 2)])).await.unwrap();
    }
    for tag in ["gzip", "zstd"] {
        let Some(seen) = reader("skopeo", &["inspect", "--raw", &format!("oci:{}:{tag}", layout.display())])
        else {
            return;
        };
        let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
        let media_type = seen["layers"][0]["mediaType"].as_str().unwrap().to_owned();
        assert!(media_type.ends_with(tag), "{media_type}");
    }
    let bundle = place.directory.path().join("bundle");
    let image = format!("{}:gzip", layout.display());
    if reader("umoci", &["unpack", "--image", &image, bundle.to_str().unwrap()]).is_some() {
        let root = bundle.join("rootfs");
        assert!(!root.join("etc/gone").exists());
        assert_eq!(std::fs::metadata(root.join("program")).unwrap().permissions().mode() & 0o7777, 0o4755);
        let inode = |path: &str| std::fs::metadata(root.join(path)).unwrap().ino();
        assert_eq!(inode("etc/passwd"), inode("etc/again"));
    }
}

#[tokio::test]
async fn files_are_written_to_a_directory_and_a_tar() {
    let Some(place) = place() else { return };
    let session = &place.session;
    let (local, tar) = (place.directory.path().join("local"), place.directory.path().join("tree.tar"));
    let outside = place.directory.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(&local).unwrap();
    std::fs::write(local.join("mine"), "stays").unwrap();
    std::fs::write(local.join("program"), "is overwritten").unwrap();
    std::os::unix::fs::symlink(&outside, local.join("etc")).unwrap();
    let outputs = vec![
        output(OutputKind::Local(local.clone(), LocalMode::Copy, TreeOptions::default())),
        output(OutputKind::Tar(Destination::Path(tar.clone()), TreeOptions::default())),
    ];
    export(session, request(outputs, &[], vec![target(None, own_image(session), 2)])).await.unwrap();
    assert_eq!(std::fs::read(local.join("program")).unwrap(), b"run");
    assert_eq!(std::fs::read(local.join("mine")).unwrap(), b"stays");
    assert_eq!(std::fs::metadata(local.join("program")).unwrap().mtime(), 1_600_000_000);
    assert_eq!(std::fs::metadata(local.join("program")).unwrap().uid(), 0);
    assert_eq!(std::fs::read_link(local.join("etc/link")).unwrap(), Path::new("passwd"));
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "a link was followed");
    let mut archive = tar::Archive::new(std::fs::File::open(&tar).unwrap());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(names, ["etc/", "etc/again", "etc/link", "etc/passwd", "program"]);
}

#[tokio::test]
async fn an_export_that_fails_leaves_nothing() {
    let Some(place) = place() else { return };
    let session = &place.session;
    let archive = place.directory.path().join("out/image.tar");
    let outputs = vec![
        output(OutputKind::Oci(Destination::Path(archive.clone()), Layout::Archive)),
        output(OutputKind::Image(ImageOutput::default())),
        output(OutputKind::Image(ImageOutput {
            push: Push::ByName,
            store: Keep::No,
            ..ImageOutput::default()
        })),
    ];
    // Port 1 of loopback: nobody listens.
    let finished = target(None, own_image(session), 2);
    let failed = export(session, request(outputs, &["127.0.0.1:1/demo:1"], vec![finished])).await;
    assert!(failed.is_err());
    assert_eq!(std::fs::read_dir(archive.parent().unwrap()).unwrap().count(), 0);
    assert!(session.store.images().unwrap().is_empty());
}

fn pushing() -> Output {
    output(OutputKind::Image(ImageOutput { push: Push::ByName, store: Keep::No, ..ImageOutput::default() }))
}

/// Pulls an image for a build; its snapshot and what a target needs of it.
async fn as_base(
    place: &Place,
    reference: &Reference,
) -> (Snapshot, (Reference, oci::Descriptor, oci::ImageConfig)) {
    let session = &place.session;
    let platform = Platform::host();
    let facts = image_facts(session, reference, &platform, PullPolicy::Missing).await.unwrap();
    let source = ImageSource { reference: reference.clone(), manifest: facts.manifest.clone(), platform };
    let snapshot = pull_image(session, &source, STEP).await.unwrap();
    (snapshot, (reference.clone(), facts.manifest, facts.config))
}

#[tokio::test]
async fn pushed_pulled_built_upon_and_pushed_again() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let (Some(maker), Some(user)) = (place(), place()) else { return };
    let base = format!("{}/base:1", registry.host());
    let mut zstd = pushing();
    zstd.compression.form = Compression::Zstd;
    zstd.names = vec![name(&format!("{}/base-zstd:1", registry.host()))];
    let mut docker = pushing();
    docker.oci_media_types = false;
    docker.names = vec![name(&format!("{}/base-docker:1", registry.host()))];
    let finished = target(None, own_image(&maker.session), 2);
    let pushed = export(&maker.session, request(vec![pushing(), zstd, docker], &[&base], vec![finished]))
        .await
        .unwrap();
    let pushed = pushed.descriptor.unwrap();
    if let Some(seen) = inspect(&format!("docker://{base}")) {
        assert_eq!(seen["Digest"], pushed.digest.to_string());
    }

    for repository in ["base", "base-zstd", "base-docker"] {
        let reference = name(&format!("{}/{repository}:1", registry.host()));
        let (snapshot, facts) = as_base(&user, &reference).await;
        assert_eq!(snapshot.0.len(), 2);
        let view = user.session.store.stack(&snapshot).unwrap();
        assert!(view.lookup(Path::new("/etc/gone")).unwrap().is_none());
        assert_eq!(view.read_file(Path::new("/etc/link"), 100).unwrap().unwrap()[..4], *b"root");
        let program = view.lookup(Path::new("/program")).unwrap().unwrap().attributes;
        assert_eq!((program.uid, program.mode, program.mtime.secs), (12, 0o4755, 1_600_000_000));
        let above = snapshot.with(second_layer(&user.session, &snapshot));
        let child = format!("{}/child-of-{repository}:1", registry.host());
        let finished = target(Some(facts), above, 1);
        export(&user.session, request(vec![pushing()], &[&child], vec![finished])).await.unwrap();
        let below = user.session.client.fetch_image(&reference, &Platform::host()).await.unwrap();
        let made = user.session.client.fetch_image(&name(&child), &Platform::host()).await.unwrap();
        let (made, below) = (made.manifest.parsed(), below.manifest.parsed());
        assert_eq!(made.layers.len(), 3);
        for (mine, theirs) in made.layers.iter().zip(&below.layers) {
            assert_eq!((&mine.digest, mine.size), (&theirs.digest, theirs.size));
            assert_eq!(mine.media_type, theirs.media_type.to_oci());
        }
    }
}

#[tokio::test]
async fn pulled_images_go_back_byte_for_byte() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let (Some(maker), Some(user)) = (place(), place()) else { return };
    let base = format!("{}/base:1", registry.host());
    let finished = target(None, own_image(&maker.session), 2);
    let pushed = export(&maker.session, request(vec![pushing()], &[&base], vec![finished])).await.unwrap();
    let pushed = pushed.descriptor.unwrap();
    let pulled = toolchain::pull(&user.session, &name(&base), &Platform::host(), STEP).await.unwrap();
    assert_eq!(pulled.manifest.digest, pushed.digest);
    let copy = name(&format!("{}/elsewhere/copy:2", registry.host()));
    let again = toolchain::push(&user.session, &name(&base), &copy, &Default::default(), STEP).await.unwrap();
    assert_eq!(again.digest, pushed.digest);
    let stored = toolchain::Place::Store(name(&base));
    let seen = toolchain::inspect(&user.session, &stored, &Platform::host()).await.unwrap();
    assert_eq!(seen.manifest.unwrap().descriptor().digest, pushed.digest);
    let image = toolchain::open_image(&user.session, &stored, &Platform::host(), STEP).await.unwrap();
    let report = toolchain::layers(&user.session, &image).await.unwrap();
    let mut shown = Vec::new();
    let listed = report[1].files.each::<StoreError>(&mut |file| {
        shown.push(format!("{} {}", file.kind, file.path.display()));
        Ok(())
    });
    listed.unwrap();
    assert_eq!(shown, ["d etc", "x etc/gone", "- program"]);
    assert_eq!(report[1].history.as_ref().unwrap().created_by.as_deref(), Some("RUN step 1"));
}

#[tokio::test]
async fn images_of_the_store_are_bases_and_can_be_pushed() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let Some(place) = place() else { return };
    let session = &place.session;
    let stored = || output(OutputKind::Image(ImageOutput::default()));
    let finished = target(None, own_image(session), 2);
    let exported = export(session, request(vec![stored()], &["local:1"], vec![finished])).await.unwrap();
    assert!(exported.descriptor.is_none());
    let (snapshot, facts) = as_base(&place, &name("local:1")).await;
    assert!(facts.1.media_type.is_config());
    let above = snapshot.with(second_layer(session, &snapshot));
    let archive = place.directory.path().join("child.tar");
    let outputs = vec![stored(), output(OutputKind::Oci(Destination::Path(archive), Layout::Archive))];
    let child =
        export(session, request(outputs, &["child:1"], vec![target(Some(facts), above, 1)])).await.unwrap();
    let target = name(&format!("{}/child:1", registry.host()));
    toolchain::push(session, &name("child:1"), &target, &Default::default(), STEP).await.unwrap();
    let seen = session.client.fetch_image(&target, &Platform::host()).await.unwrap();
    assert_eq!(Some(&seen.config.descriptor().digest), child.image_id.as_ref());
    assert_eq!(seen.manifest.parsed().layers.len(), 3);
}

#[tokio::test]
async fn another_compression_keeps_the_diff_ids() {
    let Some(registry) = DockerRegistry::start(&Setup::default()) else { return };
    let (Some(maker), Some(user)) = (place(), place()) else { return };
    let base = name(&format!("{}/base:1", registry.host()));
    let finished = target(None, own_image(&maker.session), 2);
    export(&maker.session, request(vec![pushing()], &[&base.to_string()], vec![finished])).await.unwrap();
    let (snapshot, facts) = as_base(&user, &base).await;
    let diff_ids = facts.2.rootfs.diff_ids.clone();
    let mut forced = pushing();
    forced.compression.form = Compression::Zstd;
    forced.compression.force = true;
    let child = name(&format!("{}/child:1", registry.host()));
    export(
        &user.session,
        request(vec![forced], &[&child.to_string()], vec![target(Some(facts), snapshot, 0)]),
    )
    .await
    .unwrap();
    let seen = user.session.client.fetch_image(&child, &Platform::host()).await.unwrap();
    assert_eq!(seen.config.parsed().rootfs.diff_ids, diff_ids);
    assert!(
        seen.manifest
            .parsed()
            .layers
            .iter()
            .all(|layer| layer.media_type.compression() == Some(Compression::Zstd))
    );
    let again = support::place().unwrap();
    as_base(&again, &child).await;
}

#[tokio::test]
async fn times_are_clamped_in_new_layers_only() {
    let Some(place) = place() else { return };
    let session = &place.session;
    let mut one =
        output(OutputKind::Oci(Destination::Path(place.directory.path().join("l")), Layout::Directory));
    one.rewrite = builder::request::Rewrite::NotAfter;
    one.source_date_epoch = Some(1_500_000_000);
    let mut asked = request(vec![one], &["demo:1"], vec![target(None, own_image(session), 2)]);
    asked.iidfile = Some(place.directory.path().join("iid"));
    let exported = export(session, asked).await.unwrap();
    let id = std::fs::read_to_string(place.directory.path().join("iid")).unwrap();
    assert_eq!(id, exported.image_id.unwrap().to_string());
    let config = place.directory.path().join("l/blobs/sha256").join(id.trim_start_matches("sha256:"));
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    assert_eq!(config["created"], "2017-07-14T02:40:00Z");
    assert_eq!(config["history"][0]["created"], "2017-07-14T02:40:00Z");
    let bundle = place.directory.path().join("bundle");
    let image = format!("{}:1", place.directory.path().join("l").display());
    if reader("umoci", &["unpack", "--image", &image, bundle.to_str().unwrap()]).is_some() {
        assert_eq!(std::fs::metadata(bundle.join("rootfs/program")).unwrap().mtime(), 1_500_000_000);
    }
}
