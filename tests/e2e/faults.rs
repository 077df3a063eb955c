//! Registries that break, refuse and lie: what becomes of copies and of caches.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::resume::noise;
use crate::support::has;
use crate::support::relay::{Harm, Relay};
use crate::support::served::Served;
use crate::support::workspace::Workspace;

const SIZE: usize = 200_000;
const HARMS: [Harm; 4] = [Harm::Reset, Harm::Status(503), Harm::Cut(100), Harm::Wrong];

/// A store with an image of one layer.
fn source() -> Workspace {
    let source = Workspace::new();
    source.file("Dockerfile", "FROM scratch\nCOPY noise /noise\n");
    source.file("noise", noise(SIZE));
    source.build(&["-t", "app:1"]);
    source.ok(&["copy", "-q", "store:app:1", "store:packed:1"]);
    source
}

/// Whether a request is for a path and by a method.
fn is(head: &str, method: &str, part: &str) -> bool {
    let line = head.lines().next().unwrap_or_default();
    line.starts_with(&format!("{method} ")) && line.contains(part)
}

/// All names of files below a directory.
fn files(dir: &Path) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => found.push(path.file_name().unwrap().to_string_lossy().into_owned()),
            }
        }
    }
    found
}

/// What a copy that failed may not leave: a name, or a file that is not whole.
fn nothing_half_written(workspace: &Workspace, what: &str) {
    assert_eq!(workspace.ok(&["images", "-q"]).out, "", "{what}");
    assert_eq!(files(&workspace.store().join("tmp")), Vec::<String>::new(), "{what}");
    let written = files(&workspace.path().join("out"));
    let whole = |name: &String| {
        (name.len() == 64 && !name.contains('.')) || ["oci-layout", "version"].contains(&name.as_str())
    };
    assert!(written.iter().all(whole), "{what}: {written:?}");
}

#[test]
fn a_copy_from_a_registry_that_fails_leaves_nothing_and_succeeds_later() {
    let source = source();
    let server = Served::start(&source, &["--read-only"]);
    for (part, harm) in ["/manifests/", "/blobs/"].iter().flat_map(|part| HARMS.map(|harm| (*part, harm))) {
        let relay = Relay::start(server.host());
        let image = relay.name("packed:1");
        let from = format!("docker://{image}");
        let workspace = Workspace::new();
        let out =
            |form: &str, name: &str| format!("{form}:{}", workspace.path().join("out").join(name).display());
        std::fs::create_dir(workspace.path().join("out")).unwrap();
        let targets = [
            out("oci", "layout:1"),
            out("dir", "dir"),
            out("oci-archive", "oci.tar"),
            out("docker-archive", "docker.tar:a:1"),
            "store:copied:1".to_owned(),
        ];
        relay.harm(move |head| is(head, "GET", part).then_some(harm));
        for target in &targets {
            let said = workspace.fails(3, &["--retry-times=1", "copy", &from, target]);
            let what = format!("{part} {harm:?} {target}: {said:?}");
            assert!(said.err.contains(image.split('/').next().unwrap()), "{what}");
            nothing_half_written(&workspace, &what);
        }
        let said = workspace.fails(3, &["--retry-times=1", "pull", &image]);
        nothing_half_written(&workspace, &format!("{part} {harm:?} pull: {said:?}"));
        // Twice, and then no more: what is tried again succeeds. Wrong bytes are wrong the next time, too.
        let left = Arc::new(AtomicUsize::new(2));
        relay.harm(move |head| {
            let hit = is(head, "GET", part) && harm != Harm::Wrong;
            let once = |left: usize| left.checked_sub(1);
            (hit && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, once).is_ok()).then_some(harm)
        });
        for target in &targets {
            workspace.ok(&["copy", "-q", &from, target]);
            workspace.ok(&["validate", target]);
        }
    }
    // A connection that always ends, but brings something each time.
    let relay = Relay::start(server.host());
    relay.harm(|head| is(head, "GET", "/blobs/").then_some(Harm::Cut(60_000)));
    let workspace = Workspace::new();
    workspace.ok(&["--retry-times=1", "pull", "-q", &relay.name("packed:1")]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_copy_to_a_registry_that_fails_gives_no_name_and_succeeds_later() {
    let source = source();
    for (method, part) in [
        ("POST", "/blobs/uploads/"),
        ("PATCH", "/blobs/uploads/"),
        ("PUT", "/blobs/uploads/"),
        ("PUT", "/manifests/"),
    ] {
        for harm in [Harm::Reset, Harm::Status(503), Harm::Status(403)] {
            let target = Workspace::new();
            let server = Served::start(&target, &[]);
            let relay = Relay::start(server.host());
            let name = relay.name("copied:1");
            relay.harm(move |head| is(head, method, part).then_some(harm));
            for words in
                [["push", "packed:1", &name], ["copy", "store:packed:1", &format!("docker://{name}")]]
            {
                let said = source.fails(3, &[&["--retry-times=1"], &words[..]].concat());
                let what = format!("{method} {part} {harm:?}: {said:?}");
                assert!(said.err.contains(name.split('/').next().unwrap()), "{what}");
                assert_eq!(target.ok(&["images", "-q"]).out, "", "{what}");
            }
            let left = Arc::new(AtomicUsize::new(2));
            relay.harm(move |head| {
                let hit = is(head, method, part) && harm != Harm::Status(403);
                let once = |left: usize| left.checked_sub(1);
                (hit && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, once).is_ok()).then_some(harm)
            });
            source.ok(&["push", "-q", "packed:1", &name]);
            source.ok(&["validate", &format!("docker://{name}")]);
            assert_eq!(server.stop(), Some(0));
        }
    }
}

#[test]
fn a_cache_that_cannot_be_had_is_a_miss_with_a_warning() {
    if !has("busybox") {
        return;
    }
    let steps = "FROM scratch\nCOPY noise /noise\nRUN --network=none [\"/busybox\", \"true\"]\n";
    let steps = steps.replace("COPY noise", "COPY busybox /busybox\nCOPY noise");
    let make = || {
        let workspace = Workspace::with(&steps);
        workspace.file("noise", noise(SIZE));
        workspace
    };
    let kept = Workspace::new();
    let server = Served::start(&kept, &[]);
    let first = make();
    let cache = server.name("cache:1");
    first.build(&["--cache-to", &format!("type=registry,ref={cache},mode=max")]);
    for (part, harm) in ["/manifests/", "/blobs/"].iter().flat_map(|part| HARMS.map(|harm| (*part, harm))) {
        let relay = Relay::start(server.host());
        relay.harm(move |head| is(head, "GET", part).then_some(harm));
        let workspace = make();
        let from = format!("type=registry,ref={}", relay.name("cache:1"));
        let said = workspace.build(&["--retry-times=1", "--cache-from", &from, "-t", "app:1"]);
        let what = format!("{part} {harm:?}: {said:?}");
        assert!(said.err.contains("warning: cache from") && said.steps().0 > 0, "{what}");
        workspace.ok(&["run", "app:1", "/busybox", "test", "-s", "/noise"]);
        assert_eq!(files(&workspace.store().join("tmp")), Vec::<String>::new(), "{what}");
        // Nothing wrong was kept of it.
        workspace.ok(&["store", "check"]);
        relay.harm(|_| None);
        let again = make();
        assert_eq!(again.build(&["--cache-from", &from, "-t", "app:1"]).steps().0, 0, "{what}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning_unless_it_matters() {
    let workspace = Workspace::with("FROM scratch\nCOPY noise /noise\n");
    workspace.file("noise", noise(SIZE));
    let kept = Workspace::new();
    let server = Served::start(&kept, &[]);
    for (method, part) in [
        ("POST", "/blobs/uploads/"),
        ("PATCH", "/blobs/uploads/"),
        ("PUT", "/blobs/uploads/"),
        ("PUT", "/manifests/"),
    ] {
        for harm in [Harm::Reset, Harm::Status(503)] {
            let relay = Relay::start(server.host());
            relay.harm(move |head| is(head, method, part).then_some(harm));
            let to = format!("type=registry,ref={},mode=max", relay.name("cache:1"));
            let said = workspace.build(&["--retry-times=1", "--no-cache", "--cache-to", &to, "-t", "app:1"]);
            let what = format!("{method} {part} {harm:?}: {said:?}");
            assert!(said.err.contains("warning: cache to"), "{what}");
            workspace.ok(&["validate", "store:app:1"]);
            assert_eq!(kept.ok(&["images", "-q"]).out, "", "{what}");
            let context = workspace.context().display().to_string();
            let strict = format!("{to},ignore-error=false");
            let words = ["--retry-times=1", "build", "--no-cache", "--cache-to", &strict, &context];
            let said = workspace.fails(3, &words);
            assert!(
                said.err.contains("the cache could not be exported"),
                "{method} {part} {harm:?}: {said:?}"
            );
        }
    }
    assert_eq!(server.stop(), Some(0));
}
