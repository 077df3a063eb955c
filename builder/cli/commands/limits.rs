//! From options to limits.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use builder::error::Category;
use runtime_exec::{CpuTime, DeviceRate, Limits};

use crate::args::{LimitArgs, RateArg};
use crate::failure::Failure;

/// The usual period, in microseconds.
const PERIOD: u64 = 100_000;

/// What the options say.
pub fn limits(args: &LimitArgs) -> Result<Limits, Failure> {
    let cpu = match (args.cpus, args.cpu_quota, args.cpu_period) {
        (Some(thousandths), _, _) => {
            Some(CpuTime { quota: Some(thousandths * PERIOD / 1000), period: PERIOD })
        }
        (None, None, None) => None,
        (None, quota, period) => Some(CpuTime { quota, period: period.unwrap_or(PERIOD) }),
    };
    Ok(Limits {
        memory: args.memory,
        memory_swap: args.memory_swap,
        cpu,
        cpu_shares: args.cpu_shares,
        cpuset_cpus: args.cpuset_cpus.clone(),
        cpuset_mems: args.cpuset_mems.clone(),
        pids: args.pids_limit,
        blkio_weight: args.blkio_weight,
        read_rates: args.read_bps.iter().map(rate).collect::<Result<_, _>>()?,
        parent: args.cgroup_parent.clone(),
        write_rates: args.write_bps.iter().map(rate).collect::<Result<_, _>>()?,
    })
}

fn rate(given: &RateArg) -> Result<DeviceRate, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Category::Local, format!("{}: {error}", given.device.display()))
    };
    let found = std::fs::metadata(&given.device).map_err(|error| failed(&error))?;
    if !found.file_type().is_block_device() {
        return Err(failed(&"it is no block device"));
    }
    let number = found.rdev();
    Ok(DeviceRate { major: rustix::fs::major(number), minor: rustix::fs::minor(number), bytes: given.bytes })
}
