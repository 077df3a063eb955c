//! `--mount`, `--tmpfs` and `--publish` of `run`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use runtime_exec::{Protocol, PublishedPort, ReadOnly};

use super::csv;
use super::values;

/// `--mount type=bind,source=HOST,target=TARGET[,readonly]` or `type=tmpfs,target=TARGET[,tmpfs-size=SIZE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountArg {
    Bind { host: PathBuf, target: String, read_only: ReadOnly },
    Tmpfs(TmpfsArg),
}

/// `--tmpfs TARGET[:OPTIONS]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TmpfsArg {
    pub target: String,
    pub size: Option<u64>,
    pub read_only: ReadOnly,
}

/// `--publish [ADDRESS:]PORT:PORT[/tcp|/udp]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortArg(pub PublishedPort);

impl FromStr for MountArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut kind, mut source, mut target, mut size) = (None, None, None, None);
        let mut read_only = ReadOnly::No;
        for (key, value) in csv::pairs(text)? {
            let needed = || value.clone().ok_or_else(|| format!("{key} needs a value"));
            match key.as_str() {
                "type" => kind = Some(needed()?),
                "source" | "src" => source = Some(needed()?),
                "target" | "destination" | "dst" => target = Some(needed()?),
                "readonly" | "ro" => read_only = switch(&key, value.as_deref())?,
                "tmpfs-size" => size = Some(values::bytes(&needed()?)?),
                _ => return Err(format!("{key:?} is not supported in a mount")),
            }
        }
        let target = absolute(target.ok_or("a mount needs a target")?)?;
        match (kind.as_deref(), source, size) {
            (Some("bind"), Some(source), None) => Ok(Self::Bind { host: source.into(), target, read_only }),
            (Some("bind"), None, _) => Err("a mount of type bind needs a source".to_owned()),
            (Some("bind"), Some(_), Some(_)) => Err("tmpfs-size is for the type tmpfs".to_owned()),
            (Some("tmpfs"), None, size) => Ok(Self::Tmpfs(TmpfsArg { target, size, read_only })),
            (Some("tmpfs"), Some(_), _) => Err("a mount of type tmpfs has no source".to_owned()),
            (None | Some("volume"), _, _) => {
                Err("volumes with names are not supported: type=bind and type=tmpfs are".to_owned())
            }
            (Some(other), _, _) => Err(format!("unknown type {other:?}; known are bind, tmpfs")),
        }
    }
}

fn switch(key: &str, value: Option<&str>) -> Result<ReadOnly, String> {
    match value {
        None | Some("true" | "1") => Ok(ReadOnly::Yes),
        Some("false" | "0") => Ok(ReadOnly::No),
        Some(other) => Err(format!("{key}={other} is neither true nor false")),
    }
}

fn absolute(target: String) -> Result<String, String> {
    match target.starts_with('/') {
        true => Ok(target),
        false => Err(format!("the target {target:?} is not absolute")),
    }
}

impl FromStr for TmpfsArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (target, options) = text.split_once(':').unwrap_or((text, ""));
        let mut tmpfs = Self { target: absolute(target.to_owned())?, size: None, read_only: ReadOnly::No };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("size", size)) => tmpfs.size = Some(values::bytes(size)?),
                None if option == "ro" => tmpfs.read_only = ReadOnly::Yes,
                // These are so anyway.
                None if matches!(option, "rw" | "nosuid" | "nodev" | "exec") => {}
                Some(_) | None => {
                    return Err(format!(
                        "{option:?} is not supported; known are size=SIZE, ro, rw, nosuid, nodev, exec"
                    ));
                }
            }
        }
        Ok(tmpfs)
    }
}

impl FromStr for PortArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not [ADDRESS:]PORT:PORT[/tcp|/udp]");
        let (ports, protocol) = match text.rsplit_once('/') {
            None => (text, Protocol::Tcp),
            Some((ports, "tcp")) => (ports, Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some(_) => return Err(wrong()),
        };
        let port = |text: &str| text.parse().ok().filter(|port: &u16| *port > 0).ok_or_else(wrong);
        let (outside, inside) = ports.rsplit_once(':').ok_or_else(wrong)?;
        let (address, host) = match outside.rsplit_once(':') {
            Some((address, host)) => (Some(address), host),
            None => (None, outside),
        };
        let bare = |text: &str| -> Result<IpAddr, String> {
            let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            inner.unwrap_or(text).parse().map_err(|_| wrong())
        };
        let address = address.map(bare).transpose()?;
        Ok(Self(PublishedPort { address, host: port(host)?, inside: port(inside)?, protocol }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts() {
        let mount = |text: &str| text.parse::<MountArg>();
        let bind = |read_only| MountArg::Bind { host: "/a".into(), target: "/b".into(), read_only };
        assert_eq!(mount("type=bind,source=/a,target=/b"), Ok(bind(ReadOnly::No)));
        assert_eq!(mount("type=bind,src=/a,dst=/b,ro"), Ok(bind(ReadOnly::Yes)));
        assert_eq!(mount("type=bind,src=/a,destination=/b,readonly=false"), Ok(bind(ReadOnly::No)));
        let tmpfs = |size| TmpfsArg { target: "/t".into(), size, read_only: ReadOnly::No };
        assert_eq!(mount("type=tmpfs,target=/t,tmpfs-size=1m"), Ok(MountArg::Tmpfs(tmpfs(Some(1 << 20)))));
        assert_eq!("/t:size=1m,rw".parse(), Ok(tmpfs(Some(1 << 20))));
        assert_eq!("/t".parse(), Ok(tmpfs(None)));
        for bad in [
            "",
            "target=/b",
            "type=volume,src=x,target=/b",
            "type=bind,target=/b",
            "type=bind,src=/a,target=b",
            "type=bind,src=/a,target=/b,bind-propagation=shared",
            "type=tmpfs,src=/a,target=/b",
        ] {
            assert!(mount(bad).is_err(), "{bad}");
        }
        for bad in ["t", "/t:mode=1", "/t:size=x", "/t:noexec"] {
            assert!(bad.parse::<TmpfsArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ports() {
        let port = |address: Option<&str>, host, inside, protocol| {
            let address = address.map(|text| text.parse().unwrap());
            Ok(PortArg(PublishedPort { address, host, inside, protocol }))
        };
        assert_eq!("80:8080".parse(), port(None, 80, 8080, Protocol::Tcp));
        assert_eq!("127.0.0.1:80:81/udp".parse(), port(Some("127.0.0.1"), 80, 81, Protocol::Udp));
        assert_eq!("[::1]:80:81/tcp".parse(), port(Some("::1"), 80, 81, Protocol::Tcp));
        for bad in ["", "80", "80:", "0:1", "1:70000", "x:1:2", "1:2/sctp", "1-2:1-2"] {
            assert!(bad.parse::<PortArg>().is_err(), "{bad}");
        }
    }
}
