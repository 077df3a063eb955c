//! Caches in registries, directories and images: what another machine finds there, and what happens when
//! something is missing, damaged, or written by others at the same time.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::road::BUSYBOX;
use crate::support::ordinary::{Ordinary, UID};
use crate::support::registry::{Access, Registry};
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

const STAGES: &str = "FROM base AS make\nCOPY src /src/\nRUN cat /src/one.txt > /one; head -c 65536 /dev/urandom > /random\n\
    FROM base AS other\nRUN cat /proc/sys/kernel/random/uuid > /other\n\
    FROM base\nCOPY --from=make /one /random /\nCOPY --from=other /other /\nRUN cat /one /other > /both\nENTRYPOINT [\"/bin/sh\"]\n";

fn workspace() -> Workspace {
    let workspace = Workspace::with(&format!("{BUSYBOX}{STAGES}"));
    workspace.file("src/one.txt", "one\n");
    workspace.file("src/deep/two.txt", "two\n");
    workspace
}

fn ready() -> bool {
    is_root() && has("docker-registry") && has("busybox")
}

/// The image that a machine without a store of its own pushes without bringing layers.
fn push_only(name: &str) -> String {
    format!("type=image,name={name},push=true,store=false")
}

fn digest(workspace: &Workspace, name: &str) -> String {
    workspace.ok(&["digest", name]).out
}

/// Size of all files below a directory of a registry, by path. An upload that was begun to learn whether pushing is
/// allowed, and ended, has no bytes of ours; this server keeps its directory.
fn files(dir: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            match metadata.is_dir() {
                true if entry.file_name() == "_uploads" => {}
                true => open.push(entry.path()),
                false => drop(found.insert(entry.path(), metadata.len())),
            }
        }
    }
    found
}

/// Bytes in files that are in `after` and not in `before`.
fn growth(before: &BTreeMap<PathBuf, u64>, after: &BTreeMap<PathBuf, u64>) -> u64 {
    after.iter().filter(|(path, _)| !before.contains_key(*path)).map(|(_, size)| size).sum()
}

fn layers(workspace: &Workspace) -> usize {
    std::fs::read_dir(workspace.store().join("layers")).map_or(0, Iterator::count)
}

#[test]
fn another_machine_runs_nothing_and_makes_the_same_image() {
    if !ready() {
        return;
    }
    let registry = Registry::start(Access::Open);
    for mode in ["min", "max"] {
        let (cache, image) = (registry.name(&format!("app:cache-{mode}")), registry.name("app:first"));
        let first = workspace();
        let to = format!("type=registry,ref={cache},mode={mode}");
        assert!(first.build(&["--push", "-t", &image, "--cache-to", &to]).steps().0 > 0);
        // Layers are as old as where they were made.
        std::thread::sleep(std::time::Duration::from_millis(1100));

        let pushing = workspace();
        let other = registry.name("app:second");
        let said = pushing.build(&["-o", &push_only(&other), "--cache-from", &cache]);
        assert_eq!(said.steps(), (0, 8), "{said:?}");
        assert_eq!(layers(&pushing), 0, "a push needs no layer here");
        assert_eq!(digest(&first, &image), digest(&first, &other));

        let keeping = workspace();
        let said = keeping.build(&["-t", &registry.name("app:third"), "--push", "--cache-from", &cache]);
        assert_eq!(said.steps(), (0, 8), "{said:?}");
        assert_eq!(digest(&first, &image), digest(&first, &registry.name("app:third")));
        let read = |at: &Workspace, name: &str| at.ok(&["run", name, "-c", "cat /both"]).out;
        assert_eq!(read(&keeping, &registry.name("app:third")), read(&first, &image));
        // What was brought is as good as what was made here.
        assert_eq!(keeping.build(&[]).steps().0, 0);
    }
}

#[test]
fn neither_user_nor_umask_nor_path_nor_times_count() {
    if !(ready() && has("newuidmap")) {
        return;
    }
    let registry = Registry::start(Access::Open);
    let (cache, image) = (registry.name("app:cache"), registry.name("app:1"));
    let first = workspace();
    first.build(&["--context-metadata=git", "--push", "-t", &image, "--cache-to", &cache]);

    let second = workspace();
    for (path, mode) in
        [("src", 0o700), ("src/deep", 0o770), ("src/one.txt", 0o600), ("src/deep/two.txt", 0o666)]
    {
        second.mode(path, mode);
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::File::open(second.context().join(path)).unwrap().set_modified(time).unwrap();
    }
    second.mode("busybox", 0o700);
    let ordinary = Ordinary::new();
    let context = ordinary.home().join("elsewhere");
    copy_tree(&second.context(), &context);
    let other = registry.name("app:2");
    let output = ordinary
        .command(Path::new(env!("CARGO_BIN_EXE_rbuild")))
        .args(["--root"])
        .arg(ordinary.home().join("store"))
        .args([
            "build",
            "--progress=plain",
            "--context-metadata=git",
            "--cache-from",
            &cache,
            "-t",
            &other,
            "--push",
        ])
        .arg(&context)
        .output()
        .unwrap();
    let said = Said::from(output);
    assert_eq!((said.code, said.steps()), (Some(0), (0, 8)), "{said:?}");
    assert_eq!(digest(&first, &image), digest(&first, &other));
}

/// Copies a tree for the ordinary user, with its modes.
fn copy_tree(from: &Path, to: &Path) {
    let give = |path: &Path| std::os::unix::fs::chown(path, Some(UID), Some(UID)).unwrap();
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.metadata().unwrap().is_dir() {
            true => copy_tree(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), &target).unwrap()),
        }
        give(&target);
    }
    let mode = std::fs::metadata(from).unwrap().permissions().mode();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(mode & 0o777)).unwrap();
    give(to);
}

#[test]
fn a_build_that_changes_nothing_sends_nothing() {
    if !ready() {
        return;
    }
    let registry = Registry::start(Access::Open);
    let (cache, image) = (registry.name("caches/app:x"), registry.name("app:1"));
    let to = format!("type=registry,ref={cache},mode=max");
    let workspace = workspace();
    workspace.build(&["--push", "-t", &image, "--cache-to", &to]);
    let first = files(&registry.data());
    workspace.build(&["--push", "-t", &image, "--cache-to", &to]);
    assert_eq!(growth(&first, &files(&registry.data())), 0);

    // One more line: a part with what is new, and nothing of what is there.
    workspace.file("Dockerfile", format!("{BUSYBOX}{STAGES}RUN echo more > /more\n"));
    workspace.build(&["--push", "-t", &image, "--cache-to", &to]);
    let second = files(&registry.data());
    assert!(growth(&first, &second) < 16 << 10, "{}", growth(&first, &second));
    let index: serde_json::Value =
        serde_json::from_str(&workspace.ok(&["manifest", "inspect", &cache]).out).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn only_what_a_step_needs_is_brought() {
    if !ready() {
        return;
    }
    let registry = Registry::start(Access::Open);
    let cache = registry.name("app:cache");
    workspace().build(&["--cache-to", &format!("type=registry,ref={cache},mode=max")]);
    let other = workspace();
    other.file("Dockerfile", format!("{BUSYBOX}{STAGES}RUN echo more > /more\n"));
    let said = other.build(&["-o", "type=cacheonly", "--cache-from", &cache]);
    assert_eq!(said.steps().0, 1, "{said:?}");
    assert_eq!(layers(&other), 6, "the five below, and the new one; none of the stages copied from");
}

#[test]
fn a_result_that_is_equal_by_content_is_found_elsewhere() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let dockerfile = format!(
        "{BUSYBOX}RUN --mount=type=bind,source=in.txt,target=/in.txt head -c 1 /in.txt > /first\n\
         RUN cat /proc/sys/kernel/random/uuid > /expensive\n"
    );
    let (first, second) = (Workspace::with(&dockerfile), Workspace::with(&dockerfile));
    first.file("in.txt", "a1");
    first.build(&["--cache-to", &format!("type=local,dest={},mode=max", cache.path().display())]);
    second.file("in.txt", "a2");
    let said = second.build(&["--cache-from", &format!("type=local,src={}", cache.path().display())]);
    assert_eq!(said.steps().0, 1, "{said:?}");
}

/// Names of all blobs of a layout.
fn blobs(layout: &Path) -> std::collections::BTreeSet<PathBuf> {
    files(&layout.join("blobs")).into_keys().collect()
}

#[test]
fn a_reset_layout_holds_what_its_builds_use_and_no_more() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let layout = cache.path().join("layout");
    let to = |more: &str| format!("type=local,dest={},mode=max{more}", layout.display());
    let other = workspace();
    other.file("src/one.txt", "other\n");
    other.build(&["--cache-to", &to(",tag=other")]);
    let kept = blobs(&layout);
    let first = workspace();
    first.build(&["--cache-to", &to("")]);
    first.file("src/one.txt", "one again\n");
    first.build(&["--cache-to", &to("")]);
    let grown = blobs(&layout);
    // A writer that has yet to enter its part is not robbed of its blobs.
    let writer = std::fs::File::open(layout.join("blobs")).unwrap();
    writer.lock_shared().unwrap();
    let said = first.build(&["--cache-to", &to(",reset=true")]);
    assert!(said.err.contains("another build writes there"), "{said:?}");
    assert!(blobs(&layout).is_superset(&grown));
    drop(writer);
    let said = first.build(&["--cache-to", &to(",reset=true")]);
    assert!(!said.err.contains("warning"), "{said:?}");
    let left = blobs(&layout);
    assert!(left.is_superset(&kept), "what another tag leads to stays");
    assert!(left.len() < grown.len(), "{left:?}");
    let from = |more: &str| format!("type=local,src={}{more}", layout.display());
    for (content, from) in [("one again\n", from("")), ("other\n", from(",tag=other"))] {
        let machine = workspace();
        machine.file("src/one.txt", content);
        let said = machine.build(&["--cache-from", &from]);
        assert_eq!(said.steps().0, 0, "{said:?}");
    }
}

#[test]
fn a_blob_that_is_missing_or_damaged_is_a_miss() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let calm = STAGES
        .replace("head -c 65536 /dev/urandom", "echo")
        .replace("/proc/sys/kernel/random/uuid", "/src/x");
    let calm = calm.replace("AS other\n", "AS other\nCOPY src/one.txt /src/x\n");
    let make = || {
        let workspace = Workspace::with(&format!("{BUSYBOX}{calm}"));
        workspace.file("src/one.txt", "one\n");
        workspace
    };
    let whole = tempfile::tempdir().unwrap();
    make().build(&["--cache-to", &format!("type=local,dest={},mode=max", whole.path().display())]);
    let names: Vec<PathBuf> = files(&whole.path().join("blobs")).into_keys().collect();
    assert!(names.len() > 6, "{names:?}");
    let mut told = 0;
    for (nth, name) in names.iter().enumerate() {
        let cache = tempfile::tempdir().unwrap();
        for path in files(whole.path()).into_keys() {
            let target = cache.path().join(path.strip_prefix(whole.path()).unwrap());
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(path, target).unwrap();
        }
        let victim = cache.path().join(name.strip_prefix(whole.path()).unwrap());
        match nth % 2 {
            0 => std::fs::remove_file(&victim).unwrap(),
            _ => {
                let mut bytes = std::fs::read(&victim).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::write(&victim, bytes).unwrap();
            }
        }
        let workspace = make();
        let from = format!("type=local,src={}", cache.path().display());
        let said = workspace.build(&["--cache-from", &from, "-o", "out"]);
        // A layer that nothing needs is not looked at.
        told += usize::from(said.err.contains("warning: cache from"));
        assert!(!said.err.contains("ERROR"), "{said:?}");
        let both = std::fs::read_to_string(workspace.path().join("out/both")).unwrap();
        assert_eq!(both, "one\none\n", "{}", name.display());
    }
    assert!(told >= 5, "{told} of {}", names.len());
}

#[test]
fn a_layer_that_a_registry_lost_is_made_anew() {
    if !ready() {
        return;
    }
    let registry = Registry::start(Access::Open);
    let cache = registry.name("cache:x");
    workspace().build(&["--cache-to", &format!("type=registry,ref={cache},mode=max")]);
    for (path, size) in files(&registry.data()) {
        if path.ends_with("data") && size > 60_000 && size < 70_000 {
            std::fs::remove_file(path).unwrap();
        }
    }
    let other = workspace();
    let image = registry.name("app:1");
    let said = other.build(&["-o", &push_only(&image), "--cache-from", &cache]);
    assert!(said.err.contains("warning: cache from"), "{said:?}");
    assert!(said.steps().0 > 0, "{said:?}");
    other.ok(&["pull", &image]);
    assert!(other.ok(&["run", &image, "-c", "wc -c < /random"]).out.starts_with("65536"));
}

#[test]
fn writers_at_once_and_several_platforms_keep_what_is_there() {
    if !ready() {
        return;
    }
    let registry = Registry::start(Access::Open);
    let cache = registry.name("shared:cache");
    let to = format!("type=registry,ref={cache},mode=max");
    let plan = |nth: usize| {
        let workspace = Workspace::with("FROM scratch\nARG TARGETARCH\nCOPY own.txt /$TARGETARCH/\n");
        workspace.file("own.txt", format!("writer {}", nth / 2));
        workspace
    };
    let platform = |nth: usize| ["linux/amd64", "linux/arm64"][nth % 2];
    let writers: Vec<_> = (0..6)
        .map(|nth| {
            let workspace = plan(nth);
            let child = workspace
                .rbuild()
                .args(["build", "-q", "--platform", platform(nth), "--cache-to", &to, "context"])
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            (workspace, child)
        })
        .collect();
    for (_workspace, child) in writers {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for nth in 0..6 {
        let said = plan(nth).build(&["--platform", platform(nth), "--cache-from", &cache]);
        assert_eq!(said.steps().0, 0, "{nth}: {said:?}");
    }
}

#[test]
fn many_parts_become_one() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let (to, from) = (
        format!("type=local,dest={},mode=max", cache.path().display()),
        format!("type=local,src={}", cache.path().display()),
    );
    let workspace = Workspace::with("FROM scratch\nCOPY a.txt /\n");
    for nth in 0..27 {
        workspace.file("a.txt", nth.to_string());
        workspace.build(&["--cache-to", &to]);
    }
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(cache.path().join("index.json")).unwrap()).unwrap();
    assert!(index["manifests"].as_array().unwrap().len() < 5, "{index}");
    for nth in [0, 26] {
        let other = Workspace::with("FROM scratch\nCOPY a.txt /\n");
        other.file("a.txt", nth.to_string());
        assert_eq!(other.build(&["--cache-from", &from]).steps().0, 0);
    }
}

#[test]
fn an_image_can_hold_its_own_cache() {
    if !ready() {
        return;
    }
    let registry = Registry::start(Access::Open);
    let image = registry.name("app:inline");
    let first = workspace();
    first.build(&["-t", &image, "--push", "--build-arg=BUILDKIT_INLINE_CACHE=1"]);
    let other = workspace();
    let again = registry.name("app:again");
    let from = format!("type=registry,ref={image}");
    let said = other.build(&["-o", &push_only(&again), "--cache-from", &from, "--cache-to", "type=inline"]);
    assert_eq!(said.steps(), (0, 8), "{said:?}");
    assert_eq!(digest(&first, &image), digest(&first, &again));
    let kept = workspace();
    assert_eq!(kept.build(&["-t", "kept:1", "--cache-from", &from]).steps().0, 0);
    assert_eq!(kept.ok(&["run", "kept:1", "-c", "cat /one"]).out, "one\n");
}

#[test]
fn faults_are_told_and_end_a_build_only_where_that_was_asked_for() {
    if !ready() {
        return;
    }
    let registry = Registry::start(Access::Open);
    let workspace = Workspace::with("FROM scratch\nCOPY a.txt /\n");
    workspace.file("a.txt", "a");
    let image = registry.name("app:1");
    let said = workspace.build(&["-t", &image, "--push", "--cache-from", &registry.name("none:yet")]);
    assert!(said.err.contains("there is none yet"), "{said:?}");

    let over_image = format!("type=registry,ref={image},mode=max");
    let said = workspace.build(&["--cache-to", &over_image]);
    assert!(said.err.contains("holds an image, and a cache is not written over it"), "{said:?}");
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let strict = format!("{over_image},ignore-error=false");
    let said = workspace.fails(5, &["build", "--cache-to", &strict, context]);
    assert!(said.err.contains("the cache could not be exported"), "{said:?}");
    let said = workspace.build(&["--cache-from", &image]);
    assert!(said.err.contains("holds no cache"), "{said:?}");
    let said = workspace.build(&["--cache-to", "type=registry,ref=127.0.0.1:1/x:y"]);
    assert!(said.err.contains("warning: cache to 127.0.0.1:1/x:y"), "{said:?}");
    let said = workspace.fails(2, &["build", "--cache-to", "type=gha", context]);
    assert!(said.err.contains("type=gha is not supported"), "{said:?}");
}

#[test]
fn a_cache_of_buildkit_is_named_as_such() {
    if !is_root() {
        return;
    }
    let index = |entry: &str| format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
    let config = r#"{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"annotations":{"org.opencontainers.image.ref.name":"latest"}}"#;
    // As an entry, and one index further down, as image-manifest=false has it.
    let below = index(config);
    let digest = crate::registry_verbs::sha256(below.as_bytes());
    let size = below.len();
    let further = format!(
        r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:{digest}","size":{size},"annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}"#
    );
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\n");
    for entry in [config, &further] {
        let cache = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(cache.path().join("blobs/sha256")).unwrap();
        std::fs::write(cache.path().join("blobs/sha256").join(&digest), &below).unwrap();
        std::fs::write(cache.path().join("index.json"), index(entry)).unwrap();
        let said = workspace.build(&["--cache-from", &format!("type=local,src={}", cache.path().display())]);
        assert!(said.err.contains("a cache that BuildKit wrote"), "{said:?}");
    }
}
