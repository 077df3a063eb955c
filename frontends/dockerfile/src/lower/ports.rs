//! `EXPOSE`: port specifications.

use std::net::IpAddr;

/// A port specification that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// `80/tcp`, one for each port of a range.
    pub(crate) ports: Vec<String>,
    /// The protocol was not written in lower case.
    pub(crate) odd_casing: bool,
    /// An address or a port of the host was given, which means nothing here.
    pub(crate) mapped: bool,
}

/// Reads `[ip:][host port:]port[-port][/protocol]`. The error is a sentence.
pub(crate) fn parse(text: &str) -> Result<Ports, String> {
    let (ip, host, container) = split(text);
    let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
    if port.is_empty() {
        return Err(format!("invalid port: {text:?}: no port specified"));
    }
    let lower = protocol.to_ascii_lowercase();
    let protocol = match lower.as_str() {
        "" | "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        _ => return Err(format!("invalid port: {text:?}: invalid proto: {protocol}")),
    };
    let odd_casing = container.split_once('/').is_some_and(|(_, written)| written != lower);
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(&ip);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {ip}"));
    }
    let (first, last) = range(port).ok_or_else(|| format!("invalid containerPort: {port}"))?;
    if !host.is_empty() {
        let (host_first, host_last) = range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?;
        if first != last && last - first != host_last - host_first {
            return Err(format!("invalid ranges specified for container and host Ports: {port} and {host}"));
        }
    }
    Ok(Ports {
        ports: (first..=last).map(|port| format!("{port}/{protocol}")).collect(),
        odd_casing,
        mapped: !ip.is_empty() || !host.is_empty(),
    })
}

/// Address, port of the host, port.
fn split(text: &str) -> (String, &str, &str) {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [] | [_] => (String::new(), "", text),
        [host, port] => (String::new(), host, port),
        [address @ .., host, port] => (address.join(":"), host, port),
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| -> Option<u16> { text.strip_prefix('+').unwrap_or(text).parse().ok() };
    match text.split_once('-') {
        None => number(text).map(|port| (port, port)),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some((first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading() {
        let cases: &[(&str, &[&str])] = &[
            ("80", &["80/tcp"]),
            ("53/UDP", &["53/udp"]),
            ("8000-8002", &["8000/tcp", "8001/tcp", "8002/tcp"]),
            ("127.0.0.1:80:8080/sctp", &["8080/sctp"]),
            ("[2001:4860:0:2001::68]::333", &["333/tcp"]),
            ("[::1]:80:80", &["80/tcp"]),
            ("2001:4860:0:2001::68::333", &["333/tcp"]),
            ("::1:80:80", &["80/tcp"]),
            ("::::80", &["80/tcp"]),
            ("8000-8001:80", &["80/tcp"]),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect(text).ports, *expected, "{text}");
        }
        assert!(parse("53/UDP").expect("valid").odd_casing);
        assert!(parse("80:80").expect("valid").mapped);
    }

    #[test]
    fn refusing() {
        let cases = [
            ("", "invalid port: \"\": no port specified"),
            ("0.0.0.0:1234-1235:/tcp", "invalid port: \"0.0.0.0:1234-1235:/tcp\": no port specified"),
            ("80/icmp", "invalid port: \"80/icmp\": invalid proto: icmp"),
            ("65536", "invalid containerPort: 65536"),
            ("9-8", "invalid containerPort: 9-8"),
            ("nonsense:1:2", "invalid IP address: nonsense"),
            ("1-3:80-81", "invalid ranges specified for container and host Ports: 80-81 and 1-3"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        }
    }
}
