//! How steps begin and end.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runtime_exec::{
    Exit, FirstProcess, Host, HostOptions, MountSource, MountSpec, ReadOnly, Stage, StepUser, Terminal,
};

use super::support::{Case, Place, Step, lines};

pub fn cases() -> Vec<Case> {
    vec![
        ("exit_codes", exit_codes),
        ("signals", signals),
        ("programs_that_cannot_run", programs_that_cannot_run),
        ("killer", killer),
        ("drop_kills", drop_kills),
        ("background_processes_end", background_processes_end),
        ("output_ends_with_the_step", output_ends_with_the_step),
        ("terminal", terminal),
        ("relayed_terminal", relayed_terminal),
        ("nothing_is_left_when_the_parent_is_killed", nothing_is_left_when_the_parent_is_killed),
        ("nothing_is_left_mounted", nothing_is_left_mounted),
        ("an_init_starts_the_program", an_init_starts_the_program),
        ("an_init_passes_signals_on_and_takes_orphans", an_init_passes_signals_on_and_takes_orphans),
        ("an_init_leaves_the_terminal_to_the_program", an_init_leaves_the_terminal_to_the_program),
        ("own_executable_is_out_of_reach", own_executable_is_out_of_reach),
    ]
}

fn exit_codes(place: &Place) {
    for code in [0, 1, 42, 255] {
        assert_eq!(place.sh(&format!("exit {code}")).run().unwrap().exit, Exit::Code(code));
    }
}

/// The kernel spares pid 1 the signals it sends itself; those from outside need a handler or are final.
fn signals(place: &Place) {
    let step = place.sh("trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done");
    let (running, reader) = step.start().unwrap();
    let mut reader = BufReader::new(fs::File::from(reader));
    reader.read_line(&mut String::new()).unwrap();
    running.killer().signal(libc::SIGTERM);
    assert_eq!(running.wait().unwrap(), Exit::Code(9));
}

fn programs_that_cannot_run(place: &Place) {
    let layer = place.fresh();
    fs::write(layer.join("text"), "no program").unwrap();
    fs::create_dir(layer.join("dir")).unwrap();
    fs::write(layer.join("lost"), "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(layer.join("lost"), fs::Permissions::from_mode(0o755)).unwrap();
    let cases =
        [("nosuch", 127), ("/no/such", 127), ("/text", 126), ("/dir", 126), ("/lost", 127), ("", 127)];
    for (program, code) in cases {
        let error = place.step_on(vec![place.base.clone(), layer.clone()], &[program]).fails();
        assert_eq!((error.stage(), error.exit_code()), (Some(Stage::Exec), code), "{program}: {error}");
        assert!(error.to_string().starts_with(&format!("exec {program:?}: ")), "{error}");
    }
}

fn killer(place: &Place) {
    let (running, _reader) = place.sh("sleep 1000").start().unwrap();
    let killer = running.killer();
    let thread = std::thread::spawn(move || killer.kill());
    assert_eq!(running.wait().unwrap(), Exit::Signal(libc::SIGKILL));
    thread.join().unwrap();
}

/// Processes that have `word` among their arguments.
fn processes_with(word: &str) -> usize {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok())
        .filter(|line| line.split(|byte| *byte == 0).any(|arg| arg == word.as_bytes()))
        .count()
}

fn drop_kills(place: &Place) {
    let (running, _reader) = place.sh("sleep 98765 & sleep 98765").start().unwrap();
    let killer = running.killer();
    eventually("both sleep", || processes_with("98765") == 2);
    drop(running);
    assert_eq!(processes_with("98765"), 0);
    killer.kill();
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn background_processes_end(place: &Place) {
    let done = place.sh("sleep 98766 & echo started").run().unwrap();
    assert_eq!((done.exit, done.out.as_str()), (Exit::Code(0), "started\n"));
    assert_eq!(processes_with("98766"), 0);
}

/// Nobody but the step holds its output open.
fn output_ends_with_the_step(place: &Place) {
    let (running, reader) = place.sh("exec >/dev/null 2>&1; sleep 1000").start().unwrap();
    let mut out = Vec::new();
    fs::File::from(reader).read_to_end(&mut out).unwrap();
    assert!(out.is_empty());
    drop(running);
}

fn terminal(place: &Place) {
    let step = place
        .sh("tty; stty size; [ -c /dev/console ] && echo console; echo x > /dev/tty; sleep 0.1")
        .with(|spec| {
            spec.terminal = Terminal::New { rows: 33, columns: 77 };
        });
    let (mut running, _reader) = step.start().unwrap();
    let mut screen = fs::File::from(running.take_terminal().unwrap());
    let mut out = Vec::new();
    let mut buffer = [0; 1024];
    // The end of a terminal is an error.
    while let Ok(count @ 1..) = screen.read(&mut buffer) {
        out.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(running.wait().unwrap(), Exit::Code(0));
    assert_eq!(lines(&String::from_utf8(out).unwrap()), ["/dev/pts/0", "33 77", "console", "x"]);
}

/// A user at a terminal types a line, and the window changes its size.
fn relayed_terminal(place: &Place) {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
    let step = place
        .sh("read line; echo got $line; while [ \"$(stty size)\" != '50 60' ]; do sleep 0.1; done; exit 4")
        .with(|spec| {
            spec.terminal = Terminal::New { rows: 24, columns: 80 };
        });
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let keyboard = openpt(flags).unwrap();
    unlockpt(&keyboard).unwrap();
    let user = ioctl_tiocgptpeer(&keyboard, flags).unwrap();
    let before = tcgetattr(&user).unwrap().local_modes;
    let (mut running, _reader) = step.start().unwrap();
    let screen = running.take_terminal().unwrap();
    std::thread::scope(|scope| {
        let relay = scope.spawn(|| runtime_exec::relay_terminal(screen, user.as_fd(), user.as_fd()));
        let mut keyboard = BufReader::new(fs::File::from(keyboard.try_clone().unwrap()));
        rustix::io::write(keyboard.get_ref(), b"hello\r").unwrap();
        let mut seen = String::new();
        while !seen.contains("got hello") {
            keyboard.read_line(&mut seen).unwrap();
        }
        tcsetwinsize(keyboard.get_ref(), Winsize { ws_row: 50, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 })
            .unwrap();
        relay.join().unwrap().unwrap();
    });
    assert_eq!(running.wait().unwrap(), Exit::Code(4));
    assert_eq!(tcgetattr(&user).unwrap().local_modes, before);
}

/// What the process does that is killed below.
pub fn sacrifice(dir: &Path) -> usize {
    let host = Host::enter(&HostOptions::default()).unwrap();
    let place = Place::new(dir, host);
    let (running, reader) = place.sh("echo ready; sleep 98767 & sleep 98767").start().unwrap();
    let mut line = String::new();
    BufReader::new(fs::File::from(reader)).read_line(&mut line).unwrap();
    println!("{}", line.trim());
    running.wait().unwrap();
    1
}

fn nothing_is_left_when_the_parent_is_killed(place: &Place) {
    let dir = place.fresh();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .arg("sacrifice")
        .arg(&dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = parent.id();
    let mut line = String::new();
    BufReader::new(parent.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "ready");
    eventually("both sleep", || processes_with("98767") == 2);
    let descendants = children_of(pid);
    assert_eq!(descendants.len(), 2, "the helper and the keeper: {descendants:?}");
    assert!(
        descendants.iter().all(|pid| session_of(*pid) == *pid),
        "the terminal's signals do not reach them"
    );
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the step is gone", || processes_with("98767") == 0);
    eventually("helper and keeper are gone", || descendants.iter().all(|pid| gone(*pid)));
    assert_eq!(mounts_naming(dir.to_str().unwrap()), 0);
    // Every mount of it is gone when its work directory can be removed.
    fs::remove_dir_all(&dir).unwrap();
}

fn children_of(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

fn session_of(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().parse().unwrap()
}

/// Gone, or a zombie that whoever inherited it has not collected yet.
fn gone(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

fn mounts_naming(word: &str) -> usize {
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().filter(|line| line.contains(word)).count()
}

fn nothing_is_left_mounted(place: &Place) {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    place.says("true");
    place.step(&["nosuch"]).fails();
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

/// While a step is set up its executable is ours; a program that is that link finds it on a
/// read-only mount.
/// A step below an init.
fn below_init(place: &Place, args: &[&str]) -> Step {
    place.step(args).with(|spec| spec.first_process = FirstProcess::Init)
}

fn an_init_starts_the_program(place: &Place) {
    let step = below_init(
        place,
        &["sh", "-c", "cat /proc/1/comm; echo $PPID; id -u; ls /proc/1/fd | wc -l; exit 7"],
    );
    let step = step.with(|spec| spec.user = StepUser { uid: 5, gid: 6, groups: Vec::new() });
    let done = step.run().unwrap();
    assert_eq!(done.exit, Exit::Code(7), "{}", done.out);
    assert!(done.out.starts_with("rbuild-init\n1\n5\n"), "{}", done.out);
    let error = below_init(place, &["/no/such"]).fails();
    assert_eq!((error.stage(), error.exit_code()), (Some(Stage::Exec), 127), "{error}");
}

fn an_init_passes_signals_on_and_takes_orphans(place: &Place) {
    // As process 1 `sleep` would not hear of it.
    let (running, _reader) = below_init(place, &["sleep", "1000"]).start().unwrap();
    running.killer().signal(libc::SIGTERM);
    assert_eq!(running.wait().unwrap(), Exit::Code(143));
    let script = "pid=$(sh -c 'sleep 0.1 >/dev/null 2>&1 & echo $!'); \
        n=0; while [ -e /proc/$pid ]; do n=$((n+1)); [ $n = 200 ] && exit 1; sleep 0.1; done; sleep 98767 & echo done";
    assert_eq!(below_init(place, &["sh", "-c", script]).output(), "done\n");
    assert_eq!(processes_with("98767"), 0);
}

fn an_init_leaves_the_terminal_to_the_program(place: &Place) {
    let step = below_init(place, &["sh", "-c", "echo ready; exec sleep 1000"]);
    let step = step.with(|spec| spec.terminal = Terminal::New { rows: 24, columns: 80 });
    let (mut running, _reader) = step.start().unwrap();
    let screen = fs::File::from(running.take_terminal().unwrap());
    BufReader::new(screen.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
    rustix::io::write(&screen, b"\x03").unwrap();
    assert_eq!(running.wait().unwrap(), Exit::Code(130));
}

fn own_executable_is_out_of_reach(place: &Place) {
    let layer = place.fresh();
    fs::write(layer.join("script"), "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(layer.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    let libraries = ["/lib", "/lib64"].into_iter().filter(|dir| Path::new(dir).exists());
    let mounts: Vec<_> = libraries
        .map(|dir| MountSpec {
            target: dir.to_owned(),
            source: MountSource::Directory(dir.into()),
            read_only: ReadOnly::Yes,
        })
        .collect();
    for program in ["/script", "/proc/self/exe"] {
        let step = place.step_on(vec![place.base.clone(), layer.clone()], &[program, "looks-at-itself"]);
        let step = step.with(|spec| spec.mounts = mounts.clone());
        assert_eq!(step.output(), "read-only: true\n", "{program}");
    }
}

/// What our executable does when a step runs it.
pub fn look_at_itself() -> usize {
    let found = rustix::fs::statvfs("/proc/self/exe").unwrap();
    println!("read-only: {}", found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    0
}
