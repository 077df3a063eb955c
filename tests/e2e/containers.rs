//! Containers of `rbuild run`: what they are given, and what they are kept from.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::road::BUSYBOX;
use crate::support::http::Http;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root, leftovers, missing};

fn built() -> Workspace {
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN touch /in-image\nCMD [\"sh\"]\n"));
    workspace.build(&["-t", "app:1"]);
    workspace
}

/// Programs run, but make no directories unless they may administer the system.
const PROFILE: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}}
]}"#;

#[test]
fn containers_get_what_their_options_say() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let share = workspace.path().join("share");
    std::fs::create_dir(&share).unwrap();
    std::fs::write(share.join("variables"), "# none\nA=file\nB=two words\nHOME\n").unwrap();
    let (shared, variables) = (share.display().to_string(), share.join("variables").display().to_string());
    let (writable, protected) = (format!("{shared}:/mnt"), format!("{shared}:/mnt:ro"));
    let masked =
        "stat -c %t:%T /proc/keys; sh -c 'echo x > /proc/sys/kernel/domainname' 2>&1 | grep -c Read-only";
    let profile = share.join("profile.json");
    std::fs::write(&profile, PROFILE).unwrap();
    let profile = format!("seccomp={}", profile.display());
    let bind = format!("type=bind,source={shared},target=/mnt,readonly");
    let cases: [(&[&str], &str, &str); 26] = [
        (&["--security-opt", &profile], "mkdir /no 2>&1 | grep -c 'Function not'; echo y", "1\ny\n"),
        (&["--security-opt", &profile, "--cap-add=SYS_ADMIN"], "mkdir /no && echo made", "made\n"),
        (&["--security-opt=seccomp=builtin"], "grep Seccomp: /proc/self/status", "Seccomp:\t2\n"),
        (&["--mount", &bind], "touch /mnt/x 2>/dev/null || head -c 6 /mnt/variables", "# none"),
        (&["--mount=type=tmpfs,dst=/t,tmpfs-size=1m"], "df /t | grep -c ' 1024 '", "1\n"),
        (&["--read-only", "--tmpfs=/t:size=2m"], "touch /t/x && df /t | grep -c ' 2048 '", "1\n"),
        (
            &["-l", "a=b", "--rm", "--cpuset-mems=0", "--tmpfs=/t:ro"],
            "touch /t/x 2>&1 | grep -c Read-only",
            "1\n",
        ),
        (
            &["--dns=9.9.9.9", "--dns-search=a.test", "--dns-search=b.test", "--dns-option=ndots:1"],
            "cat /etc/resolv.conf",
            "search a.test b.test\nnameserver 9.9.9.9\noptions ndots:1\n",
        ),
        (&["-v", &writable], "echo 1 > /mnt/made; cat /mnt/made", "1\n"),
        (&["-v", &protected], "touch /mnt/made 2>/dev/null || cat /mnt/made", "1\n"),
        (&["--env-file", &variables, "-e", "A=option"], "echo $A, $B", "option, two words\n"),
        (&["--read-only"], "touch /in-image 2>/dev/null || touch /dev/shm/x && echo refused", "refused\n"),
        (&["--init"], "echo $PPID; cat /proc/1/comm", "1\nrbuild-init\n"),
        (&["--cap-drop=ALL"], "grep CapEff /proc/self/status", "CapEff:\t0000000000000000\n"),
        (&["--cap-add=net_admin"], "grep CapEff /proc/self/status", "CapEff:\t00000000a80435fb\n"),
        (&["--security-opt=no-new-privileges"], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"),
        (&[], "grep Seccomp: /proc/self/status", "Seccomp:\t2\n"),
        (&["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status", "Seccomp:\t0\n"),
        (&["--security-opt=label=disable", "--security-opt=apparmor=unconfined"], masked, "1:3\n1\n"),
        (&["--security-opt=systempaths=unconfined"], masked, "0:0\n0\n"),
        (&["--security-opt=unmask=/proc/k*:/proc/keys"], masked, "0:0\n1\n"),
        (&["--security-opt=mask=/proc/uptime:/proc/no-such"], "cat /proc/uptime", ""),
        (&["--add-host=me:host-gateway"], "grep me /etc/hosts", "127.0.0.1\tme\n"),
        (&["--ulimit=nofile=77:88", "--shm-size=1m"], "ulimit -n; df /dev/shm | grep -c ' 1024 '", "77\n1\n"),
        (&["--dns=9.9.9.9"], "grep nameserver /etc/resolv.conf", "nameserver 9.9.9.9\n"),
        (&["--device=/dev/null:/dev/other"], "echo x > /dev/other; stat -c %t:%T /dev/other", "1:3\n"),
    ];
    for (options, script, expected) in cases {
        let words = [&["run"], options, &["app:1", "sh", "-c", script]].concat();
        let said = Command::output(workspace.rbuild().args(&words)).unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), expected, "{words:?}: {said:?}");
    }
    assert_eq!(std::fs::read_to_string(share.join("made")).unwrap(), "1\n");
    workspace.fails(125, &["run", "--network=none", "--add-host=x:host-gateway", "app:1", "true"]);
    for (code, option) in [
        (125, "--cap-add=NO_SUCH"),
        (125, "--volume=/no/such/place:/m"),
        (125, "--ulimit=x=1"),
        (125, "--volume=name:/m"),
        (125, "--security-opt=seccomp=no-such.json"),
        (125, "--security-opt=seccomp=/dev/null"),
        (125, "--mount=type=volume,source=x,target=/y"),
        (125, "--publish=80:80"),
        (125, "--dns-search=two words"),
        (125, "--security-opt=apparmor=no-such-profile"),
        (125, "--no-such-option"),
    ] {
        workspace.fails(code, &["run", option, "app:1", "true"]);
    }
}

#[test]
fn signals_reach_the_command_and_a_second_one_ends_it() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let cases = [("trap 'exit 9' TERM", Some(9)), ("trap '' TERM", Some(130))];
    for (trap, expected) in cases {
        let script = format!("{trap}; echo ready; while :; do sleep 0.1; done");
        let mut child = workspace
            .rbuild()
            .args(["run", "app:1", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        let terminate = || {
            let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
            assert!(sent.success());
        };
        terminate();
        if expected == Some(130) {
            // Signals of one kind that wait together are one: it may take more than a second one.
            while !over(child.id()) {
                std::thread::sleep(std::time::Duration::from_millis(300));
                terminate();
            }
        }
        assert_eq!(child.wait().unwrap().code(), expected, "{trap}");
        leftovers::none(workspace.path());
    }
}

/// Whether a child has ended and waits to be asked how.
fn over(child: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap();
    status.lines().any(|line| line.starts_with("State:\tZ"))
}

#[test]
fn a_step_that_wants_more_memory_than_it_may_is_told_so() {
    if !(is_root() && has("busybox")) {
        return;
    }
    if !Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
        println!("left out: control groups of the first version");
        return;
    }
    let _alone = leftovers::alone_with_groups();
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN head -c 60000000 /dev/zero | tail -c 50000000 > /dev/null; exit $?\n"
    ));
    let context = workspace.context();
    let said = workspace.fails(1, &["build", "--memory=16m", context.to_str().unwrap()]);
    assert!(said.err.contains("out of memory (it used "), "{said:?}");
    workspace.build(&["--memory=500m", "--pids-limit=50", "--cpus=1.5", "-t", "app:1"]);
    let eat = "head -c 60000000 /dev/zero | tail -c 50000000 > /dev/null";
    let said = workspace.fails(137, &["run", "-m", "16m", "app:1", "sh", "-c", eat]);
    assert!(said.err.contains("out of memory"), "{said:?}");
    workspace.fails(125, &["run", "--cpuset-cpus=x", "app:1", "true"]);
    leftovers::none(workspace.path());
    let groups = leftovers::groups_and_devices();
    assert!(!groups.iter().any(|name| name.contains("/rbuild-")), "{groups:?}");
}

/// A host without a route to anywhere has no network to give away.
pub fn private_networks() -> bool {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap();
    let routed = routes.lines().any(|line| line.split_whitespace().nth(1) == Some("00000000"));
    if !routed {
        missing("a default route");
    }
    if !Path::new("/dev/net/tun").exists() {
        missing("/dev/net/tun");
    }
    is_root() && has("busybox") && has("pasta") && routed && Path::new("/dev/net/tun").exists()
}

#[test]
fn a_private_network_is_given_where_it_is_asked_for_and_nowhere_else() {
    if !private_networks() {
        return;
    }
    let before = devices();
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    let host = host.to_str().unwrap();
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN readlink /proc/self/ns/net; ip route | grep -c ^default\n\
         RUN --network=none readlink /proc/self/ns/net > /none; ! ip route | grep default\n"
    ));
    let private = workspace.build(&["--network=private", "--no-cache", "-t", "app:1"]);
    assert!(!private.err.contains(host), "{private:?}");
    assert!(workspace.build(&["--no-cache"]).err.contains(host));
    let said = workspace.ok(&["run", "--network=private", "app:1", "readlink", "/proc/self/ns/net"]);
    assert!(said.out.starts_with("net:[") && !said.out.contains(host), "{said:?}");
    leftovers::none(workspace.path());
    assert_eq!(devices(), before);
}

fn devices() -> Vec<String> {
    leftovers::groups_and_devices().into_iter().filter(|name| name.starts_with("/sys/class/net/")).collect()
}

#[test]
fn a_name_belongs_to_one_running_container() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = built();
    let mut child = workspace
        .rbuild()
        .args(["run", "-i", "--name=web-1", "app:1", "sh", "-c", "echo ready; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let said = workspace.fails(125, &["run", "--name=web-1", "app:1", "true"]);
    assert!(said.err.contains("web-1 runs already"), "{said:?}");
    workspace.ok(&["run", "--name=web-2", "app:1", "true"]);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    workspace.ok(&["run", "--name=web-1", "app:1", "true"]);
}

#[test]
fn a_step_that_takes_too_long_is_ended_and_kept() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN echo 1 > /made; (sleep 600 &) ; sleep 600\n"));
    let context = workspace.context();
    let said = workspace.fails(1, &["build", "--step-timeout=1s", context.to_str().unwrap()]);
    assert!(said.err.contains("--step-timeout allows (1 s)"), "{said:?}");
    leftovers::none(workspace.path());
    assert_eq!(workspace.ok(&["debug", "--", "cat", "/made"]).out, "1\n");
    workspace.fails(2, &["build", "--step-timeout=0", context.to_str().unwrap()]);
}

#[test]
fn a_step_that_does_nothing_and_a_build_that_is_late_are_ended() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN echo 1 > /made; (sleep 600 &) ; sleep 600\n"));
    let context = workspace.context();
    let said = workspace.fails(1, &["build", "--idle-timeout=1s", context.to_str().unwrap()]);
    assert!(said.err.contains("used no processor for as long as --idle-timeout allows (1 s)"), "{said:?}");
    leftovers::none(workspace.path());
    assert_eq!(workspace.ok(&["debug", "--", "cat", "/made"]).out, "1\n");
    let said = workspace.fails(1, &["build", "--deadline=3s", context.to_str().unwrap()]);
    assert!(said.err.contains("longer than --deadline allows (3 s)"), "{said:?}");
    assert!(said.err.contains("still ran: ") && said.err.contains("sleep 600"), "{said:?}");
    leftovers::none(workspace.path());
}

#[test]
fn steps_get_devices_by_path_and_by_name() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN stat -c %t:%T /dev/given /dev/named\n"));
    let specs = workspace.path().join("cdi");
    std::fs::create_dir(&specs).unwrap();
    let spec = r#"{"cdiVersion":"0.6.0","kind":"example.com/null","devices":[{"name":"0",
        "containerEdits":{"deviceNodes":[{"path":"/dev/named","hostPath":"/dev/null"}]}}]}"#;
    std::fs::write(specs.join("null.json"), spec).unwrap();
    let directory = format!("--cdi-spec-dir={}", specs.display());
    let devices = ["--device=/dev/zero:/dev/given", "--device=example.com/null=0", &directory];
    let said = workspace.build(&[&devices[..], &["--no-cache"]].concat());
    assert!(said.err.contains("1:5\n") && said.err.contains("1:3\n"), "{said:?}");
    // They are no part of a key.
    assert_eq!(workspace.build(&[]).steps().0, 0);
    let context = workspace.context();
    workspace.fails(5, &["build", "--device=/dev/no-such", context.to_str().unwrap()]);
    workspace.fails(2, &["build", "--device=no-such", context.to_str().unwrap()]);
}

#[test]
fn a_named_control_group_holds_the_step_and_goes_with_it() {
    if !(is_root() && has("busybox")) {
        return;
    }
    if !Path::new("/sys/fs/cgroup/pids/pids.max").exists() && !Path::new("/sys/fs/cgroup/pids").exists() {
        println!("left out: control groups of the first version");
        return;
    }
    let _alone = leftovers::alone_with_groups();
    let workspace = built();
    let mut child = workspace
        .rbuild()
        .args(["run", "-i", "--cgroup-parent=/rbuild-test/jobs", "--pids-limit=40", "app:1", "sh", "-c"])
        .arg("echo ready; cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    for controller in ["memory", "pids", "cpuset"] {
        let jobs = Path::new("/sys/fs/cgroup").join(controller).join("rbuild-test/jobs");
        let groups: Vec<_> = std::fs::read_dir(&jobs).unwrap().flatten().map(|entry| entry.path()).collect();
        let group = groups.iter().find(|path| path.is_dir()).unwrap();
        assert!(!std::fs::read_to_string(group.join("cgroup.procs")).unwrap().is_empty(), "{controller}");
        if controller == "pids" {
            assert_eq!(std::fs::read_to_string(group.join("pids.max")).unwrap(), "40\n");
        }
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let left = leftovers::groups_and_devices();
    assert!(!left.iter().any(|name| name.contains("rbuild-test")), "{left:?}");
    workspace.fails(125, &["run", "--cgroup-parent=../x", "app:1", "true"]);
}

#[test]
fn the_host_is_reached_from_a_private_network_where_it_is_asked_for() {
    if !private_networks() {
        return;
    }
    let workspace = built();
    let server = Http::start();
    server.put("/x", "hello\n", &[]);
    // The length of the answer counts: pasta does not always tell of the end of a connection, and may send
    // again what came shortly before it.
    let script = format!("timeout 20 wget -q -O - {}", server.url("/x").replace("127.0.0.1", "host"));
    let words = ["run", "--network=private", "--add-host=host:host-gateway", "app:1", "sh", "-c", &script];
    assert_eq!(workspace.ok(&words).out, "hello\n");
    assert_eq!(server.requests(), ["GET /x"]);
}

#[test]
fn a_port_of_the_host_leads_into_a_private_network() {
    use std::io::{Read, Write};
    if !private_networks() {
        return;
    }
    let workspace = built();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let publish = format!("--publish=127.0.0.1:{port}:80");
    let mut child = workspace
        .rbuild()
        .args([
            "run",
            "--network=private",
            &publish,
            "app:1",
            "sh",
            "-c",
            "echo ready; echo hello | nc -l -p 80",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut said = [0; 6];
    // A connection that comes before the command listens is closed at once.
    while &said != b"hello\n" {
        assert!(std::time::Instant::now() < deadline, "nobody answers");
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { continue };
        let _ = stream.write_all(b"x\n").and_then(|()| stream.read_exact(&mut said));
    }
    let _ = child.kill();
    child.wait().unwrap();
    leftovers::none(workspace.path());
}
