//! Which proxy a URL is asked through, as curl and Go's programs read `HTTP_PROXY`, `HTTPS_PROXY`,
//! `ALL_PROXY` and `NO_PROXY`. No name is looked up to find out.

use std::net::IpAddr;

use url::{Host, Url};

use crate::{Proxies, RegistryError};

const SCHEMES: [&str; 6] = ["http", "https", "socks5", "socks5h", "socks4", "socks4a"];

/// The proxies of a client.
#[derive(Clone)]
pub(super) struct Choice {
    http: Option<Url>,
    https: Option<Url>,
    direct: Vec<Direct>,
}

/// What `NO_PROXY` names, and the port where it is about one alone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Direct {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// Addresses with these first bits.
    Network(IpAddr, u32),
    /// A name and those below it.
    Name(String),
    /// Those below it alone.
    Below(String),
}

impl Choice {
    pub(super) fn new(given: &Proxies) -> Result<Self, RegistryError> {
        let proxy = |own: &Option<String>| own.as_ref().or(given.all.as_ref()).map(|text| proxy(text));
        Ok(Self {
            http: proxy(&given.http).transpose()?,
            https: proxy(&given.https).transpose()?,
            direct: given.none.as_deref().map(direct).unwrap_or_default(),
        })
    }

    /// The hosts of all proxies.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.http.iter().chain(&self.https).filter_map(Url::host_str)
    }

    /// Whether nothing is asked through a proxy.
    pub(super) fn is_none(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// The proxy for a URL; never one for this machine itself.
    pub(super) fn of(&self, url: &Url) -> Option<Url> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        let host = url.host()?.to_owned();
        let port = url.port_or_known_default();
        let near = match &host {
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
            Host::Domain(name) => is_below(name, "localhost") || name == "localhost",
        };
        let named = |one: &Direct| one.port.is_none_or(|own| Some(own) == port) && one.hosts.have(&host);
        if near || self.direct.iter().any(named) { None } else { proxy.clone() }
    }
}

impl Hosts {
    fn have(&self, host: &Host<String>) -> bool {
        let address = match host {
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
            Host::Domain(_) => None,
        };
        match (self, host) {
            (Self::All, _) => true,
            (Self::Network(first, bits), _) => address.is_some_and(|one| shares(one, *first, *bits)),
            (Self::Name(name), Host::Domain(host)) => host == name || is_below(host, name),
            (Self::Below(name), Host::Domain(host)) => is_below(host, name),
            (Self::Name(_) | Self::Below(_), Host::Ipv4(_) | Host::Ipv6(_)) => false,
        }
    }
}

fn is_below(host: &str, name: &str) -> bool {
    host.trim_end_matches('.').strip_suffix(name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// Whether two addresses have the same first bits.
fn shares(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    let differ = match (one.to_canonical(), other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    differ >= bits
}

/// A proxy's URL, `http` where no scheme is said. It may hold a password and is never shown.
fn proxy(text: &str) -> Result<Url, RegistryError> {
    let refuse = |reason: String| RegistryError::Setup { reason };
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).ok().filter(Url::has_host);
    let url = url.ok_or_else(|| refuse("a proxy's URL is not understood".to_owned()))?;
    match SCHEMES.contains(&url.scheme()) {
        true => Ok(url),
        false => Err(refuse(format!(
            "proxies are not spoken to by {}://; there are {}",
            url.scheme(),
            SCHEMES.join(", ")
        ))),
    }
}

/// The parts of `NO_PROXY`; what makes no sense names nobody.
fn direct(text: &str) -> Vec<Direct> {
    text.split([',', ' ']).filter(|part| !part.is_empty()).filter_map(one).collect()
}

fn one(part: &str) -> Option<Direct> {
    let whole = |hosts| Some(Direct { hosts, port: None });
    if part == "*" {
        return whole(Hosts::All);
    }
    let every = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
    if let Some((first, bits)) = part.split_once('/') {
        let first: IpAddr = first.parse().ok()?;
        let bits = bits.parse().ok().filter(|bits| *bits <= every(first))?;
        return whole(Hosts::Network(first, bits));
    }
    if let Ok(address) = part.parse::<IpAddr>() {
        return whole(Hosts::Network(address, every(address)));
    }
    let (host, port) = match part.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (part, None),
    };
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let hosts = match (literal.parse::<IpAddr>(), host.trim_start_matches('*').strip_prefix('.')) {
        (Ok(address), _) => Hosts::Network(address, every(address)),
        (Err(_), Some(name)) => Hosts::Below(name.to_ascii_lowercase()),
        (Err(_), None) => Hosts::Name(host.to_ascii_lowercase()),
    };
    Some(Direct { hosts, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(http: Option<&str>, https: Option<&str>, all: Option<&str>, none: Option<&str>) -> Choice {
        let text = |given: Option<&str>| given.map(str::to_owned);
        let given = Proxies { http: text(http), https: text(https), all: text(all), none: text(none) };
        Choice::new(&given).expect("good proxies")
    }

    fn asked(choice: &Choice, url: &str) -> String {
        let proxy = choice.of(&Url::parse(url).expect("a URL"));
        proxy.map(|proxy| proxy.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_proxy_of_a_scheme_counts_more_than_the_one_for_all() {
        let one = choice(Some("plain:1"), None, Some("socks5h://me:pw@all:2"), None);
        for (url, expected) in [
            ("http://a.example/", "http://plain:1/"),
            ("https://a.example/", "socks5h://me:pw@all:2"),
            ("https://127.0.0.1:5000/", ""),
            ("http://[::1]/", ""),
            ("http://localhost:5000/", ""),
            ("http://a.localhost/", ""),
        ] {
            assert_eq!(asked(&one, url), expected, "{url}");
        }
        assert!(choice(None, None, None, Some("*")).is_none());
        assert_eq!(one.hosts().collect::<Vec<_>>(), ["plain", "all"]);
        for bad in ["ftp://a", "socks5h://", "http://", "://"] {
            let given = Proxies { all: Some(bad.to_owned()), ..Proxies::default() };
            assert!(Choice::new(&given).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_asked_directly() {
        for (none, url, direct) in [
            ("example.com", "https://example.com/", true),
            ("example.com", "https://a.example.com/", true),
            ("EXAMPLE.com", "https://a.Example.com/", true),
            ("example.com", "https://notexample.com/", false),
            (".example.com", "https://example.com/", false),
            (".example.com", "https://a.example.com/", true),
            ("*.example.com", "https://a.b.example.com/", true),
            ("*.example.com", "https://example.com/", false),
            ("example.com:5000", "https://example.com:5000/", true),
            ("example.com:443", "https://example.com/", true),
            ("example.com:5000", "https://example.com/", false),
            ("10.0.0.0/8, 192.168.1.7", "https://10.2.3.4:5000/", true),
            ("10.0.0.0/8, 192.168.1.7", "https://192.168.1.7/", true),
            ("10.0.0.0/8, 192.168.1.7", "https://192.168.1.8/", false),
            ("10.0.0.0/8", "https://[::ffff:10.0.0.1]/", true),
            ("10.0.0.1:80", "http://10.0.0.1/", true),
            ("10.0.0.1:80", "http://10.0.0.1:81/", false),
            ("fd00::/8,[2001:db8::1]:443", "https://[fd12::1]/", true),
            ("fd00::/8,[2001:db8::1]:443", "https://[2001:db8::1]/", true),
            ("fd00::/8", "https://[fe12::1]/", false),
            ("0.0.0.0/0", "https://a.example/", false),
            ("*", "https://a.example/", true),
            ("10.0.0.0/99,:,a:b:c,/", "https://10.0.0.1/", false),
            ("", "https://a.example/", false),
        ] {
            let one = choice(None, None, Some("proxy:3128"), Some(none));
            assert_eq!(asked(&one, url).is_empty(), direct, "{none:?} {url}");
        }
    }
}
