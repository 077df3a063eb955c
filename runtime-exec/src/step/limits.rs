//! Host name, loopback, resource limits, keyring.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Resource as Kernel, setrlimit};

use super::At;
use crate::error::{Failure, Stage};
use crate::spec::{ProcessSpec, Resource};
use crate::sys;

/// Names the machine, and leaves the user's keys behind.
pub(super) fn names(spec: &ProcessSpec) -> Result<(), Failure> {
    rustix::system::sethostname(spec.hostname.as_bytes()).at(Stage::Limits, &spec.hostname)?;
    rustix::system::setdomainname(b"").at(Stage::Limits, "domain name")?;
    // A kernel without keys has none to keep apart.
    let _ = sys::process::new_session_keyring();
    Ok(())
}

/// Limits resources; late, since setting up takes some of them itself.
pub(super) fn resources(spec: &ProcessSpec) -> Result<(), Failure> {
    for limit in &spec.rlimits {
        let value = rustix::process::Rlimit { current: limit.soft, maximum: limit.hard };
        set(limit.resource, value).at(Stage::Limits, &format!("{:?}", limit.resource).to_lowercase())?;
    }
    Ok(())
}

/// Switches loopback on.
pub(crate) fn loopback() -> std::io::Result<()> {
    use std::os::fd::AsFd;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sys::process::loopback_up(socket.as_fd())
}

fn set(resource: Resource, value: rustix::process::Rlimit) -> std::io::Result<()> {
    let kernel = match resource {
        Resource::Core => Kernel::Core,
        Resource::Cpu => Kernel::Cpu,
        Resource::Data => Kernel::Data,
        Resource::Fsize => Kernel::Fsize,
        Resource::Locks => Kernel::Locks,
        Resource::Memlock => Kernel::Memlock,
        Resource::Msgqueue => Kernel::Msgqueue,
        Resource::Nice => Kernel::Nice,
        Resource::Nofile => Kernel::Nofile,
        Resource::Nproc => Kernel::Nproc,
        Resource::Rss => Kernel::Rss,
        Resource::Rtprio => Kernel::Rtprio,
        Resource::Rttime => Kernel::Rttime,
        Resource::Sigpending => Kernel::Sigpending,
        Resource::Stack => Kernel::Stack,
        Resource::As => Kernel::As,
    };
    Ok(setrlimit(kernel, value)?)
}
