//! Python packages, by the metadata that pip and setuptools leave beside them.

use super::purl::purl;
use super::{Package, field, paragraphs};

/// The package of a `METADATA` or `PKG-INFO` file.
pub(super) fn read(text: &str, found_in: &str) -> Option<Package> {
    let fields = paragraphs(text).next()?;
    let (name, version) = (field(&fields, "Name")?, field(&fields, "Version")?);
    let author = field(&fields, "Author").or_else(|| field(&fields, "Maintainer"));
    let license = field(&fields, "License-Expression").or_else(|| field(&fields, "License"));
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: purl("pypi", "", &normal(name), version, &[]),
        supplier: author.filter(|author| *author != "UNKNOWN").map(str::to_owned),
        license: license
            .filter(|license| *license != "UNKNOWN" && !license.contains('\n'))
            .map(str::to_owned),
        found_in: found_in.to_owned(),
    })
}

/// Names are compared in lower case, with runs of `-_.` as one `-` (PEP 503).
fn normal(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for letter in name.to_lowercase().chars() {
        match letter {
            '-' | '_' | '.' if text.ends_with('-') => {}
            '-' | '_' | '.' => text.push('-'),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_counts_and_the_description_does_not() {
        let text = "Metadata-Version: 2.1\nName: Foo_.Bar\nVersion: 1.0\nLicense: MIT\n\nName: other\n";
        let found = read(text, "x").unwrap();
        assert_eq!((found.name.as_str(), found.purl.as_str()), ("Foo_.Bar", "pkg:pypi/foo-bar@1.0"));
        assert_eq!(read("Summary: nothing\n", "x"), None);
    }
}
