//! Mounts inside a sandbox, and paths that try to lead out of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use runtime_exec::{MountSource, MountSpec, ReadOnly, Stage};

use super::support::{Case, Place, Step, lines};

pub fn cases() -> Vec<Case> {
    vec![
        ("host_directory", host_directory),
        ("other_tree", other_tree),
        ("writes_to_other_tree_are_thrown_away", writes_to_other_tree_are_thrown_away),
        ("subpath_cannot_escape", subpath_cannot_escape),
        ("target_cannot_escape", target_cannot_escape),
        ("magic_links_stay_inside", magic_links_stay_inside),
        ("secret", secret),
        ("tmpfs_has_a_size", tmpfs_has_a_size),
        ("shm_has_a_size", shm_has_a_size),
        ("socket", socket),
        ("nested", nested),
        ("root_is_no_target", root_is_no_target),
        ("missing_sources", missing_sources),
    ]
}

fn mount(target: &str, source: MountSource, read_only: ReadOnly) -> MountSpec {
    MountSpec { target: target.to_owned(), source, read_only }
}

fn tree(lower: Vec<PathBuf>, subpath: &str) -> MountSource {
    MountSource::Overlay { lower, subpath: subpath.to_owned(), scratch: None }
}

fn with(step: Step, mounts: Vec<MountSpec>) -> Step {
    step.with(|spec| spec.mounts = mounts)
}

fn host_directory(place: &Place) {
    let dir = place.fresh();
    fs::write(dir.join("file"), "of the host").unwrap();
    let mounts = vec![
        mount("/rw", MountSource::Directory(dir.clone()), ReadOnly::No),
        mount("/ro", MountSource::Directory(dir.clone()), ReadOnly::Yes),
        mount("/a/file", MountSource::Directory(dir.join("file")), ReadOnly::Yes),
    ];
    let said = with(
        place
            .sh("cat /ro/file /a/file; echo 1 > /rw/new; echo 2 > /ro/new || true; echo 2 > /a/file || true"),
        mounts,
    )
    .output();
    assert!(said.starts_with("of the hostof the host"), "{said}");
    assert_eq!(said.matches("Read-only file system").count(), 2, "{said}");
    assert_eq!(fs::read_to_string(dir.join("new")).unwrap(), "1\n");
}

fn two_layers(place: &Place) -> Vec<PathBuf> {
    let dir = place.fresh();
    for (layer, file) in [("a", "one"), ("b", "two")] {
        fs::create_dir_all(dir.join(layer).join("sub")).unwrap();
        fs::write(dir.join(layer).join("sub").join(file), file).unwrap();
    }
    vec![dir.join("a"), dir.join("b")]
}

fn other_tree(place: &Place) {
    let lower = two_layers(place);
    let mounts = vec![
        mount("/all", tree(lower.clone(), "/"), ReadOnly::No),
        mount("/sub", tree(lower.clone(), "sub"), ReadOnly::No),
        mount("/file", tree(lower.clone(), "/sub/two"), ReadOnly::Yes),
        mount("/one-layer", tree(lower[..1].to_vec(), "sub"), ReadOnly::No),
        mount("/empty", tree(vec![], "/"), ReadOnly::No),
    ];
    let script = "ls /all/sub /sub /one-layer /empty; cat /file; for d in all sub one-layer empty; do touch /$d/x 2>/dev/null && echo wrote; done; true";
    let said = with(place.sh(script), mounts).output();
    assert_eq!(said, "/all/sub:\none\ntwo\n\n/empty:\n\n/one-layer:\none\n\n/sub:\none\ntwo\ntwo");
}

fn writes_to_other_tree_are_thrown_away(place: &Place) {
    let lower = two_layers(place);
    let scratch = place.fresh();
    let (upper, work) = (scratch.join("upper"), scratch.join("work"));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    let source = MountSource::Overlay {
        lower: lower.clone(),
        subpath: "sub".to_owned(),
        scratch: Some((upper.clone(), work)),
    };
    let step = with(place.sh("rm /m/one; echo 3 > /m/three; ls /m"), vec![mount("/m", source, ReadOnly::No)]);
    assert_eq!(step.output(), "three\ntwo\n");
    assert_eq!(step.changes(), Vec::<String>::new());
    assert!(lower[0].join("sub/one").exists() && upper.join("sub/three").exists());
}

/// Links in the tree that is mounted lead to places of that tree only.
fn subpath_cannot_escape(place: &Place) {
    let mut lower = two_layers(place);
    let top = lower[1].clone();
    fs::create_dir(top.join("etc")).unwrap();
    fs::write(top.join("etc/passwd"), "inside").unwrap();
    symlink("../../../../../../../../etc", top.join("up")).unwrap();
    symlink("/etc", top.join("absolute")).unwrap();
    symlink("/proc/self/root/etc", top.join("magic")).unwrap();
    for count in [2, 1] {
        lower.drain(..lower.len() - count);
        for path in ["up/passwd", "absolute/passwd", "../../etc/passwd", "/sub/../../../etc/passwd"] {
            let step =
                with(place.step(&["cat", "/m"]), vec![mount("/m", tree(lower.clone(), path), ReadOnly::Yes)]);
            assert_eq!(step.output(), "inside", "{path}");
        }
        let step = with(
            place.step(&["cat", "/m"]),
            vec![mount("/m", tree(lower.clone(), "magic/passwd"), ReadOnly::Yes)],
        );
        assert_eq!(step.fails().errno(), Some(libc::ENOENT));
    }
}

/// Links in the root lead to places in the root only, also where the target has to be made.
fn target_cannot_escape(place: &Place) {
    let outside = place.fresh();
    let layer = place.fresh();
    let name = outside.file_name().unwrap().to_str().unwrap();
    symlink(format!("../../../../../../..{}", outside.display()), layer.join("up")).unwrap();
    symlink(&outside, layer.join("absolute")).unwrap();
    symlink("loop", layer.join("loop")).unwrap();
    for link in ["up", "absolute"] {
        let target = format!("/{link}/made/here");
        let step = place.step_on(
            vec![place.base.clone(), layer.clone()],
            &["sh", "-c", &format!("touch {target}/file; ls {target}")],
        );
        let step = with(step, vec![mount(&target, MountSource::Tmpfs { size: None }, ReadOnly::No)]);
        assert_eq!(step.output(), "file\n");
        assert_eq!(step.changes(), ["tmp"]);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{link} {name}");
    }
    let step = place.step_on(vec![place.base.clone(), layer], &["true"]);
    let step = with(step, vec![mount("/loop/x", MountSource::Tmpfs { size: None }, ReadOnly::No)]);
    assert_eq!(step.fails().errno(), Some(libc::ELOOP));
}

/// The text of such a link is read like any other.
fn magic_links_stay_inside(place: &Place) {
    for (target, real) in [("/proc/self/root/tmp/x", "/tmp/x"), ("/proc/1/cwd/tmp/x", "/tmp/x")] {
        let step = place.sh(&format!("grep -c ' {real} tmpfs' /proc/mounts; ls {real}"));
        let step = with(step, vec![mount(target, MountSource::Tmpfs { size: None }, ReadOnly::No)]);
        assert_eq!(step.output(), "1\n", "{target}");
        assert_eq!(step.changes(), ["tmp"]);
    }
    let step = with(
        place.step(&["true"]),
        vec![mount("/dev/fd/0", MountSource::Tmpfs { size: None }, ReadOnly::No)],
    );
    assert_eq!(step.fails().stage(), Some(Stage::Mount));
}

fn secret(place: &Place) {
    let source = MountSource::Content { bytes: b"hush".to_vec(), mode: 0o440, uid: 7, gid: 9 };
    let mounts = vec![mount("/run/secrets/name", source, ReadOnly::Yes)];
    let script = "cat /run/secrets/name; stat -c ' %a %u %g' /run/secrets/name; echo x 2>/dev/null > /run/secrets/name || echo refused; grep -c /run/secrets /proc/mounts";
    let step = with(place.sh(script), mounts);
    assert_eq!(lines(&step.output()), ["hush 440 7 9", "refused", "1"]);
    assert_eq!(step.changes(), Vec::<String>::new());
}

fn tmpfs_has_a_size(place: &Place) {
    let mounts = vec![mount("/t", MountSource::Tmpfs { size: Some(1 << 20) }, ReadOnly::No)];
    let said = with(
        place.sh(
            "dd if=/dev/zero of=/t/f bs=1k count=2000 2>/dev/null; stat -c %s /t/f; ls -ld /t | cut -c1-10",
        ),
        mounts,
    )
    .output();
    assert_eq!(lines(&said), ["1048576", "drwxrwxrwt"]);
}

fn shm_has_a_size(place: &Place) {
    let step = place
        .sh("df -k /dev/shm | tail -n 1 2>/dev/null || df -k /dev/shm")
        .with(|spec| spec.shm_size = 1 << 20);
    assert!(step.output().contains(" 1024 "));
    let own = mount("/dev/shm", MountSource::Tmpfs { size: Some(1 << 20) }, ReadOnly::No);
    let said = with(place.sh("mount | grep ' /dev/shm '"), vec![own]).output();
    assert!(said.starts_with("tmpfs on /dev/shm type tmpfs (rw,nosuid,nodev,relatime,size=1024k"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

fn socket(place: &Place) {
    let path = place.fresh().join("agent");
    let _listener = UnixListener::bind(&path).unwrap();
    let mounts = vec![mount("/run/agent.0", MountSource::Socket(path), ReadOnly::No)];
    assert_eq!(with(place.sh("[ -S /run/agent.0 ] && echo yes"), mounts).output(), "yes\n");
}

fn nested(place: &Place) {
    let secret = MountSource::Content { bytes: b"deep".to_vec(), mode: 0o400, uid: 0, gid: 0 };
    let mounts = vec![
        mount("/t", MountSource::Tmpfs { size: None }, ReadOnly::No),
        mount("/t/a/b", secret, ReadOnly::Yes),
    ];
    let step = with(place.sh("cat /t/a/b"), mounts);
    assert_eq!(step.output(), "deep");
    assert_eq!(step.changes(), Vec::<String>::new());
}

fn root_is_no_target(place: &Place) {
    for target in ["/", "/etc/.."] {
        let step =
            with(place.step(&["true"]), vec![mount(target, MountSource::Tmpfs { size: None }, ReadOnly::No)]);
        assert_eq!(step.fails().errno(), Some(libc::EINVAL), "{target}");
    }
}

fn missing_sources(place: &Place) {
    let nowhere = place.dir.join("nowhere");
    let cases = [
        MountSource::Directory(nowhere.clone()),
        tree(vec![place.base.clone()], "nowhere"),
        tree(vec![nowhere, place.base.clone()], ""),
    ];
    for source in cases {
        let step = with(place.step(&["true"]), vec![mount("/m", source, ReadOnly::Yes)]);
        let error = step.fails();
        assert_eq!((error.stage(), error.errno()), (Some(Stage::Mount), Some(libc::ENOENT)));
        assert!(error.to_string().contains("nowhere"), "{error}");
        assert_eq!(step.changes(), Vec::<String>::new());
    }
}
