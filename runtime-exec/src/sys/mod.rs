//! System calls that rustix lacks. The only place with `unsafe` code; every function here is safe to call.
#![allow(unsafe_code)]

pub(crate) mod clone;
pub(crate) mod exec;
pub(crate) mod memory;
pub(crate) mod mount_attr;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod seccomp;
pub(crate) mod status;
