//! The store as a whole: what it takes, what goes, and what is damaged.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::road::BUSYBOX;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

fn du(path: &Path) -> u64 {
    let output = Command::new("du").args(["-s", "-B1"]).arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn usage(workspace: &Workspace) -> serde_json::Value {
    serde_json::from_str(&workspace.ok(&["store", "du", "--format=json"]).out).unwrap()
}

/// A build with a large cheap step, a small slow one and a cache mount.
fn built() -> Workspace {
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}FROM base AS large\nRUN dd if=/dev/zero of=/large bs=1M count=8\nFROM base AS slow\n\
         RUN sleep 1; echo slow > /slow\nFROM base\nRUN --mount=type=cache,id=c,target=/c dd if=/dev/zero of=/c/f bs=1M count=2\n\
         COPY --from=slow /slow /\nRUN --mount=from=large,target=/l test -s /l/large\n"
    ));
    workspace.build(&["-t", "app:1"]);
    workspace
}

#[test]
fn what_the_store_takes_is_what_du_says() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let found = usage(&workspace);
    let (ours, theirs) = (found["total"].as_u64().unwrap(), du(&workspace.store()));
    assert!(ours.abs_diff(theirs) * 100 <= theirs, "{ours} and {theirs}");
    let mounts = found["cacheMounts"].as_u64().unwrap();
    assert!(mounts.abs_diff(du(&workspace.store().join("mounts"))) <= 8192, "{found}");
    assert!(workspace.ok(&["store", "du"]).out.contains("cache mounts"), "no table");
}

#[test]
fn large_and_cheap_results_go_first_and_images_stay() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let before = usage(&workspace)["total"].as_u64().unwrap();
    let most = format!("{}", before - 4_000_000);
    let quota = ["prune", "--max-used-space", most.as_str()];
    let said = workspace.ok(&[&quota[..], &["--dry-run"]].concat()).out;
    let victims: Vec<&str> = said.lines().filter(|line| line.starts_with("result ")).collect();
    assert!(victims.len() == 1 && victims[0].contains("dd if=/dev/zero of=/large"), "{said}");
    assert_eq!(usage(&workspace)["total"], before);
    // What was used within an hour may be kept.
    workspace.ok(&[&quota[..], &["--keep", "1h"]].concat());
    assert_eq!(workspace.build(&[]).steps().0, 0);
    workspace.ok(&[&quota[..], &["--explain"]].concat());
    assert!(usage(&workspace)["total"].as_u64().unwrap() <= before - 4_000_000);
    let again = workspace.build(&[]);
    assert!(again.steps().0 <= 1, "the dear ones are still there: {again:?}");

    // An age that nothing has, with and without the word for all; room that there is; room that must be left.
    for words in [
        &["prune", "--filter", "until=1h"][..],
        &["prune", "-a", "--filter", "unused-for=1h"],
        &["prune", "-a", "--min-free-space=1"],
        &["prune", "--max-used-space=0", "--reserved-space=900t"],
        &["prune", "--min-free-space=900t", "--reserved-space=900t"],
    ] {
        workspace.ok(words);
        assert_eq!(workspace.build(&[]).steps().0, 0, "{words:?}");
    }
    workspace.ok(&["prune", "-a", "-f"]);
    assert_eq!(workspace.ok(&["run", "app:1", "cat", "/slow"]).out, "slow\n");
    workspace.ok(&["rm", "app:1"]);
    workspace.ok(&["prune", "--min-free-space=900t"]);
    let left = usage(&workspace);
    assert_eq!(left["layers"], 0, "{left}");
    assert!(
        left["cacheMounts"].as_u64().unwrap() < 10_000 && left["journal"].as_u64().unwrap() < 10_000,
        "{left}"
    );
    for wrong in [&["prune", "--filter", "label=x"][..], &["prune", "--keep", "5"], &["prune", "--nope"]] {
        workspace.fails(2, wrong);
    }
}

#[test]
fn a_build_keeps_to_its_quota() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let before = usage(&workspace)["total"].as_u64().unwrap();
    workspace.file("Dockerfile", "FROM app:1\nRUN dd if=/dev/zero of=/more bs=1M count=3\nRUN rm /more\n");
    let most = before - 3_000_000;
    workspace.build(&["-t", "app:2", "--max-used-space", &most.to_string()]);
    let after = usage(&workspace)["total"].as_u64().unwrap();
    assert!(after <= most, "{after} of {most}");
    // What images take cannot go. It is said, and the build has still worked.
    let said = workspace.build(&["-t", "app:2", "--max-used-space=1MB"]);
    assert!(said.err.contains("warning: ") && said.err.contains("belongs to images"), "{said:?}");
    assert_eq!(workspace.ok(&["run", "app:2", "cat", "/slow"]).out, "slow\n");
}

#[test]
fn a_build_that_goes_on_keeps_to_its_quota() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let total = || usage(&workspace)["total"].as_u64().unwrap();
    let base = total();
    let steps = |name: &str| -> String {
        (0..4)
            .map(|nth| format!("RUN dd if=/dev/urandom of=/{name}{nth} bs=1M count=3 && : {nth}\n"))
            .collect()
    };
    // What nobody uses: twelve megabytes of results.
    workspace.file("Dockerfile", format!("FROM app:1\n{}", steps("old")));
    workspace.build(&[]);
    let (old, most) = (total(), base + 15_000_000);
    assert!(old > base + 12_000_000 && old < most, "{base} {old}");
    workspace.file("Dockerfile", format!("FROM app:1\n{}RUN echo all of them && sleep 600\n", steps("new")));
    // Room that something else makes on the file system meanwhile does not hide what the store takes.
    workspace.file("elsewhere", vec![1; 40_000_000]);
    let mut build = workspace
        .rbuild()
        .args(["build", "--progress=plain", "--max-used-space", &most.to_string()])
        .arg(workspace.context())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(build.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("of=/new0")));
    std::fs::remove_file(workspace.context().join("elsewhere")).unwrap();
    let came = lines.any(|line| line.ends_with(" all of them"));
    let meanwhile = total();
    let pid = rustix::process::Pid::from_child(&build);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    lines.for_each(drop);
    build.wait().unwrap();
    assert!(came && meanwhile <= most, "{meanwhile} of {most}");
}

/// Before the kernel wrote what a build left, the power went: the store has marks of another boot, and some files are
/// empty.
#[test]
fn after_a_power_cut_what_is_whole_is_used_and_what_is_torn_is_made_again() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    workspace.file("f", "from the context");
    workspace.file("Dockerfile", "FROM app:1\nRUN echo one > /one\nCOPY f /f\nRUN cat /one /f > /two\n");
    assert_eq!(workspace.build(&[]).steps().0, 4);
    let marks = || -> Vec<PathBuf> {
        let layers = std::fs::read_dir(workspace.store().join("layers")).unwrap();
        let marks = layers.map(|layer| layer.unwrap().path().join("unsynced"));
        marks.filter(|mark| mark.exists()).collect()
    };
    let reboot = || marks().iter().for_each(|mark| std::fs::write(mark, "another boot").unwrap());
    assert!(marks().len() >= 3);
    reboot();
    assert_eq!(workspace.build(&[]).steps().0, 0);
    reboot();
    std::fs::write(torn_file(&marks()), "").unwrap();
    assert_eq!(workspace.build(&[]).steps().0, 1);
    // An image that is torn is told, and made again.
    workspace.build(&["-t", "app:2"]);
    assert_eq!(workspace.ok(&["run", "app:2", "cat", "/two"]).out, "one\nfrom the context");
    reboot();
    std::fs::write(torn_file(&marks()), "").unwrap();
    let said = workspace.fails(125, &["run", "app:2", "cat", "/two"]);
    assert!(said.err.contains("app:2") && said.err.contains("build it again"), "{said:?}");
    assert_eq!(workspace.build(&["-t", "app:2"]).steps().0, 1);
    assert_eq!(workspace.ok(&["run", "app:2", "cat", "/two"]).out, "one\nfrom the context");
    workspace.ok(&["store", "check", "--repair"]);
    assert_eq!(workspace.ok(&["store", "check"]).out, "nothing is damaged\n");
}

/// The file that the last step made: one that was torn before is empty, and its layer is used no more.
fn torn_file(marks: &[PathBuf]) -> PathBuf {
    let is_whole = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|found| found.len() > 0);
    marks.iter().map(|mark| mark.with_file_name("fs/two")).find(is_whole).unwrap()
}

fn first(dir: PathBuf) -> PathBuf {
    let mut all: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all.into_iter().next().unwrap()
}

#[test]
fn damage_is_named_and_repaired() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    assert_eq!(workspace.ok(&["store", "check"]).out, "nothing is damaged\n");
    let blob = first(workspace.store().join("blobs/sha256"));
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let said = workspace.fails(5, &["store", "check"]);
    assert!(said.out.contains(blob.file_name().unwrap().to_str().unwrap()), "{said:?}");
    let found = workspace.run(&["store", "check", "--format=json"]);
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert!(found[0]["reason"].as_str().unwrap().contains("has the content of"), "{found}");
    workspace.ok(&["store", "check", "--repair"]);
    assert_eq!(workspace.ok(&["store", "check"]).out, "nothing is damaged\n");
    workspace.build(&["-t", "app:1"]);
    assert_eq!(workspace.ok(&["run", "app:1", "cat", "/slow"]).out, "slow\n");
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn results_are_found_by_file_stage_and_line_and_mounts_by_id_and_target() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let ls = |words: &[&str]| json(&workspace.ok(&[&["cache", "ls", "--format=json"], words].concat()).out);
    let titles = |found: &serde_json::Value| -> Vec<String> {
        let all = found["results"].as_array().unwrap().iter();
        all.map(|one| one["title"].as_str().unwrap_or("-").to_owned()).collect()
    };
    let large = "[large 1/1] RUN dd if=/dev/zero of=/large bs=1M count=8";
    let file = workspace.context().join("Dockerfile");
    for words in [
        &["--stage=large"][..],
        &["--line=5"],
        &["--line=5", "-f", file.to_str().unwrap()],
        &["--line=5", "-f", "context/Dockerfile", "--stage=large"],
    ] {
        let found = ls(words);
        assert_eq!(titles(&found), [large], "{words:?}");
        assert_eq!(found["mounts"], serde_json::json!([]), "{words:?}");
    }
    assert_eq!(titles(&ls(&["-f", "other"])), [""; 0]);
    let key = ls(&["--stage=large"])["results"][0]["keys"][0].as_str().unwrap()[..10].to_owned();
    assert_eq!(titles(&ls(&[&key])), [large]);
    for words in [&["--mount=c"][..], &["--target=/c"]] {
        let found = ls(words);
        assert_eq!((found["mounts"][0]["id"].as_str(), titles(&found).len()), (Some("c"), 0), "{words:?}");
    }
    assert_eq!(ls(&["--mount=d"])["mounts"], serde_json::json!([]));
    let shown = workspace.ok(&["cache", "show", &key]).out;
    assert!(shown.contains("stage: large\n") && shown.contains("line: 5\n"), "{shown}");

    // Sizes are those of du.
    let all = ls(&[]);
    for one in all["results"].as_array().unwrap().iter().filter(|one| one["bytes"].as_u64() > Some(1 << 20)) {
        let dirs = one["layers"].as_array().unwrap().iter();
        let theirs: u64 =
            dirs.map(|id| du(&workspace.store().join("layers").join(id.as_str().unwrap()))).sum();
        let ours = one["bytes"].as_u64().unwrap();
        assert!(ours.abs_diff(theirs) * 100 <= theirs, "{one}: {theirs}");
    }
    let usage = json(&workspace.ok(&["cache", "du", "--format=json"]).out);
    let theirs = du(&workspace.store().join("layers")) + du(&workspace.store().join("mounts"));
    assert!(usage["total"].as_u64().unwrap().abs_diff(theirs) * 100 <= theirs, "{usage}: {theirs}");
}

#[test]
fn what_is_removed_by_its_line_runs_again_with_what_was_made_upon_it() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    workspace.fails(2, &["cache", "rm"]);
    // The mount's own step, and the two upon it.
    assert_eq!(workspace.ok(&["cache", "rm", "--line=9"]).out, "removed 3 results\n");
    assert_eq!(workspace.build(&[]).steps(), (3, 4));
    assert!(workspace.store().join("mounts").read_dir().unwrap().count() > 0);
    assert_eq!(workspace.ok(&["cache", "rm", "--target=/c"]).out, "removed mount c\n");
    assert_eq!(workspace.store().join("mounts").read_dir().unwrap().count(), 0);
    assert_eq!(workspace.build(&["-t", "app:1"]).steps().0, 0);
}
