//! Who we are, for each host.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::auth::auth_file::normal_key;
use crate::auth::helper;
use crate::{AuthFile, HelperName, HelperRunner, RegistryError, Secret};

/// What is shown to a registry or its token server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// User name and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token, to be traded for access tokens (`identitytoken`).
    Identity(Secret),
    /// An access token, sent as it is (`registrytoken`).
    Bearer(Secret),
}

/// All credentials there are: given ones first, then files in order.
#[derive(Clone, Default)]
pub struct Credentials {
    /// By host or path; `None`: nothing is shown there.
    given: Vec<(String, Option<Credential>)>,
    files: Vec<Arc<AuthFile>>,
    /// Files for one host or path, which count there alone.
    files_at: Vec<(String, Arc<AuthFile>)>,
    runner: Option<HelperRunner>,
}

/// Where a credential came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// It was given to the client, for this host or path.
    Given(String),
    /// A file has it under this key.
    File {
        /// The file.
        path: PathBuf,
        /// The key, in its one spelling: `docker.io`, `quay.io/org`.
        key: String,
    },
    /// A helper that a file names.
    Helper {
        /// The file.
        path: PathBuf,
        /// The helper.
        helper: HelperName,
    },
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(key) => write!(f, "given for {key}"),
            Self::File { path, key } => write!(f, "{} ({key})", path.display()),
            Self::Helper { path, helper } => {
                write!(f, "{}, named by {}", helper.program(), path.display())
            }
        }
    }
}

/// A credential, and where it came from.
pub(crate) struct Found {
    pub(crate) credential: Credential,
    pub(crate) source: CredentialSource,
}

impl Credentials {
    /// None at all.
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Adds one for a host, or for a path below a host; it wins over files.
    #[must_use]
    pub fn with(mut self, key: &str, credential: Credential) -> Self {
        self.given.push((normal_key(key), Some(credential)));
        self
    }

    /// Shows nothing to a host, or to a path below a host, whatever files and helpers have.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.given.push((normal_key(key), None));
        self
    }

    /// Adds a file for a host, or for a path below a host; no other file counts there.
    #[must_use]
    pub fn with_file_at(mut self, key: &str, file: AuthFile) -> Self {
        self.files_at.push((normal_key(key), Arc::new(file)));
        self
    }

    /// Adds a file; earlier files win.
    #[must_use]
    pub fn with_file(mut self, file: AuthFile) -> Self {
        self.files.push(Arc::new(file));
        self
    }

    /// Says how helpers are run; without it they are not asked.
    #[must_use]
    pub fn with_helpers(mut self, runner: HelperRunner) -> Self {
        self.runner = Some(runner);
        self
    }

    /// The user's name for a registry (`quay.io`) or a path below one, as files and helpers have it, and who
    /// has it; `None` where there is no credential. A token has no user: its name is `<token>`, as helpers
    /// say it.
    ///
    /// # Errors
    ///
    /// A helper that fails.
    pub async fn user(&self, registry: &str) -> Result<Option<(String, CredentialSource)>, RegistryError> {
        let key = normal_key(registry);
        let (host, path) = key.split_once('/').unwrap_or((&key, ""));
        let found = self.find(host, path).await?;
        Ok(found.map(|Found { credential, source }| match credential {
            Credential::Basic { username, .. } => (username, source),
            Credential::Identity(_) | Credential::Bearer(_) => (helper::IDENTITY.to_owned(), source),
        }))
    }

    /// The credential for a repository.
    pub(crate) async fn find(&self, host: &str, path: &str) -> Result<Option<Found>, RegistryError> {
        if let Some((key, credential)) = self.given(host, path) {
            let source = CredentialSource::Given(key.clone());
            return Ok(credential.clone().map(|credential| Found { credential, source }));
        }
        let own = fitting(&self.files_at, host, path).map(|(_, file)| std::slice::from_ref(file));
        for file in own.unwrap_or(&self.files) {
            let path_of_file = || file.path().to_owned();
            if let (Some(runner), Some(name)) = (&self.runner, file.helper(host))
                && let Some(credential) = helper::ask(runner, name, server_name(host)).await?
            {
                let source = CredentialSource::Helper { path: path_of_file(), helper: name.clone() };
                return Ok(Some(Found { credential, source }));
            }
            if let Some((key, credential)) = file.inline(host, path) {
                let source = CredentialSource::File { path: path_of_file(), key: key.to_owned() };
                return Ok(Some(Found { credential: credential.clone(), source }));
            }
        }
        Ok(None)
    }

    fn given(&self, host: &str, path: &str) -> Option<&(String, Option<Credential>)> {
        fitting(&self.given, host, path)
    }
}

/// The one with the longest key that a repository is or lies below; of equal keys the last.
fn fitting<'a, T>(all: &'a [(String, T)], host: &str, path: &str) -> Option<&'a (String, T)> {
    let full = format!("{host}/{path}");
    let fits =
        |key: &str| full.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    all.iter().filter(|(key, _)| fits(key)).max_by_key(|(key, _)| key.len())
}

/// What helpers call a host.
pub(crate) fn server_name(host: &str) -> &str {
    match host {
        "docker.io" => "https://index.docker.io/v1/",
        other => other,
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<&str> = self.given.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("Credentials")
            .field("given", &hosts)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}
