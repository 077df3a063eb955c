//! The whole builder, on Dockerfiles and contexts that want more than they were granted. What happens before a
//! step is entered is the same in every mode.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use defence::Defence;

use crate::exhibit::{CANARY, Exhibit, Loot};

pub const EXHIBITS: &[Exhibit] = &[
    Exhibit::outside("user-number-too-large", &[Defence::UserNumbersExact], user_number),
    Exhibit::outside("privilege-without-leave", &[Defence::PrivilegesGranted], privilege),
    Exhibit::outside("output-through-link", &[Defence::OutputsUnfollowed], output),
    Exhibit::outside("credentials-in-provenance", &[Defence::CredentialsRedacted], provenance),
    Exhibit::outside("log-with-escape-codes", &[Defence::LogsEscaped], log),
];

const BUSYBOX: &str = "FROM scratch\nCOPY busybox /bin/busybox\n";

/// Runs the binary with a store of its own, and the same defences down.
fn rbuild(dir: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rbuild"))
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", dir)
        .envs(defence::handed_on())
        .current_dir(dir)
        .stdin(Stdio::null())
        .args(["--root", "store"])
        .args(words)
        .output()
        .unwrap()
}

/// Builds a context of a Dockerfile and busybox.
fn build(dir: &Path, dockerfile: &str, options: &[&str]) -> Output {
    let context = dir.join("context");
    if !context.exists() {
        fs::create_dir(&context).unwrap();
        fs::copy("/bin/busybox", context.join("busybox")).expect("busybox-static is installed");
    }
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    rbuild(dir, &[&["build", "--progress=plain"], options, &["context"]].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn worked(output: &Output, what: &str) -> Loot {
    output.status.success().then(|| what.to_owned())
}

/// A number of 33 bits is no user, least of all root.
fn user_number(dir: &Path) -> Loot {
    ["4294967296", "4294967296:4294967296", "0x0", "18446744073709551616"].into_iter().find_map(|user| {
        let dockerfile = format!("{BUSYBOX}USER {user}\nRUN [\"/bin/busybox\", \"id\", \"-u\"]\n");
        worked(&build(dir, &dockerfile, &[]), user)
    })
}

/// On every way there: the instruction, and one that a base image brings.
fn privilege(dir: &Path) -> Loot {
    let asking = ["--network=host", "--security=insecure"];
    let plain = asking.map(|flag| format!("{BUSYBOX}RUN {flag} [\"/bin/busybox\", \"true\"]\n"));
    let inherited = asking.map(|flag| {
        format!("{BUSYBOX}ONBUILD RUN {flag} [\"/bin/busybox\", \"true\"]\nFROM 0\n")
            .replace("FROM scratch", "FROM scratch AS base")
            .replace("FROM 0", "FROM base")
    });
    plain.iter().chain(&inherited).find_map(|dockerfile| worked(&build(dir, dockerfile, &[]), dockerfile))
}

/// Where the files go, a directory is a link.
fn output(dir: &Path) -> Loot {
    let (host, out) = (dir.join("host"), dir.join("out"));
    for made in [&host, &out] {
        fs::create_dir(made).unwrap();
    }
    fs::write(host.join("canary"), CANARY).unwrap();
    symlink(&host, out.join("etc")).unwrap();
    build(dir, "FROM scratch\nCOPY busybox /etc/canary\n", &["-o", "type=local,dest=out"]);
    let now = fs::read(host.join("canary")).unwrap();
    (now != CANARY.as_bytes()).then(|| "overwrote a file of the host".to_owned())
}

fn provenance(dir: &Path) -> Loot {
    let archive = dir.join("image.tar");
    let options = [
        "--build-arg=MIRROR=https://me:hunter2@mirror.example/",
        "--attest=type=provenance,mode=max",
        "-o",
        "type=oci,dest=image.tar",
    ];
    let built = build(dir, "ARG MIRROR\nFROM scratch\nCOPY busybox /\n", &options);
    assert!(built.status.success(), "{}", said(&built));
    let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
    let mut seen = false;
    for entry in archive.entries().unwrap() {
        let mut text = Vec::new();
        std::io::copy(&mut entry.unwrap(), &mut text).unwrap();
        let text = String::from_utf8_lossy(&text);
        if text.contains("slsa.dev/provenance") && text.contains("mirror.example") {
            seen = true;
            if text.contains("hunter2") {
                return Some("a password is in the provenance".to_owned());
            }
        }
    }
    assert!(seen, "there is a provenance, with the argument in it");
    None
}

fn log(dir: &Path) -> Loot {
    let dockerfile =
        format!("{BUSYBOX}RUN [\"/bin/busybox\", \"printf\", \"\\\\033]0;title\\\\007\\\\n\"]\n");
    let built = build(dir, &dockerfile, &[]);
    assert!(built.status.success() && said(&built).contains("title"), "{}", said(&built));
    said(&built).contains('\u{1b}').then(|| "a step speaks to the terminal".to_owned())
}
