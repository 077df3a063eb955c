//! How many steps run at once where nobody says.
//!
//! A step may as well wait, for a network or for another step, as compute. So there are places for more steps
//! than processors, and what bounds them is memory.

use std::path::Path;

/// Places there are in any case, for each processor.
const LEAST: usize = 2;
/// Places there are at most, for each processor, and at most on a small machine.
const MOST: usize = 8;
const SMALL: usize = 32;
/// What a place beyond the least is to have of free memory.
const EACH: u64 = 256 << 20;

/// Steps at once on this machine.
pub fn steps() -> usize {
    places(processors(), free_memory())
}

/// Layers that are packed at once: that is computing.
pub fn packers() -> usize {
    processors() * LEAST
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

fn places(processors: usize, memory: Option<u64>) -> usize {
    let least = processors * LEAST;
    let most = (processors * MOST).max(SMALL);
    match memory {
        None => least.max(SMALL / 2),
        Some(bytes) => usize::try_from(bytes / EACH).unwrap_or(most).clamp(least, most),
    }
}

/// What the kernel says can be had, and no more than the control group of this process may have.
fn free_memory() -> Option<u64> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let available = available(&read(Path::new("/proc/meminfo"))?)?;
    let group = read(Path::new("/proc/self/cgroup")).and_then(|text| group(&text).map(str::to_owned));
    let mut allowed = available;
    if let Some(group) = group {
        let root = Path::new("/sys/fs/cgroup");
        let own = root.join(group.trim_start_matches('/'));
        for directory in own.ancestors().take_while(|directory| directory.starts_with(root)) {
            let number = |name: &str| read(&directory.join(name))?.trim().parse::<u64>().ok();
            if let (Some(most), Some(now)) = (number("memory.max"), number("memory.current")) {
                allowed = allowed.min(most.saturating_sub(now));
            }
        }
    }
    Some(allowed)
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The group of version 2 in `/proc/self/cgroup`.
fn group(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_steps_than_processors_as_far_as_memory_goes() {
        let gib = |count: u64| Some(count << 30);
        for (processors, memory, expected) in [
            (2, gib(16), 32),
            (2, gib(4), 16),
            (2, gib(2), 8),
            (2, gib(0), 4),
            (1, gib(64), 32),
            (8, gib(1), 16),
            (8, gib(64), 64),
            (64, gib(1024), 512),
            (2, None, 16),
            (16, None, 32),
        ] {
            assert_eq!(places(processors, memory), expected, "{processors} processors, {memory:?}");
        }
    }

    #[test]
    fn what_the_kernel_tells() {
        assert_eq!(available("MemTotal:  9 kB\nMemAvailable:    1024 kB\n"), Some(1 << 20));
        assert_eq!(available("MemTotal:  9 kB\n"), None);
        assert_eq!(group("12:cpu:/a\n0::/user.slice/x\n"), Some("/user.slice/x"));
        assert_eq!(group("12:cpu:/a\n"), None);
    }
}
