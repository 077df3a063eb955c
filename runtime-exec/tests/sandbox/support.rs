//! A root file system of busybox, and steps upon it.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use runtime_exec::{Exit, Host, HostMode, Identities, ProcessSpec, Root, Running, SpawnError, StepIo, spawn};

pub type Case = (&'static str, fn(&Place));

/// Where the tests of one mode happen.
pub struct Place {
    pub dir: PathBuf,
    pub base: PathBuf,
    pub host: Host,
    next: AtomicU32,
}

/// What a step printed, and how it ended.
pub struct Done {
    pub exit: Exit,
    pub out: String,
}

/// One step's own directories.
pub struct Step {
    pub spec: ProcessSpec,
    pub upper: PathBuf,
}

impl Place {
    pub fn new(dir: &Path, host: Host) -> Place {
        let base = dir.join("base");
        busybox(&base);
        Place { dir: dir.to_owned(), base, host, next: AtomicU32::new(0) }
    }

    /// A new empty directory.
    pub fn fresh(&self) -> PathBuf {
        let dir = self.dir.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&dir).unwrap();
        dir
    }

    /// A script upon busybox.
    pub fn sh(&self, script: &str) -> Step {
        self.step(&["sh", "-c", script])
    }

    pub fn step(&self, args: &[&str]) -> Step {
        self.step_on(vec![self.base.clone()], args)
    }

    pub fn step_on(&self, lower: Vec<PathBuf>, args: &[&str]) -> Step {
        let dir = self.fresh();
        let (upper, work) = (dir.join("upper"), dir.join("work"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let root = Root::Overlay { lower, upper: upper.clone(), work };
        let mut spec = ProcessSpec::new(root, args.iter().map(|arg| (*arg).to_owned()).collect());
        spec.env = vec![("PATH".to_owned(), "/bin".to_owned())];
        spec.identities = match self.host.mode() {
            HostMode::Root | HostMode::Mapped => Identities::Kernel,
            HostMode::SingleId => Identities::Emulated { kept: Vec::new(), report: Some(dir.join("attrs")) },
        };
        Step { spec, upper }
    }

    /// What a script prints; it has to succeed.
    pub fn says(&self, script: &str) -> String {
        self.sh(script).output()
    }
}

impl Step {
    pub fn with(mut self, change: impl FnOnce(&mut ProcessSpec)) -> Step {
        change(&mut self.spec);
        self
    }

    pub fn start(&self) -> Result<(Running, OwnedFd), SpawnError> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let stderr = writer.try_clone().unwrap();
        let running = spawn(&self.spec, StepIo { stdin: None, stdout: writer, stderr })?;
        Ok((running, reader))
    }

    pub fn run(&self) -> Result<Done, SpawnError> {
        let (running, reader) = self.start()?;
        let mut out = String::new();
        fs::File::from(reader).read_to_string(&mut out).unwrap();
        Ok(Done { exit: running.wait().unwrap(), out })
    }

    pub fn output(&self) -> String {
        let done = self.run().unwrap();
        assert_eq!(done.exit, Exit::Code(0), "{}", done.out);
        done.out
    }

    pub fn fails(&self) -> SpawnError {
        match self.run() {
            Ok(done) => panic!("it ran: {:?} {}", done.exit, done.out),
            Err(error) => error,
        }
    }

    /// Everything in the upper directory, sorted.
    pub fn changes(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.upper, &self.upper, &mut found);
        found.sort();
        found
    }
}

fn list(top: &Path, dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned());
        if path.symlink_metadata().unwrap().is_dir() {
            list(top, &path, found);
        }
    }
}

fn busybox(base: &Path) {
    for dir in ["", "dev", "proc", "sys", "bin", "etc", "tmp", "home"] {
        fs::create_dir(base.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", base.join("bin/busybox")).expect("busybox-static is installed");
    let applets = [
        "sh", "cat", "ls", "id", "mount", "stat", "hostname", "env", "sleep", "true", "touch", "mkdir", "rm",
        "echo", "readlink", "wc", "grep", "dd", "chmod", "mknod", "ip", "kill", "df", "head", "sort",
        "umount", "cut", "su", "tty", "stty", "printf", "ln", "pwd", "mv", "find", "ps", "chown", "trap",
        "test", "nc", "cmp", "tail", "tr", "unshare", "chroot", "mkfifo", "timeout", "nslookup",
    ];
    for applet in applets {
        symlink("busybox", base.join("bin").join(applet)).unwrap();
    }
    fs::write(base.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home:/bin/sh\n")
        .unwrap();
    fs::write(base.join("etc/hosts"), "of the image\n").unwrap();
}

/// Lines, trimmed.
pub fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}
