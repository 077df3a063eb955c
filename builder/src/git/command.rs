//! Running `git`.

use std::ffi::OsString;
use std::path::Path;

use runtime_exec::{OutsideCommand, OutsideError, OutsideOutput};

use super::GitError;
use super::address::{shown, transports};
use super::ssh::SshClient;

/// Variables of the caller that would lead `git` elsewhere.
const UNSET: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_CONFIG",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_TEMPLATE_DIR",
    "GIT_EXEC_PATH",
    "GIT_PROXY_COMMAND",
    "GIT_EXTERNAL_DIFF",
    "GIT_ATTR_SOURCE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_TRACE",
    "GIT_TRACE_CURL",
    "GIT_CURL_VERBOSE",
];

/// What `git` is told in every call. Links of a tree are real ones, modes are recorded, and line
/// ends are left as they are.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "credential.helper=",
    "advice.detachedHead=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "safe.bareRepository=explicit",
    "init.defaultBranch=main",
];

/// Runs programs: the outside helper, or a test.
pub(super) type Runner = Box<dyn Fn(&OutsideCommand) -> Result<OutsideOutput, OutsideError> + Send>;

/// `git`, for one repository.
pub(super) struct Git {
    runner: Runner,
    pub(super) url: String,
    transports: &'static str,
    /// Value of the `Authorization` header.
    authorisation: Option<String>,
    /// The agent to ask, in place of the user's own.
    ssh: Option<SshClient>,
}

impl Git {
    /// For a repository behind an address.
    pub(super) fn new(runner: Runner, url: &str) -> Result<Self, GitError> {
        Ok(Self { transports: transports(url)?, runner, url: url.to_owned(), authorisation: None, ssh: None })
    }

    /// Says who asks, to this repository alone (on `github.com`, to all of the host's).
    pub(super) fn authorised(self, header: Option<String>) -> Self {
        Self { authorisation: header, ..self }
    }

    /// Asks this agent alone for keys.
    pub(super) fn with_ssh(self, ssh: Option<SshClient>) -> Self {
        Self { ssh, ..self }
    }

    /// Runs it; the answer is what it wrote.
    pub(super) fn run(&self, dir: Option<&Path>, words: &[&str]) -> Result<String, GitError> {
        let output = self.output(dir, words)?;
        if output.code == 0 {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        if output.code == 127 && output.stdout.is_empty() && output.stderr.starts_with(b"env:") {
            return Err(GitError::NotInstalled);
        }
        Err(GitError::Failed {
            url: shown(&self.url),
            doing: words.first().copied().unwrap_or_default().to_owned(),
            said: self.without_secrets(&output.stderr),
        })
    }

    fn output(&self, dir: Option<&Path>, words: &[&str]) -> Result<OutsideOutput, GitError> {
        let own = self.own_variables();
        let ours = |name: &&&str| own.iter().any(|(own, _)| own == **name);
        let unset = UNSET.iter().filter(|name| !ours(name));
        let mut args: Vec<OsString> = unset.flat_map(|name| ["-u".into(), (*name).into()]).collect();
        args.push("git".into());
        if let Some(dir) = dir {
            args.extend(["-C".into(), dir.as_os_str().to_owned()]);
        }
        args.extend(SETTINGS.iter().flat_map(|setting| ["-c".into(), (*setting).into()]));
        args.extend(words.iter().map(OsString::from));
        let env = [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ASKPASS", "/bin/false"),
            ("SSH_ASKPASS", "/bin/false"),
            ("GIT_ALLOW_PROTOCOL", self.transports),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("LC_ALL", "C"),
        ];
        let env = env.iter().map(|(name, value)| (name.into(), value.into()));
        let env = env.chain(own.iter().map(|(name, value)| (name.into(), value.into()))).collect();
        let command = OutsideCommand { program: "env".into(), args, env, stdin: Vec::new() };
        Ok((self.runner)(&command)?)
    }

    /// Variables for this repository. The secret is a setting in the environment, where other users do not see
    /// it as they see arguments.
    fn own_variables(&self) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        if let Some(header) = &self.authorisation {
            let whole_host = ["https://github.com/", "https://www.github.com/"];
            let scope = whole_host.into_iter().find(|host| self.url.starts_with(host)).unwrap_or(&self.url);
            settings.push((format!("http.{scope}.extraHeader"), format!("Authorization: {header}")));
        }
        settings.extend(self.ssh.iter().flat_map(|ssh| ssh.git.iter().cloned()));
        let mut variables: Vec<(String, String)> = Vec::new();
        if !settings.is_empty() {
            variables.push(("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string()));
        }
        for (number, (key, value)) in settings.into_iter().enumerate() {
            variables.push((format!("GIT_CONFIG_KEY_{number}"), key));
            variables.push((format!("GIT_CONFIG_VALUE_{number}"), value));
        }
        let ssh = self.ssh.iter().flat_map(|ssh| &ssh.env);
        variables.extend(ssh.map(|(name, value)| ((*name).to_owned(), value.clone())));
        variables
    }

    /// The last lines of a message, with no password in them.
    fn without_secrets(&self, said: &[u8]) -> String {
        let said = String::from_utf8_lossy(said).replace(&self.url, &shown(&self.url));
        let secret = self.url.split_once("://").and_then(|(_, rest)| {
            let host = rest.split('/').next().unwrap_or_default();
            host.rsplit_once('@').map(|(user, _)| format!("{user}@"))
        });
        let said = match secret {
            Some(secret) if shown(&self.url) != self.url => said.replace(&secret, "xxxxx@"),
            Some(_) | None => said,
        };
        let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(6)..].join("\n")
    }
}
