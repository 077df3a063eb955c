//! Files that a step sees in place of the root's own: `/etc/hosts`.

use std::fmt::Write as _;

use graph::ExtraHost;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_then_additions() {
        let extra = [ExtraHost { name: "db".into(), address: "10.0.0.2".parse().unwrap() }];
        assert_eq!(
            String::from_utf8(hosts("box", &extra)).unwrap(),
            "127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.2\tdb\n"
        );
    }
}
