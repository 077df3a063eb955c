//! Options that limit what steps and containers use, named as docker names them.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use runtime_exec::Swap;

use super::values;

#[derive(Clone, Debug, Default, Args)]
pub struct LimitArgs {
    /// Memory at most
    #[arg(short, long, value_name = "SIZE", value_parser = values::bytes)]
    pub memory: Option<u64>,
    /// Memory and swap at most, together; -1 for any amount of swap
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = swap, requires = "memory")]
    pub memory_swap: Option<Swap>,
    /// Processors at most, such as 1.5
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["cpu_period", "cpu_quota"], value_parser = thousandths)]
    pub cpus: Option<u64>,
    /// Weight where processors are short, 1024 being the usual one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=262_144))]
    pub cpu_shares: Option<u64>,
    /// Period of --cpu-quota in microseconds [default: 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    pub cpu_period: Option<u64>,
    /// Processor time in a period, in microseconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..))]
    pub cpu_quota: Option<u64>,
    /// Processors to run on, such as 0-2,5
    #[arg(long, value_name = "LIST", value_parser = numbers)]
    pub cpuset_cpus: Option<String>,
    /// Nodes of memory to use, such as 0-1
    #[arg(long, value_name = "LIST", value_parser = numbers)]
    pub cpuset_mems: Option<String>,
    /// Processes and threads at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub pids_limit: Option<u64>,
    /// Weight at disks
    #[arg(long, value_name = "10..1000", value_parser = clap::value_parser!(u16).range(10..=1000))]
    pub blkio_weight: Option<u16>,
    /// Bytes a second from a device at most
    #[arg(long = "device-read-bps", value_name = "DEVICE:SIZE")]
    pub read_bps: Vec<RateArg>,
    /// Bytes a second to a device at most
    #[arg(long = "device-write-bps", value_name = "DEVICE:SIZE")]
    pub write_bps: Vec<RateArg>,
    /// Control group to make the step's in, named from the top: /ci/jobs
    #[arg(long, value_name = "PATH", value_parser = group)]
    pub cgroup_parent: Option<PathBuf>,
}

/// `--device-read-bps DEVICE:SIZE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateArg {
    pub device: PathBuf,
    pub bytes: u64,
}

impl FromStr for RateArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (device, size) = text.rsplit_once(':').ok_or_else(|| format!("{text:?} is not DEVICE:SIZE"))?;
        if !device.starts_with("/dev/") {
            return Err(format!("{device:?} is no path below /dev"));
        }
        Ok(Self { device: device.into(), bytes: values::bytes(size)? })
    }
}

fn group(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if text.contains(':') || text.ends_with(".slice") {
        return Err(format!("{text:?}: groups of systemd are not supported; name a path such as /ci/jobs"));
    }
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !plain || path.file_name().is_none() {
        return Err(format!("{text:?} is no path of a control group such as /ci/jobs"));
    }
    Ok(path.to_owned())
}

fn swap(text: &str) -> Result<Swap, String> {
    match text {
        "-1" => Ok(Swap::Unlimited),
        _ => values::bytes(text).map(Swap::Total),
    }
}

/// A decimal number, in thousandths.
fn thousandths(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no number of processors");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 || (whole.is_empty() && part.is_empty()) {
        return Err(wrong());
    }
    let number: u64 = format!("{whole}{part:0<3}").parse().map_err(|_| wrong())?;
    match number {
        10..=1_000_000 => Ok(number),
        _ => Err(wrong()),
    }
}

fn numbers(text: &str) -> Result<String, String> {
    let number = |text: &str| text.parse::<u32>().ok();
    let right = text.split(',').all(|part| match part.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
        None => number(part).is_some(),
    });
    if right { Ok(text.to_owned()) } else { Err(format!("{text:?} is no list such as 0-2,5")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_processors() {
        for (text, expected) in
            [("1.5", Some(1500)), ("2", Some(2000)), (".25", Some(250)), ("0.01", Some(10))]
        {
            assert_eq!(thousandths(text).ok(), expected, "{text}");
        }
        for bad in ["", ".", "0", "x", "1.2345", "-1", "99999999999999999999"] {
            assert!(thousandths(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn groups() {
        assert_eq!(group("/ci/jobs"), Ok("/ci/jobs".into()));
        assert_eq!(group("ci"), Ok("ci".into()));
        for bad in ["", "/", "../x", "/a/../b", "a:b:c", "system.slice"] {
            assert!(group(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists_rates_and_swap() {
        assert!(numbers("0-2,5").is_ok() && numbers("0").is_ok());
        for bad in ["", "2-1", "0,", "a", "0-"] {
            assert!(numbers(bad).is_err(), "{bad}");
        }
        assert_eq!(swap("-1"), Ok(Swap::Unlimited));
        assert_eq!(swap("1k"), Ok(Swap::Total(1024)));
        assert_eq!("/dev/sda:1m".parse(), Ok(RateArg { device: "/dev/sda".into(), bytes: 1 << 20 }));
        for bad in ["/dev/sda", "sda:1m", "/dev/sda:x"] {
            assert!(bad.parse::<RateArg>().is_err(), "{bad}");
        }
    }
}
