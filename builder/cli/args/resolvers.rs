//! How names are looked up inside, by the options of docker.

use std::net::IpAddr;

use clap::Args;

#[derive(Clone, Debug, Default, Args)]
pub struct ResolverArgs {
    /// Resolver instead of the host's
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<IpAddr>,
    /// Domain in which short names are looked for instead of the host's; `.` for none
    #[arg(long, value_name = "DOMAIN", value_parser = word)]
    pub dns_search: Vec<String>,
    /// Option of the resolver instead of the host's, such as ndots:1
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION", value_parser = word)]
    pub dns_option: Vec<String>,
}

/// One word of a line of `resolv.conf`.
fn word(text: &str) -> Result<String, String> {
    match text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        true => Err(format!("{text:?} is no single word")),
        false => Ok(text.to_owned()),
    }
}
