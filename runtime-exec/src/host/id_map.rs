//! Ranges of user and group ids.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::HostError;

/// Ids that mean something on both sides of a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// First id inside.
    pub inside: u32,
    /// What it is outside.
    pub outside: u32,
    /// How many follow each other, the first included.
    pub count: u32,
}

/// Whether to enter a user namespace, and with which ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IdMapping {
    /// None for root with the right to mount; all ids as they are for root that may map them; else the
    /// user itself as root, and the ranges that
    /// `/etc/subuid` and `/etc/subgid` give it; where there are none, or no program that maps them,
    /// the user alone.
    #[default]
    Auto,
    /// A user namespace with the user itself as root, and no other id.
    Single,
    /// A user namespace with these ranges, which takes privilege.
    Given {
        /// User ids.
        uids: Vec<IdRange>,
        /// Group ids.
        gids: Vec<IdRange>,
    },
}

/// Whether this process is where a mapping would lead it, as far as the ids are concerned.
pub(super) fn is_here(ids: &IdMapping) -> Result<bool, HostError> {
    Ok(match ids {
        IdMapping::Auto => true,
        IdMapping::Single => own_maps().map(|(uids, gids)| is_single(&uids) || is_single(&gids))?,
        IdMapping::Given { .. } => false,
    })
}

/// Both maps of this process.
pub(super) fn own_maps() -> Result<(Vec<IdRange>, Vec<IdRange>), HostError> {
    Ok((read("/proc/self/uid_map")?, read("/proc/self/gid_map")?))
}

fn read(path: &str) -> Result<Vec<IdRange>, HostError> {
    let failed = |source| HostError::Read { path: PathBuf::from(path), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    parse(&text).ok_or_else(|| failed(io::Error::from_raw_os_error(libc::EINVAL)))
}

fn parse(text: &str) -> Option<Vec<IdRange>> {
    text.lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
            let range =
                IdRange { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? };
            numbers.next().is_none().then_some(range)
        })
        .collect()
}

/// Whether one id is all there is.
pub(super) fn is_single(ranges: &[IdRange]) -> bool {
    ranges.iter().map(|range| u64::from(range.count)).sum::<u64>() == 1
}

/// The text that `/proc/<pid>/uid_map` takes.
pub(super) fn render(ranges: &[IdRange]) -> String {
    ranges.iter().map(|r| format!("{} {} {}\n", r.inside, r.outside, r.count)).collect()
}

/// The ranges that the text of `/etc/subuid` or `/etc/subgid` gives to a user, as (first, count).
pub(super) fn subordinate(text: &str, name: &str, id: u32) -> Vec<(u32, u32)> {
    let number = id.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            let range = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            ((owner == name || owner == number) && range.1 > 0).then_some(range)
        })
        .collect()
}

/// The ids of a namespace, for one inside it in which each stays what it is.
pub(super) fn unchanged(ranges: &[IdRange]) -> Vec<IdRange> {
    ranges.iter().map(|range| IdRange { outside: range.inside, ..*range }).collect()
}

/// The user itself as 0, and its subordinate ranges one after the other from 1.
pub(super) fn rootless(own: u32, subordinate: &[(u32, u32)]) -> Vec<IdRange> {
    let mut ranges = vec![IdRange { inside: 0, outside: own, count: 1 }];
    let mut inside = 1_u32;
    for (outside, count) in subordinate {
        let count = (*count).min(u32::MAX - inside);
        ranges.push(IdRange { inside, outside: *outside, count });
        inside += count;
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_the_kernel_are_read() {
        let text = "         0       1000          1\n         1     100000      65536\n";
        let expected = [
            IdRange { inside: 0, outside: 1000, count: 1 },
            IdRange { inside: 1, outside: 100_000, count: 65536 },
        ];
        assert_eq!(parse(text).as_deref(), Some(&expected[..]));
        assert_eq!(parse("0 0\n"), None);
    }

    #[test]
    fn subordinate_ranges_are_found_by_name_and_number() {
        let text = "# none\nann:100000:65536\nbob:5:0\n1000:300000:10\nann:x:1\nanna:1:1\n";
        assert_eq!(subordinate(text, "ann", 1000), [(100_000, 65536), (300_000, 10)]);
        assert_eq!(subordinate(text, "bob", 7), []);
    }

    #[test]
    fn ranges_follow_each_other_inside() {
        let expected = [
            IdRange { inside: 0, outside: 1000, count: 1 },
            IdRange { inside: 1, outside: 100_000, count: 10 },
            IdRange { inside: 11, outside: 200_000, count: 5 },
        ];
        assert_eq!(rootless(1000, &[(100_000, 10), (200_000, 5)]), expected);
    }
}
