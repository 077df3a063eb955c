//! What root of a step may do.

use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

/// A set of capabilities, changed by the names that docker gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities(u64);

/// A capability has a name that is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {0:?}")]
pub struct UnknownCapability(pub String);

const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

impl Capabilities {
    /// Docker's default fourteen.
    pub const DEFAULT: Capabilities = Capabilities(DEFAULT.bits());

    /// This set with `added` and without `dropped`, each a name with or without `CAP_`, or `ALL`. As
    /// with docker, what is named beside an `ALL` of the other list wins over it.
    pub fn changed(self, added: &[String], dropped: &[String]) -> Result<Capabilities, UnknownCapability> {
        let (add, all) = union(added)?;
        let (drop, none) = union(dropped)?;
        Ok(Capabilities(match (all, none) {
            (false, false) => (self.0 | add) & !drop,
            (true, false) => CapabilitySet::all().bits() & !drop,
            (false, true) => add,
            (true, true) => 0,
        }))
    }

    pub(crate) fn set(self) -> CapabilitySet {
        CapabilitySet::from_bits_retain(self.0)
    }
}

/// The named ones, and whether `ALL` is among the names.
fn union(names: &[String]) -> Result<(u64, bool), UnknownCapability> {
    let (mut bits, mut all) = (0, false);
    for name in names {
        let upper = name.to_uppercase();
        if upper == "ALL" {
            all = true;
            continue;
        }
        let known = CapabilitySet::from_name(upper.strip_prefix("CAP_").unwrap_or(&upper));
        bits |= known.ok_or_else(|| UnknownCapability(name.clone()))?.bits();
    }
    Ok((bits, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(added: &[&str], dropped: &[&str]) -> Result<u64, UnknownCapability> {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Capabilities::DEFAULT.changed(&names(added), &names(dropped)).map(|set| set.0)
    }

    #[test]
    fn names_as_docker_takes_them() {
        let default = 0xa804_25fb;
        let (net_admin, chown) = (1 << 12, 1);
        assert_eq!(change(&[], &[]), Ok(default));
        assert_eq!(change(&["NET_ADMIN"], &["cap_chown"]), Ok((default | net_admin) & !chown));
        assert_eq!(change(&["CAP_NET_ADMIN"], &["ALL"]), Ok(net_admin));
        assert_eq!(change(&["all"], &["CHOWN"]).map(|bits| bits & (net_admin | chown)), Ok(net_admin));
        assert_eq!(change(&["NO_SUCH"], &[]), Err(UnknownCapability("NO_SUCH".into())));
    }
}
