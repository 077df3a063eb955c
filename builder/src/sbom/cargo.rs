//! Rust crates, by `Cargo.lock`.

use serde::Deserialize;

use super::Package;
use super::purl::purl;

#[derive(Deserialize)]
struct Lock {
    #[serde(default)]
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
}

/// The packages of a lock file.
pub(super) fn read(text: &str, found_in: &str) -> Vec<Package> {
    let Ok(lock) = toml::from_str::<Lock>(text) else { return Vec::new() };
    let package = |locked: Locked| Package {
        purl: purl("cargo", "", &locked.name, &locked.version, &[]),
        name: locked.name,
        version: locked.version,
        supplier: None,
        license: None,
        found_in: found_in.to_owned(),
    };
    lock.package.into_iter().map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_of_a_lock() {
        let text = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\"b\"]\n\
                    [[package]]\nname = \"b\"\nversion = \"2.0.0+x\"\n";
        let found: Vec<String> = read(text, "Cargo.lock").into_iter().map(|package| package.purl).collect();
        assert_eq!(found, ["pkg:cargo/a@1.0.0", "pkg:cargo/b@2.0.0%2Bx"]);
        assert!(read("[[package", "Cargo.lock").is_empty());
    }
}
