//! rpm's database: a record for each package, in one of three forms.
//!
//! - `sqlite`: since rpm 4.16; `ndb`: SUSE's; `berkeley`: until rpm 4.15. Pure, each yields records;
//! - `record`: a record, which has the form of a package's header.
//!
//! The bytes come from an image, so that nothing in them is believed: no form reads more than its file holds.

mod berkeley;
mod ndb;
mod record;
mod sqlite;

use std::io;
use std::os::unix::fs::FileExt;

use thiserror::Error;

use super::Package;
use super::debian::Distribution;
use super::purl::purl;
use record::Record;

/// No record is longer.
const LONGEST: u64 = 64 << 20;
/// No database is looked at beyond this, whatever its file says of its size.
const LARGEST: u64 = 4 << 30;

/// Why a database was not read, or not to its end.
#[derive(Debug, Error)]
pub enum RpmError {
    /// The file.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The file is of another kind.
    #[error("it has none of the forms of rpm's databases")]
    Form,
    /// Something in it is not as its form has it.
    #[error("it is damaged at its {what} {number}")]
    Damaged {
        /// Page, block or record.
        what: &'static str,
        /// Which.
        number: u64,
    },
}

fn damaged(what: &'static str, number: impl Into<u64>) -> RpmError {
    RpmError::Damaged { what, number: number.into() }
}

/// The packages of a database of some size, and what kept it from being read to its end.
pub fn packages(file: &impl FileExt, size: u64) -> (Vec<Package>, Option<RpmError>) {
    read(file, size, &Distribution::default(), "")
}

/// The same, of a database in a tree.
pub(super) fn read(
    file: &impl FileExt,
    size: u64,
    distribution: &Distribution,
    found_in: &str,
) -> (Vec<Package>, Option<RpmError>) {
    let (mut packages, mut number, mut unread) = (Vec::new(), 0_u64, None);
    let mut visit = |bytes: &[u8]| {
        number += 1;
        match Record::parse(bytes) {
            Some(record) => packages.push(package(&record, distribution, found_in)),
            None => {
                unread.get_or_insert(damaged("record", number));
            }
        }
    };
    let ended = records(file, size.min(LARGEST), &mut visit);
    (packages, ended.err().or(unread))
}

fn records(file: &impl FileExt, size: u64, visit: &mut dyn FnMut(&[u8])) -> Result<(), RpmError> {
    let mut start = [0; 100];
    let length = start.len().min(usize::try_from(size).unwrap_or(usize::MAX));
    file.read_exact_at(&mut start[..length], 0)?;
    if start.starts_with(sqlite::MAGIC) {
        sqlite::records(file, size, &start, visit)
    } else if start.starts_with(ndb::MAGIC) {
        ndb::records(file, size, visit)
    } else if let Some(order) = berkeley::order(&start) {
        berkeley::records(file, size, &start, order, visit)
    } else {
        Err(RpmError::Form)
    }
}

fn package(record: &Record, distribution: &Distribution, found_in: &str) -> Package {
    let (version, epoch) = (format!("{}-{}", record.version, record.release), record.epoch);
    let qualifiers = [
        ("arch", record.arch.as_deref().unwrap_or_default()),
        ("distro", &distribution.qualifier()),
        ("epoch", &epoch.map(|epoch| epoch.to_string()).unwrap_or_default()),
        ("upstream", record.source.as_deref().unwrap_or_default()),
    ];
    Package {
        purl: purl("rpm", vendor(distribution), &record.name, &version, &qualifiers),
        name: record.name.clone(),
        version: epoch.map_or_else(|| version.clone(), |epoch| format!("{epoch}:{version}")),
        supplier: None,
        license: record.license.clone(),
        found_in: found_in.to_owned(),
    }
}

/// As package URLs name the vendors of distributions.
fn vendor(distribution: &Distribution) -> &str {
    match distribution.id.as_str() {
        "rhel" => "redhat",
        id if id.starts_with("opensuse") => "opensuse",
        id => id,
    }
}

#[cfg(test)]
mod tests;
