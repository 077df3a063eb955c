//! Descriptions of devices, and what steps get of them.

use std::path::{Path, PathBuf};

use graph::{DeviceGrant, DeviceRequest};

use super::*;

/// The devices of BuildKit's own documentation, with a node and a mount.
const VENDOR: &str = r#"
cdiVersion: "0.6.0"
kind: "vendor1.com/device"
annotations:
  org.mobyproject.buildkit.device.autoallow: true
containerEdits:
  env: [COMMON=1]
devices:
- name: foo
  containerEdits:
    env: [FOO=injected]
    deviceNodes:
    - path: /dev/foo
      hostPath: /dev/null
    mounts:
    - hostPath: /etc
      containerPath: /host-etc
      options: [ro, nosuid, rbind]
    additionalGids: [0, 44]
- name: bar
  annotations:
    org.mobyproject.buildkit.device.class: class1
  containerEdits:
    env: [BAR=injected]
- name: baz
  annotations:
    org.mobyproject.buildkit.device.class: class1
    org.mobyproject.buildkit.device.autoallow: "false"
  containerEdits:
    env: [BAZ=injected]
"#;

fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
    let directories = ["etc", "run", "absent"].map(|name| dir.path().join(name)).to_vec();
    (dir, directories)
}

fn ask(name: &str, grant: DeviceGrant) -> DeviceRequest {
    DeviceRequest { name: name.to_owned(), required: true, grant }
}

fn variables(directories: &[PathBuf], requests: &[DeviceRequest]) -> Result<String, String> {
    let all = additions(directories, requests).map_err(|error| error.to_string())?;
    Ok(all.variables.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" "))
}

#[test]
fn devices_are_asked_for_by_name_kind_and_class() {
    let (_dir, directories) = host(&[("etc/vendor.yaml", VENDOR)]);
    for (name, expected) in [
        ("vendor1.com/device=foo", "COMMON FOO"),
        ("vendor1.com/device", "COMMON BAR"),
        ("vendor1.com/device=*", "COMMON BAR COMMON BAZ COMMON FOO"),
        ("class1", "COMMON BAR COMMON BAZ"),
    ] {
        assert_eq!(
            variables(&directories, &[ask(name, DeviceGrant::Given)]).as_deref(),
            Ok(expected),
            "{name}"
        );
    }
    let twice =
        ["vendor1.com/device=foo", "vendor1.com/device=foo"].map(|name| ask(name, DeviceGrant::Given));
    assert_eq!(variables(&directories, &twice).as_deref(), Ok("COMMON FOO"));
}

#[test]
fn a_step_gets_nodes_mounts_and_groups() {
    let (_dir, directories) = host(&[("etc/vendor.yml", VENDOR)]);
    let all =
        additions(&directories, &[ask("vendor1.com/device=foo", DeviceGrant::Given)]).expect("a device");
    let mounts: Vec<_> = all.mounts.iter().map(|mount| (mount.target.as_str(), mount.read_only)).collect();
    assert_eq!(mounts, [("/dev/foo", ReadOnly::No), ("/host-etc", ReadOnly::Yes)]);
    assert_eq!(all.mounts[0].source, MountSource::Directory("/dev/null".into()));
    assert_eq!(all.groups, [44]);
}

#[test]
fn the_caller_or_the_device_must_allow_it() {
    let (_dir, directories) = host(&[("etc/vendor.yaml", VENDOR)]);
    let by_device = |name| variables(&directories, &[ask(name, DeviceGrant::ByDevice)]);
    assert_eq!(by_device("vendor1.com/device=foo").as_deref(), Ok("COMMON FOO"));
    let refused = by_device("vendor1.com/device=baz").expect_err("not allowed");
    assert!(refused.contains("--allow device=vendor1.com/device=baz"), "{refused}");
}

#[test]
fn a_device_that_nobody_describes() {
    let (_dir, directories) = host(&[("etc/vendor.yaml", VENDOR)]);
    let name = "vendor1.com/device=none";
    let error = variables(&directories, &[ask(name, DeviceGrant::Given)]).expect_err("no such device");
    assert!(error.contains(name) && error.contains("/run"), "{error}");
    let optional = DeviceRequest { required: false, ..ask(name, DeviceGrant::Given) };
    assert_eq!(variables(&directories, &[optional]).as_deref(), Ok(""));
}

#[test]
fn the_last_directory_counts_and_equals_are_refused() {
    let json = |value: &str| {
        format!(
            r#"{{"cdiVersion":"0.5.0","kind":"v.org/c","devices":[{{"name":"a","containerEdits":{{"env":["{value}=1"]}}}}]}}"#
        )
    };
    let asked = [ask("v.org/c=a", DeviceGrant::Given)];
    let (_dir, directories) = host(&[("etc/a.json", &json("OLD")), ("run/a.json", &json("NEW"))]);
    assert_eq!(variables(&directories, &asked).as_deref(), Ok("NEW"));
    let (_dir, directories) = host(&[("etc/a.json", &json("ONE")), ("etc/b.json", &json("TWO"))]);
    let error = variables(&directories, &asked).expect_err("two of equal weight");
    assert!(error.contains("a.json") && error.contains("b.json"), "{error}");
}

#[test]
fn what_cannot_be_given_is_refused_by_name() {
    let with = |edits: &str| {
        format!(
            r#"{{"cdiVersion":"0.5.0","kind":"v.org/c","devices":[{{"name":"a","containerEdits":{edits}}}]}}"#
        )
    };
    for (edits, expected) in [
        (r#"{"hooks":[{"hookName":"createContainer","path":"/x"}]}"#, "hooks"),
        (r#"{"netDevices":[{"hostInterfaceName":"a","name":"b"}]}"#, "network devices"),
        (r#"{"intelRdt":{"closID":"x"}}"#, "intelRdt"),
        (r#"{"env":["NOVALUE"]}"#, "NOVALUE"),
        (r#"{"deviceNodes":[{"path":"/dev/none-such"}]}"#, "/dev/none-such"),
        (r#"{"deviceNodes":[{"path":"dev/null","hostPath":"/dev/null"}]}"#, "absolute"),
        (r#"{"mounts":[{"hostPath":"/etc","containerPath":"/e","type":"nfs"}]}"#, "nfs"),
        (r#"{"mounts":[{"hostPath":"/etc","containerPath":"/e","options":["suid"]}]}"#, "suid"),
    ] {
        let (_dir, directories) = host(&[("etc/a.json", &with(edits))]);
        let error = variables(&directories, &[ask("v.org/c=a", DeviceGrant::Given)]).expect_err(edits);
        assert!(error.contains(expected), "{edits}: {error}");
    }
    for (text, expected) in [
        ("{", "a.json"),
        (r#"{"cdiVersion":"9.0","kind":"v.org/c"}"#, "9.0"),
        (r#"{"cdiVersion":"0.5.0","kind":"vendor"}"#, "VENDOR/CLASS"),
        (r#"{"cdiVersion":"0.5.0","kind":"v/c","devices":[{"name":"a b"}]}"#, "a b"),
    ] {
        let (_dir, directories) = host(&[("etc/a.json", text)]);
        let error = variables(&directories, &[ask("v.org/c=a", DeviceGrant::Given)]).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}
