//! Whether we may read or write a repository, and why.

use std::fmt;

use oci::Reference;
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::auth::scope::Scopes;
use crate::hosts::endpoint::Endpoint;
use crate::http::call::Call;
use crate::{Client, CredentialSource, Refusal, RegistryError};

/// What one wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Pull,
    /// Write.
    Push,
}

/// How a registry lets us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogInMethod {
    /// It asks for nothing.
    None,
    /// User name and password with each request.
    Basic,
    /// Tokens from this server.
    Token(String),
}

impl fmt::Display for LogInMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Basic => f.write_str("basic"),
            Self::Token(server) => write!(f, "token from {server}"),
        }
    }
}

/// What came out of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessReport {
    /// The registry that was asked.
    pub host: String,
    /// Where the credential that counts came from; `None` where there is none. It may have been shown to
    /// nobody, where the registry asked for none.
    pub source: Option<CredentialSource>,
    /// How the registry lets us in.
    pub method: LogInMethod,
    /// The scopes that the token names (`repository:a/b:pull`), where it is one that tells.
    pub granted: Option<Vec<String>>,
    /// Why it refused, if it did.
    pub refused: Option<Refusal>,
}

impl Client {
    /// Asks a registry itself, mirrors aside, for leave to read or write a repository. Nothing is left
    /// there: an upload that is opened for this is closed again.
    pub async fn check_access(
        &self,
        reference: &Reference,
        access: Access,
    ) -> Result<AccessReport, RegistryError> {
        let endpoint = self.0.options.hosts.for_push(reference.repository())?;
        let scopes = match access {
            Access::Pull => Scopes::pull(&endpoint.path),
            Access::Push => Scopes::push(&endpoint.path),
        };
        let asked = self.0.patience.retry(|| self.ask(&endpoint, &scopes, reference, access)).await;
        let refused = match asked {
            Ok(()) => None,
            Err(RegistryError::Denied(refusal)) => Some(*refusal),
            Err(error) => return Err(error),
        };
        let told = self.0.auth.tell(&endpoint, &scopes).await?;
        let (source, method, granted) = (told.source, told.method, told.granted);
        Ok(AccessReport { host: endpoint.host, source, method, granted, refused })
    }

    async fn ask(
        &self,
        endpoint: &Endpoint,
        scopes: &Scopes,
        reference: &Reference,
        access: Access,
    ) -> Result<(), RegistryError> {
        let subject = format!("access to {}", reference.repository());
        match access {
            Access::Pull => {
                let name = reference.digest().map(ToString::to_string);
                let name = name.or(reference.tag().map(str::to_owned)).unwrap_or_default();
                let path = format!("manifests/{name}");
                let call = Call::new(endpoint, scopes, Method::GET, path, &subject);
                let response = self.0.send(&call).await?;
                // that it is not there is an answer, too
                match response.status() {
                    StatusCode::NOT_FOUND => Ok(()),
                    _ => call.accept(response).await.map(drop),
                }
            }
            Access::Push => self.open_and_close_upload(endpoint, scopes, &subject).await,
        }
    }

    async fn open_and_close_upload(
        &self,
        endpoint: &Endpoint,
        scopes: &Scopes,
        subject: &str,
    ) -> Result<(), RegistryError> {
        let call = Call::new(endpoint, scopes, Method::POST, "blobs/uploads/".to_owned(), subject)
            .header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let response = self.0.demand(&call).await?;
        if let Ok(session) = super::upload::session(&call, &response) {
            self.close_upload(endpoint, scopes, subject, session).await;
        }
        Ok(())
    }
}
