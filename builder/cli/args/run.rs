//! The options of `run`, named as `docker run` names them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use runtime_exec::ReadOnly;

use super::access::ShortNamesArgs;
use super::limits::LimitArgs;
use super::resolvers::ResolverArgs;
use super::security::SecurityArg;
use super::values::{self, HostArg, LabelArg, UlimitArg};
use super::volume::{MountArg, PortArg, TmpfsArg};

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Name of the image: the store's first, else it is pulled
    pub image: String,
    #[command(flatten)]
    pub short_names: ShortNamesArgs,
    /// Command and arguments instead of the image's
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
    /// Set an environment variable (NAME alone takes it from the caller)
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Set the variables of a file, one a line
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<PathBuf>,
    /// Mount a directory or file of the host
    #[arg(short, long = "volume", value_name = "HOST:TARGET[:ro]")]
    pub volumes: Vec<VolumeArg>,
    /// Mount a directory or file of the host, or an empty directory in memory
    #[arg(long = "mount", value_name = "type=bind|tmpfs,target=DIR[,...]")]
    pub mounts: Vec<MountArg>,
    /// Mount an empty directory in memory
    #[arg(long, value_name = "TARGET[:size=SIZE,ro]")]
    pub tmpfs: Vec<TmpfsArg>,
    /// Give the command a device of the host
    #[arg(long = "device", value_name = "HOST[:TARGET]")]
    pub devices: Vec<DeviceArg>,
    /// User instead of the image's
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Working directory instead of the image's
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Program instead of the image's entry point; empty for none
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Host name inside
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Let nothing write to the image's files
    #[arg(long)]
    pub read_only: bool,
    /// Give root a capability beyond the usual ones, or ALL
    #[arg(long = "cap-add", value_name = "NAME", value_delimiter = ',')]
    pub cap_add: Vec<String>,
    /// Take a capability from root, or ALL
    #[arg(long = "cap-drop", value_name = "NAME", value_delimiter = ',')]
    pub cap_drop: Vec<String>,
    /// no-new-privileges, seccomp=FILE|builtin|unconfined, apparmor=PROFILE, label=disable,
    /// systempaths=unconfined, mask=PATHS, unmask=ALL|PATHS
    #[arg(long = "security-opt", value_name = "OPTION")]
    pub security: Vec<SecurityArg>,
    /// A name that no other running container of the store may have
    #[arg(long, value_name = "NAME", value_parser = container_name)]
    pub name: Option<String>,
    /// The host's network, none, or a private one by pasta
    #[arg(long, value_enum, default_value_t = RunNetwork::Host)]
    pub network: RunNetwork,
    /// Add a line to /etc/hosts; `host-gateway` is this host
    #[arg(long, value_name = "NAME:ADDRESS|NAME:host-gateway")]
    pub add_host: Vec<HostArg>,
    #[command(flatten)]
    pub resolvers: ResolverArgs,
    /// Let a port of the host lead to one of a private network
    #[arg(short, long = "publish", value_name = "[ADDRESS:]PORT:PORT[/udp]")]
    pub ports: Vec<PortArg>,
    /// Resource limit
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]")]
    pub ulimits: Vec<UlimitArg>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE", value_parser = values::bytes)]
    pub shm_size: Option<u64>,
    /// Accepted for compatibility: nothing of a container is ever kept
    #[arg(long)]
    pub rm: bool,
    /// Accepted for compatibility: nothing of a container can be listed
    #[arg(short, long = "label", value_name = "KEY[=VALUE]")]
    pub labels: Vec<LabelArg>,
    /// Start the command below a process 1 that passes signals on and takes the ends of orphans
    #[arg(long)]
    pub init: bool,
    /// Keep standard input open
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command the caller's terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Platform, of an image for several
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
}

/// The network of `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunNetwork {
    None,
    Host,
    Private,
}

/// The name of a container, as docker allows it.
fn container_name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    match first && text.len() > 1 && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no name: letters, digits, _, . and -, at least two")),
    }
}

/// `-v HOST:TARGET[:ro|rw]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeArg {
    pub host: PathBuf,
    pub target: String,
    pub read_only: ReadOnly,
}

impl FromStr for VolumeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let (host, target, read_only) = match parts.as_slice() {
            [host, target] | [host, target, "rw"] => (*host, *target, ReadOnly::No),
            [host, target, "ro"] => (*host, *target, ReadOnly::Yes),
            [_, _, option] => return Err(format!("unknown option {option:?}; known are ro, rw")),
            _ => return Err(format!("{text:?} is not HOST:TARGET[:ro]")),
        };
        if !host.starts_with('/') && !host.starts_with('.') {
            return Err(format!("{host:?} is no path, and volumes with names are not supported"));
        }
        if !target.starts_with('/') {
            return Err(format!("the target {target:?} is not absolute"));
        }
        Ok(Self { host: host.into(), target: target.to_owned(), read_only })
    }
}

/// `--device HOST[:TARGET]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceArg {
    pub host: PathBuf,
    pub target: String,
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, target) = match text.split_once(':') {
            Some((host, target)) => (host, target),
            None => (text, text),
        };
        if target.contains(':') {
            return Err(format!("{text:?}: what may be done with a device cannot be narrowed"));
        }
        if !host.starts_with("/dev/") || !target.starts_with('/') {
            return Err(format!("{text:?} is not HOST[:TARGET] below /dev"));
        }
        Ok(Self { host: host.into(), target: target.to_owned() })
    }
}

/// `--device` of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepDeviceArg {
    /// A node of the host.
    Node(DeviceArg),
    /// A name of the Container Device Interface.
    Named(String),
}

impl FromStr for StepDeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.starts_with('/') {
            true => text.parse().map(Self::Node),
            false if text.contains('/') && text.contains('=') => Ok(Self::Named(text.to_owned())),
            false => Err(format!("{text:?} is neither a path below /dev nor VENDOR/CLASS=NAME")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes() {
        let volume = |text: &str| text.parse::<VolumeArg>();
        let expected = |read_only| VolumeArg { host: "/a".into(), target: "/b".into(), read_only };
        assert_eq!(volume("/a:/b"), Ok(expected(ReadOnly::No)));
        assert_eq!(volume("/a:/b:rw"), Ok(expected(ReadOnly::No)));
        assert_eq!(volume("/a:/b:ro"), Ok(expected(ReadOnly::Yes)));
        for bad in ["/a", "name:/b", "/a:b", "/a:/b:z", "/a:/b:ro:x", ""] {
            assert!(volume(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn devices_and_names() {
        let device = "/dev/fuse:/dev/x".parse::<DeviceArg>();
        assert_eq!(device, Ok(DeviceArg { host: "/dev/fuse".into(), target: "/dev/x".into() }));
        for bad in ["/etc/passwd", "/dev/fuse:/dev/fuse:r", "/dev/fuse:x"] {
            assert!(bad.parse::<DeviceArg>().is_err(), "{bad}");
        }
        let named = "vendor.com/gpu=0".parse::<StepDeviceArg>();
        assert_eq!(named, Ok(StepDeviceArg::Named("vendor.com/gpu=0".into())));
        assert!("gpu".parse::<StepDeviceArg>().is_err());
        assert!(container_name("web-1").is_ok());
        for bad in ["", "a", "-a", "a b", "a/b"] {
            assert!(container_name(bad).is_err(), "{bad}");
        }
    }
}
