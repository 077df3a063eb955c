//! What a build gives to its steps: secrets, agents, the default network.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::error::ExecError;
use crate::request::{BuildRequest, SecretSource, StepDevices, StepNetwork, Timeouts};
use crate::ssh::AgentSource;

/// What a build gives to its steps.
#[derive(Clone, Default)]
pub struct StepResources {
    /// Secrets by id.
    pub secrets: BTreeMap<String, SecretSource>,
    /// ssh agents by id.
    pub ssh: BTreeMap<String, AgentSource>,
    /// Directories with descriptions of devices, the last of which counts most.
    pub device_directories: Vec<PathBuf>,
    /// The network.
    pub network: StepNetwork,
    /// What each step may use of the machine.
    pub limits: runtime_exec::Limits,
    /// Devices that every step gets.
    pub devices: StepDevices,
    /// How long a step may run, and do nothing.
    pub timeouts: Timeouts,
    /// Cache directories are emptied when the build first uses them.
    pub fresh_caches: bool,
    /// Those that were emptied.
    pub(super) emptied: Arc<Mutex<BTreeSet<String>>>,
}

impl StepResources {
    /// What a request gives.
    pub fn of(request: &BuildRequest) -> Self {
        Self {
            secrets: request.secrets.clone(),
            ssh: request.ssh.clone(),
            device_directories: request.device_directories.clone(),
            network: request.network.clone(),
            limits: request.limits.clone(),
            devices: request.devices.clone(),
            timeouts: request.timeouts,
            fresh_caches: request.no_cache,
            emptied: Arc::default(),
        }
    }

    /// The value of a secret; `None` when it was not given and need not be.
    pub(crate) fn secret(&self, id: &str, required: bool) -> Result<Option<Vec<u8>>, ExecError> {
        match self.secrets.get(id) {
            Some(SecretSource::Value(value)) => Ok(Some(value.0.clone())),
            Some(SecretSource::File(path)) => std::fs::read(path)
                .map(Some)
                .map_err(|source| ExecError::SecretFile { id: id.to_owned(), path: path.clone(), source }),
            None if required => Err(ExecError::NoSecret { id: id.to_owned() }),
            None => Ok(None),
        }
    }

    /// The value of a secret as the value of a variable.
    pub(crate) fn secret_text(&self, id: &str, required: bool) -> Result<Option<String>, ExecError> {
        let Some(bytes) = self.secret(id, required)? else { return Ok(None) };
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(Some(text)),
            Ok(_) | Err(_) => Err(ExecError::SecretText { id: id.to_owned() }),
        }
    }

    /// An agent; `None` when it was not given and need not be.
    pub(crate) fn agent(&self, id: &str, required: bool) -> Result<Option<AgentSource>, ExecError> {
        match self.ssh.get(id) {
            Some(agent) => Ok(Some(agent.clone())),
            None if required => Err(ExecError::NoAgent { id: id.to_owned() }),
            None => Ok(None),
        }
    }
}
