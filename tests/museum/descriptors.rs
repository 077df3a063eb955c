//! Descriptors that lead out: those that were left open, working directories through them, the terminal,
//! and our own executable.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use defence::Defence;
use runtime_exec::{Exit, FirstProcess, MountSource, MountSpec, ReadOnly, StepIo, Terminal, spawn};
use rustix::fs::{Mode as Bits, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::exhibit::{Exhibit, Loot, stolen, treasury};
use crate::modes::Mode;
use crate::support::{Place, Step};

pub const EXHIBITS: &[Exhibit] = &[
    Exhibit::entered(
        "descriptor-left-open",
        &[Defence::InheritedClosed, Defence::OthersClosedOnExec],
        &Mode::ALL,
        descriptor_left_open,
    ),
    Exhibit::entered(
        "workdir-through-descriptor",
        &[Defence::InheritedClosed, Defence::WorkDirByDescriptor, Defence::WorkDirInside],
        &Mode::ALL,
        |place| workdir(place, |fd| format!("/proc/self/fd/{fd}")),
    ),
    Exhibit::entered(
        "workdir-through-link-to-descriptor",
        &[Defence::InheritedClosed, Defence::WorkDirByDescriptor, Defence::WorkDirInside],
        &Mode::ALL,
        |place| workdir(place, |_| "/way".to_owned()),
    ),
    Exhibit::entered(
        "directory-as-descriptor-0",
        &[Defence::NoDirectoryAsStdio],
        &Mode::ALL,
        directory_as_descriptor_0,
    ),
    Exhibit::entered("console-planted", &[Defence::ConsoleNew], &Mode::ALL, console_planted),
    Exhibit::entered("own-executable", &[Defence::ExecutableReadOnly], &Mode::ALL, own_executable),
    Exhibit::entered("into-the-init", &[Defence::InitHidden], &Mode::ALL, into_the_init),
];

/// A directory of the host, open in this process and in all that it starts.
fn leak(place: &Place) -> OwnedFd {
    rustix::fs::open(treasury(place), OFlags::RDONLY | OFlags::DIRECTORY, Bits::empty()).unwrap()
}

/// What a step said; nothing where it did not start.
pub fn said(step: &Step) -> String {
    step.run().map_or_else(|_| String::new(), |done| done.out)
}

fn descriptor_left_open(place: &Place) -> Loot {
    let fd = leak(place);
    stolen(&said(&place.sh(&format!("cat /proc/self/fd/{}/canary", fd.as_raw_fd()))))
}

fn workdir(place: &Place, way: impl Fn(i32) -> String) -> Loot {
    let fd = leak(place);
    let layer = place.fresh();
    symlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), layer.join("way")).unwrap();
    let step = place.step_on(vec![place.base.clone(), layer], &["/bin/cat", "canary"]);
    stolen(&said(&step.with(|spec| spec.cwd = way(fd.as_raw_fd()))))
}

fn directory_as_descriptor_0(place: &Place) -> Loot {
    let dir = File::open(treasury(place)).unwrap();
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let step = place.sh("cat /proc/self/fd/0/canary");
    let io = StepIo { stdin: Some(dir.into()), stderr: writer.try_clone().unwrap(), stdout: writer };
    let running = spawn(&step.spec, io).ok()?;
    let mut said = String::new();
    File::from(reader).read_to_string(&mut said).unwrap();
    running.wait().unwrap();
    stolen(&said)
}

/// The place of the terminal is a link to a file of the host.
fn console_planted(place: &Place) -> Loot {
    let (dir, dev) = (place.fresh(), place.fresh());
    let target = dir.join("made");
    symlink(&target, dev.join("console")).unwrap();
    let step = place.step(&["true"]).with(|spec| {
        let source = MountSource::Directory(dev);
        spec.mounts = vec![MountSpec { target: "/dev".to_owned(), source, read_only: ReadOnly::No }];
        spec.terminal = Terminal::New { rows: 24, columns: 80 };
    });
    let (running, _reader) = match step.start() {
        Ok(started) => started,
        Err(_) => return target.exists().then(|| "made a file of the host".to_owned()),
    };
    running.wait().unwrap();
    target.exists().then(|| "made a file of the host".to_owned())
}

/// A program that is the link to the running executable finds ours.
fn own_executable(place: &Place) -> Loot {
    let layer = place.fresh();
    fs::write(layer.join("script"), "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(layer.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    let mounts: Vec<MountSpec> = ["/lib", "/lib64"]
        .into_iter()
        .filter(|dir| Path::new(dir).exists())
        .map(|dir| MountSpec {
            target: dir.to_owned(),
            source: MountSource::Directory(dir.into()),
            read_only: ReadOnly::Yes,
        })
        .collect();
    for program in ["/script", "/proc/self/exe"] {
        let step = place.step_on(vec![place.base.clone(), layer.clone()], &[program, "looks-at-itself"]);
        let done = step.with(|spec| spec.mounts = mounts.clone()).run().unwrap();
        assert_eq!(done.exit, Exit::Code(0), "{}", done.out);
        if done.out != "read-only: true\n" {
            return Some(done.out);
        }
    }
    None
}

/// Process 1 is ours where an init is asked for.
fn into_the_init(place: &Place) -> Loot {
    let step = place.sh("head -c 4 /proc/1/exe; head -n 1 /proc/1/maps; cat /proc/1/environ");
    let done = step.with(|spec| spec.first_process = FirstProcess::Init).run().unwrap();
    done.out.contains("ELF").then_some(done.out)
}

/// What our executable does when a step runs it.
pub fn look_at_itself() -> usize {
    let found = rustix::fs::statvfs("/proc/self/exe").unwrap();
    println!("read-only: {}", found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    0
}
