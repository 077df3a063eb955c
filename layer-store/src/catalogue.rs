//! What is said of many paths, put aside, to be held against what others say of them.
//!
//! Of each path three numbers stay in memory: digests of the path and of what is said, and where that lies.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::Store;
use crate::error::Result;
use crate::spill::SpillWriter;

/// What is said of many paths. The last word on a path counts.
#[derive(Debug)]
pub struct Catalogue {
    records: SpillWriter,
    index: Vec<Place>,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    path: u64,
    at: u64,
    /// Of path and value.
    whole: u64,
}

/// Hears what two catalogues say of a path of which they do not say the same.
type Differs<'a> = dyn FnMut(PathBuf, Option<&[u8]>, Option<&[u8]>) -> Result<()> + 'a;

impl Store {
    /// A catalogue without paths.
    pub fn catalogue(&self) -> Catalogue {
        Catalogue { records: self.spill().writer(), index: Vec::new() }
    }
}

impl Catalogue {
    /// Says something of a path.
    pub fn insert(&mut self, path: &Path, value: &[u8]) -> Result<()> {
        let name = path.as_os_str().as_bytes();
        let mut hasher = blake3::Hasher::new();
        hasher.update(name);
        let path = first(&hasher);
        hasher.update(&[0]).update(value);
        let whole = first(&hasher);
        let at = self.records.position();
        let lengths = [name.len() as u32, value.len() as u32];
        lengths.iter().try_for_each(|length| self.records.write(&length.to_le_bytes()))?;
        self.records.write(name)?;
        self.records.write(value)?;
        self.index.push(Place { path, at, whole });
        Ok(())
    }

    /// Tells the paths of which two catalogues do not say the same, in no order.
    pub fn compare(mut self, mut other: Self, differs: &mut Differs<'_>) -> Result<()> {
        for side in [&mut self, &mut other] {
            side.records.flush()?;
            side.index.sort_unstable();
        }
        let (mut mine, mut theirs) = (self.index.as_slice(), other.index.as_slice());
        while let Some(next) = [mine, theirs].iter().filter_map(|list| list.first()).map(|one| one.path).min()
        {
            let (one, two) = (run_of(&mut mine, next), run_of(&mut theirs, next));
            if let ([one], [two]) = (one, two)
                && one.whole == two.whole
            {
                continue;
            }
            let (one, two) = (self.read(one)?, other.read(two)?);
            for path in one.keys().chain(two.keys()).collect::<BTreeSet<_>>() {
                let (one, two) = (one.get(path), two.get(path));
                if one != two {
                    differs(path.clone(), one.map(Vec::as_slice), two.map(Vec::as_slice))?;
                }
            }
        }
        Ok(())
    }

    fn read(&self, places: &[Place]) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut all = BTreeMap::new();
        for place in places {
            let mut lengths = [0; 8];
            self.records.read_at(place.at, &mut lengths)?;
            let [name, value] = [0, 4]
                .map(|at| u32::from_le_bytes(lengths[at..at + 4].try_into().unwrap_or_default()) as usize);
            let mut bytes = vec![0; name + value];
            self.records.read_at(place.at + 8, &mut bytes)?;
            let value = bytes.split_off(name);
            all.insert(PathBuf::from(OsString::from_vec(bytes)), value);
        }
        Ok(all)
    }
}

fn first(hasher: &blake3::Hasher) -> u64 {
    u64::from_le_bytes(hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default())
}

/// The places at the front that have this path's digest.
fn run_of<'a>(list: &mut &'a [Place], path: u64) -> &'a [Place] {
    let end = list.iter().take_while(|one| one.path == path).count();
    let (run, rest) = list.split_at(end);
    *list = rest;
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdRanges, Mode, OpenOptions};

    #[test]
    fn differing_paths_are_told_and_the_last_word_counts() {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions { mode: Mode::Root, ids: IdRanges::default() };
        let store = Store::open(dir.path(), &options).unwrap();
        let catalogue = |text: &str| {
            let mut made = store.catalogue();
            for word in text.split_whitespace() {
                made.insert(Path::new(&word[1..]), &word.as_bytes()[..1]).unwrap();
            }
            made
        };
        let check = |one: &str, other: &str, expected: &str| {
            let mut found = BTreeSet::new();
            let word = |side: Option<&[u8]>| side.map_or("-".into(), String::from_utf8_lossy).into_owned();
            catalogue(one)
                .compare(catalogue(other), &mut |path, one, other| {
                    found.insert(format!("{}{}{}", word(one), word(other), path.display()));
                    Ok(())
                })
                .unwrap();
            assert_eq!(found.into_iter().collect::<Vec<_>>().join(" "), expected, "{one} | {other}");
        };
        check("1a 2b", "2b 1a", "");
        check("1a 1b 1c", "1b 2c 1d", "-1d 1-a 12c");
        check("1a 2a", "2a", "");
        check("2a 1a", "2a", "12a");
        check("", "1a", "-1a");
    }
}
