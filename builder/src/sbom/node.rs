//! npm packages, by their `package.json` in `node_modules`.

use serde_json::Value;

use super::Package;
use super::purl::purl;

/// The package of a `package.json`.
pub(super) fn read(text: &[u8], found_in: &str) -> Option<Package> {
    let document: Value = serde_json::from_slice(text).ok()?;
    let (name, version) = (document["name"].as_str()?, document["version"].as_str()?);
    let (scope, short) = match name.split_once('/') {
        Some((scope, short)) if scope.starts_with('@') => (scope, short),
        Some(_) => return None,
        None => ("", name),
    };
    let author = document["author"].as_str().or_else(|| document["author"]["name"].as_str());
    let license = document["license"].as_str().or_else(|| document["license"]["type"].as_str());
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: purl("npm", scope, short, version, &[]),
        supplier: author.map(str::to_owned),
        license: license.map(str::to_owned),
        found_in: found_in.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_and_forms_of_authors() {
        let text = br#"{"name":"@a/b","version":"1.0.0","author":{"name":"x"},"license":"MIT"}"#;
        let found = read(text, "p").unwrap();
        assert_eq!(found.purl, "pkg:npm/%40a/b@1.0.0");
        assert_eq!((found.supplier.as_deref(), found.license.as_deref()), (Some("x"), Some("MIT")));
        for bad in [&b"{}"[..], b"nonsense", br#"{"name":"a/b","version":"1"}"#] {
            assert_eq!(read(bad, "p"), None);
        }
    }
}
