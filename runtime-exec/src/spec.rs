//! What a process in a sandbox is made of: plain values, serialised for the keeper.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::capabilities::Capabilities;
use crate::emulation::KeptNode;
use crate::error::UnknownResource;
use crate::gateway::Gateway;
use crate::limits::Limits;
use crate::security::SecurityOptions;

/// Size of `/dev/shm` where nothing else is said: 64 MiB.
pub const DEFAULT_SHM_SIZE: u64 = 64 << 20;

/// Where a step in a private network reaches the host's resolver.
pub const DNS_RELAY: std::net::Ipv4Addr = std::net::Ipv4Addr::new(169, 254, 1, 1);

/// `PATH` for a step whose environment has none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process to run in a sandbox of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// The root file system.
    pub root: Root,
    /// Program and arguments; never empty. A program without a slash is looked up in `PATH` of `env`.
    pub args: Vec<String>,
    /// The whole environment, in order; where a name repeats, the last entry wins.
    pub env: Vec<(String, String)>,
    /// Working directory, absolute; made 0755 for the step's user when absent, and kept.
    pub cwd: String,
    /// Who the step runs as.
    pub user: StepUser,
    /// Host name inside.
    pub hostname: String,
    /// Mounts besides the standard ones, in the order in which they are made.
    pub mounts: Vec<MountSpec>,
    /// The network.
    pub network: NetworkMode,
    /// Whether a private network reaches the host.
    pub gateway: Gateway,
    /// Ports of the host that lead into a private network.
    pub ports: Vec<PublishedPort>,
    /// How far the step is confined.
    pub confinement: Confinement,
    /// Changes to the default confinement.
    pub security: SecurityOptions,
    /// Files mounted over the image's own.
    pub etc: EtcFiles,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Resource limits; what is not named is inherited.
    pub rlimits: Vec<Rlimit>,
    /// `true`: set-user-id programs gain nothing.
    pub no_new_privs: bool,
    /// What it may use of the machine.
    pub limits: Limits,
    /// What a step may do that is confined by [`Confinement::Default`].
    pub capabilities: Capabilities,
    /// Whether the root file system may be written; its mounts say so for themselves.
    pub root_access: ReadOnly,
    /// Whether the step gets a terminal of its own.
    pub terminal: Terminal,
    /// Who the users of the step are.
    pub identities: Identities,
    /// What keeps it apart.
    pub isolation: Isolation,
    /// Who is process 1.
    pub first_process: FirstProcess,
}

impl ProcessSpec {
    /// A step that runs `args` upon `root` as root, with defaults for everything else.
    pub fn new(root: Root, args: Vec<String>) -> ProcessSpec {
        ProcessSpec {
            root,
            args,
            env: Vec::new(),
            cwd: "/".to_owned(),
            user: StepUser::default(),
            hostname: "buildkitsandbox".to_owned(),
            mounts: Vec::new(),
            network: NetworkMode::None,
            gateway: Gateway::Hidden,
            ports: Vec::new(),
            confinement: Confinement::Default,
            security: SecurityOptions::default(),
            etc: EtcFiles::default(),
            shm_size: DEFAULT_SHM_SIZE,
            rlimits: Vec::new(),
            no_new_privs: false,
            limits: Limits::default(),
            capabilities: Capabilities::DEFAULT,
            root_access: ReadOnly::No,
            terminal: Terminal::None,
            identities: Identities::Kernel,
            isolation: Isolation::Namespaces,
            first_process: FirstProcess::Program,
        }
    }
}

/// What keeps a step apart from the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Namespaces of its own.
    #[default]
    Namespaces,
    /// A root directory of its own, and nothing else: it shares processes, network, host name and devices with
    /// the machine, has no `/proc`, and can leave its root directory. The root has to be a [`Root::Directory`]
    /// whose parent directory is the step's own, too. For where no namespace can be had.
    Chroot,
}

/// Process 1 of a sandbox: the kernel spares it the signals that it does not handle, and gives it the processes
/// whose parents are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstProcess {
    /// The program itself.
    #[default]
    Program,
    /// One that passes signals on to the program, takes the ends of orphans, and ends with the program and its code;
    /// where a signal ended the program, with 128 and the signal's number.
    Init,
}

/// Who the users of a step are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identities {
    /// Users and groups of the user namespace.
    Kernel,
    /// The namespace has one id; all others exist in the eyes of the step and in records.
    Emulated {
        /// Records of files of the root file system that cannot carry them.
        kept: Vec<KeptNode>,
        /// Where such records of the files that the step wrote go, as lines like those of a layer.
        report: Option<PathBuf>,
    },
}

/// Where the root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// Directories stacked with overlayfs. Without any lower directory `upper` itself is the root.
    Overlay {
        /// Read-only directories, bottom first.
        lower: Vec<PathBuf>,
        /// Directory that takes the changes.
        upper: PathBuf,
        /// Empty directory on the file system of `upper`, used once.
        work: PathBuf,
    },
    /// A directory as it is; changes go into it.
    Directory(PathBuf),
}

/// Numeric user of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUser {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups inside.
    pub groups: Vec<u32>,
}

/// Something mounted inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// Absolute path, resolved inside the root; made when absent and removed afterwards if untouched.
    pub target: String,
    /// What is mounted there.
    pub source: MountSource,
    /// Whether the step may write.
    pub read_only: ReadOnly,
}

/// Whether a mount may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadOnly {
    /// It may not.
    Yes,
    /// It may.
    No,
}

/// The kinds of mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A directory or file of the host, with what is mounted below it.
    Directory(PathBuf),
    /// A part of another stack of directories.
    Overlay {
        /// Read-only directories, bottom first.
        lower: Vec<PathBuf>,
        /// Directory or file, resolved inside that stack: links cannot lead out of it.
        subpath: String,
        /// Upper and work directory for what the step writes; without them the mount is read-only.
        scratch: Option<(PathBuf, PathBuf)>,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Bound in bytes.
        size: Option<u64>,
    },
    /// A file with this content, in memory only.
    Content {
        /// The content.
        bytes: Vec<u8>,
        /// Permission bits.
        mode: u32,
        /// Owner inside.
        uid: u32,
        /// Group inside.
        gid: u32,
    },
    /// A socket of the host.
    Socket(PathBuf),
}

/// The network of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// A network namespace with nothing but loopback.
    None,
    /// The network that this process has.
    Host,
    /// A network namespace whose traffic `pasta` (package passt) carries out through sockets of the
    /// host: other machines are reached, the host's loopback is not. Questions to [`DNS_RELAY`] go to
    /// the first resolver of the host's `/etc/resolv.conf`, also where that is a loopback address.
    Private,
}

/// A port of the host that leads to one of a private network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// Address of the host; `None`: all of them.
    pub address: Option<std::net::IpAddr>,
    /// Port of the host.
    pub host: u16,
    /// Port inside.
    pub inside: u16,
    /// What is passed on.
    pub protocol: Protocol,
}

/// What a port is one of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// How far a step is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confinement {
    /// The capabilities, system call filter and masked paths of Docker's defaults.
    Default,
    /// Every capability this process has, no filter, nothing masked.
    Insecure,
}

/// Files mounted read-only over the image's own, never written to the layer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcFiles {
    /// `/etc/hosts`.
    pub hosts: Option<Vec<u8>>,
    /// `/etc/resolv.conf`.
    pub resolv_conf: Option<Vec<u8>>,
}

/// A resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// What is limited.
    pub resource: Resource,
    /// The limit in force; `None` is unlimited.
    pub soft: Option<u64>,
    /// How far the step may raise it; `None` is unlimited.
    pub hard: Option<u64>,
}

/// The resources that can be limited, by the names docker gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Resource {
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
    As,
}

impl FromStr for Resource {
    type Err = UnknownResource;

    fn from_str(name: &str) -> Result<Resource, UnknownResource> {
        Ok(match name {
            "core" => Resource::Core,
            "cpu" => Resource::Cpu,
            "data" => Resource::Data,
            "fsize" => Resource::Fsize,
            "locks" => Resource::Locks,
            "memlock" => Resource::Memlock,
            "msgqueue" => Resource::Msgqueue,
            "nice" => Resource::Nice,
            "nofile" => Resource::Nofile,
            "nproc" => Resource::Nproc,
            "rss" => Resource::Rss,
            "rtprio" => Resource::Rtprio,
            "rttime" => Resource::Rttime,
            "sigpending" => Resource::Sigpending,
            "stack" => Resource::Stack,
            "as" => Resource::As,
            _ => return Err(UnknownResource(name.to_owned())),
        })
    }
}

/// Whether a step gets a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Terminal {
    /// Its descriptors 0 to 2 are those of [`StepIo`](crate::StepIo).
    None,
    /// A new pseudo terminal of the sandbox is its controlling terminal and its descriptors 0 to 2;
    /// the other side is [`Running::take_terminal`](crate::Running::take_terminal).
    New {
        /// Height in characters.
        rows: u16,
        /// Width in characters.
        columns: u16,
    },
}
