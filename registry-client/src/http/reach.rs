//! Where a URL that a server gave us may lead. A public registry must not send us to addresses that
//! only this machine or its network can reach, and none to link-local ones, where clouds keep secrets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use defence::Defence;
use reqwest::{Response, Url};

/// What the addresses of foreign hosts may be, after the address of who names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reach {
    /// Public ones.
    Public,
    /// Public and private ones.
    Private,
    /// These, and this machine.
    Loopback,
}

impl Reach {
    /// As far as who answered is himself away.
    pub(crate) fn of(response: &Response) -> Self {
        response.remote_addr().map(|peer| peer.ip()).and_then(Self::needed).unwrap_or(Self::Public)
    }

    /// The reach that an address needs; `None` where nobody may send us.
    pub(crate) fn needed(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => needed_v4(address),
            IpAddr::V6(address) => match embedded(address) {
                Some(inner) => needed_v4(inner),
                None => needed_v6(address),
            },
        }
    }

    /// Whether an address is within it.
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        Self::needed(address).is_some_and(|needed| needed <= self)
    }

    /// Judges a URL as far as its text goes. Names are judged again when they are looked up.
    pub(crate) fn judge(self, url: &Url) -> Result<(), String> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL that holds credentials".to_owned());
        }
        let literal = match url.host() {
            None => return Err("a URL without a host".to_owned()),
            Some(url::Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(url::Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(url::Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                let local = name == "localhost" || name.ends_with(".localhost");
                local.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))
            }
        };
        match literal.filter(|_| defence::stands(Defence::AddressesJudged)) {
            Some(address) if !self.allows(address) => Err(format!("{address}, an address out of its reach")),
            Some(_) | None => Ok(()),
        }
    }

    /// The addresses of a name that may be dialled.
    pub(crate) fn filter(self, addresses: impl Iterator<Item = IpAddr>) -> Vec<SocketAddr> {
        addresses.filter(|address| self.allows(*address)).map(|address| SocketAddr::new(address, 0)).collect()
    }
}

fn needed_v4(address: Ipv4Addr) -> Option<Reach> {
    let [first, second, ..] = address.octets();
    match (first, second) {
        (127, _) => Some(Reach::Loopback),
        (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) | (198, 18..=19) => Some(Reach::Private),
        // this network, link-local, multicast, reserved
        (0, _) | (169, 254) | (224.., _) => None,
        _ => Some(Reach::Public),
    }
}

fn needed_v6(address: Ipv6Addr) -> Option<Reach> {
    /// One cloud's metadata service.
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        Ipv6Addr::LOCALHOST => Some(Reach::Loopback),
        METADATA | Ipv6Addr::UNSPECIFIED => None,
        _ if address.is_unicast_link_local() || address.is_multicast() => None,
        _ if address.is_unique_local() => Some(Reach::Private),
        _ => Some(Reach::Public),
    }
}

/// The IPv4 address in a mapped, NAT64 or 6to4 one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let pair = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(pair(high, low)),
        [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => address.to_ipv4_mapped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_who_may_send_us_there() {
        let check = |addresses: &[&str], needed: Option<Reach>| {
            for text in addresses {
                let address: IpAddr = text.parse().expect("an address");
                assert_eq!(Reach::needed(address), needed, "{text}");
            }
        };
        check(&["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111"], Some(Reach::Public));
        check(
            &["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1"],
            Some(Reach::Private),
        );
        check(
            &["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"],
            Some(Reach::Loopback),
        );
        check(
            &[
                "169.254.169.254",
                "::ffff:169.254.169.254",
                "64:ff9b::a9fe:a9fe",
                "fe80::1",
                "fd00:ec2::254",
                "0.0.0.0",
                "::",
                "224.0.0.1",
                "255.255.255.255",
                "ff02::1",
            ],
            None,
        );
    }

    #[test]
    fn urls() {
        let check = |url: &str, least: Option<Reach>| {
            let url = Url::parse(url).expect("a URL");
            for reach in [Reach::Public, Reach::Private, Reach::Loopback] {
                let good = least.is_some_and(|least| reach >= least);
                assert_eq!(reach.judge(&url).is_ok(), good, "{url} {reach:?}");
            }
        };
        check("https://auth.docker.io/token", Some(Reach::Public));
        check("https://10.0.0.1/token", Some(Reach::Private));
        check("http://localhost:1/", Some(Reach::Loopback));
        check("http://a.LOCALHOST./", Some(Reach::Loopback));
        // the ways of writing 127.0.0.1 and 169.254.169.254
        check("http://2130706433/", Some(Reach::Loopback));
        check("http://0x7f.1/", Some(Reach::Loopback));
        check("http://[::ffff:7f00:1]/", Some(Reach::Loopback));
        check("http://0xa9fea9fe/latest/meta-data", None);
        check("http://169.254.43518/", None);
        check("https://me:pw@auth.example/", None);
    }
}
