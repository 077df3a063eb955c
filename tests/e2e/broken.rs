//! Dockerfiles and contexts that cannot be built, and all that is said of them: the files of
//! `tests/broken`. Each holds parts under lines `-- NAME --`: `args` of the command, the `Dockerfile`,
//! `file PATH` and `link PATH` of the context, and `expected`: the exit code and standard error.
//! `UPDATE_BROKEN=1` writes what is found.

use std::path::{Path, PathBuf};

use crate::support::is_root;
use crate::support::workspace::Workspace;

/// The parts of a file, by name.
pub fn parts(text: &str) -> Vec<(String, String)> {
    let mut parts: Vec<(String, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        let name = line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --"));
        match (name, parts.last_mut()) {
            (Some(name), _) => parts.push((name.to_owned(), String::new())),
            (None, Some((_, body))) => body.push_str(line),
            (None, None) => panic!("text before the first part: {line:?}"),
        }
    }
    parts
}

/// What is said of a case.
fn said(parts: &[(String, String)]) -> String {
    let workspace = Workspace::new();
    let mut args = Vec::new();
    for (name, body) in parts {
        match name.split_once(' ') {
            None if name == "args" => args.extend(body.split_whitespace()),
            None if name == "Dockerfile" => workspace.file("Dockerfile", body),
            None if name == "expected" => {}
            Some(("file", path)) => match path.strip_suffix(" (damaged gzip)") {
                Some(path) => workspace.file(path, damaged()),
                None => workspace.file(path, body),
            },
            Some(("link", path)) => {
                std::os::unix::fs::symlink(body.trim(), workspace.context().join(path)).unwrap();
            }
            None | Some(_) => panic!("unknown part {name:?}"),
        }
    }
    let output =
        workspace.rbuild().args(["build", "--progress=none"]).args(args).arg("context").output().unwrap();
    let code = output.status.code().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    format!("exit code {code}\n{}", String::from_utf8_lossy(&output.stderr))
}

/// A compressed archive that ends in the middle.
fn damaged() -> Vec<u8> {
    use std::io::Write;
    let mut builder = tar::Builder::new(Vec::new());
    let body: Vec<u8> =
        (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut header = tar::Header::new_gnu();
    header.set_size(body.len() as u64);
    builder.append_data(&mut header, "x", body.as_slice()).unwrap();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&builder.into_inner().unwrap()).unwrap();
    let packed = packer.finish().unwrap();
    packed[..packed.len() / 2].to_vec()
}

#[test]
fn messages_about_what_cannot_be_built() {
    if !is_root() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 80, "{} cases", cases.len());
    let update = std::env::var_os("UPDATE_BROKEN").is_some();
    let mut wrong = Vec::new();
    for case in cases {
        let text = std::fs::read_to_string(&case).unwrap();
        let parts = parts(&text);
        let found = said(&parts);
        let expected = parts.iter().find(|(name, _)| name == "expected").map(|(_, body)| body.as_str());
        if expected == Some(found.as_str()) {
            continue;
        }
        if update {
            let input = text.split("-- expected --\n").next().unwrap();
            std::fs::write(&case, format!("{input}-- expected --\n{found}")).unwrap();
        } else {
            wrong.push(format!("=== {}\n{found}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
