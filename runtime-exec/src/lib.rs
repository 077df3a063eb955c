//! Processes in sandboxes.
//!
//! A process that wants sandboxes calls [`become_child_if_asked`] first and [`Host::enter`] next,
//! while it has one thread. Then [`spawn`] starts a *step*: this executable runs again as the
//! *keeper*, single-threaded, which mounts the root file system, forks the step into new namespaces
//! and watches over it. The step is pid 1 of its sandbox. Two things end it: its own end, and the
//! end of the connection to the process that wanted it, however that came about.
//!
//! Invariants:
//! - Nothing is forked from a process that has threads.
//! - Every mount of a sandbox hangs in the step's mount namespace, or on a descriptor of the keeper:
//!   when these two processes are gone, nothing is left.
//! - Every path inside a root is resolved with that root as the end of the world.
//! - Only descriptors 0 to 2 enter a sandbox.
//! - `unsafe` stands in `sys` only.
//!
//! Not here: layers and images (a root is a list of directories), user names (numbers only);
//! networks other than none, the host's, and one that `pasta` connects.
//!
//! Needs Linux 5.12; 5.19 for ordinary users without subordinate ids, to whom `emulation` gives the
//! users that a step wants.

mod capabilities;
mod channel;
mod emulation;
mod error;
mod gateway;
mod host;
mod keeper;
mod keepers;
mod limits;
mod mounted;
mod overlay;
mod reexec;
mod relay;
mod running;
mod seccomp;
mod security;
mod spec;
mod step;
mod survey;
mod sys;

pub use capabilities::{Capabilities, UnknownCapability};
pub use emulation::KeptNode;
pub use error::{
    Failure, HostError, MountError, OutsideError, SpawnError, Stage, UnknownResource, WaitError,
};
pub use gateway::{Gateway, default_gateway};
pub use host::{
    Host, HostMode, HostOptions, IdMapping, IdRange, Mounts, OutsideCommand, OutsideHelper, OutsideOutput,
};
pub use keepers::{Keepers, spawn};
pub use limits::{CpuTime, DeviceRate, Limits, Swap};
pub use mounted::{MountedAt, Presence, mount_stack, unmount};
pub use overlay::OverlaySupport;
pub use reexec::become_child_if_asked;
pub use relay::relay_terminal;
pub use running::{Exit, Killer, Running, StepIo};
pub use seccomp::profile::{ProfileError, SystemCallFilter};
pub use security::{OpenPaths, SecurityOptions, SystemCalls, SystemPaths};
pub use spec::{
    Confinement, DEFAULT_PATH, DEFAULT_SHM_SIZE, DNS_RELAY, EtcFiles, FirstProcess, Identities, Isolation,
    MountSource, MountSpec, NetworkMode, ProcessSpec, Protocol, PublishedPort, ReadOnly, Resource, Rlimit,
    Root, StepUser, Terminal,
};
pub use survey::{
    Asker, Diagnosis, Emulator, Finding, Lookup, Refusal, Severity, StorePlace, Surroundings, Survey, Topic,
    Trial, registered_emulators,
};
