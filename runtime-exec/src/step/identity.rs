//! Who the step is, and what it may do.

use std::fs::OpenOptions;
use std::io::{self, Write};

use defence::Defence;
use rustix::fs::{Gid, PROC_SUPER_MAGIC, Uid, fstatfs};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::At;
use crate::error::{Failure, Stage};
use crate::spec::{Confinement, Identities, ProcessSpec};

/// Asks AppArmor to put the program into its profile.
pub(super) fn profile(spec: &ProcessSpec) -> Result<(), Failure> {
    let Some(name) = &spec.security.apparmor else { return Ok(()) };
    let write = |file: &str| write_to_kernel(file, format!("exec {name}").as_bytes());
    let written = write("/proc/self/attr/apparmor/exec").or_else(|_| write("/proc/self/attr/exec"));
    written.at(Stage::Identity, &format!("AppArmor profile {name}"))
}

/// Writes into a file of `/proc`; a mount of the step may lie over it, and would swallow the text.
fn write_to_kernel(path: &str, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    if fstatfs(&file)?.f_type != PROC_SUPER_MAGIC && defence::stands(Defence::ProcessFilesReal) {
        return Err(io::ErrorKind::NotFound.into());
    }
    file.write_all(text)
}

/// Gives up what the step may not have, and becomes its user.
pub(super) fn assume(spec: &ProcessSpec) -> Result<(), Failure> {
    let stage = Stage::Identity;
    let own = capabilities(None).at(stage, "capabilities")?.permitted;
    let granted = match spec.confinement {
        Confinement::Default if defence::stands(Defence::CapabilitiesBounded) => {
            own & spec.capabilities.set()
        }
        Confinement::Default | Confinement::Insecure => own,
    };
    bound(granted).at(stage, "bounding set")?;
    clear_ambient_capability_set().at(stage, "ambient set")?;
    set_keep_capabilities(spec.confinement == Confinement::Insecure).at(stage, "keep capabilities")?;
    match spec.identities {
        Identities::Kernel => become_user(spec)?,
        // The supervisor knows.
        Identities::Emulated { .. } => {}
    }
    let inheritable = match spec.confinement {
        Confinement::Default => CapabilitySet::empty(),
        Confinement::Insecure => granted,
    };
    // Another user than root has lost them, and cannot have them back.
    let left = capabilities(None).at(stage, "capabilities")?.permitted & granted;
    let sets = CapabilitySets { effective: left, permitted: left, inheritable };
    set_capabilities(None, sets).at(stage, "capabilities")?;
    for capability in inheritable.iter() {
        configure_capability_in_ambient_set(capability, true).at(stage, "ambient set")?;
    }
    if spec.no_new_privs {
        rustix::thread::set_no_new_privs(true).at(stage, "no_new_privs")?;
    }
    Ok(())
}

/// Removes all but `granted` from what programs can ever gain.
fn bound(granted: CapabilitySet) -> rustix::io::Result<()> {
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if granted.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // The kernel knows no more of them.
            Err(rustix::io::Errno::INVAL) => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}

fn become_user(spec: &ProcessSpec) -> Result<(), Failure> {
    let user = &spec.user;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    set_thread_groups(&groups).at(Stage::Identity, "groups")?;
    set_thread_res_gid(gid, gid, gid).at(Stage::Identity, &format!("group {}", user.gid))?;
    set_thread_res_uid(uid, uid, uid).at(Stage::Identity, &format!("user {}", user.uid))
}
