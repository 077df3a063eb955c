//! Looking up names of hosts, in Rust: a static program has no name service modules.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::reach::Reach;

/// The resolver of a client, made when first asked: only then is there a runtime.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<OnceLock<TokioResolver>>);

/// A resolver for connections of one kind.
#[derive(Clone)]
pub(super) struct Lookup {
    pub(super) names: Names,
    /// How far the addresses may be; anywhere for hosts that the user named.
    pub(super) reach: Option<Reach>,
    /// Hosts of proxies, which the user named, too.
    pub(super) proxies: Arc<BTreeSet<String>>,
}

impl Names {
    fn resolver(&self) -> Result<&TokioResolver, io::Error> {
        if let Some(resolver) = self.0.get() {
            return Ok(resolver);
        }
        // without a resolv.conf only the hosts file is asked, and no server that nobody chose
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
            let none = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
            TokioResolver::builder_with_config(none, TokioRuntimeProvider::default())
        });
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        let made = builder.build().map_err(io::Error::other)?;
        Ok(self.0.get_or_init(|| made))
    }
}

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.clone();
        Box::pin(async move {
            let found = lookup.names.resolver()?.lookup_ip(name.as_str()).await.map_err(|error| {
                match error.is_nx_domain() || error.is_no_records_found() {
                    true => io::Error::new(io::ErrorKind::NotFound, "there is no address for this name"),
                    false => io::Error::other(error),
                }
            })?;
            let found = found.iter();
            let addresses: Vec<SocketAddr> = match lookup.reach {
                Some(reach) if !lookup.proxies.contains(name.as_str()) => reach.filter(found),
                Some(_) | None => found.map(|address| SocketAddr::new(address, 0)).collect(),
            };
            if addresses.is_empty() {
                let reason = format!("{} has no address within the reach of who named it", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
