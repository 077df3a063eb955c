//! Devices of the Container Device Interface (CDI), which `RUN --device` asks for by name.
//!
//! Vendors describe their devices in files on the host: what a container needs in order to use one.
//! Of that, variables, device nodes, mounts and groups are given to the step. Hooks, network devices
//! and cache partitions are not; a device that needs one of those is refused by name.
//!
//! Source: the CDI specification 0.8 (format of the files, order of directories), and BuildKit's
//! choice of devices by class and its rule on who may use them.

mod error;
mod select;
mod spec;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use graph::DeviceRequest;
use runtime_exec::{MountSource, MountSpec, ReadOnly};

pub use error::CdiError;
use select::Catalogue;
use spec::{ContainerEdits, DeviceNode, MountEdit};

/// What devices add to a step.
#[derive(Debug, Default)]
pub(super) struct Additions {
    /// Variables.
    pub(super) variables: Vec<(String, String)>,
    /// Device nodes and directories of the host.
    pub(super) mounts: Vec<MountSpec>,
    /// Supplementary groups.
    pub(super) groups: Vec<u32>,
}

/// Finds the devices that a step asks for in the files of some directories, the last of which counts
/// most.
pub(super) fn additions(directories: &[PathBuf], requests: &[DeviceRequest]) -> Result<Additions, CdiError> {
    let mut all = Additions::default();
    if requests.is_empty() {
        return Ok(all);
    }
    let catalogue = Catalogue::read(directories)?;
    for chosen in catalogue.choose(requests)? {
        for edits in [chosen.common, chosen.own] {
            all.add(&chosen.name, edits)?;
        }
    }
    Ok(all)
}

impl Additions {
    fn add(&mut self, device: &str, edits: &ContainerEdits) -> Result<(), CdiError> {
        if let Some(what) = edits.beyond_us() {
            return Err(CdiError::Unsupported { device: device.to_owned(), what: what.to_owned() });
        }
        for entry in &edits.env {
            let (name, value) = entry
                .split_once('=')
                .ok_or_else(|| CdiError::Variable { device: device.to_owned(), entry: entry.clone() })?;
            self.variables.push((name.to_owned(), value.to_owned()));
        }
        for node in &edits.device_nodes {
            self.mount(node_mount(device, node)?);
        }
        for mount in &edits.mounts {
            self.mount(host_mount(device, mount)?);
        }
        let new = edits.additional_gids.iter().filter(|gid| **gid != 0 && !self.groups.contains(gid));
        let new: Vec<u32> = new.copied().collect();
        self.groups.extend(new);
        Ok(())
    }

    /// Several devices of a vendor may bring the same mount.
    fn mount(&mut self, mount: MountSpec) {
        if !self.mounts.contains(&mount) {
            self.mounts.push(mount);
        }
    }
}

/// A view of the host's node: it keeps the host's owner and mode.
fn node_mount(device: &str, node: &DeviceNode) -> Result<MountSpec, CdiError> {
    let host = node.host_path.as_ref().unwrap_or(&node.path);
    on_host(device, host)?;
    Ok(MountSpec {
        target: absolute(device, &node.path)?,
        source: MountSource::Directory(host.clone()),
        read_only: ReadOnly::No,
    })
}

fn host_mount(device: &str, mount: &MountEdit) -> Result<MountSpec, CdiError> {
    let unknown = |what: String| CdiError::Unsupported { device: device.to_owned(), what };
    match mount.kind.as_deref() {
        None | Some("" | "bind" | "none") => {}
        Some(other) => return Err(unknown(format!("mounts of type {other}"))),
    }
    let mut read_only = ReadOnly::No;
    for option in &mount.options {
        match option.as_str() {
            "ro" => read_only = ReadOnly::Yes,
            "rw" => read_only = ReadOnly::No,
            // What every mount of a sandbox is, or may be without harm to the device.
            "bind" | "rbind" | "private" | "rprivate" | "slave" | "rslave" | "nosuid" | "nodev" => {}
            other => return Err(unknown(format!("the mount option {other}"))),
        }
    }
    on_host(device, &mount.host_path)?;
    let target = absolute(device, &mount.container_path)?;
    Ok(MountSpec { target, source: MountSource::Directory(mount.host_path.clone()), read_only })
}

fn on_host(device: &str, path: &Path) -> Result<(), CdiError> {
    std::fs::symlink_metadata(path).map(drop).map_err(|source| CdiError::Missing {
        device: device.to_owned(),
        path: path.to_owned(),
        source,
    })
}

fn absolute(device: &str, path: &Path) -> Result<String, CdiError> {
    path.to_str()
        .filter(|_| path.is_absolute())
        .map(str::to_owned)
        .ok_or_else(|| CdiError::Target { device: device.to_owned(), path: path.to_owned() })
}
