//! Root file systems, and what a step leaves in them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::time::{Duration, SystemTime};

use runtime_exec::{EtcFiles, Host, MountSource, MountSpec, OverlaySupport, ReadOnly, Root};

use super::support::{Case, Place, Step};

pub fn cases() -> Vec<Case> {
    vec![
        ("many_layers", many_layers),
        ("long_paths", long_paths),
        ("whiteouts", whiteouts),
        ("stubs_are_removed", stubs_are_removed),
        ("used_stubs_stay", used_stubs_stay),
        ("stub_behind_a_dangling_link", stub_behind_a_dangling_link),
        ("empty_base", empty_base),
        ("plain_directory", plain_directory),
        ("work_directory_stays", work_directory_stays),
        ("overlay_probe", overlay_probe),
    ]
}

fn many_layers(place: &Place) {
    let dir = place.fresh();
    let mut lower = vec![place.base.clone()];
    for number in 0..150 {
        let layer = dir.join(format!("layer-{number}-{}", "x".repeat(60)));
        fs::create_dir_all(layer.join("files")).unwrap();
        fs::write(layer.join(format!("files/{number}")), "").unwrap();
        fs::write(layer.join("top"), number.to_string()).unwrap();
        lower.push(layer);
    }
    let step = place.step_on(lower, &["sh", "-c", "ls /files | wc -l; cat /top"]);
    assert_eq!(step.output(), "150\n149");
}

fn long_paths(place: &Place) {
    let deep = place.fresh().join("d".repeat(200)).join("e".repeat(200));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "far").unwrap();
    assert_eq!(place.step_on(vec![place.base.clone(), deep], &["cat", "/file"]).output(), "far");
}

fn whiteouts(place: &Place) {
    let step = place.sh("rm /etc/passwd; mkdir /new; echo hi > /new/file; ls /etc");
    assert_eq!(step.output(), "hosts\n");
    assert_eq!(step.changes(), ["etc", "etc/passwd", "new", "new/file"]);
    let whiteout = fs::symlink_metadata(step.upper.join("etc/passwd")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
}

fn tmpfs(target: &str) -> MountSpec {
    MountSpec {
        target: target.to_owned(),
        source: MountSource::Tmpfs { size: None },
        read_only: ReadOnly::No,
    }
}

fn with_files(step: Step) -> Step {
    step.with(|spec| {
        spec.etc = EtcFiles { hosts: Some(b"h".to_vec()), resolv_conf: Some(b"r".to_vec()) };
        spec.mounts = vec![tmpfs("/var/cache/thing"), tmpfs("/etc/sub/thing")];
    })
}

/// `/etc` is copied up, with the time it had; nothing else is left.
fn stubs_are_removed(place: &Place) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    for dir in ["etc", ""] {
        fs::File::open(place.base.join(dir)).unwrap().set_modified(long_ago).unwrap();
    }
    let step = with_files(place.sh("ls /var/cache; stat -c %Y /etc /; touch /var/cache/thing/x"));
    fs::File::open(&step.upper).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(step.output(), "thing\n1000000000\n1000000000\n");
    assert_eq!(step.changes(), ["etc"]);
    for dir in [step.upper.join("etc"), step.upper.clone()] {
        assert_eq!(fs::metadata(&dir).unwrap().modified().unwrap(), long_ago, "{dir:?}");
    }
}

fn used_stubs_stay(place: &Place) {
    let step = with_files(place.sh("echo kept > /var/file; chmod 700 /var/cache; mkdir /etc/other"));
    step.output();
    assert_eq!(step.changes(), ["etc", "etc/other", "var", "var/cache", "var/file"]);
}

fn stub_behind_a_dangling_link(place: &Place) {
    let layer = place.fresh();
    fs::create_dir(layer.join("etc")).unwrap();
    symlink("../../../run/resolve/stub.conf", layer.join("etc/resolv.conf")).unwrap();
    let step = with_files(place.step_on(
        vec![place.base.clone(), layer],
        &["sh", "-c", "cat /etc/resolv.conf /run/resolve/stub.conf"],
    ));
    assert_eq!(step.output(), "rr");
    assert_eq!(step.changes(), ["etc"]);
}

fn empty_base(place: &Place) {
    let busybox = MountSpec {
        target: "/tools".to_owned(),
        source: MountSource::Overlay {
            lower: vec![place.base.clone()],
            subpath: "bin".to_owned(),
            scratch: None,
        },
        read_only: ReadOnly::Yes,
    };
    let step = place
        .step_on(vec![], &["/tools/sh", "-c", "/tools/ls /; echo new > /file"])
        .with(|spec| spec.mounts = vec![busybox]);
    assert_eq!(step.output(), "dev\nproc\nsys\ntools\n");
    // Where the system's own file systems are mounted, directories stay; they belong to every root.
    assert_eq!(step.changes(), ["dev", "file", "proc", "sys"]);
}

fn plain_directory(place: &Place) {
    let dir = place.fresh();
    fs::create_dir(dir.join("bin")).unwrap();
    fs::copy("/bin/busybox", dir.join("bin/busybox")).unwrap();
    let step =
        place.step(&["/bin/busybox", "touch", "/made"]).with(|spec| spec.root = Root::Directory(dir.clone()));
    step.output();
    let mut left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["bin", "dev", "made", "proc", "sys"]);
}

fn work_directory_stays(place: &Place) {
    let step = place.sh("pwd").with(|spec| spec.cwd = "/etc/../made/here".to_owned());
    assert_eq!(step.output(), "/made/here\n");
    assert_eq!(step.changes(), ["made", "made/here"]);
    assert_eq!(fs::metadata(step.upper.join("made")).unwrap().mode() & 0o7777, 0o755);
}

fn overlay_probe(place: &Place) {
    let dir = place.fresh();
    assert_eq!(Host::probe_overlay(&dir).unwrap(), OverlaySupport::Works);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    assert!(matches!(Host::probe_overlay("/proc".as_ref()), Err(runtime_exec::HostError::Probe { .. })));
}
