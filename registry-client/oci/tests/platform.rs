//! Platforms: spellings and what runs on what.

use oci::{Descriptor, Digest, ImageConfig, MediaType, Platform};

fn platform(text: &str) -> Platform {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn spellings() {
    let check = |text: &str, shown: &str| {
        assert_eq!(platform(text).to_string(), shown, "{text}");
        assert_eq!(platform(shown), platform(text), "{text} as shown");
        assert_eq!(platform(text).normalise(), platform(text), "{text} is normal");
    };
    check("linux/amd64", "linux/amd64");
    check("linux/x86_64", "linux/amd64");
    check("linux/x86-64", "linux/amd64");
    check("Linux/AMD64", "linux/amd64");
    check("linux/amd64/v1", "linux/amd64");
    check("linux/amd64/v3", "linux/amd64/v3");
    check("linux/i386", "linux/386");
    check("linux/aarch64", "linux/arm64");
    check("linux/arm64/v8", "linux/arm64");
    check("linux/arm64/8", "linux/arm64");
    check("linux/arm64/v9", "linux/arm64/v9");
    check("linux/arm", "linux/arm/v7");
    check("linux/arm/7", "linux/arm/v7");
    check("linux/arm/v6", "linux/arm/v6");
    check("linux/armhf", "linux/arm/v7");
    check("linux/armel", "linux/arm/v6");
    check("macos/arm64", "darwin/arm64");
    check("linux/riscv64", "linux/riscv64");
    check("linux/something", "linux/something");
    check("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64");
    check("arm64", "linux/arm64");
    check("x86_64", "linux/amd64");
    assert_eq!(platform("linux"), Platform::host());
    assert_eq!(platform("windows").architecture, Platform::host().architecture);
}

#[test]
fn texts_that_are_none() {
    for text in [
        "",
        "/",
        "linux/",
        "/amd64",
        "linux/amd64/",
        "linux/amd64/v2/x",
        "linux amd64",
        "nonsense",
        "linux(/amd64",
        "linux()/amd64",
        "a,b/c",
        "linux/am d64",
        "*/*",
    ] {
        assert!(text.parse::<Platform>().is_err(), "{text:?}");
    }
}

fn entry(platform: Option<Platform>) -> Descriptor {
    let mut entry = Descriptor::new(MediaType::OciManifest, Digest::sha256("x"), 1);
    entry.platform = platform;
    entry
}

#[test]
fn choices() {
    let check = |wanted: &str, offered: &[&str], chosen: Option<&str>| {
        let split = |text: &&str| {
            let mut parts = text.split('/').map(str::to_owned);
            let (os, architecture) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            entry(Some(Platform {
                os,
                architecture,
                variant: parts.next(),
                os_version: None,
                os_features: Vec::new(),
            }))
        };
        let entries: Vec<Descriptor> = offered.iter().map(split).collect();
        let found = platform(wanted).choose(&entries).map(|at| offered[at]);
        assert_eq!(found, chosen, "{wanted} of {offered:?}");
    };
    check("linux/amd64", &["linux/arm64", "linux/amd64"], Some("linux/amd64"));
    check("linux/amd64", &["unknown/unknown", "linux/amd64", "linux/amd64/v2"], Some("linux/amd64"));
    check("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], Some("linux/amd64/v2"));
    check("linux/amd64/v2", &["linux/amd64/v3", "linux/amd64"], Some("linux/amd64"));
    check("linux/amd64", &["linux/386"], Some("linux/386"));
    check("linux/386", &["linux/amd64"], None);
    check("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6"], Some("linux/arm/v6"));
    check("linux/arm/v6", &["linux/arm/v7", "linux/arm/v5"], Some("linux/arm/v5"));
    check("linux/arm", &["linux/arm/v6", "linux/arm"], Some("linux/arm"));
    check("linux/arm64", &["linux/arm/v7", "linux/arm64/v8"], Some("linux/arm64/v8"));
    check("linux/arm64", &["linux/arm/v6", "linux/arm/v7"], Some("linux/arm/v7"));
    check("linux/arm64/v9", &["linux/arm64"], Some("linux/arm64"));
    check("linux/arm64", &["linux/arm64/v9"], None);
    check("linux/s390x", &["linux/amd64"], None);
    check("windows/amd64", &["linux/amd64"], None);
    check("linux/amd64", &[], None);
}

#[test]
fn entries_without_a_platform_and_attestations() {
    let amd64 = platform("linux/amd64");
    assert_eq!(amd64.choose(&[entry(None)]), Some(0));
    assert_eq!(amd64.choose(&[entry(None), entry(None)]), None);
    assert_eq!(amd64.choose(&[entry(None), entry(Some(amd64.clone()))]), Some(1));
    let mut attestation = entry(Some(amd64.clone()));
    attestation.annotations.insert("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned());
    assert_eq!(amd64.choose(&[attestation.clone()]), None);
    assert_eq!(amd64.choose(&[attestation, entry(None)]), Some(1));
    let mut other = entry(Some(amd64.clone()));
    other.media_type = MediaType::Other("application/x".to_owned());
    assert_eq!(
        amd64.choose(&[other, entry(Some(amd64.clone()))]),
        Some(1),
        "the first of equals that is an image"
    );
    assert_eq!(
        amd64.choose(&[entry(Some(amd64.clone())), entry(Some(amd64.clone()))]),
        Some(0),
        "the first of equals"
    );
}

#[test]
fn windows_builds_must_agree() {
    let wanted = platform("windows(10.0.17763.1)/amd64");
    let offer = |version: &str| {
        entry(Some(Platform { os_version: Some(version.to_owned()), ..platform("windows/amd64") }))
    };
    assert_eq!(wanted.choose(&[offer("10.0.20348.5"), offer("10.0.17763.99")]), Some(1));
    assert_eq!(platform("windows/amd64").choose(&[offer("10.0.20348.5")]), Some(0));
}

#[test]
fn a_config_names_its_platform() {
    let config: ImageConfig =
        serde_json::from_str(r#"{"architecture":"arm","os":"linux"}"#).expect("a config");
    assert_eq!(config.platform(), platform("linux/arm/v7"));
}
