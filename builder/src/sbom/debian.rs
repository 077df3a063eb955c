//! dpkg's database.

use super::purl::purl;
use super::{Package, field, paragraphs};

/// The packages of a `status` file that are installed. Without a status field (as distroless images
/// write them) a package counts as installed.
pub(super) fn read(text: &str, distribution: &Distribution, found_in: &str) -> Vec<Package> {
    paragraphs(text).filter_map(|fields| package(&fields, distribution, found_in)).collect()
}

/// What `/etc/os-release` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Distribution {
    /// `ID`: debian, ubuntu, alpine …
    pub id: String,
    /// `VERSION_ID`.
    pub version: String,
}

impl Distribution {
    /// Reads the file.
    pub(super) fn read(text: &str) -> Self {
        let value = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.map(|value| value.trim().trim_matches(['"', '\'']).to_owned()).unwrap_or_default()
        };
        Self { id: value("ID"), version: value("VERSION_ID") }
    }

    /// As package URLs name it.
    pub(super) fn qualifier(&self) -> String {
        match (self.id.is_empty(), self.version.is_empty()) {
            (true, _) => String::new(),
            (false, true) => self.id.clone(),
            (false, false) => format!("{}-{}", self.id, self.version),
        }
    }
}

fn package(fields: &[(&str, String)], distribution: &Distribution, found_in: &str) -> Option<Package> {
    let (name, version) = (field(fields, "Package")?, field(fields, "Version")?);
    if let Some(status) = field(fields, "Status")
        && status.split_whitespace().next_back() != Some("installed")
    {
        return None;
    }
    let vendor = if distribution.id.is_empty() { "debian" } else { &distribution.id };
    let qualifiers =
        [("arch", field(fields, "Architecture").unwrap_or_default()), ("distro", &distribution.qualifier())];
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: purl("deb", vendor, name, version, &qualifiers),
        supplier: field(fields, "Maintainer").map(str::to_owned),
        license: None,
        found_in: found_in.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_counts() {
        let text = "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1\n\
                    Description: one\n two\n .\n Version: 9\n\nPackage: b\n\
                    Status: deinstall ok config-files\nVersion: 2\n\nPackage: c\nVersion: 3\n";
        let distribution = Distribution::read("NAME=x\nID=debian\nVERSION_ID=\"12\"\n");
        let found = read(text, &distribution, "/var/lib/dpkg/status");
        let names: Vec<&str> = found.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(found[0].version, "1:1");
        assert_eq!(found[0].purl, "pkg:deb/debian/a@1%3A1?arch=amd64&distro=debian-12");
    }
}
