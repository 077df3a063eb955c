//! Keeping credentials: in a file of Docker's or containers' format, or with the helper that such a file
//! names. Everything else in the file stays as it is.

use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::auth_file::normal_key;
use super::credentials::server_name;
use super::helper;
use crate::{AuthFile, Credential, HelperName, HelperRunner, RegistryError};

/// A file of credentials that may be written. The file need not exist.
pub struct AuthStorage {
    path: PathBuf,
    runner: Option<HelperRunner>,
}

/// Where credentials are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptIn {
    /// In a file, readable by its owner only.
    File(PathBuf),
    /// With a helper program.
    Helper(HelperName),
}

impl AuthStorage {
    /// The storage at a path; without a runner, files that name helpers are refused.
    pub fn new(path: impl Into<PathBuf>, runner: Option<HelperRunner>) -> Self {
        Self { path: path.into(), runner }
    }

    /// Keeps a credential for a registry (`docker.io`, `quay.io/org`, `127.0.0.1:5000`). The file is
    /// replaced as a whole, so that nobody sees half of it. The caller has seen that the credential is
    /// taken.
    pub async fn store(&self, registry: &str, credential: &Credential) -> Result<KeptIn, RegistryError> {
        let key = self.key(registry)?;
        let mut document = self.read()?;
        if let Some((name, runner)) = self.helper(&key)? {
            helper::store(runner, &name, server_name(&key), credential).await?;
            return Ok(KeptIn::Helper(name));
        }
        let entry = match credential {
            Credential::Basic { username, password } => {
                if username.contains(':') {
                    return Err(self.fail("a user name with a colon cannot be kept"));
                }
                let pair = format!("{username}:{}", password.reveal());
                json!({ "auth": base64::engine::general_purpose::STANDARD.encode(pair) })
            }
            Credential::Identity(token) => json!({ "identitytoken": token.reveal() }),
            Credential::Bearer(token) => json!({ "registrytoken": token.reveal() }),
        };
        let auths = self.auths(&mut document)?;
        auths.retain(|existing, _| normal_key(existing) != key);
        auths.insert(server_name(&key).to_owned(), entry);
        self.write(&document)?;
        Ok(KeptIn::File(self.path.clone()))
    }

    /// Forgets what is kept for a registry, in the file and with its helper; where that was, which may be
    /// nowhere.
    pub async fn erase(&self, registry: &str) -> Result<Vec<KeptIn>, RegistryError> {
        let key = self.key(registry)?;
        let mut document = self.read()?;
        let mut from = Vec::new();
        if let Some((name, runner)) = self.helper(&key)?
            && helper::ask(runner, &name, server_name(&key)).await?.is_some()
        {
            helper::erase(runner, &name, server_name(&key)).await?;
            from.push(KeptIn::Helper(name));
        }
        if document.contains_key("auths") {
            let auths = self.auths(&mut document)?;
            let before = auths.len();
            auths.retain(|existing, _| normal_key(existing) != key);
            if auths.len() < before {
                self.write(&document)?;
                from.push(KeptIn::File(self.path.clone()));
            }
        }
        Ok(from)
    }

    /// Forgets what is kept for all registries, in the file and with its helpers; where that was, which may be
    /// nowhere. The file still names its helpers afterwards.
    pub async fn erase_all(&self) -> Result<Vec<KeptIn>, RegistryError> {
        let mut document = self.read()?;
        let file = AuthFile::read(&self.path)?.unwrap_or_default();
        let mut from = Vec::new();
        for (host, name) in file.helpers() {
            let server = server_name(host);
            if helper::ask(self.runner(name)?, name, server).await?.is_some() {
                helper::erase(self.runner(name)?, name, server).await?;
                from.push(KeptIn::Helper(name.clone()));
            }
        }
        if let Some(name) = file.store() {
            let runner = self.runner(name)?;
            let servers = helper::list(runner, name).await?;
            for server in &servers {
                helper::erase(runner, name, server).await?;
            }
            from.extend((!servers.is_empty()).then(|| KeptIn::Helper(name.clone())));
        }
        if document.contains_key("auths") {
            let auths = self.auths(&mut document)?;
            if !auths.is_empty() {
                auths.clear();
                self.write(&document)?;
                from.push(KeptIn::File(self.path.clone()));
            }
        }
        from.dedup();
        Ok(from)
    }

    /// The one spelling of a registry, which must not be a URL with a user or a query.
    fn key(&self, registry: &str) -> Result<String, RegistryError> {
        let key = normal_key(registry);
        let good = |c: char| c.is_ascii_alphanumeric() || ".-_:/[]".contains(c);
        match !key.is_empty() && key.chars().all(good) {
            true => Ok(key),
            // it is not shown: it may be a URL with a password
            false => Err(self.fail("what credentials are for names no registry")),
        }
    }

    /// The helper in charge of a registry. Helpers know hosts only.
    fn helper(&self, key: &str) -> Result<Option<(HelperName, &HelperRunner)>, RegistryError> {
        let file = AuthFile::read(&self.path)?.unwrap_or_default();
        file.helper(key).map(|name| Ok((name.clone(), self.runner(name)?))).transpose()
    }

    fn runner(&self, name: &HelperName) -> Result<&HelperRunner, RegistryError> {
        let reason = || format!("it leaves credentials to {}, which is not run here", name.program());
        self.runner.as_ref().ok_or_else(|| self.fail(&reason()))
    }

    fn read(&self) -> Result<Map<String, Value>, RegistryError> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
            Err(source) => return Err(RegistryError::File { path: self.path.clone(), source }),
        };
        // what cannot be read as credentials is not written over
        AuthFile::parse(&self.path, &text)?;
        if text.trim_ascii().is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(&text).map_err(|_| self.fail("not a JSON object"))
    }

    fn auths<'d>(
        &self,
        document: &'d mut Map<String, Value>,
    ) -> Result<&'d mut Map<String, Value>, RegistryError> {
        let auths = document.entry("auths").or_insert_with(|| json!({}));
        if auths.is_null() {
            *auths = json!({});
        }
        auths.as_object_mut().ok_or_else(|| self.fail("auths is no object"))
    }

    /// Writes a new file beside the old one and puts it in its place. A link is followed: it stays.
    fn write(&self, document: &Map<String, Value>) -> Result<(), RegistryError> {
        let text = serde_json::to_string_pretty(document).map_err(|_| self.fail("not to be written"))?;
        let path = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        replace(&path, text.as_bytes()).map_err(|source| RegistryError::File { path, source })
    }

    fn fail(&self, reason: &str) -> RegistryError {
        RegistryError::Setting { path: self.path.clone(), reason: reason.to_owned() }
    }
}

impl std::fmt::Debug for AuthStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthStorage").field("path", &self.path).finish_non_exhaustive()
    }
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        std::fs::DirBuilder::new().recursive(true).create(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
    }
    let fresh = folder.join(format!(".auth-{:016x}.tmp", rand::random::<u64>()));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    })();
    if written.is_err() {
        // nothing of it is left behind
        let _ = std::fs::remove_file(&fresh);
    }
    written
}
