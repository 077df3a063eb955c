//! apk's database.

use super::Package;
use super::debian::Distribution;
use super::purl::purl;

/// The packages of an `installed` file: paragraphs of lines that begin with one letter and a colon.
pub(super) fn read(text: &str, distribution: &Distribution, found_in: &str) -> Vec<Package> {
    text.split("\n\n").filter_map(|paragraph| package(paragraph, distribution, found_in)).collect()
}

fn package(paragraph: &str, distribution: &Distribution, found_in: &str) -> Option<Package> {
    let value =
        |letter: &str| paragraph.lines().find_map(|line| line.strip_prefix(letter)?.strip_prefix(':'));
    let (name, version) = (value("P")?, value("V")?);
    let vendor = if distribution.id.is_empty() { "alpine" } else { &distribution.id };
    let qualifiers = [("arch", value("A").unwrap_or_default()), ("distro", &distribution.qualifier())];
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: purl("apk", vendor, name, version, &qualifiers),
        supplier: value("m").map(str::to_owned),
        license: value("L").map(str::to_owned),
        found_in: found_in.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_of_letters() {
        let text = "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\nm:A <a@b>\nF:lib\nR:ld.so\n\nP:zlib\nV:1\n";
        let found = read(text, &Distribution::default(), "lib/apk/db/installed");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].purl, "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64");
        assert_eq!(found[0].license.as_deref(), Some("MIT"));
    }
}
