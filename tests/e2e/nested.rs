//! rbuild inside containers as they are given to jobs: on overlayfs, with masked `/proc`, without privileges.

use std::os::unix::fs::chown;
use std::process::Command;

use crate::road::BUSYBOX;
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

/// Steps that see where they are, delete, and give files away.
const STEPS: &str = "RUN echo 1 > /made && chown 5:6 /made && rm /bin/vi && mkdir /d && ln /made /d/again\n\
    RUN [ \"$(stat -c %u:%g /made)\" = 5:6 ] && ! ls /bin/vi 2>/dev/null && [ $$ = 1 ] && ls /proc/self/fd && \
    echo x > /dev/null && cat /etc/hosts && touch /seen\n";

/// A container with this program, a context, and a directory that the user of the container owns.
struct Container {
    workspace: Workspace,
}

impl Container {
    fn new() -> Container {
        let workspace = Workspace::with(BUSYBOX);
        workspace.build(&["-t", "outer:1"]);
        workspace.file("Dockerfile", format!("{BUSYBOX}{STEPS}"));
        let own = workspace.path().join("own");
        std::fs::create_dir(&own).unwrap();
        chown(own, Some(12345), Some(54321)).unwrap();
        Container { workspace }
    }

    fn run(&self, options: &[&str], script: &str) -> Said {
        let volume = |from: &str, to: &str| format!("--volume={from}:{to}");
        let program = volume(env!("CARGO_BIN_EXE_rbuild"), "/bin/rbuild:ro");
        let context = volume(self.workspace.context().to_str().unwrap(), "/context:ro");
        let own = volume(self.workspace.path().join("own").to_str().unwrap(), "/own");
        let before = ["run", &program, &context, &own];
        let words = [&before, options, &["outer:1", "sh", "-c", script]].concat();
        Said::from(Command::output(self.workspace.rbuild().args(words)).unwrap())
    }
}

const NAMESPACES: &str = "--security-opt=seccomp=unconfined";

#[test]
fn root_of_a_container_builds_on_overlayfs_below_a_masked_proc() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let container = Container::new();
    let script = "rbuild build --progress=plain -t inner:1 /context && rbuild run inner:1 stat -c %u:%g /made && \
        rbuild doctor --format json && ls /var/lib/rbuild/tmp";
    let said = container.run(&[NAMESPACES], script);
    assert!(said.err.contains("steps run on copies of their trees"), "{said:?}");
    assert!(said.out.starts_with("5:6\n"), "{said:?}");
    let text = said.out.split_once('\n').unwrap().1;
    let report: serde_json::Value =
        serde_json::Deserializer::from_str(text).into_iter().next().unwrap().unwrap();
    assert_eq!((&report["mode"], &report["can_build"]), (&"mapped".into(), &true.into()), "{report:#}");
    let severity = |topic: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["topic"] == topic).unwrap()["severity"].clone()
    };
    assert_eq!(
        (severity("proc"), severity("overlay"), severity("id-maps")),
        ("limited".into(), "limited".into(), "good".into())
    );
}

#[test]
fn a_user_without_a_name_and_rights_builds_in_a_read_only_container() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let container = Container::new();
    let options = [NAMESPACES, "--user=12345:54321", "--cap-drop=ALL", "--read-only", "--env=HOME=/own"];
    let more = ["--security-opt=no-new-privileges"];
    let script = "rbuild build --progress=plain -t inner:1 /context && rbuild run inner:1 stat -c %u:%g /made && \
        rbuild doctor | tail -n 1";
    let said = container.run(&[&options[..], &more].concat(), script);
    assert_eq!(said.out, "5:6\nbuilds can run here, in mode single-id\n", "{said:?}");
}

#[test]
fn where_no_namespace_can_be_had_the_refusing_call_and_the_way_out_are_named() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let container = Container::new();
    let said = container.run(&[], "rbuild build /context; echo $?; rbuild doctor; echo $?");
    assert!(said.out.starts_with("4\n") && said.out.ends_with("builds cannot run here\n4\n"), "{said:?}");
    assert!(said.err.contains("`rbuild doctor` says what to change, --isolation=chroot"), "{said:?}");
    for part in [
        "clone(CLONE_NEWUSER): Operation not permitted",
        "the system call filter of the container refuses",
        "--isolation=chroot builds here, without any isolation",
    ] {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    let said = container.run(
        &["--user=12345"],
        "rbuild --root /own/s doctor; rbuild --root /own/s --isolation=chroot images; echo $?",
    );
    assert!(said.out.contains("without a namespace only root can change the root directory"), "{said:?}");
    assert!(said.out.ends_with("4\n") && said.err.contains("CAP_SYS_CHROOT"), "{said:?}");
}

/// Root without the right to mount, as in a usual container, but for a file system on which devices work.
fn without_mounts(workspace: &Workspace, words: &[&str]) -> Said {
    let mut command = Command::new("setpriv");
    command
        .args(["--bounding-set=-sys_admin", "--inh-caps=-sys_admin", env!("CARGO_BIN_EXE_rbuild"), "--root"])
        .arg(workspace.path().join("chroot-store"))
        .arg("--isolation=chroot")
        .args(words);
    Said::from(command.output().unwrap())
}

#[test]
fn without_namespaces_the_layers_are_the_same_and_nothing_is_left() {
    if !(is_root() && has("busybox") && has("setpriv")) {
        return;
    }
    let times = "touch -h -t 202001010101 /made /d /d/* / /bin /etc 2>/dev/null";
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN mkdir /etc /dev/mine; echo image > /etc/hosts; ln -s nowhere /etc/resolv.conf; {times}; true\n\
         RUN echo 1 > /made && chown 5:6 /made && rm /bin/vi && mkdir /d && ln /made /d/again && \
         echo x > /dev/null && head -c 1 /dev/zero > /dev/full 2>/dev/null; touch /dev/shm/x; \
         grep -q localhost /etc/hosts && [ ! -L /etc/resolv.conf ]; {times}; true\n\
         USER 1000:1000\nWORKDIR /work/here\nRUN [ \"$(id -u):$(pwd)\" = 1000:/work/here ]\n"
    ));
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let digests = |build: &dyn Fn(&[&str]) -> Said, out: &str| -> Vec<serde_json::Value> {
        let path = workspace.path().join(out);
        let output = format!("type=oci,tar=false,dest={}", path.display());
        let said = build(&["build", "--progress=plain", "-o", &output, context]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(said.err.contains("steps are NOT isolated"), out == "chroot", "{said:?}");
        let layers = crate::support::layout::layout(&path).top()["layers"].as_array().unwrap().clone();
        layers[2..4].iter().map(|layer| layer["digest"].clone()).collect()
    };
    let isolated = digests(&|words| workspace.ok(words), "namespaces");
    assert_eq!(digests(&|words| without_mounts(&workspace, words), "chroot"), isolated);

    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    std::fs::write(
        workspace.context().join("Dockerfile"),
        format!("{BUSYBOX}RUN [ \"$(hostname)\" = {} ] && [ $$ != 1 ] && (setsid sleep 4321 &) && (sleep 4321 &)\n", host.trim()),
    )
    .unwrap();
    let said = without_mounts(&workspace, &["build", "--progress=plain", "-t", "app:1", context]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let left = Command::new("pgrep").args(["-f", "^sleep 4321$"]).output().unwrap();
    assert!(left.stdout.is_empty(), "{left:?}");
    let said = without_mounts(&workspace, &["run", "app:1", "sh", "-c", "ls /dev; exit 3"]);
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(3), "full\nnull\nrandom\nshm\ntty\nurandom\nzero\n"),
        "{said:?}"
    );
}

#[test]
fn what_takes_namespaces_is_refused_by_name_without_them() {
    if !(is_root() && has("busybox") && has("setpriv")) {
        return;
    }
    let workspace = Workspace::with(BUSYBOX);
    let context = workspace.context();
    let context = context.to_str().unwrap();
    assert_eq!(without_mounts(&workspace, &["build", "-t", "app:1", context]).code, Some(0));
    for (step, what) in [
        (
            "--mount=type=cache,target=/c true",
            "--mount=type=cache,target=/c cannot be had with --isolation=chroot",
        ),
        ("--mount=type=tmpfs,target=/t true", "it takes mounts"),
        ("--network=none true", "it takes a network namespace"),
    ] {
        workspace.file("Dockerfile", format!("{BUSYBOX}RUN {step}\n"));
        let said = without_mounts(&workspace, &["build", context]);
        assert!(said.code == Some(4) && said.err.contains(what), "{step}: {said:?}");
    }
    let profile = workspace.path().join("allow.json");
    std::fs::write(&profile, r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).unwrap();
    let said = without_mounts(
        &workspace,
        &["run", &format!("--security-opt=seccomp={}", profile.display()), "app:1", "true"],
    );
    assert!(said.code == Some(125) && said.err.contains("filter"), "{said:?}");
    for option in [
        "--network=private",
        "--read-only",
        "--volume=/tmp:/t",
        "--tmpfs=/t",
        "--mount=type=bind,source=/tmp,target=/t",
        "--hostname=other",
        "--shm-size=1m",
        "--init",
        "--security-opt=mask=/proc/cpuinfo",
        "--security-opt=apparmor=mine",
        "--device=/dev/fuse",
    ] {
        let said = without_mounts(&workspace, &["run", option, "app:1", "true"]);
        assert!(said.code == Some(125) && said.err.contains("--isolation=chroot"), "{option}: {said:?}");
    }
    let said = without_mounts(&workspace, &["--snapshotter=overlay", "images"]);
    assert!(said.code == Some(0) || said.code == Some(2), "{said:?}");
    assert!(without_mounts(&workspace, &["doctor"]).out.contains("steps are not isolated"));
}
