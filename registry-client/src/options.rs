//! The settings of a client.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Credentials, Hosts, Remarks};

/// Everything a client is told from outside.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Mirrors, rewrites, blocked registries, and how much is asked of each.
    pub hosts: Hosts,
    /// Who we are, and where.
    pub credentials: Credentials,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// PEM files of trusted authorities (`SSL_CERT_FILE`); empty means the system's bundle.
    pub ca_bundles: Vec<PathBuf>,
    /// HTTP proxies; loopback never goes through one.
    pub proxies: Proxies,
    /// How failures of the moment are met.
    pub retry: RetryPolicy,
    /// How large blobs are fetched in several ranges at once.
    pub split: SplitPolicy,
    /// A folder for notes of uploads that are under way, so that another process can go on with them where
    /// this one is killed. None are taken where it is absent.
    pub upload_notes: Option<PathBuf>,
    /// Who hears what registries remark.
    pub remarks: Remarks,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a peer may be silent.
    pub idle_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            hosts: Hosts::default(),
            credentials: Credentials::default(),
            user_agent: concat!("rbuild/", env!("CARGO_PKG_VERSION")).to_owned(),
            ca_bundles: Vec::new(),
            proxies: Proxies::default(),
            retry: RetryPolicy::default(),
            split: SplitPolicy::default(),
            upload_notes: None,
            remarks: Remarks::default(),
            connect_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// Proxies, as `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` have them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<String>,
    /// For `https` URLs.
    pub https: Option<String>,
    /// For both.
    pub all: Option<String>,
    /// Hosts, domains and CIDR blocks that are asked directly, joined by commas.
    pub none: Option<String>,
}

/// A proxy's URL may hold a password.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies").field("none", &self.none).finish_non_exhaustive()
    }
}

/// How failures of the moment are met: lost connections, 408, 429 and 5xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all; of a transfer, tries without a byte of progress.
    pub attempts: u32,
    /// The first wait; it doubles, and a random part of it is taken.
    pub first_wait: Duration,
    /// The longest wait, also where a registry asks for more.
    pub longest_wait: Duration,
    /// All waits of a client together: a build does not hang on a registry for ever.
    pub budget: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(30),
            budget: Duration::from_secs(600),
        }
    }
}

/// How large blobs are fetched in several ranges at once. All ranges but the first of a blob are held in
/// memory until their turn comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitPolicy {
    /// Bytes that are missing of a blob, from which on it is worth while.
    pub from: u64,
    /// Bytes of one range.
    pub piece: u64,
    /// Ranges of one blob at once; one: never split.
    pub at_once: usize,
    /// Further ranges of all blobs of a client together.
    pub in_all: usize,
}

impl Default for SplitPolicy {
    fn default() -> Self {
        Self { from: 64 << 20, piece: 4 << 20, at_once: 4, in_all: 4 }
    }
}
