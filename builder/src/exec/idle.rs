//! Whether a step still does something: it writes, or its processes use the processor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::worker::{Permit, blocking};

/// Ticks of `/proc` in a second, on every Linux.
const TICKS: u64 = 100;
/// A process that wakes up and looks every now and then does nothing: this part of a processor is none.
const NOTHING: u64 = 100;
/// How often it is looked, at least.
const LOOK: Duration = Duration::from_secs(5);

/// What is seen of a step from outside.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    written: AtomicU64,
    /// The process above all of the step's; 0: none yet.
    root: AtomicU32,
}

impl Pulse {
    /// It wrote.
    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Its processes are below this one.
    pub(super) fn runs_below(&self, process: u32) {
        self.root.store(process, Ordering::Relaxed);
    }

    /// Ends when the step did nothing for so long.
    pub(super) async fn stops(self: Arc<Self>, limit: Duration) {
        let pause = (limit / 4).min(LOOK);
        let (mut since, mut written, mut ticks) = (Instant::now(), 0, 0);
        while since.elapsed() < limit {
            tokio::time::sleep(pause).await;
            let root = self.root.load(Ordering::Relaxed);
            let now =
                (self.written.load(Ordering::Relaxed), blocking(Permit::free(), move || used(root)).await);
            let worked = now.1.saturating_sub(ticks) > pause_ticks(pause) / NOTHING;
            if now.0 != written || worked || root == 0 {
                since = Instant::now();
            }
            (written, ticks) = now;
        }
    }
}

fn pause_ticks(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).saturating_mul(TICKS) / 1000
}

/// What a process and all below it have used of processors so far, in ticks. Ended children count for who waited
/// for them; what cannot be read counts nothing.
fn used(root: u32) -> u64 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let all: BTreeMap<u32, (u32, u64)> = pids
        .filter_map(|pid| Some((pid, parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
        .collect();
    let below = |mut pid: u32| {
        // No chain of parents is longer than there are processes.
        for _ in 0..all.len() {
            if pid == root {
                return true;
            }
            let Some((parent, _)) = all.get(&pid) else { return false };
            pid = *parent;
        }
        false
    };
    all.iter().filter(|(pid, _)| below(**pid)).map(|(_, (_, ticks))| ticks).sum()
}

/// The parent and the used ticks of a line of `/proc/PID/stat`. The name in it may hold anything.
fn parse(stat: &str) -> Option<(u32, u64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_processes() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5";
        assert_eq!(parse(line), Some((7, 100)));
        assert_eq!(parse("42 (a"), None);
    }

    #[test]
    fn work_of_this_process_is_seen() {
        let own = std::process::id();
        let before = used(own);
        let mut sum = 0_u64;
        while used(own) == before {
            sum = (0..1_000_000_u64).fold(sum, |sum, number| sum.wrapping_mul(31).wrapping_add(number));
        }
        assert!(used(own) > before, "{sum}");
        assert_eq!(used(u32::MAX), 0);
    }
}
