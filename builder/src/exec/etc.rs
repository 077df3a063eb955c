//! Files that a step sees in place of the root's own: `/etc/hosts`, `/etc/resolv.conf`.

use std::fmt::Write as _;
use std::net::IpAddr;

use graph::ExtraHost;
use runtime_exec::{DNS_RELAY, NetworkMode};

use crate::request::Resolvers;

/// Host name of a step that asks for none.
pub const DEFAULT_HOSTNAME: &str = "buildkitsandbox";

/// The text of `/etc/hosts`: the loopback names, the step's own name, and what the build adds.
pub fn hosts(hostname: &str, extra: &[ExtraHost]) -> Vec<u8> {
    let mut text = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for host in extra {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}\t{}", host.address, host.name);
    }
    text.into_bytes()
}

/// The text of `/etc/resolv.conf`: the host's, with what `own` puts in its place. A private network
/// does not reach a resolver on the host's loopback (or the one that is meant where none is named):
/// there the relay takes its place.
pub fn resolv_conf(host: &[u8], network: NetworkMode, own: &Resolvers) -> Vec<u8> {
    let relayed = match network {
        NetworkMode::Private => true,
        NetworkMode::None | NetworkMode::Host => false,
    };
    if *own == Resolvers::default() && !relayed {
        return host.to_vec();
    }
    let host = String::from_utf8_lossy(host);
    let mut servers: Vec<String> = own.servers.iter().map(IpAddr::to_string).collect();
    if servers.is_empty() {
        let reached = |server: &&str| !relayed || !is_loopback(server);
        servers = host.lines().filter_map(server).filter(reached).map(str::to_owned).collect();
    }
    if servers.is_empty() && relayed {
        servers.push(DNS_RELAY.to_string());
    }
    let kept = host.lines().filter(|line| match line.split_whitespace().next() {
        Some("nameserver") => false,
        Some("search" | "domain") => own.search.is_empty(),
        Some("options") => own.options.is_empty(),
        Some(_) | None => true,
    });
    let mut lines: Vec<String> = kept.map(str::to_owned).collect();
    if !own.search.is_empty() && own.search != ["."] {
        lines.push(format!("search {}", own.search.join(" ")));
    }
    lines.extend(servers.into_iter().map(|server| format!("nameserver {server}")));
    if !own.options.is_empty() {
        lines.push(format!("options {}", own.options.join(" ")));
    }
    lines.into_iter().map(|line| line + "\n").collect::<String>().into_bytes()
}

/// The resolver that a line names.
fn server(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next()).flatten()
}

fn is_loopback(server: &str) -> bool {
    let bare = server.split('%').next().unwrap_or(server);
    bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolvers(host: &str, network: NetworkMode, dns: &[&str]) -> String {
        let servers = dns.iter().map(|text| text.parse().unwrap()).collect();
        let own = Resolvers { servers, ..Resolvers::default() };
        String::from_utf8(resolv_conf(host.as_bytes(), network, &own)).unwrap()
    }

    #[test]
    fn domains_and_options_take_the_place_of_the_hosts() {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let host = "domain a\nnameserver 10.0.0.1\nsearch b c\noptions ndots:5\n";
        for (search, options, expected) in [
            (&["x", "y"][..], &[][..], "options ndots:5\nsearch x y\nnameserver 10.0.0.1\n"),
            (&["."], &["rotate", "ndots:1"], "nameserver 10.0.0.1\noptions rotate ndots:1\n"),
            (&[], &["rotate"], "domain a\nsearch b c\nnameserver 10.0.0.1\noptions rotate\n"),
        ] {
            let own = Resolvers { servers: Vec::new(), search: list(search), options: list(options) };
            let said = resolv_conf(host.as_bytes(), NetworkMode::Host, &own);
            assert_eq!(String::from_utf8(said).unwrap(), expected, "{own:?}");
        }
    }

    #[test]
    fn resolvers_that_a_private_network_does_not_reach_are_relayed() {
        let stub = "nameserver 127.0.0.53\nsearch lan\n";
        for (host, network, dns, expected) in [
            (stub, NetworkMode::Host, &[][..], stub),
            (stub, NetworkMode::None, &[], stub),
            (stub, NetworkMode::Private, &[], "search lan\nnameserver 169.254.1.1\n"),
            ("", NetworkMode::Private, &[], "nameserver 169.254.1.1\n"),
            ("nameserver 10.0.0.1\nnameserver ::1\n", NetworkMode::Private, &[], "nameserver 10.0.0.1\n"),
            (
                stub,
                NetworkMode::Host,
                &["9.9.9.9", "::2"],
                "search lan\nnameserver 9.9.9.9\nnameserver ::2\n",
            ),
            (stub, NetworkMode::Private, &["9.9.9.9"], "search lan\nnameserver 9.9.9.9\n"),
        ] {
            assert_eq!(resolvers(host, network, dns), expected, "{host:?} {network:?} {dns:?}");
        }
    }

    #[test]
    fn loopback_then_additions() {
        let extra = [ExtraHost { name: "db".into(), address: "10.0.0.2".parse().unwrap() }];
        assert_eq!(
            String::from_utf8(hosts("box", &extra)).unwrap(),
            "127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.2\tdb\n"
        );
    }
}
