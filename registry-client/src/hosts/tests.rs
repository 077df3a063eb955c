//! The format, and the places it leads to.

use std::path::Path;

use super::*;

const CONF: &str = r#"
unqualified-search-registries = ["docker.io"]
short-name-mode = "permissive"

[aliases]
"fedora" = "registry.fedoraproject.org/fedora"

[[registry]]
prefix = "docker.io"
location = "127.0.0.1:5055"
insecure = true

[[registry]]
location = "127.0.0.1:5055"
insecure = true

[[registry]]
prefix = "docker.io/secret"
location = "docker.io/secret"
blocked = true

[[registry]]
prefix = "*.example.com"

[[registry.mirror]]
location = "mirror.example.org/all"

[[registry]]
prefix = "quay.io/org"
location = "quay.example.org/other/place"

[[registry.mirror]]
location = "fast.example.org/q"
pull-from-mirror = "digest-only"

[[registry.mirror]]
location = "slow.example.org"
insecure = true
pull-from-mirror = "tag-only"
"#;

fn hosts() -> Hosts {
    Hosts::parse(Path::new("registries.conf"), CONF).expect("a good file")
}

fn shown(endpoints: &[Endpoint]) -> Vec<String> {
    let mark = |endpoint: &Endpoint| if endpoint.trust == Trust::Insecure { " insecure" } else { "" };
    endpoints
        .iter()
        .map(|endpoint| format!("{}/{}{}", endpoint.host, endpoint.path, mark(endpoint)))
        .collect()
}

#[test]
fn places_to_read_from() {
    let check = |name: &str, by: PullBy, expected: &[&str]| {
        let repository: Repository = name.parse().expect("a good name");
        let found = hosts().for_pull(&repository, by).map(|endpoints| shown(&endpoints));
        assert_eq!(found.expect("not blocked"), expected, "{name}");
    };
    check("alpine", PullBy::Tag, &["127.0.0.1:5055/library/alpine insecure"]);
    check("docker.io/a/b", PullBy::Digest, &["127.0.0.1:5055/a/b insecure"]);
    check("127.0.0.1:5055/x", PullBy::Tag, &["127.0.0.1:5055/x insecure"]);
    check("127.0.0.1:50555/x", PullBy::Tag, &["127.0.0.1:50555/x"]);
    check("a.example.com/x", PullBy::Tag, &["mirror.example.org/all/x", "a.example.com/x"]);
    check("example.com/x", PullBy::Tag, &["example.com/x"]);
    check("quay.io/organic/x", PullBy::Tag, &["quay.io/organic/x"]);
    check("quay.io/org/x", PullBy::Tag, &["slow.example.org/x insecure", "quay.example.org/other/place/x"]);
    check("quay.io/org/x", PullBy::Digest, &["fast.example.org/q/x", "quay.example.org/other/place/x"]);
}

#[test]
fn places_to_write_to_are_never_rewritten() {
    let check = |name: &str, expected: &str| {
        let repository: Repository = name.parse().expect("a good name");
        assert_eq!(shown(&[hosts().for_push(&repository).expect("not blocked")]), [expected]);
    };
    check("quay.io/org/x", "quay.io/org/x");
    check("127.0.0.1:5055/x", "127.0.0.1:5055/x insecure");
}

#[test]
fn blocked_is_refused_both_ways() {
    let repository: Repository = "docker.io/secret/x".parse().expect("a good name");
    assert!(matches!(hosts().for_pull(&repository, PullBy::Tag), Err(RegistryError::Blocked { .. })));
    assert!(matches!(hosts().for_push(&repository), Err(RegistryError::Blocked { .. })));
}

#[test]
fn a_drop_in_replaces_tables_of_its_prefix() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("registries.conf");
    std::fs::write(&file, CONF).expect("written");
    let drop_in = directory.path().join("registries.conf.d");
    std::fs::create_dir(&drop_in).expect("made");
    std::fs::write(
        drop_in.join("10.conf"),
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"one.example.org\"\n",
    )
    .expect("written");
    std::fs::write(
        drop_in.join("20.conf"),
        "[[registry]]\nprefix = \"docker.io\"\nlocation = \"two.example.org\"\n",
    )
    .expect("written");
    std::fs::write(drop_in.join("30.txt"), "not a drop-in").expect("written");
    let hosts = Hosts::load(Some(&file), &[drop_in, directory.path().join("absent")]).expect("good files");
    let repository: Repository = "alpine".parse().expect("a good name");
    let found = hosts.for_pull(&repository, PullBy::Tag).expect("not blocked");
    assert_eq!(shown(&found), ["two.example.org/library/alpine"]);
}

#[test]
fn bad_files_are_refused_with_a_reason() {
    let check = |text: &str, part: &str| {
        let error = Hosts::parse(Path::new("r.conf"), text).expect_err(text).to_string();
        assert!(error.starts_with("r.conf: ") && error.contains(part), "{error}");
    };
    check("[registries.search]\nregistries = []\n", "version 1");
    check("[[registry]]\n", "neither prefix nor location");
    check("[[registry]]\nprefix = \"a.b\"\n", "no location");
    check("[[registry]]\nprefix = \"*.a/b\"\nlocation = \"x\"\n", "wildcard");
    check("[[registry]]\nlocation = \"https://a.b\"\n", "scheme");
    check("[[registry]]\nlocation = 3\n", "location");
    check(
        "[[registry]]\nlocation = \"a.b\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"c.d\"\npull-from-mirror = \"all\"\n",
        "exclude",
    );
}

#[test]
fn loopback_is_known_without_asking() {
    use endpoint::is_loopback;
    for yes in ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:1", "[::1]:5000", "[::1]", "::1"] {
        assert!(is_loopback(yes), "{yes}");
    }
    for no in
        ["localhost.example.com", "128.0.0.1:5000", "[::2]:5000", "127.0.0.1.example.com", "", "docker.io"]
    {
        assert!(!is_loopback(no), "{no}");
    }
}

#[test]
fn what_a_host_may_speak_after_whose_word_counts() {
    use endpoint::Scheme::{Http, Https};
    let toml = tempfile::tempdir().expect("a directory");
    let folder = toml.path().join("plain.example.org");
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(folder.join("hosts.toml"), "server = \"http://plain.example.org\"\n").expect("written");
    let check = |verify: Verify, name: &str, expected: &[endpoint::Scheme]| {
        let repository: Repository = name.parse().expect("a good name");
        let hosts = hosts().with_directory(toml.path());
        let other = if verify == Verify::Always { Verify::Never } else { Verify::Always };
        let of_one = hosts.clone().verifying(other).verifying_at(repository.registry.clone(), verify);
        for hosts in [hosts.clone().verifying(verify), of_one] {
            let read = hosts.for_pull(&repository, PullBy::Tag).expect("not blocked");
            let written = hosts.for_push(&repository).expect("not blocked");
            let registry = hosts.for_registry(&written.host).expect("a host");
            assert_eq!(read.last().expect("a place").schemes(), expected, "{verify:?} {name}");
            assert_eq!(written.schemes(), expected, "{verify:?} {name}");
            if !name.starts_with("plain") {
                assert_eq!(registry.schemes(), expected, "{verify:?} {name}");
            }
        }
    };
    for (name, by_settings, never) in [
        ("far.example.org/x", &[Https][..], &[Https, Http][..]),
        ("127.0.0.1:5055/x", &[Http, Https], &[Http, Https]),
        ("localhost:9/x", &[Http, Https], &[Http, Https]),
        ("plain.example.org/x", &[Http], &[Http]),
    ] {
        check(Verify::BySettings, name, by_settings);
        check(Verify::Never, name, never);
        check(Verify::Always, name, &[Https]);
    }
}

#[test]
fn a_mirror_keeps_its_own_time_to_connect() {
    let toml = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(toml.path().join("a.example")).expect("made");
    let text = "[host.\"https://m.example\"]\ndial_timeout = \"3s\"\n";
    std::fs::write(toml.path().join("a.example/hosts.toml"), text).expect("written");
    let repository: Repository = "a.example/x".parse().expect("a name");
    let places = Hosts::default().with_directory(toml.path()).for_pull(&repository, PullBy::Tag);
    let times: Vec<_> =
        places.expect("places").iter().map(|one| (one.host.clone(), one.extra.connect_timeout)).collect();
    let three = Some(std::time::Duration::from_secs(3));
    assert_eq!(times, [("m.example".to_owned(), three), ("a.example".to_owned(), None)]);
}

#[test]
fn nowhere_is_no_registry_at_all() {
    let hosts = Hosts::default().and(Hosts::nowhere());
    let repository: Repository = "127.0.0.1:5000/a".parse().expect("a name");
    assert!(matches!(hosts.for_pull(&repository, PullBy::Digest), Err(RegistryError::Blocked { .. })));
    assert!(matches!(hosts.for_push(&repository), Err(RegistryError::Blocked { .. })));
    assert!(matches!(hosts.for_registry("localhost:5000"), Err(RegistryError::BlockedRegistry { .. })));
}

#[test]
fn later_files_say_what_short_names_mean() {
    let first = Hosts::parse(
        Path::new("a"),
        "unqualified-search-registries = [\"a.example\"]\n[aliases]\n\"x\" = \"a.example/x\"\n\"y\" = \"a.example/y\"",
    );
    let second = Hosts::parse(Path::new("b"), "[aliases]\n\"x\" = \"\"\n\"y\" = \"b.example/y\"");
    let names = first.expect("good").and(second.expect("good")).short_names();
    let is = |text: &str| names.complete(text).map(|name| name.to_string()).expect("a name");
    assert_eq!(is("x:1"), "a.example/x:1", "searched for");
    assert_eq!(is("y:1"), "b.example/y:1");
    for bad in [
        "[aliases]\n\"x\" = \"y\"",
        "[aliases]\n\"x\" = \"A.example/X\"",
        "unqualified-search-registries = [\"a b\"]",
        "[aliases]\n\"x\" = 1",
    ] {
        Hosts::parse(Path::new("bad"), bad).expect_err(bad);
    }
}
