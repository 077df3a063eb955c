//! Client of OCI registries (distribution-spec) over HTTP.
//!
//! Invariants:
//! - nothing is printed and no environment is read: settings come in [`ClientOptions`];
//! - credentials go only to the host they belong to, or to the token server its challenge names, and
//!   never across a redirect to another host;
//! - everything that arrives is held against a digest and a size before it counts, and no answer is
//!   read to memory without a limit;
//! - a [`Client`] is cheap to clone; clones share connections, tokens and what is known of hosts.
//!
//! TLS is rustls with the ring provider, handed to reqwest as a finished configuration: no
//! process-wide provider has to be installed.

mod api;
mod auth;
mod engine;
mod error;
mod hosts;
mod http;
mod options;

pub use api::access::{Access, AccessReport, LogInMethod};
pub use api::allowance::PullAllowance;
pub use api::blob::{BlobReader, HadBytes};
pub use api::image::ResolvedImage;
pub use api::source::{BlobSource, BoxedRead};
pub use api::upload::PushedBlob;
pub use api::url::HttpResponse;
pub use auth::auth_file::AuthFile;
pub use auth::credentials::{Credential, CredentialSource, Credentials};
pub use auth::helper::{HelperName, HelperOutput, HelperRunner};
pub use auth::secret::Secret;
pub use auth::storage::{AuthStorage, KeptIn};
pub use engine::{Engine, EngineAddress, EngineError};
pub use error::{Refusal, RegistryError};
pub use hosts::{Hosts, Verify};
pub use http::limits::RateLimit;
pub use http::remarks::Remarks;
pub use options::{ClientOptions, Proxies, RetryPolicy, SplitPolicy};
pub use url::Url;

use std::sync::Arc;

/// A registry client.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    options: ClientOptions,
    transport: http::transport::Transport,
    auth: auth::Auth,
    patience: http::retry::Patience,
    /// By host, how much of a blob it takes in one request, where that was seen to be limited.
    pieces: std::sync::Mutex<std::collections::HashMap<String, u64>>,
    /// Further ranges of large blobs that are under way.
    lanes: api::lanes::Lanes,
    /// Held while an index of referrers is read, changed and written: registries cannot compare and swap.
    changing_index: tokio::sync::Mutex<()>,
}

impl Client {
    /// A client with these settings. Nothing is connected to, and no file but named CA bundles is read, yet.
    pub fn new(options: ClientOptions) -> Result<Self, RegistryError> {
        let transport = http::transport::Transport::new(&options)?;
        let auth = auth::Auth::new(options.credentials.clone());
        let patience = http::retry::Patience::new(options.retry.clone());
        let pieces = std::sync::Mutex::default();
        let changing_index = tokio::sync::Mutex::default();
        let lanes = api::lanes::Lanes::default();
        Ok(Self(Arc::new(Inner { options, transport, auth, patience, pieces, lanes, changing_index })))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers spawn these; that they can is part of the API.
    #[test]
    fn futures_and_readers_may_change_threads() {
        fn is_send<T: Send>(_: T) {}
        fn check(
            client: &Client,
            image: &oci::Reference,
            descriptor: &oci::Descriptor,
            source: &BlobSource,
            url: &Url,
        ) {
            let repository = image.repository();
            is_send(client.resolve(image));
            is_send(client.fetch_image(image, &oci::Platform::host()));
            is_send(client.blob(repository, descriptor));
            is_send(async { client.blob(repository, descriptor).await.map(is_send) });
            is_send(client.push_blob(repository, descriptor, source, &[]));
            is_send(client.push_manifest(image, &descriptor.media_type, bytes::Bytes::new()));
            is_send(client.tags(repository));
            is_send(client.delete_manifest(image));
            is_send(client.catalog("a.example"));
            is_send(client.pull_allowance(image));
            is_send(client.check_access(image, Access::Push));
            is_send(client.referrers(repository, &descriptor.digest, None));
            is_send(client.blob_range(repository, descriptor, 0..1));
            is_send(async { client.get_url(url, &[]).await.map(is_send) });
        }
        let _ = check;
    }
}
