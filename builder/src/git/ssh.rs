//! The agent of `git` where it speaks ssh: what the caller gave as `default`, by a socket that is there as long as
//! `git` runs.

use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layer_store::Lease;

use super::GitError;
use crate::exec::agent::{self, Agent};
use crate::ssh::{AgentSource, ClientSetup};

/// Longest path of a directory with the socket: the address of a socket has 107 bytes.
const LONGEST: usize = 90;

/// Who opens repositories by ssh.
#[derive(Clone, Debug)]
pub struct GitAgent {
    /// Who signs.
    pub source: AgentSource,
    /// What the caller knows of hosts, in the form of ssh's own file.
    pub known_hosts: Arc<str>,
}

/// A socket and a configuration for ssh. They are gone when this is dropped.
pub(super) struct SshClient {
    directory: PathBuf,
    _agent: Agent,
    /// Variables.
    pub(super) env: Vec<(&'static str, String)>,
    /// Settings of `git`, as names and values.
    pub(super) git: Vec<(String, String)>,
}

impl Drop for SshClient {
    fn drop(&mut self) {
        // What cannot be removed now goes with the lease.
        drop(std::fs::remove_dir_all(&self.directory));
    }
}

impl SshClient {
    /// Serves the agent. Needs a runtime around it.
    pub(super) fn serve(agent: &GitAgent, lease: &Lease) -> Result<Self, GitError> {
        let directory = directory(lease)?;
        let io = |source| GitError::Io { path: directory.clone(), source };
        let GitAgent { source, known_hosts } = agent;
        let agent = agent::forward(&directory, source.clone(), 0o600, (0, 0)).map_err(io)?;
        let (place, socket) = (directory.to_string_lossy(), agent.socket.to_string_lossy());
        let keys = match source {
            AgentSource::Socket(_) => None,
            AgentSource::Keys(keys) => Some(keys.as_ref()),
        };
        let setup = ClientSetup::outside(&place, &socket, keys, known_hosts);
        for (path, content) in &setup.files {
            write(Path::new(path), content).map_err(io)?;
        }
        let env = vec![("SSH_AUTH_SOCK", socket.into_owned()), ClientSetup::command_in(&place)];
        Ok(Self { _agent: agent, env, git: setup.git, directory })
    }
}

/// An empty directory whose path is short and plain enough for a socket, a shell and ssh.
fn directory(lease: &Lease) -> Result<PathBuf, GitError> {
    let path = lease.scratch_dir()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    let fits = |path: &str| path.len() <= LONGEST && path.bytes().all(plain);
    if path.to_str().is_some_and(fits) {
        return Ok(path);
    }
    let path = PathBuf::from(format!("/tmp/rbuild-ssh-{:016x}", getrandom::u64().unwrap_or_default()));
    let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
    made.map_err(|source| GitError::Io { path: path.clone(), source })?;
    Ok(path)
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
}
