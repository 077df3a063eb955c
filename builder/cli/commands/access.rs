//! Credentials and trust that options give for one repository, as skopeo's options do.

use builder::toolchain::Place;
use oci::{Reference, Repository};
use registry_client::{Credential, Secret};

use crate::args::CopyArgs;
use crate::client::{self, Additions};
use crate::failure::Failure;

/// What `--creds` says for a repository.
pub fn creds(text: Option<&str>, repository: &Repository) -> Result<Additions, Failure> {
    let mut additions = Additions::default();
    if let Some(text) = text {
        additions.logins.push((repository.to_string(), credential("--creds", text)?));
    }
    Ok(additions)
}

/// What `--creds` says for the repository of a place.
pub fn creds_of(text: Option<&str>, place: &Place) -> Result<Additions, Failure> {
    match (text, name(place)) {
        (None, _) => Ok(Additions::default()),
        (Some(_), None) => Err(Failure::usage(format!("--creds: {place} is in no registry"))),
        (text, Some(name)) => creds(text, name.repository()),
    }
}

/// What the options of `copy` say for each side.
pub fn sides(args: &CopyArgs, from: &Place, to: &Place) -> Result<Additions, Failure> {
    let mut additions = Additions::default();
    let sides = [
        (from, ("--src-creds", &args.src_creds), ("--src-tls-verify", args.src_tls_verify)),
        (to, ("--dest-creds", &args.dest_creds), ("--dest-tls-verify", args.dest_tls_verify)),
    ];
    for (place, (creds, text), (tls, verify)) in sides {
        let repository = |flag: &str| {
            let name = name(place).map(Reference::repository);
            name.ok_or_else(|| Failure::usage(format!("{flag}: {place} is in no registry")))
        };
        if let Some(text) = text {
            let key = repository(creds)?.to_string();
            if let Some((same, _)) = additions.logins.iter().find(|(known, _)| *known == key)
                && args.src_creds != args.dest_creds
            {
                return Err(Failure::usage(format!("--src-creds and --dest-creds differ for {same}")));
            }
            additions.logins.push((key, credential(creds, text)?));
        }
        if verify.is_some() {
            let host = repository(tls)?.registry.clone();
            let word = client::verify(verify);
            if additions.trust.iter().any(|(known, other)| *known == host && *other != word) {
                return Err(Failure::usage(format!(
                    "--src-tls-verify and --dest-tls-verify differ for {host}"
                )));
            }
            additions.trust.push((host, word));
        }
    }
    Ok(additions)
}

/// The name under which a registry may have it.
fn name(place: &Place) -> Option<&Reference> {
    match place {
        Place::Registry(name) | Place::Either(name) => Some(name),
        Place::Store(_)
        | Place::Layout { .. }
        | Place::LayoutArchive { .. }
        | Place::DockerArchive { .. }
        | Place::Directory(_) => None,
    }
}

/// `USER:PASSWORD`. What is wrong is told without the text, which holds a password.
fn credential(flag: &str, text: &str) -> Result<Credential, Failure> {
    match text.split_once(':') {
        Some((user, password)) if !user.is_empty() => {
            Ok(Credential::Basic { username: user.to_owned(), password: Secret::new(password) })
        }
        Some(_) | None => Err(Failure::usage(format!("{flag}: it is not USER:PASSWORD"))),
    }
}
