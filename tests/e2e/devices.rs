//! `RUN --device`: what the host's descriptions give to a step.

use crate::road::BUSYBOX;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

const VENDOR: &str = r#"
cdiVersion: "0.6.0"
kind: "vendor1.com/device"
devices:
- name: foo
  containerEdits:
    env: [FOO=injected]
    deviceNodes:
    - path: /dev/nothing
      hostPath: /dev/null
- name: hooked
  containerEdits:
    hooks:
    - hookName: createContainer
      path: /bin/true
"#;

#[test]
fn a_described_device_is_given_when_it_is_allowed() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN --device=vendor1.com/device=foo,required --device=vendor1.com/device=absent \
         [ \"$FOO\" = injected ] && [ -c /dev/nothing ] && echo gone > /dev/nothing\n\
         RUN [ ! -e /dev/nothing ] && [ -z \"$FOO\" ]\n"
    ));
    let descriptions = workspace.path().join("cdi");
    std::fs::create_dir(&descriptions).unwrap();
    std::fs::write(descriptions.join("vendor.yaml"), VENDOR).unwrap();
    let directory = format!("--cdi-spec-dir={}", descriptions.display());
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let refused = workspace.fails(2, &["build", &directory, context]);
    assert!(refused.err.contains("--allow device") && refused.err.contains("Dockerfile:4"), "{refused:?}");
    workspace.build(&[&directory, "--allow=device=vendor1.com/device=foo", "--allow=device"]);
    let absent =
        workspace.fails(4, &["build", "--no-cache", "--allow=device", "--cdi-spec-dir=/none", context]);
    assert!(absent.err.contains("not registered in /none"), "{absent:?}");
    workspace.file("Dockerfile", format!("{BUSYBOX}RUN --device=vendor1.com/device=hooked true\n"));
    let hooked = workspace.fails(4, &["build", &directory, "--allow=device", context]);
    assert!(hooked.err.contains("hooks"), "{hooked:?}");
    workspace.fails(2, &["build", "--allow=device=", context]);
}
