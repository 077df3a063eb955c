//! `rbuild prune`, and the quota of a build.

use std::collections::HashMap;
use std::fmt::Write;

use builder::error::Categorised;
use builder::history::{self, KnownStep};
use builder::toolchain;
use layer_store::{CachedResult, Evicted, EvictionPlan, MountsGo, Quota, Store};

use super::images::local_failure;
use crate::args::{Global, PruneArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress;

/// Removes what no image uses, and results of steps as the options say.
pub fn run(args: &PruneArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let local = host::open_local(global, environment)?;
    let store = local.store;
    // Images that are no longer mounted hold nothing.
    toolchain::mounted(&store, &local.helper)
        .map_err(|error| Failure::from_error(error.category(), &error))?;
    let now = now();
    let space = Space { most: args.max_used_space, free: args.min_free_space, reserved: args.reserved_space };
    let most = match space {
        Space { most, free: None, reserved: None } => most,
        _ => {
            let (taken, free) = (store.usage().map_err(local_failure)?.total, store.free_bytes());
            space.limit(taken, free.map_err(local_failure)?)
        }
    };
    let plan = store.plan_eviction(quota(args, most, now), now).map_err(local_failure)?;
    if args.explain || args.dry_run {
        let steps = history::known_steps(&store).map_err(local_failure)?;
        super::print(&explained(&plan, &steps, now));
    }
    if args.dry_run {
        return Ok(());
    }
    let evicted = store.evict(&plan).map_err(local_failure)?;
    super::print(&told(evicted));
    Ok(())
}

/// How much room the store may take, as BuildKit's rules say it.
#[derive(Clone, Copy, Debug, Default)]
struct Space {
    /// Bytes at most.
    most: Option<u64>,
    /// Bytes that the file system is to have left.
    free: Option<u64>,
    /// Bytes that are left to the store in any case.
    reserved: Option<u64>,
}

impl Space {
    /// What a store that takes so much, on a file system with so much left, may take. `None`: all it has.
    fn limit(self, taken: u64, free: u64) -> Option<u64> {
        let short = self.free.map(|wanted| taken.saturating_sub(wanted.saturating_sub(free)));
        let most = self.most.into_iter().chain(short).min();
        match (most, self.reserved) {
            (Some(most), reserved) => Some(most.max(reserved.unwrap_or_default())),
            (None, reserved) => reserved,
        }
    }
}

fn quota(args: &PruneArgs, most: Option<u64>, now: i64) -> Quota {
    let age = args.filters.iter().max();
    let all = args.all && age.is_none() && most.is_none();
    Quota {
        most,
        unused_since: if all { Some(i64::MAX) } else { age.map(|age| now.saturating_sub(*age)) },
        keep_since: args.keep.map(|age| now.saturating_sub(age)),
    }
}

fn told(evicted: Evicted) -> String {
    let Evicted { gone, journal, mounts, after } = evicted;
    let mut text = format!(
        "removed {} layers, {} blobs, {} records, {mounts} cache mounts",
        gone.layers, gone.blobs, gone.records
    );
    if journal > 0 {
        let _ = write!(text, ", {journal} parts of the journal of builds");
    }
    if gone.in_use > 0 {
        let _ = write!(text, "; {} layers stay, which other processes use", gone.in_use);
    }
    let _ = writeln!(text, "; the store takes {}", progress::bytes(after.total));
    text
}

/// Keeps a store within what it may take. Called when a build no longer uses it; what other builds use stays.
pub fn keep_within(store: &Store, most: u64) -> Result<(), Failure> {
    let quota = Quota { most: Some(most), ..Quota::default() };
    let plan = store.plan_eviction(quota, now()).map_err(local_failure)?;
    if plan.before.total <= most {
        return Ok(());
    }
    let Evicted { after, .. } = store.evict(&plan).map_err(local_failure)?;
    if after.total > most {
        super::say(&format!(
            "warning: {} takes {}, more than --max-used-space: what is left belongs to images (remove some with `rbuild rm`) or is in use\n",
            store.root().display(),
            progress::bytes(after.total)
        ));
    }
    Ok(())
}

fn explained(plan: &EvictionPlan, steps: &HashMap<String, KnownStep>, now: i64) -> String {
    let mut text = format!("the store takes {}\n", progress::bytes(plan.before.total));
    for victim in &plan.victims {
        let _ = writeln!(text, "{}", victim_line(victim, steps, now));
    }
    if !plan.journal.is_empty() {
        let bytes = plan.journal.iter().map(|entry| entry.bytes).sum();
        let _ = writeln!(
            text,
            "journal of builds: its {} oldest parts, {}: the rest would still be too large",
            plan.journal.len(),
            progress::bytes(bytes)
        );
    }
    match plan.mounts {
        MountsGo::Yes => text += "cache mounts: the rest would still be too large\n",
        MountsGo::No => {}
    }
    text
}

/// What a result is, and what spoke for its going.
fn victim_line(victim: &CachedResult, steps: &HashMap<String, KnownStep>, now: i64) -> String {
    let keys: Vec<String> = victim.keys.iter().map(ToString::to_string).collect();
    let title = keys.iter().find_map(|key| steps.get(key)).map(|step| step.title.as_str());
    let key = keys.first().map(|key| key[..key.len().min(12)].to_owned()).unwrap_or_default();
    let took = format!("{}.{:03} s", victim.millis / 1000, victim.millis % 1000);
    format!(
        "result {key}: {}, unused for {}, took {took}: {}",
        progress::bytes(victim.bytes),
        age(now.saturating_sub(victim.used)),
        progress::printable(title.unwrap_or("of a build that is no longer in the journal").as_bytes())
    )
}

/// A time span in its largest unit. Uses are noted to the minute.
pub fn age(seconds: i64) -> String {
    match seconds {
        ..60 => "less than a minute".to_owned(),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        86_400.. => format!("{} days", seconds / 86_400),
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_the_store() {
        for (most, free, reserved, expected) in [
            (None, None, None, None),
            (Some(50), None, None, Some(50)),
            // 100 are taken and 20 are left.
            (None, Some(20), None, Some(100)),
            (None, Some(30), None, Some(90)),
            (None, Some(500), None, Some(0)),
            (Some(95), Some(30), None, Some(90)),
            (Some(80), Some(30), None, Some(80)),
            (None, Some(500), Some(40), Some(40)),
            (Some(10), None, Some(40), Some(40)),
            (None, None, Some(40), Some(40)),
        ] {
            assert_eq!(
                Space { most, free, reserved }.limit(100, 20),
                expected,
                "{most:?} {free:?} {reserved:?}"
            );
        }
    }
}
