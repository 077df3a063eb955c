//! Image names: Docker's grammar, with oci-spec as the other party.

use oci::{Reference, Repository};
use proptest::prelude::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn names_in_full_and_familiar() {
    let check = |text: &str, full: &str, familiar: &str| {
        let text = text.replace("DIGEST", DIGEST);
        let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(reference.to_string(), full.replace("DIGEST", DIGEST), "{text}");
        assert_eq!(reference.familiar(), familiar.replace("DIGEST", DIGEST), "{text}");
        assert_eq!(reference.to_string().parse::<Reference>().as_ref(), Ok(&reference), "{text}");
        assert_eq!(reference.familiar().parse::<Reference>().as_ref(), Ok(&reference), "{text}");
    };
    check("alpine", "docker.io/library/alpine:latest", "alpine:latest");
    check("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20");
    check("alpine@DIGEST", "docker.io/library/alpine@DIGEST", "alpine@DIGEST");
    check("alpine:3@DIGEST", "docker.io/library/alpine:3@DIGEST", "alpine:3@DIGEST");
    check("user/app", "docker.io/user/app:latest", "user/app:latest");
    check("library/alpine", "docker.io/library/alpine:latest", "alpine:latest");
    check("library/user/app", "docker.io/library/user/app:latest", "library/user/app:latest");
    check("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest");
    check("index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest");
    check("docker.io/library/alpine:x", "docker.io/library/alpine:x", "alpine:x");
    check("localhost/app", "localhost/app:latest", "localhost/app:latest");
    check("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest");
    check("localhost", "docker.io/library/localhost:latest", "localhost:latest");
    check("host:5000/app", "host:5000/app:latest", "host:5000/app:latest");
    check("app:5000", "docker.io/library/app:5000", "app:5000");
    check("quay.io/a/b/c:t", "quay.io/a/b/c:t", "quay.io/a/b/c:t");
    check("Host/app", "Host/app:latest", "Host/app:latest");
    check("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest");
    check(
        "127.0.0.1:5000/a-b/c__d/e.f--g:T_1.2-3",
        "127.0.0.1:5000/a-b/c__d/e.f--g:T_1.2-3",
        "127.0.0.1:5000/a-b/c__d/e.f--g:T_1.2-3",
    );
    check("xn--n3h.com/app", "xn--n3h.com/app:latest", "xn--n3h.com/app:latest");
}

#[test]
fn names_that_are_none() {
    let long_tag = format!("a:{}", "t".repeat(129));
    let long_path = format!("example.com/{}", "p".repeat(256));
    let hex = "a".repeat(64);
    let texts = [
        "",
        " alpine",
        "alpine ",
        "Alpine",
        "user/App",
        "docker.io/User/app",
        "alpine:",
        "alpine:-x",
        "alpine:a/b",
        "alpine:a:b",
        "alpine@",
        "alpine@sha256:abc",
        "alpine@md5:d41d8cd98f00b204e9800998ecf8427e",
        ":tag",
        "/app",
        "a//b",
        "a/",
        "a_/b",
        "a/_b",
        "a..b",
        "a._b",
        "a___b",
        "-host.com/app",
        "host-.com/app",
        "host..com/app",
        "host:/app",
        "host:x/app",
        "host:70000/app",
        "[::1/app",
        "[::g]/app",
        "[127.0.0.1]/app",
        "http://host/app",
        "host.com:",
        "a@b",
        "é",
        "a/é",
        "a\0",
        "a\n",
        "../a",
        "a/../b",
        "host.com/a?b",
        "a#b",
        &long_tag,
        &long_path,
        &hex,
    ];
    for text in texts {
        let parsed = text.parse::<Reference>();
        assert!(parsed.is_err(), "{text:?} is taken for {parsed:?}");
        assert!(parsed.is_err_and(|error| error.text == text && !error.reason.is_empty()));
    }
}

#[test]
fn parts_can_be_replaced() {
    let reference: Reference = "alpine:3".parse().expect("a name");
    let digest: oci::Digest = DIGEST.parse().expect("a digest");
    assert_eq!(reference.with_digest(digest.clone()).familiar(), format!("alpine:3@{DIGEST}"));
    assert_eq!(
        reference.with_digest(digest.clone()).with_tag("4").map(|r| r.familiar()),
        Ok("alpine:4".to_owned())
    );
    assert!(reference.with_tag("no tag").is_err());
    assert_eq!(reference.repository().with_digest(digest).familiar(), format!("alpine@{DIGEST}"));
    assert_eq!("alpine".parse::<Repository>().as_ref(), Ok(reference.repository()));
    assert_eq!(serde_json::to_string(&reference).expect("JSON"), "\"docker.io/library/alpine:3\"");
}

/// Where oci-spec and Docker's own parser differ, Docker's wins.
fn oracle_is_known_to_differ(text: &str) -> bool {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    // oci-spec has no IPv6 hosts, takes any port, `_` in a host and an upper-case first part for a path,
    // and does not look into the digest's letters
    let first = name.split('/').next().unwrap_or_default();
    let shouted = name.contains('/') && first.bytes().any(|b| b.is_ascii_uppercase());
    let odd_digest = digest.is_some_and(|digest| digest.parse::<oci::Digest>().is_err());
    let odd_host = name.contains('/') && first.contains(['.', ':']) && first.contains('_');
    name.contains('[') || odd_host || shouted || odd_digest || first_port_is_large(name)
}

fn first_port_is_large(name: &str) -> bool {
    let host = name.split('/').next().unwrap_or_default();
    name.contains('/') && host.split_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_err())
}

fn compare(text: &str) {
    let ours = text.parse::<Reference>();
    let theirs = text.parse::<oci_spec::distribution::Reference>();
    match (&ours, &theirs) {
        _ if oracle_is_known_to_differ(text) => {}
        (Ok(ours), Ok(theirs)) => {
            let parts = (
                ours.repository().registry.as_str(),
                ours.repository().path.as_str(),
                ours.tag(),
                ours.digest().map(oci::Digest::to_string),
            );
            assert_eq!(
                parts,
                (theirs.registry(), theirs.repository(), theirs.tag(), theirs.digest().map(str::to_owned)),
                "{text}"
            );
        }
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{text:?}: we {ours:?}, oci-spec {theirs:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_judged(text in "\\PC{0,60}") {
        let _ = text.parse::<Reference>();
        let _ = text.parse::<oci::Platform>();
    }

    #[test]
    fn likely_names_are_judged_as_oci_spec_does(text in "([a-zA-Z0-9.-]{1,8}(:[0-9]{1,4})?/)?[a-z0-9._-]{1,8}(/[a-z0-9._-]{1,6}){0,2}(:[a-zA-Z0-9_.-]{1,6})?") {
        compare(&text);
    }

    #[test]
    fn good_names_round_trip(registry in "([a-z0-9]{1,5}\\.[a-z]{2,3}|localhost)(:[1-9][0-9]{0,3})?", path in "[a-z0-9]{1,5}([._-][a-z0-9]{1,3}){0,2}(/[a-z0-9]{1,5}){0,2}", tag in "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,9}", pinned in any::<bool>()) {
        let mut text = format!("{registry}/{path}:{tag}");
        if pinned {
            text = format!("{text}@{DIGEST}");
        }
        let reference: Reference = text.parse().expect("a good name");
        prop_assert_eq!(reference.to_string(), text.as_str());
        let (found, expected) = (&reference.repository().registry, &registry);
        prop_assert_eq!((found, &reference.repository().path, reference.tag()), (expected, &path, Some(tag.as_str())));
        compare(&text);
    }
}

#[test]
fn the_table_is_judged_as_oci_spec_does() {
    for text in [
        "alpine",
        "a/b",
        "localhost/a",
        "host:1/a:b",
        "A/b",
        "a/B",
        "index.docker.io/a",
        "docker.io/a/b",
        "a__b",
        "a___b",
        "a..b",
        "a:b:c",
        "library/a",
    ] {
        compare(text);
    }
}
