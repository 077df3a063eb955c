//! Keepers that serve one step after the other.

use std::fs;
use std::io::Read;

use runtime_exec::{Exit, Keepers, Limits, NetworkMode, Resource, Rlimit, Running, StepIo};

use crate::support::{Case, Place, Step};

pub fn cases() -> Vec<Case> {
    vec![
        ("a_keeper_serves_again_and_nothing_of_a_step_is_left_for_the_next", nothing_is_left),
        ("steps_at_once_have_keepers_of_their_own", at_once),
        ("a_signal_for_a_step_that_is_over_does_not_reach_the_next", late_signals),
        ("a_step_that_cannot_start_does_not_end_the_others", failed),
        ("keepers_go_with_their_last_owner", gone),
    ]
}

fn start(keepers: &Keepers, step: &Step) -> (Running, fs::File) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let stderr = writer.try_clone().unwrap();
    let running = keepers.spawn(&step.spec, StepIo { stdin: None, stdout: writer, stderr }).unwrap();
    (running, reader.into())
}

fn run(keepers: &Keepers, step: &Step) -> (Exit, String) {
    let (running, mut reader) = start(keepers, step);
    let mut out = String::new();
    reader.read_to_string(&mut out).unwrap();
    (running.wait().unwrap(), out)
}

/// The processes that this one started and that are still there.
fn children() -> Vec<u32> {
    let mut found = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end meanwhile.
        let text = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    }
    found.sort_unstable();
    found
}

/// What a step sees of itself and its surroundings.
const LOOK: &str = "hostname; umask; ulimit -n; ls /proc/self/fd | wc -l; ls /dev/shm /tmp; \
    cat /proc/net/dev | wc -l; env | sort; grep -c . /proc/self/mountinfo; \
    grep -E '^(Sig|Cap|NoNewPrivs|Seccomp)' /proc/self/status; cat /proc/self/cgroup | grep -c rbuild; echo $$";

fn nothing_is_left(place: &Place) {
    let before = children();
    let keepers = Keepers::default();
    let (exit, first) = run(&keepers, &place.sh(LOOK));
    assert_eq!(exit, Exit::Code(0), "{first}");
    let kept = children();
    assert_eq!(kept.len(), before.len() + 1, "one keeper waits");
    let busy = "echo x > /dev/shm/left; echo x > /tmp/left; umask 077; sleep 600 & exit 3";
    let loud = place.sh(busy).with(|spec| {
        spec.hostname = "other".to_owned();
        spec.env.push(("SECRET".to_owned(), "word".to_owned()));
        spec.network = NetworkMode::None;
        spec.rlimits =
            vec![Rlimit { resource: "nofile".parse::<Resource>().unwrap(), soft: Some(50), hard: Some(60) }];
        spec.no_new_privs = true;
        spec.limits = Limits { pids: Some(100), ..Limits::default() };
    });
    assert_eq!(run(&keepers, &loud).0, Exit::Code(3));
    assert_eq!(run(&keepers, &place.sh(LOOK)), (Exit::Code(0), first));
    assert_eq!(children(), kept, "the same one");
}

fn at_once(place: &Place) {
    let before = children().len();
    let keepers = Keepers::default();
    let (one, two) = (place.sh("sleep 600"), place.sh("sleep 600"));
    let (one, two) = (start(&keepers, &one).0, start(&keepers, &two).0);
    assert_eq!(children().len(), before + 2);
    one.killer().kill();
    assert_eq!(one.wait().unwrap(), Exit::Signal(libc::SIGKILL));
    two.killer().kill();
    assert_eq!(two.wait().unwrap(), Exit::Signal(libc::SIGKILL));
    assert_eq!(run(&keepers, &place.sh("exit 7")).0, Exit::Code(7));
    assert_eq!(children().len(), before + 2);
}

fn late_signals(place: &Place) {
    let keepers = Keepers::default();
    let first = place.sh("exit 0");
    let (running, _out) = start(&keepers, &first);
    let killer = running.killer();
    assert_eq!(running.wait().unwrap(), Exit::Code(0));
    let second = place.sh("read line; exit 5");
    let (running, _out) = start(&keepers, &second);
    killer.kill();
    assert_eq!(running.wait().unwrap(), Exit::Code(5));
}

fn failed(place: &Place) {
    let keepers = Keepers::default();
    assert_eq!(run(&keepers, &place.sh("exit 0")).0, Exit::Code(0));
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let io = StepIo { stdin: None, stdout: writer.try_clone().unwrap(), stderr: writer };
    assert!(keepers.spawn(&place.step(&["/absent"]).spec, io).is_err());
    drop(reader);
    assert_eq!(run(&keepers, &place.sh("exit 2")).0, Exit::Code(2));
}

fn gone(place: &Place) {
    let before = children();
    let keepers = Keepers::default();
    assert_eq!(run(&keepers, &place.sh("exit 0")).0, Exit::Code(0));
    let step = place.sh("sleep 600");
    let (running, _out) = start(&keepers, &step);
    drop(keepers);
    assert_eq!(children().len(), before.len() + 1);
    drop(running);
    assert_eq!(children(), before);
}
