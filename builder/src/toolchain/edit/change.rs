//! Changes of a config and of annotations. Pure.

use std::collections::BTreeMap;

use oci::Platform;
use serde_json::json;

use super::Image;

/// What is different afterwards. What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ConfigChange {
    /// Variables that are set.
    pub env: Vec<(String, String)>,
    /// Labels that are set.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest that are set.
    pub annotations: BTreeMap<String, String>,
    /// The entry point; the command goes with the old one.
    pub entrypoint: Option<Vec<String>>,
    /// The command.
    pub cmd: Option<Vec<String>>,
    /// The user.
    pub user: Option<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// Ports that are exposed, `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// The platform that the image says it is for.
    pub platform: Option<Platform>,
}

pub(super) fn apply(image: &mut Image, change: &ConfigChange) {
    let run = &mut image.config.config;
    let env = run.env.get_or_insert_default();
    for (name, value) in &change.env {
        let (start, line) = (format!("{name}="), format!("{name}={value}"));
        match env.iter_mut().find(|known| known.starts_with(&start)) {
            Some(known) => *known = line,
            None => env.push(line),
        }
    }
    if env.is_empty() {
        run.env = None;
    }
    if !change.labels.is_empty() {
        run.labels.get_or_insert_default().extend(change.labels.clone());
    }
    if let Some(entrypoint) = &change.entrypoint {
        run.entrypoint = Some(entrypoint.clone());
        run.cmd = None;
    }
    if let Some(cmd) = &change.cmd {
        run.cmd = Some(cmd.clone());
    }
    if let Some(user) = &change.user {
        run.user.clone_from(user);
    }
    if let Some(workdir) = &change.workdir {
        run.working_dir.clone_from(workdir);
    }
    for port in &change.exposed_ports {
        run.exposed_ports.get_or_insert_default().insert(port.clone(), json!({}));
    }
    if let Some(platform) = &change.platform {
        image.config.os.clone_from(&platform.os);
        image.config.architecture.clone_from(&platform.architecture);
        image.config.variant.clone_from(&platform.variant);
    }
    image.manifest.annotations.extend(change.annotations.clone());
}
