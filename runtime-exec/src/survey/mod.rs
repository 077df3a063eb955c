//! What this host offers to sandboxes: facts, found out by trying, and what follows from them.
//!
//! - `trials`: what the kernel lets a process do, tried in a process that ends with the trial;
//! - `files`: what files of the host say;
//! - `emulators`: what the kernel runs programs of other machines with;
//! - `diagnosis`: pure; which mode is used, what is missing, what to change.

mod diagnosis;
mod emulators;
mod files;
#[cfg(test)]
mod tests;
mod trials;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use diagnosis::{Diagnosis, Finding, Severity, Topic};
pub use emulators::{Emulator, Lookup, registered as registered_emulators};

use crate::error::HostError;
use crate::host::{Host, HostMode, HostOptions, may_chroot};
use crate::overlay::OverlaySupport;
use crate::spec::Isolation;
use crate::sys;

/// What was found out about a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Release of the kernel.
    pub kernel: String,
    /// Who asks.
    pub user: Asker,
    /// What confines this process already.
    pub around: Surroundings,
    /// A user namespace.
    pub user_namespace: Trial,
    /// The namespaces of a sandbox, by the flag of the call; in a user namespace unless the asker may mount.
    pub namespaces: Vec<(String, Trial)>,
    /// A `/proc` of a process namespace's own.
    pub proc: Trial,
    /// A file system in memory, put over the root.
    pub mount: Trial,
    /// A system call filter.
    pub filter: Trial,
    /// Landlock; what works is its version.
    pub landlock: Trial,
    /// Programs that write id maps: `newuidmap`, `newgidmap`, where installed.
    pub map_programs: Vec<(String, Option<PathBuf>)>,
    /// Ranges that `/etc/subuid` and `/etc/subgid` give to the user: first and count.
    pub subordinate: [Vec<(u32, u32)>; 2],
    /// What became of entering as commands do: the mode, or what was refused.
    pub entered: Result<HostMode, Refusal>,
    /// What is to keep steps apart.
    pub isolation: Isolation,
    /// Steps without namespaces.
    pub chroot: Trial,
    /// Overlayfs where the store is.
    pub overlay: Trial,
    /// Where the store is.
    pub store: StorePlace,
    /// Controllers of control groups, and whether groups with it can be made.
    pub controllers: Vec<(String, Trial)>,
    /// Where `pasta` is installed.
    pub pasta: Option<PathBuf>,
    /// Opening `/dev/net/tun`.
    pub tun: Trial,
    /// Opening `/dev/fuse`.
    pub fuse: Trial,
    /// What runs programs of other machines; `None`: the kernel's list is not mounted.
    pub emulators: Option<Vec<Emulator>>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// User id.
    pub uid: u32,
    /// Name in `/etc/passwd`, if it has one.
    pub name: Option<String>,
    /// Whether it has `CAP_SYS_ADMIN`.
    pub may_mount: bool,
    /// Whether it may map all its ids into a user namespace, without help.
    pub may_map: bool,
    /// Whether it is in a user namespace already.
    pub namespaced: bool,
}

/// What confines a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// A system call filter is installed.
    pub filtered: bool,
    /// Set-user-id programs gain nothing.
    pub no_new_privs: bool,
    /// The profile of a security module, unless it is `unconfined`.
    pub profile: Option<String>,
    /// Something is mounted over parts of `/proc`.
    pub masked_proc: bool,
    /// Settings of the kernel that refuse user namespaces, as `name = value`.
    pub settings: Vec<String>,
}

/// Where the store is, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorePlace {
    /// The nearest directory that is there.
    pub directory: PathBuf,
    /// Name of its file system.
    pub file_system: String,
    /// Bytes that may still be written.
    pub free: u64,
    /// Writing there.
    pub write: Trial,
}

/// What became of trying something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trial {
    /// It works; with what there is to say of it.
    Works(String),
    /// It was refused.
    Refused(Refusal),
    /// It could not be tried, since something before it was refused.
    Untried,
}

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The call, or the program, with what matters of its arguments.
    pub call: String,
    /// Number of the error; 0 where a program refused in words.
    pub errno: i32,
    /// What was said besides the number.
    pub words: String,
}

impl Trial {
    pub(crate) fn works() -> Trial {
        Trial::Works(String::new())
    }

    /// The result of a call.
    pub(crate) fn of<T>(call: &str, result: Result<T, impl Into<std::io::Error>>) -> Trial {
        match result {
            Ok(_) => Trial::works(),
            Err(error) => Trial::Refused(Refusal::new(call, &error.into())),
        }
    }
}

impl Refusal {
    fn new(call: &str, error: &std::io::Error) -> Refusal {
        let errno = error.raw_os_error().unwrap_or(0);
        let words = if errno == 0 { error.to_string() } else { String::new() };
        Refusal { call: call.to_owned(), errno, words }
    }
}

impl Survey {
    /// Looks at this host and tries things out, among them entering it, for a store at `root`.
    ///
    /// To be called instead of [`Host::enter`], before any thread is started. Nothing stays behind.
    pub fn take(root: &Path, options: &HostOptions) -> Survey {
        let user = files::asker();
        let around = files::surroundings();
        let user_namespace = trials::user_namespace();
        let tried = trials::run(&user);
        let subordinate = files::subordinate(&user);
        let controllers = files::controllers();
        let (tun, fuse) = (files::open_device("/dev/net/tun"), files::open_device("/dev/fuse"));
        let entered = Host::enter(options).map(|host| host.mode()).map_err(|error| refusal(&error));
        let (overlay, store) = at_store(root, entered.is_ok());
        Survey {
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            user,
            around,
            user_namespace,
            namespaces: tried.namespaces,
            proc: tried.proc,
            mount: tried.mount,
            filter: tried.filter,
            landlock: landlock(),
            map_programs: ["newuidmap", "newgidmap"]
                .map(|name| (name.to_owned(), files::program(name)))
                .to_vec(),
            subordinate,
            entered,
            isolation: options.isolation,
            chroot: match may_chroot() {
                Ok(()) => Trial::works(),
                Err(error) => Trial::Refused(refusal(&error)),
            },
            overlay,
            store,
            controllers,
            pasta: files::program("pasta"),
            tun,
            fuse,
            emulators: emulators::registered(),
        }
    }

    /// What follows.
    pub fn diagnose(&self) -> Diagnosis {
        diagnosis::diagnose(self)
    }
}

fn landlock() -> Trial {
    match sys::process::landlock_version() {
        Ok(version) => Trial::Works(format!("version {version}")),
        Err(error) => Trial::Refused(Refusal::new("landlock_create_ruleset", &error)),
    }
}

/// What lies at the place of the store, seen as commands will see it.
fn at_store(root: &Path, entered: bool) -> (Trial, StorePlace) {
    let place = files::store_place(root);
    if !entered || matches!(place.write, Trial::Refused(_)) {
        return (Trial::Untried, place);
    }
    let overlay = match Host::probe_overlay(&place.directory) {
        Ok(OverlaySupport::Works) => Trial::works(),
        Ok(OverlaySupport::Refused { what, errno, hint }) => {
            Trial::Refused(Refusal { call: what.to_owned(), errno, words: hint.to_owned() })
        }
        Err(error) => Trial::Refused(refusal(&error)),
    };
    (overlay, place)
}

/// Which call an error is about.
fn refusal(error: &HostError) -> Refusal {
    let (call, source) = match error {
        HostError::Helper(source) => ("execve(/proc/self/exe)".to_owned(), Some(source)),
        HostError::UserNamespace { source, .. } => ("unshare(CLONE_NEWUSER)".to_owned(), Some(source)),
        HostError::Chroot { call, source } => ((*call).to_owned(), Some(source)),
        HostError::MountNamespace(source) => ("unshare(CLONE_NEWNS)".to_owned(), Some(source)),
        HostError::MayNotMount => ("mount".to_owned(), None),
        HostError::Read { path, source } => (format!("open({})", path.display()), Some(source)),
        HostError::Probe { path, source } => (format!("mkdir({})", path.display()), Some(source)),
        HostError::NoMapProgram { program } => ((*program).to_owned(), None),
        HostError::MapRefused { program, .. } => (program.clone(), None),
    };
    let errno = source.and_then(|source| source.raw_os_error()).unwrap_or(0);
    Refusal { call, errno, words: error.to_string() }
}
