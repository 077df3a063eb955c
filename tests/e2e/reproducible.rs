//! The same image from every machine, and what `verify` says when it is not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::contexts::git;
use crate::support::layout::{LayoutDir, layout};
use crate::support::ordinary::{Ordinary, UID};
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

const STEPS: &str = "FROM scratch AS base\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
    FROM base AS make\nCOPY tree /tree\nRUN ls /tree | sort > /listing && mkdir -m 750 /made\n\
    FROM base\nCOPY --from=make /listing /made /out/\nCOPY tree /tree\nWORKDIR /work\nRUN echo text > file\n";

/// Writes the context: in which order, and with which modes and times, differs from machine to machine.
fn fill(workspace: &Workspace, backwards: bool, mode: u32, time: &str) {
    let mut names: Vec<String> = (0..20).map(|number| format!("tree/file-{number}")).collect();
    if backwards {
        names.reverse();
    }
    for name in &names {
        workspace.file(name, name);
        workspace.mode(name, mode);
    }
    let touched = Command::new("find")
        .arg(workspace.context())
        .args(["-exec", "touch", "-h", "-d", time, "{}", "+"])
        .status()
        .unwrap();
    assert!(touched.success());
}

/// The program, as one of the users, on some processors and with some mask.
fn build(mut command: Command, out: &Path, words: &[&str], context: &Path) {
    command.args(["build", "--progress=plain", "-o"]);
    command.arg(format!("type=oci,tar=false,dest={}", out.display())).args(words).arg(context);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn perturbed(workspace: &Workspace, processors: &str, umask: &str) -> Command {
    let rbuild = workspace.rbuild();
    let mut command = Command::new("sh");
    command.args(["-c", "umask $1; shift; exec taskset -c \"$@\"", "sh", umask, processors]);
    command.arg(rbuild.get_program()).args(rbuild.get_args());
    command.env_clear().envs(rbuild.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("LC_ALL", if umask == "077" { "de_DE.UTF-8" } else { "C" });
    command.env("TZ", if umask == "077" { "Asia/Tokyo" } else { "UTC" });
    command
}

/// Lets the clock go on to another second, which is the finest that images say.
fn next_second() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let begun = now();
    while now() == begun {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every time in an image: of its config, its history, and the files of its layers.
fn times(layout: &LayoutDir) -> BTreeSet<String> {
    let top = layout.top();
    let config = layout.json(&top["config"]);
    let entries = config["history"].as_array().unwrap().iter().chain([&config]);
    let mut all: BTreeSet<String> = entries.map(|one| one["created"].as_str().unwrap().to_owned()).collect();
    for layer in top["layers"].as_array().unwrap() {
        let bytes = layout.bytes(layer);
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(bytes.as_slice()));
        for entry in archive.entries().unwrap() {
            let mtime = i64::try_from(entry.unwrap().header().mtime().unwrap()).unwrap();
            all.insert(jiff::Timestamp::from_second(mtime).unwrap().to_string());
        }
    }
    all
}

fn digest(layout: &LayoutDir) -> String {
    layout.index()["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn any_machine_gives_the_same_digest() {
    if !(is_root() && has("taskset") && has("busybox") && has("newuidmap")) {
        return;
    }
    let mut seen = Vec::new();
    let machines = [(false, 0o644, "2001-02-03", "0", "022"), (true, 0o600, "2031-01-01", "0,1", "077")];
    for (backwards, mode, time, processors, umask) in machines {
        let workspace = Workspace::with(STEPS);
        fill(&workspace, backwards, mode, time);
        let out = workspace.path().join("out");
        let command = perturbed(&workspace, processors, umask);
        // What the cache holds of another kind of build must not show.
        if backwards {
            workspace.build(&["-o", "type=cacheonly"]);
        }
        build(command, &out, &["--reproducible", "-t", "app:1"], &workspace.context());
        seen.push(digest(&layout(&out)));
        next_second();
    }
    let user = Ordinary::new();
    let workspace = Workspace::with(STEPS);
    fill(&workspace, true, 0o664, "2020-01-01");
    let context = user.home().join("context");
    std::fs::create_dir(&context).unwrap();
    let copied = Command::new("cp").arg("-rT").arg(workspace.context()).arg(&context).status().unwrap();
    assert!(copied.success());
    let owned = Command::new("chown").args(["-R", &format!("{UID}:{UID}")]).arg(&context).status().unwrap();
    assert!(owned.success());
    let out = user.home().join("out");
    let mut command = user.command(Path::new(env!("CARGO_BIN_EXE_rbuild")));
    command.arg("--root").arg(user.home().join("store"));
    build(command, &out, &["--reproducible", "-t", "app:1"], &context);
    seen.push(digest(&layout(&out)));
    assert!(seen.iter().all(|digest| *digest == seen[0]), "{seen:?}");
    assert_eq!(times(&layout(&out)), BTreeSet::from(["1970-01-01T00:00:00Z".to_owned()]));
}

#[test]
fn the_time_is_the_given_one_else_the_commits() {
    if !has("git") {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\n");
    let context = workspace.context();
    git(&context, &["init", "-q"]);
    git(&context, &["add", "-A"]);
    git(&context, &["commit", "-q", "-m", "x"]);
    let committed: i64 = git(&context, &["show", "-s", "--format=%ct"]).parse().unwrap();
    let made = |words: &[&str]| {
        let out = workspace.path().join("out");
        drop(std::fs::remove_dir_all(&out));
        let output = format!("type=oci,tar=false,compression=uncompressed,dest={}", out.display());
        workspace.build(&[&["-o", &output], words].concat());
        let layout = layout(&out);
        let top = layout.top();
        let created = layout.json(&top["config"])["created"].as_str().unwrap().to_owned();
        let bytes = layout.bytes(&top["layers"][0]);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mtime = archive.entries().unwrap().next().unwrap().unwrap().header().mtime().unwrap();
        (created, i64::try_from(mtime).unwrap())
    };
    let text = |seconds| jiff::Timestamp::from_second(seconds).unwrap().to_string();
    assert_eq!(made(&["--reproducible"]), (text(committed), committed));
    let given = ["--reproducible", "--build-arg", "SOURCE_DATE_EPOCH=77"];
    assert_eq!(made(&given), (text(77), 77));
    let future = 4_000_000_000;
    assert_eq!(made(&["--timestamp", "4000000000"]), (text(future), future));
}

#[test]
fn verify_names_the_file_and_the_step_that_differ() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{STEPS}RUN echo same > /same; cat /proc/sys/kernel/random/uuid > /differs\n"
    ));
    fill(&workspace, false, 0o644, "2020-01-01");
    let context = workspace.context();
    let context = context.to_str().unwrap();
    workspace.build(&["--reproducible", "-t", "app:1"]);
    let said = workspace.fails(1, &["verify", "store:app:1", context]);
    let lines: Vec<&str> = said.out.lines().collect();
    let at = lines.iter().position(|line| line.contains("/differs: content")).expect("the file is named");
    assert!(lines[at + 1].contains("random/uuid"), "{said:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("layer")).count(), 1, "{said:?}");
    assert!(!workspace.ok(&["images"]).out.contains("rbuild.invalid"), "nothing is left behind");

    workspace.file("Dockerfile", STEPS);
    workspace.build(&["--reproducible", "-t", "app:2"]);
    assert!(workspace.ok(&["verify", "store:app:2", context]).out.contains("the same manifest"));
    workspace.build(&["--reproducible", "-o", "type=oci,dest=two.tar,compression=zstd", "-t", "app:2"]);
    let zstd = workspace.path().join("two.tar");
    let place = format!("oci-archive:{}", zstd.display());
    assert!(workspace.ok(&["verify", &place, context]).out.contains("packed otherwise"));
    workspace.fails(2, &["verify", "store:app:2", "-t", "x", context]);
}

#[test]
fn verify_builds_on_one_processor_and_from_a_copy_of_the_context() {
    let processors = std::thread::available_parallelism().unwrap().get();
    if !(is_root() && has("busybox") && processors > 1) {
        return;
    }
    let workspace = Workspace::with(&format!("{STEPS}RUN nproc > /processors\n"));
    fill(&workspace, false, 0o644, "2020-01-01");
    let tree = workspace.context().join("tree");
    std::fs::hard_link(tree.join("file-1"), tree.join("again")).unwrap();
    std::os::unix::fs::symlink("file-1", tree.join("link")).unwrap();
    // The context is a part of the repository whose commit dates the image.
    git(workspace.path(), &["init", "-q"]);
    git(workspace.path(), &["add", "context"]);
    git(workspace.path(), &["commit", "-q", "-m", "x"]);
    let context = workspace.context();
    let context = context.to_str().unwrap();
    workspace.build(&["--reproducible", "-t", "app:1"]);
    let said = workspace.fails(1, &["verify", "store:app:1", context]);
    let named: Vec<&str> = said.out.lines().filter(|line| line.starts_with("layer")).collect();
    assert!(named.len() == 1 && named[0].contains("/processors: content"), "{said:?}");
    let lease = workspace.store().join("tmp");
    let left: Vec<_> = std::fs::read_dir(&lease).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");

    workspace.file("Dockerfile", STEPS);
    workspace.build(&["--reproducible", "-t", "app:2"]);
    assert!(workspace.ok(&["verify", "store:app:2", context]).out.contains("the same manifest"));
}
