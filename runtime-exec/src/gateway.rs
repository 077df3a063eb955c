//! The host as a sandbox reaches it.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Whether a step in a private network reaches the loopback of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gateway {
    /// It does not.
    #[default]
    Hidden,
    /// At the address of the default gateway.
    Host,
}

/// The address of the default gateway of this process's network; `None`: there is no such route.
pub fn default_gateway() -> Option<Ipv4Addr> {
    gateway(&std::fs::read_to_string("/proc/net/route").ok()?)
}

/// From the text of `/proc/net/route`: addresses in hexadecimal, in the order of the machine.
fn gateway(routes: &str) -> Option<Ipv4Addr> {
    routes.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (destination, gateway) = (fields.next()?, fields.next()?);
        let address = u32::from_str_radix(gateway, 16).ok()?;
        (destination == "00000000" && address != 0).then(|| Ipv4Addr::from(address.to_ne_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_has_it() {
        let header = "Iface\tDestination\tGateway \tFlags\n";
        let local = "eth0\t0002A8C0\t00000000\t0001\n";
        let default = "eth0\t00000000\t0102A8C0\t0003\n";
        assert_eq!(gateway(&format!("{header}{local}")), None);
        if cfg!(target_endian = "little") {
            assert_eq!(gateway(&format!("{header}{local}{default}")), Some(Ipv4Addr::new(192, 168, 2, 1)));
        }
    }
}
