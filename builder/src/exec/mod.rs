//! Processes: from an [`ExecOp`](graph::ExecOp) and the trees it stands on to a sandbox and a layer.
//!
//! - `user`, `environment`, `etc`: pure pieces of what a step sees;
//! - `mounts`: what is mounted, and what has to stay alive as long as it is (`caches`, `agent`);
//! - `prepare`: all of it as one [`ProcessSpec`](runtime_exec::ProcessSpec);
//! - `sandboxed`: starting it, reading what it writes, killing it when nobody waits any more.
//!
//! Invariants: a step that failed leaves no layer; secrets are never written to disk; the upper
//! directory is not touched before the sandbox is gone.

pub(crate) mod agent;
mod caches;
pub mod cdi;
mod environment;
mod error;
mod etc;
mod full;
mod identities;
mod idle;
mod isolation;
mod kill;
mod mounts;
mod prepare;
mod pump;
mod remark;
mod resources;
mod run;
mod sandboxed;
mod snapshotter;
mod tail;
mod user;

pub use environment::{
    DEFAULT_PATH, set as set_variable, set_default as set_default_variable, split as split_environment,
};
pub use error::ExecError;
pub use etc::{DEFAULT_HOSTNAME, hosts, resolv_conf};
pub(crate) use identities::identities;
pub use isolation::StepIsolation;
pub(crate) use isolation::{check_hostname, check_process};
pub(crate) use kill::{KillSwitch, Wire};
pub(crate) use prepare::{account, prepare};
pub use remark::Remark;
pub use resources::StepResources;
pub use run::{FailedExec, run_exec};
pub use snapshotter::{Snapshotter, WhyCopies};
pub(crate) use snapshotter::{root_of, writable};
pub use user::{ResolvedUser, UserError, resolve as resolve_user};
