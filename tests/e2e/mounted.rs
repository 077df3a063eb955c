//! Images mounted for other programs, as root and for an ordinary user.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::road::BUSYBOX;
use crate::support::ordinary::Ordinary;
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

/// Unmounts everything when the test is over, also when it failed.
struct Unmounted<'a>(&'a Workspace);

impl Drop for Unmounted<'_> {
    fn drop(&mut self) {
        self.0.run(&["unmount", "--all"]);
    }
}

fn image() -> Workspace {
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN mkdir /d && echo 1 > /d/gone && echo 2 > /d/kept && chmod 4755 /d/kept\nRUN rm /d/gone && chmod 711 /\n"
    ));
    workspace.build(&["-t", "app:1"]);
    workspace
}

#[test]
fn a_mounted_image_stays_whole_until_it_is_unmounted() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = image();
    let _unmounted = Unmounted(&workspace);
    let path = PathBuf::from(workspace.ok(&["mount", "app:1"]).out.trim_end());
    let names = || {
        let entries = std::fs::read_dir(path.join("d")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["kept"]);
    assert_eq!(std::fs::read_to_string(path.join("d/kept")).unwrap(), "2\n");
    assert_eq!(mode(&path), 0o711);
    assert!(std::fs::write(path.join("new"), "").is_err(), "it can be written");
    // Neither its name nor a collection takes what is in it, and its files count once.
    let before = total(&workspace);
    workspace.ok(&["rm", "app:1"]);
    workspace.ok(&["prune", "--all"]);
    assert_eq!(names(), ["kept"]);
    assert!(total(&workspace) <= before, "{} after {before}", total(&workspace));
    let list = workspace.ok(&["mount", "--format=json"]).out;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list[0]["image"], &list[0]["seen"]), (&"app:1".into(), &"here".into()), "{list}");
    assert_eq!(list[0]["path"].as_str(), path.to_str());
    assert_eq!(workspace.ok(&["unmount", "app:1"]).out.trim_end(), path.to_str().unwrap());
    workspace.fails(5, &["unmount", "app:1"]);
    assert!(!path.exists());
    let pruned = workspace.ok(&["prune", "--all"]).out;
    assert!(!pruned.starts_with("removed 0 layers"), "{pruned}");
    workspace.ok(&["store", "check"]);
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn total(workspace: &Workspace) -> u64 {
    let usage = workspace.ok(&["store", "du", "--format=json"]).out;
    let usage: serde_json::Value = serde_json::from_str(&usage).unwrap();
    usage["total"].as_u64().unwrap()
}

#[test]
fn a_mount_in_use_stays_and_one_that_others_took_away_is_forgotten() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = image();
    let _unmounted = Unmounted(&workspace);
    let mount = || workspace.ok(&["mount", "app:1"]).out.trim_end().to_owned();
    let (busy, other) = (mount(), mount());
    let file = std::fs::File::open(Path::new(&busy).join("d/kept")).unwrap();
    let failed = workspace.fails(4, &["unmount", &busy]);
    assert!(failed.err.contains("cannot unmount") && failed.err.contains("busy"), "{failed:?}");
    assert_eq!(workspace.ok(&["unmount", &other]).out.trim_end(), other);
    drop(file);
    assert!(Command::new("umount").arg(&busy).status().unwrap().success());
    assert_eq!(workspace.ok(&["mount", "--format=json"]).out, "[]\n");
    assert_eq!(std::fs::read_dir(workspace.store().join("pins")).unwrap().count(), 0);
    // One of a namespace that ended.
    let rbuild = env!("CARGO_BIN_EXE_rbuild");
    let inside = format!("{rbuild} mount app:1 && {rbuild} mount | grep -q here && exit 9");
    let said = workspace.fails(9, &["unshare", "sh", "-c", &inside]);
    assert!(said.out.contains("/pins/"), "{said:?}");
    assert_eq!(workspace.ok(&["mount", "--format=json"]).out, "[]\n");
    // What cannot be run says so with the codes of a shell.
    workspace.fails(127, &["unshare", "no-such-program"]);
    workspace.fails(126, &["unshare", "/etc/passwd"]);
}

/// What an ordinary user does: only below `unshare`, where the store is the same.
fn ordinary_users_mount(user: &Ordinary) {
    let rbuild = user.home().join("rbuild");
    std::fs::copy(env!("CARGO_BIN_EXE_rbuild"), &rbuild).unwrap();
    let context = user.home().join("context");
    std::fs::create_dir(&context).unwrap();
    std::fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY --chown=7:8 f /d/f\nCOPY f /d/g\n")
        .unwrap();
    std::fs::write(context.join("f"), "content\n").unwrap();
    let run = |words: &[&str]| Said::from(user.command(&rbuild).args(words).output().unwrap());
    let built = run(&["build", "-q", "-t", "app:1", context.to_str().unwrap()]);
    assert_eq!(built.code, Some(0), "{built:?}");
    let refused = run(&["mount", "app:1"]);
    assert!(refused.code == Some(4) && refused.err.contains("rbuild unshare"), "{refused:?}");
    let script = "set -e; p=$(./rbuild mount app:1); cat $p/d/f $p/d/g; ./rbuild rm app:1 > /dev/null; \
                  ./rbuild prune -a > /dev/null; cat $p/d/f; id -u; ./rbuild unmount app:1 > /dev/null; \
                  ./rbuild prune -a | grep -c 'removed [1-9]'";
    let inside = run(&["unshare", "sh", "-c", script]);
    assert_eq!(
        (inside.code, inside.out.as_str()),
        (Some(0), "content\ncontent\ncontent\n0\n1\n"),
        "{inside:?}"
    );
}

#[test]
fn an_ordinary_user_mounts_below_unshare() {
    if !(is_root() && has("newuidmap")) {
        return;
    }
    ordinary_users_mount(&Ordinary::new());
}

#[test]
fn so_does_one_with_a_single_id() {
    if !is_root() {
        return;
    }
    ordinary_users_mount(&Ordinary::without_ids());
}
