//! `rbuild debug`: the state of a failed step, looked at later and elsewhere.

use std::path::Path;
use std::process::Command;

use crate::road::BUSYBOX;
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

/// A secret that must not be found anywhere.
const SECRET: &str = "hush-4711-hush";

/// A step upon a base, a mount of another stage and one of the context, which fails with 7.
fn failing() -> String {
    format!(
        "{BUSYBOX}RUN echo before > /kept; echo before > /gone\n\
         FROM base AS other\nRUN echo other > /part\n\
         FROM base\n\
         RUN --mount=type=bind,from=other,target=/other --mount=type=bind,target=/context \
         --mount=type=secret,id=token,required=true --mount=type=cache,target=/cache \
         rm /gone; cat /other/part /context/hello > /made; test -s /run/secrets/token && exit 7\n"
    )
}

fn failed() -> (Workspace, String) {
    let workspace = Workspace::with(&failing());
    workspace.file("hello", "hello\n");
    std::fs::write(workspace.path().join("token"), SECRET).unwrap();
    let secret = format!("--secret=id=token,src={}", workspace.path().join("token").display());
    let context = workspace.context();
    let said = workspace.fails(1, &["build", "--progress=plain", &secret, context.to_str().unwrap()]);
    assert!(said.err.contains("rbuild debug"), "{said:?}");
    (workspace, secret)
}

fn debug(workspace: &Workspace, options: &[&str], script: &str) -> Said {
    let words = [&["debug"], options, &["--", "sh", "-c", script]].concat();
    Said::from(workspace.run(&words))
}

#[test]
fn a_failed_step_can_be_looked_at_as_it_was_left_and_as_it_began() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let (workspace, secret) = failed();
    let said =
        debug(&workspace, &[], "cat /made /other/part /context/hello; cat /gone; ls /run/secrets; exit 9");
    assert_eq!((said.code, said.out.as_str()), (Some(9), "other\nhello\nother\nhello\n"), "{said:?}");
    let said = debug(&workspace, &["--last", "--before"], "cat /gone; ls /made");
    assert_eq!((said.code, said.out.as_str()), (Some(1), "before\n"), "{said:?}");
    // What is changed there is thrown away, and a secret is there where it is given again.
    let said = debug(&workspace, &[&secret], "echo x > /made; cat /run/secrets/token");
    assert_eq!((said.code, said.out.as_str()), (Some(0), SECRET), "{said:?}");
    assert_eq!(debug(&workspace, &[], "cat /made").out, "other\nhello\n");
    // The shell reads what it is told where there is no terminal.
    let mut child = workspace
        .rbuild()
        .arg("debug")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"cat /kept\nexit 3\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), &b"before\n"[..]));

    assert_eq!(workspace.fails(127, &["debug", "--", "no-such-program"]).out, "");
    workspace.fails(125, &["debug", "ffffffffffffffff", "--", "true"]);
    workspace.ok(&["prune"]);
    let said = workspace.fails(125, &["debug", "--", "true"]);
    assert!(said.err.contains("no failed step is kept"), "{said:?}");
}

#[test]
fn a_program_that_is_not_there_leaves_the_state_before_it() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN echo 1 > /one\nRUN [\"/no/such\"]\n"));
    let context = workspace.context();
    workspace.fails(1, &["build", context.to_str().unwrap()]);
    let said = debug(&workspace, &[], "true");
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("--before"), "{said:?}");
    assert_eq!(debug(&workspace, &["--before"], "cat /one").out, "1\n");
}

#[test]
fn a_bundle_fails_again_in_another_store_and_holds_no_secret() {
    if !(is_root() && has("busybox") && has("zstd")) {
        return;
    }
    let (workspace, _) = failed();
    let bundle = workspace.path().join("bundle.tar");
    let bundle = bundle.to_str().unwrap();
    workspace.ok(&["debug", "--export", bundle]);
    let unpacked = workspace.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let script =
        "tar -xf \"$0\" -C \"$1\" && cd \"$1/layers\" && for l in *; do zstd -qdc $l; done; cat ../step.json";
    let output =
        Command::new("sh").args(["-c", script, bundle, unpacked.to_str().unwrap()]).output().unwrap();
    let plain = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && plain.contains("exit code 7"), "{output:?}");
    assert!(!plain.contains(SECRET));

    let other = Workspace::new();
    std::fs::write(other.path().join("token"), "another").unwrap();
    let secret = format!("--secret=id=token,src={}", other.path().join("token").display());
    let said = other.ok(&["debug", "--import", bundle, &secret]);
    assert_eq!(said.out, "reproduced: exit code 7\n", "{said:?}");
    assert_eq!(debug(&other, &[], "cat /made").out, "other\nhello\n");
    // Without the secret the step does not come to run.
    let said = other.fails(1, &["debug", "--import", bundle]);
    assert!(said.out.starts_with("not reproduced"), "{said:?}");
}

#[test]
fn a_bundle_is_not_trusted() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!("{BUSYBOX}RUN --security=insecure exit 3\n"));
    let context = workspace.context();
    workspace.fails(1, &["build", "--allow=security.insecure", context.to_str().unwrap()]);
    let bundle = workspace.path().join("bundle.tar");
    workspace.ok(&["debug", "--export", bundle.to_str().unwrap()]);
    let other = Workspace::new();
    let said = other.fails(2, &["debug", "--import", bundle.to_str().unwrap()]);
    assert!(said.err.contains("--allow security.insecure"), "{said:?}");
    other.ok(&["debug", "--import", bundle.to_str().unwrap(), "--allow=security.insecure"]);

    let bytes = std::fs::read(&bundle).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let diff = text.find("sha256:").unwrap() + "sha256:".len();
    let mut changed = bytes.clone();
    changed[diff] = if changed[diff] == b'0' { b'1' } else { b'0' };
    let broken = workspace.path().join("broken.tar");
    for (what, content) in
        [("cut off", &bytes[..bytes.len() / 2]), ("another digest", &changed[..]), ("no tar", b"hello")]
    {
        std::fs::write(&broken, content).unwrap();
        // A store that has the layers already would not look at them.
        let empty = Workspace::new();
        let said = empty.fails(5, &["debug", "--import", path(&broken), "--allow=security.insecure"]);
        assert!(said.err.starts_with("error:"), "{what}: {said:?}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
