//! Nothing stays behind: after success, failure, interruption and kill.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::resume::noise;
use crate::road::BUSYBOX;
use crate::support::relay::Relay;
use crate::support::served::Served;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root, leftovers};

/// A name that no other process has. It begins with busybox, as it must to be understood by it.
fn marker(word: &str) -> String {
    format!("busybox-{word}-{}", std::process::id())
}

/// A step that says that it began and then sleeps under a name of its own, in a group of its own.
fn sleeping(marker: &str) -> Workspace {
    Workspace::with(&format!(
        "{BUSYBOX}RUN cp /bin/busybox /bin/{marker} && {{ setsid /bin/{marker} sleep 1001 & }}; \
         echo began; exec /bin/{marker} sleep 1000\n"
    ))
}

fn start(workspace: &Workspace) -> Child {
    start_with(workspace, &[])
}

fn start_with(workspace: &Workspace, options: &[&str]) -> Child {
    let mut child = workspace
        .rbuild()
        .args(["build", "--progress=plain"])
        .args(options)
        .arg(workspace.context())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().ends_with(" began")), "the step never began");
    // Keep reading, so that the builder can always write.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn processes(marker: &str) -> usize {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(&format!("/bin/{marker}")))
        .count()
}

fn until(marker: &str, what: &str, right: impl Fn(usize) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !right(processes(marker)) {
        assert!(Instant::now() < deadline, "{marker}: {} processes, expected {what}", processes(marker));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A build that is ended in the middle of its step: everything goes, and the next build works.
fn ended_by(word: &str, signal: &str, expected: Option<i32>) {
    let marker = marker(word);
    let workspace = sleeping(&marker);
    let _alone = leftovers::alone_with_groups();
    let before = leftovers::groups_and_devices();
    let mut child = start(&workspace);
    until(&marker, "two", |count| count == 2);
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), expected);
    until(&marker, "none", |count| count == 0);
    leftovers::none(workspace.path());
    let new: Vec<String> = leftovers::groups_and_devices()
        .difference(&before)
        .filter(|name| name.contains("rbuild"))
        .cloned()
        .collect();
    assert!(new.is_empty(), "{new:?}");
    // What did not come to its end is in no history.
    let kept = std::fs::read_dir(workspace.store().join("builds")).into_iter().flatten().flatten();
    let kept: Vec<_> = kept.map(|entry| entry.file_name()).filter(|name| *name != "listings").collect();
    assert!(kept.is_empty(), "{kept:?}");
    workspace.file("Dockerfile", BUSYBOX);
    workspace.build(&[]);
    let unfinished: Vec<_> = std::fs::read_dir(workspace.store().join("tmp")).unwrap().flatten().collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
}

#[test]
fn interrupting_ends_the_step_and_leaves_with_130() {
    if is_root() && has("busybox") {
        ended_by("interrupted", "-INT", Some(130));
    }
}

#[test]
fn terminating_is_interrupting() {
    if is_root() && has("busybox") {
        ended_by("terminated", "-TERM", Some(130));
    }
}

/// A context that takes hours to read.
#[test]
fn terminating_ends_the_reading_of_a_huge_context() {
    let workspace = Workspace::with("FROM scratch\nCOPY huge /\n");
    let huge = std::fs::File::create(workspace.context().join("huge")).unwrap();
    huge.set_len(4 << 40).unwrap();
    let mut child = workspace
        .rbuild()
        .args(["build", "--progress=quiet"])
        .arg(workspace.context())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let read = || {
        let text = std::fs::read_to_string(format!("/proc/{}/io", child.id())).unwrap();
        let count = text.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
        count.parse::<u64>().unwrap()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while read() < 256 << 20 {
        assert!(Instant::now() < deadline, "it reads nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it goes on");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
    leftovers::none(workspace.path());
    let left: Vec<_> = std::fs::read_dir(workspace.store().join("tmp")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A base that never comes whole.
#[test]
fn interrupting_ends_a_pull_that_stands_still() {
    const STALL: u64 = 256 << 10;
    let source = Workspace::with("FROM scratch\nCOPY noise /\n");
    source.file("noise", noise(1 << 20));
    source.build(&["-t", "big:1"]);
    let server = Served::start(&source, &["--read-only"]);
    let relay = Relay::start(server.host());
    relay.stall_after(Some(STALL));
    let workspace = Workspace::with(&format!("FROM {}\nCOPY Dockerfile /\n", relay.name("big:1")));
    let mut child = workspace
        .rbuild()
        .args(["build", "--progress=quiet"])
        .arg(workspace.context())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while relay.passed() < STALL {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "it pulls");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let deadline = Instant::now() + Duration::from_secs(60);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it goes on");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    leftovers::none(workspace.path());
    drop(relay);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn killing_the_builder_ends_the_step() {
    if is_root() && has("busybox") {
        ended_by("killed", "-KILL", None);
    }
}

/// Processes that this one started, with their words.
fn children(of: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |name: &str| std::fs::read(process.path().join(name)).unwrap_or_default();
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if parent == Some(of.to_string().as_str()) {
            found.push((id, String::from_utf8_lossy(&read("cmdline")).replace('\0', " ")));
        }
    }
    found
}

#[test]
fn what_a_killed_keeper_leaves_goes_with_the_next_step() {
    if !crate::containers::private_networks() {
        return;
    }
    let _alone = leftovers::alone_with_groups();
    let workspace = sleeping("busybox-orphaned");
    let options = ["--network=private", "--memory=200m"];
    let mut child = start_with(&workspace, &options);
    let children_of = children(child.id());
    let (keeper, _) = children_of.iter().find(|(_, words)| words.contains("keeper")).unwrap();
    let below = children(*keeper).into_iter().flat_map(|(first, _)| children(first));
    let pastas: Vec<u32> =
        below.filter(|(_, words)| words.contains("--config-net")).map(|(id, _)| id).collect();
    assert!(!pastas.is_empty());
    let ids = [child.id().to_string(), keeper.to_string()];
    assert!(Command::new("kill").arg("-KILL").args(&ids).status().unwrap().success());
    child.wait().unwrap();
    until("busybox-orphaned", "none", |count| count == 0);
    workspace.file("Dockerfile", format!("{BUSYBOX}RUN true\n"));
    workspace.build(&options);
    let gone = |id: u32| std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default().is_empty();
    assert!(pastas.iter().all(|pasta| gone(*pasta)), "one of {pastas:?} is left");
    let groups = leftovers::groups_and_devices();
    let name = format!("rbuild-{keeper}-");
    assert!(!groups.iter().any(|group| group.contains(&name)), "{groups:?}");
}

#[test]
fn the_layer_of_a_step_holds_what_it_did_and_nothing_else() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN echo x > /made\nRUN sleep 1000 & true\n"));
    workspace.build(&["-t", "app:1"]);
    let json: serde_json::Value =
        serde_json::from_str(&workspace.ok(&["layers", "--format=json", "app:1"]).out).unwrap();
    let files = json[2]["files"].as_array().unwrap();
    let paths: Vec<&str> = files.iter().filter_map(|file| file["path"].as_str()).collect();
    assert_eq!(paths, ["made"], "{json}");
    assert_eq!(json[3]["files"].as_array().unwrap().len(), 0, "{json}");
}
