//! Credentials and trust that options give for one repository, as skopeo's options do.

use std::path::{Path, PathBuf};

use builder::error::Category;
use builder::toolchain::Place;
use oci::{Reference, Repository};
use registry_client::Credential;

use crate::args::{AccessArg, CredsArg, RegistryAccess};
use crate::client::{self, Additions};
use crate::failure::Failure;

/// What options say for a registry or repository. The key is a host, or a path below one.
pub fn at(key: &str, said: &AccessArg<'_>) -> Result<Additions, Failure> {
    let mut additions = Additions::default();
    let prefix = said.prefix;
    let login = match (said.creds, said.username, said.password, said.token) {
        (Some(CredsArg::Login { username, password }), ..) => {
            Some(Credential::Basic { username: username.clone(), password: password.clone() })
        }
        (Some(CredsArg::Malformed), ..) => {
            return Err(Failure::usage(format!("--{prefix}creds: it is not USER:PASSWORD")));
        }
        (None, Some(username), Some(password), _) => {
            Some(Credential::Basic { username: username.to_owned(), password: password.clone() })
        }
        (None, _, _, Some(token)) => Some(Credential::Bearer(token.clone())),
        (None, _, _, None) => None,
    };
    if login.is_some() || said.anonymous {
        additions.logins.push((key.to_owned(), login));
    }
    if let Some(file) = said.authfile {
        additions.files.push((key.to_owned(), file.clone()));
    }
    let host = key.split('/').next().unwrap_or(key);
    if said.tls_verify.is_some() {
        additions.trust.push((host.to_owned(), client::verify(said.tls_verify)));
    }
    if let Some(directory) = said.cert_dir {
        additions.certificates.push((host.to_owned(), certificates(prefix, directory)?));
    }
    Ok(additions)
}

/// The directory of `--cert-dir`, which must be there.
pub fn certificates(prefix: &str, directory: &Path) -> Result<PathBuf, Failure> {
    match directory.is_dir() {
        true => Ok(directory.to_owned()),
        false => {
            let text = format!("--{prefix}cert-dir: {} is no directory", directory.display());
            Err(Failure::new(Category::Local, text))
        }
    }
}

/// What options say for a repository.
pub fn of(access: &RegistryAccess, repository: &Repository) -> Result<Additions, Failure> {
    at(&repository.to_string(), &access.said())
}

/// What options say for the repository of a place; refused where that is in no registry.
pub fn of_place(said: &AccessArg<'_>, place: &Place) -> Result<Additions, Failure> {
    match name(place) {
        Some(name) => at(&name.repository().to_string(), said),
        None => nowhere(said, || {
            Failure::usage(format!("options about a registry, but {place} is in no registry"))
        }),
    }
}

/// Refuses options about a registry where there is none.
pub fn nowhere(said: &AccessArg<'_>, refusal: impl FnOnce() -> Failure) -> Result<Additions, Failure> {
    match at("nowhere", said)?.is_empty() {
        true => Ok(Additions::default()),
        false => Err(refusal()),
    }
}

/// What the options of two sides say; they must not differ for one repository or host.
pub fn both(from: Additions, to: Additions) -> Result<Additions, Failure> {
    let differ = |what: &str, key: &str| {
        Err(Failure::usage(format!("the --src- and --dest- options say different {what} for {key}")))
    };
    for (key, login) in &to.logins {
        if from.logins.iter().any(|(known, other)| known == key && other != login) {
            return differ("credentials", key);
        }
    }
    for (key, file) in &to.files {
        if from.files.iter().any(|(known, other)| known == key && other != file) {
            return differ("credentials", key);
        }
    }
    for (host, word) in &to.trust {
        if from.trust.iter().any(|(known, other)| known == host && other != word) {
            return differ("trust", host);
        }
    }
    let mut all = from;
    all.logins.extend(to.logins);
    all.files.extend(to.files);
    all.trust.extend(to.trust);
    all.certificates.extend(to.certificates);
    Ok(all)
}

/// The name under which a registry may have it.
pub fn name(place: &Place) -> Option<&Reference> {
    match place {
        Place::Registry(name) | Place::Either(name) => Some(name),
        Place::Store(_)
        | Place::Layout { .. }
        | Place::LayoutArchive { .. }
        | Place::DockerArchive { .. }
        | Place::Directory(_) => None,
    }
}
