//! The files that describe devices.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// One file: devices of one vendor and class.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    /// Version of the format.
    pub(super) cdi_version: String,
    /// `vendor/class`.
    pub(super) kind: String,
    /// Notes for all devices.
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, Scalar>,
    /// The devices.
    #[serde(default)]
    pub(super) devices: Vec<Device>,
    /// What every device of the file needs.
    #[serde(default)]
    pub(super) container_edits: ContainerEdits,
}

/// One device.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device {
    /// Its name, unique in the kind.
    pub(super) name: String,
    /// Notes.
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, Scalar>,
    /// What it needs.
    #[serde(default)]
    pub(super) container_edits: ContainerEdits,
}

/// A note's value. YAML authors write `true` where a text is meant.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// A switch.
    Bool(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Scalar {
    pub(super) fn text(&self) -> String {
        match self {
            Scalar::Bool(value) => value.to_string(),
            Scalar::Number(value) => value.to_string(),
            Scalar::Text(value) => value.clone(),
        }
    }
}

/// What a container needs in order to use a device.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerEdits {
    /// Variables, `NAME=VALUE`.
    #[serde(default)]
    pub(super) env: Vec<String>,
    /// Device nodes.
    #[serde(default)]
    pub(super) device_nodes: Vec<DeviceNode>,
    /// Files and directories of the host.
    #[serde(default)]
    pub(super) mounts: Vec<MountEdit>,
    /// Supplementary groups.
    #[serde(default)]
    pub(super) additional_gids: Vec<u32>,
    /// Programs of the host to be run; only whether there are any.
    #[serde(default)]
    hooks: Vec<serde_json::Value>,
    /// Network devices; only whether there are any.
    #[serde(default)]
    net_devices: Vec<serde_json::Value>,
    /// Cache partitions; only whether there are any.
    #[serde(default)]
    intel_rdt: Option<serde_json::Value>,
}

impl ContainerEdits {
    /// What of it no step is given.
    pub(super) fn beyond_us(&self) -> Option<&'static str> {
        if !self.hooks.is_empty() {
            Some("hooks (programs of the host)")
        } else if !self.net_devices.is_empty() {
            Some("network devices")
        } else if self.intel_rdt.is_some() {
            Some("cache partitions (intelRdt)")
        } else {
            None
        }
    }
}

/// A device node.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceNode {
    /// Where it appears.
    pub(super) path: PathBuf,
    /// Where it is on the host, if elsewhere.
    pub(super) host_path: Option<PathBuf>,
}

/// A file or directory of the host.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MountEdit {
    /// What.
    pub(super) host_path: PathBuf,
    /// Where it appears.
    pub(super) container_path: PathBuf,
    /// As for mount(8).
    #[serde(default)]
    pub(super) options: Vec<String>,
    /// Kind of file system; a view of the host's where absent.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

/// Reads a file's text. The error is a sentence.
pub(super) fn parse(text: &str, format: Format) -> Result<Spec, String> {
    let spec: Spec = match format {
        Format::Json => serde_json::from_str(text).map_err(|error| error.to_string())?,
        Format::Yaml => serde_saphyr::from_str(text).map_err(|error| error.to_string())?,
    };
    if !spec.cdi_version.split('.').next().is_some_and(|major| matches!(major, "0" | "1")) {
        return Err(format!("cdiVersion {:?} is not known", spec.cdi_version));
    }
    let good = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
    };
    match spec.kind.split_once('/') {
        Some((vendor, class)) if good(vendor) && good(class) => {}
        Some(_) | None => return Err(format!("kind {:?} is not VENDOR/CLASS", spec.kind)),
    }
    match spec.devices.iter().find(|device| !good(&device.name)) {
        Some(device) => Err(format!("{:?} cannot be the name of a device", device.name)),
        None => Ok(spec),
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    /// `.json`
    Json,
    /// `.yaml` or `.yml`
    Yaml,
}
