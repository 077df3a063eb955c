//! Images for several platforms, built on one.

use crate::support::layout::layout;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

/// The machine in the header of an ELF file: AArch64, or one that nothing emulates.
const MACHINE: usize = 18;

fn program_for_another_machine() -> Vec<u8> {
    let mut program = std::fs::read("/bin/busybox").unwrap();
    program[MACHINE..MACHINE + 2].copy_from_slice(&[0xee, 0xee]);
    program
}

#[test]
fn stages_of_the_build_platform_run_once_and_foreign_files_are_copied() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(
        "FROM --platform=$BUILDPLATFORM scratch AS make\nCOPY busybox /bin/busybox\n\
         RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo built > /out\"]\n\
         FROM scratch\nARG TARGETARCH\nCOPY foreign /bin/program\nCOPY --from=make /out /$TARGETARCH\n",
    );
    workspace.file("foreign", program_for_another_machine());
    let out = workspace.path().join("out");
    let output = format!("type=oci,tar=false,dest={}", out.display());
    let platforms = ["--platform", "linux/amd64,linux/arm64,linux/arm64"];
    let said =
        workspace.build(&[&["-t", "app:1", "-o", &output, "-o", "type=image"][..], &platforms].concat());
    assert_eq!(said.err.lines().filter(|line| line.contains("RUN [")).count(), 1, "{said:?}");
    let layout = layout(&out);
    let index = layout.top();
    let entries = index["manifests"].as_array().unwrap();
    let architectures: Vec<&str> =
        entries.iter().map(|entry| entry["platform"]["architecture"].as_str().unwrap()).collect();
    assert_eq!(architectures, ["amd64", "arm64"], "in the order asked for, each once");
    for entry in entries {
        let manifest = layout.json(entry);
        assert_eq!(layout.json(&manifest["config"])["architecture"], entry["platform"]["architecture"]);
    }
    assert!(workspace.ok(&["images"]).out.contains("linux/amd64,linux/arm64"));
}

#[test]
fn a_step_for_another_machine_names_what_is_missing() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY --chmod=755 foreign /program\nRUN [\"/program\"]\n");
    workspace.file("foreign", program_for_another_machine());
    let context = workspace.context();
    let said = workspace.fails(1, &["build", "--platform=linux/arm64", context.to_str().unwrap()]);
    assert!(said.err.contains("RUN [\"/program\"]") && said.err.contains("binfmt_misc"), "{said:?}");
}

#[test]
fn an_image_for_one_platform_is_an_index_where_that_is_asked_for() {
    let workspace = Workspace::with("FROM scratch\nCOPY Dockerfile /\n");
    let made = |argument: &str| {
        let out = workspace.path().join("out");
        drop(std::fs::remove_dir_all(&out));
        let output = format!("type=oci,tar=false,dest={}", out.display());
        workspace.build(&["--platform=linux/arm64", "--build-arg", argument, "-o", &output]);
        let top = layout(&out).top();
        let entries = top["manifests"].as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| entry["platform"]["architecture"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(made("BUILDKIT_MULTI_PLATFORM=1"), ["arm64"]);
    assert!(made("BUILDKIT_MULTI_PLATFORM=0").is_empty(), "a plain manifest");
}
