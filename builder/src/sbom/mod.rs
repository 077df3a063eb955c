//! What software is in a tree, read from what package managers and compilers leave there.
//!
//! - `debian`, `alpine`, `rpm`, `python`, `node`, `cargo`, `golang`: a reader each, from bytes to packages. Pure;
//! - `scan`: which file of a tree goes to which reader;
//! - `purl`: package URLs; `spdx`: the document.
//!
//! Nothing is run and nothing is asked of a network. A file that cannot be read as what it seems to be
//! names no packages; it never fails a build. Where that is a distribution's own database, it is told.

mod alpine;
mod cargo;
mod debian;
mod golang;
mod node;
mod purl;
mod python;
mod rpm;
mod scan;
mod spdx;

pub(crate) use purl::purl;
pub use rpm::{RpmError, packages as rpm_packages};
pub(crate) use scan::{Software, scan};
pub(crate) use spdx::{Described, document};

/// A package that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name, as its own manager has it.
    pub name: String,
    /// Its version, likewise; empty where it has none.
    pub version: String,
    /// Its package URL.
    pub purl: String,
    /// Who maintains it.
    pub supplier: Option<String>,
    /// The licence it declares, as it says it.
    pub license: Option<String>,
    /// The file of the tree that names it.
    pub found_in: String,
}

/// Fields of a text whose paragraphs are separated by empty lines, as Debian and Python write them.
/// Lines that begin with a blank continue the line before.
fn paragraphs(text: &str) -> impl Iterator<Item = Vec<(&str, String)>> {
    text.split("\n\n").map(|paragraph| {
        let mut fields: Vec<(&str, String)> = Vec::new();
        for line in paragraph.lines() {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push('\n');
                    value.push_str(line.trim());
                }
            } else if let Some((key, value)) = line.split_once(':') {
                fields.push((key, value.trim().to_owned()));
            }
        }
        fields
    })
}

/// A field by its name, in any case.
fn field<'a>(fields: &'a [(&str, String)], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}
