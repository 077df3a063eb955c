//! What a step may use of the machine: plain values, and the files of control groups that say so.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a step may use of the machine; what is not named is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Memory and swap together.
    pub memory_swap: Option<Swap>,
    /// Time of processors.
    pub cpu: Option<CpuTime>,
    /// Weight against other groups where processors are short; 1024 is the usual one.
    pub cpu_shares: Option<u64>,
    /// Processors it may run on, as `0-2,5`.
    pub cpuset_cpus: Option<String>,
    /// Nodes of memory it may use, as `0-1`.
    pub cpuset_mems: Option<String>,
    /// Processes and threads at once.
    pub pids: Option<u64>,
    /// Weight against other groups at disks, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Bytes a second from a device.
    pub read_rates: Vec<DeviceRate>,
    /// Bytes a second to a device.
    pub write_rates: Vec<DeviceRate>,
    /// The group in which the step's is made, from the top of each hierarchy; `None`: that of this process.
    /// It is made where it is absent, and then goes with the step.
    pub parent: Option<PathBuf>,
}

/// Memory and swap together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Swap {
    /// As many bytes.
    Total(u64),
    /// As much swap as there is.
    Unlimited,
}

/// So many microseconds of processor time in each period of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTime {
    /// Time in a period; `None` is unlimited.
    pub quota: Option<u64>,
    /// The period.
    pub period: u64,
}

/// A rate at a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Bytes a second.
    pub bytes: u64,
}

/// The versions of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// A hierarchy for each controller.
    One,
    /// One for all.
    Two,
}

/// A file of a group, and what is written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The controller the file belongs to.
    pub(crate) controller: &'static str,
    /// Its name.
    pub(crate) file: &'static str,
    /// What is written.
    pub(crate) value: String,
}

impl Limits {
    /// Whether anything is limited.
    pub fn is_empty(&self) -> bool {
        *self == Limits::default()
    }

    /// What has to be written, in that order.
    pub(crate) fn settings(&self, version: Version) -> Vec<Setting> {
        let mut all = Vec::new();
        let mut set = |controller, file, value: String| all.push(Setting { controller, file, value });
        match version {
            Version::One => self.first(&mut set),
            Version::Two => self.second(&mut set),
        }
        all
    }

    fn first(&self, set: &mut impl FnMut(&'static str, &'static str, String)) {
        if let Some(bytes) = self.memory {
            set("memory", "memory.limit_in_bytes", bytes.to_string());
        }
        match self.memory_swap {
            Some(Swap::Total(bytes)) => set("memory", "memory.memsw.limit_in_bytes", bytes.to_string()),
            Some(Swap::Unlimited) => set("memory", "memory.memsw.limit_in_bytes", "-1".to_owned()),
            None => {}
        }
        if let Some(CpuTime { quota, period }) = self.cpu {
            set("cpu", "cpu.cfs_period_us", period.to_string());
            set("cpu", "cpu.cfs_quota_us", quota.map_or("-1".to_owned(), |quota| quota.to_string()));
        }
        if let Some(shares) = self.cpu_shares {
            set("cpu", "cpu.shares", shares.to_string());
        }
        if let Some(cpus) = &self.cpuset_cpus {
            set("cpuset", "cpuset.cpus", cpus.clone());
        }
        if let Some(mems) = &self.cpuset_mems {
            set("cpuset", "cpuset.mems", mems.clone());
        }
        if let Some(pids) = self.pids {
            set("pids", "pids.max", pids.to_string());
        }
        if let Some(weight) = self.blkio_weight {
            set("blkio", "blkio.weight", weight.to_string());
        }
        for (rates, file) in [
            (&self.read_rates, "blkio.throttle.read_bps_device"),
            (&self.write_rates, "blkio.throttle.write_bps_device"),
        ] {
            for rate in rates {
                set("blkio", file, format!("{}:{} {}", rate.major, rate.minor, rate.bytes));
            }
        }
    }

    fn second(&self, set: &mut impl FnMut(&'static str, &'static str, String)) {
        if let Some(bytes) = self.memory {
            set("memory", "memory.max", bytes.to_string());
        }
        match self.memory_swap {
            // The second version counts swap by itself.
            Some(Swap::Total(bytes)) => {
                let swap = bytes.saturating_sub(self.memory.unwrap_or(0));
                set("memory", "memory.swap.max", swap.to_string());
            }
            Some(Swap::Unlimited) => set("memory", "memory.swap.max", "max".to_owned()),
            None => {}
        }
        if let Some(CpuTime { quota, period }) = self.cpu {
            let quota = quota.map_or("max".to_owned(), |quota| quota.to_string());
            set("cpu", "cpu.max", format!("{quota} {period}"));
        }
        if let Some(shares) = self.cpu_shares {
            // 2 to 262144 shares become weights of 1 to 10000.
            let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142;
            set("cpu", "cpu.weight", weight.to_string());
        }
        if let Some(cpus) = &self.cpuset_cpus {
            set("cpuset", "cpuset.cpus", cpus.clone());
        }
        if let Some(mems) = &self.cpuset_mems {
            set("cpuset", "cpuset.mems", mems.clone());
        }
        if let Some(pids) = self.pids {
            set("pids", "pids.max", pids.to_string());
        }
        if let Some(weight) = self.blkio_weight {
            let weight = 1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990;
            set("io", "io.weight", format!("default {weight}"));
        }
        for (rates, key) in [(&self.read_rates, "rbps"), (&self.write_rates, "wbps")] {
            for rate in rates {
                set("io", "io.max", format!("{}:{} {key}={}", rate.major, rate.minor, rate.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(limits: &Limits, version: Version) -> String {
        let line = |setting: Setting| format!("{}: {} < {}", setting.controller, setting.file, setting.value);
        limits.settings(version).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn all() -> Limits {
        Limits {
            memory: Some(1 << 20),
            memory_swap: Some(Swap::Total(3 << 20)),
            cpu: Some(CpuTime { quota: Some(50_000), period: 100_000 }),
            cpu_shares: Some(1024),
            cpuset_cpus: Some("0-1".to_owned()),
            cpuset_mems: Some("0".to_owned()),
            pids: Some(10),
            blkio_weight: Some(1000),
            read_rates: vec![DeviceRate { major: 8, minor: 0, bytes: 100 }],
            write_rates: vec![DeviceRate { major: 8, minor: 16, bytes: 200 }],
            parent: None,
        }
    }

    #[test]
    fn files_of_the_first_version() {
        assert_eq!(
            text(&all(), Version::One),
            "memory: memory.limit_in_bytes < 1048576\nmemory: memory.memsw.limit_in_bytes < 3145728\n\
             cpu: cpu.cfs_period_us < 100000\ncpu: cpu.cfs_quota_us < 50000\ncpu: cpu.shares < 1024\n\
             cpuset: cpuset.cpus < 0-1\ncpuset: cpuset.mems < 0\npids: pids.max < 10\nblkio: blkio.weight < 1000\n\
             blkio: blkio.throttle.read_bps_device < 8:0 100\nblkio: blkio.throttle.write_bps_device < 8:16 200"
        );
    }

    #[test]
    fn files_of_the_second_version() {
        assert_eq!(
            text(&all(), Version::Two),
            "memory: memory.max < 1048576\nmemory: memory.swap.max < 2097152\ncpu: cpu.max < 50000 100000\n\
             cpu: cpu.weight < 39\ncpuset: cpuset.cpus < 0-1\ncpuset: cpuset.mems < 0\npids: pids.max < 10\n\
             io: io.weight < default 10000\nio: io.max < 8:0 rbps=100\nio: io.max < 8:16 wbps=200"
        );
    }

    #[test]
    fn without_limits_nothing_is_written() {
        let unlimited = Limits { memory_swap: Some(Swap::Unlimited), ..Limits::default() };
        assert!(Limits::default().is_empty() && Limits::default().settings(Version::Two).is_empty());
        assert_eq!(text(&unlimited, Version::Two), "memory: memory.swap.max < max");
        assert_eq!(text(&unlimited, Version::One), "memory: memory.memsw.limit_in_bytes < -1");
    }
}
