//! What Dockerfiles make, in the corners of the language: the files of `tests/semantics`. Each holds cases
//! under lines `=== TITLE`, with parts under lines `-- NAME --` as in `tests/broken`, and besides them `sh`,
//! a script that is run in the context. `expected` is what is said, and the layers, config and history that
//! come on top of the image `box` (busybox, and a few users). `UPDATE_SEMANTICS=1` writes what is found.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::broken::parts;
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

const BOX: &str = "FROM scratch
COPY busybox /bin/busybox
RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]
COPY <<passwd <<group /etc/
root:x:0:0:root:/root:/bin/sh
app:x:1000:1000::/home/app:/bin/sh
solo:x:1001:1002::/home/solo:/bin/sh
passwd
root:x:0:
app:x:1000:
extra:x:2000:app,solo
group
ENV PATH=/bin
";
/// What `box` has: layers, and entries of the history.
const BOX_LAYERS: usize = 3;
const BOX_HISTORY: usize = 4;

/// The files of an archive, by name.
fn members(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

fn show_layer(packed: &[u8], out: &mut String) {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap_or_default();
        let link = entry.link_name().unwrap().map(|link| link.to_string_lossy().into_owned());
        let more = match (header.entry_type(), link) {
            (tar::EntryType::Symlink, Some(link)) => format!(" -> {link}"),
            (tar::EntryType::Link, Some(link)) => format!(" == {link}"),
            (tar::EntryType::Regular, _) => format!(" {content:?}"),
            (tar::EntryType::Directory, _) => "/".to_owned(),
            (kind, _) => format!(" {kind:?}"),
        };
        let (mode, uid, gid) = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        writeln!(out, "  {mode:04o} {uid}:{gid} {path:?}{more}").unwrap();
    }
}

fn show_image(archive: &[u8], out: &mut String) {
    let members = members(archive);
    let json = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
    let blob = |digest: &Value| &members[&format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"))];
    let manifest = json(blob(&json(&members["index.json"])["manifests"][0]["digest"]));
    let config = json(blob(&manifest["config"]["digest"]));
    let history = config["history"].as_array().into_iter().flatten();
    let history: Vec<&str> = history.map(|one| one["created_by"].as_str().unwrap_or("nothing")).collect();
    let on_box = history.first().is_some_and(|first| first.starts_with("COPY busybox"));
    let (layers, entries) = if on_box { (BOX_LAYERS, BOX_HISTORY) } else { (0, 0) };
    for layer in &manifest["layers"].as_array().map_or(&[][..], Vec::as_slice)[layers..] {
        out.push_str("layer\n");
        show_layer(blob(&layer["digest"]), out);
    }
    let run: BTreeMap<&String, &Value> = config["config"].as_object().unwrap().iter().collect();
    for (key, value) in run {
        writeln!(out, "{key}: {value}").unwrap();
    }
    for entry in &history[entries..] {
        writeln!(out, "history: {entry:?}").unwrap();
    }
}

/// Builds a case and shows what comes of it.
fn outcome(workspace: &Workspace, body: &str) -> String {
    let context = workspace.context();
    std::fs::remove_dir_all(&context).unwrap();
    std::fs::create_dir(&context).unwrap();
    let mut args = Vec::new();
    let parts = parts(body);
    for (name, text) in &parts {
        match name.split_once(' ') {
            None if name == "args" => args.extend(text.split_whitespace().map(str::to_owned)),
            None if name == "Dockerfile" => workspace.file("Dockerfile", text),
            None if name == "sh" => {
                let mut script = std::process::Command::new("sh");
                let status = script.args(["-ec", text]).current_dir(&context).status().unwrap();
                assert!(status.success(), "{text}");
            }
            None if name == "expected" => {}
            Some(("file", path)) => workspace.file(path, text),
            Some(("link", path)) => std::os::unix::fs::symlink(text.trim(), context.join(path)).unwrap(),
            None | Some(_) => panic!("unknown part {name:?}"),
        }
    }
    let archive = workspace.path().join("out.tar");
    let _ = std::fs::remove_file(&archive);
    let output = workspace
        .rbuild()
        .args(["build", "--progress=none", "--output=type=oci,dest=out.tar"])
        .args(args)
        .arg("context")
        .output()
        .unwrap();
    let mut out =
        format!("exit code {}\n{}", output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr));
    if let Ok(archive) = std::fs::read(&archive) {
        show_image(&archive, &mut out);
    }
    out
}

#[test]
fn corners_of_the_language() {
    if !is_root() || !has("busybox") || !has("zstd") || !has("xz") || !has("bzip2") {
        return;
    }
    let workspace = Workspace::with(BOX);
    workspace.build(&["-t", "box"]);
    // An agent that nobody asks anything.
    let _agent = UnixListener::bind(workspace.path().join("agent")).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/semantics");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let update = std::env::var_os("UPDATE_SEMANTICS").is_some();
    let (mut count, mut wrong) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut written = String::new();
        for case in text.split("=== ").skip(1) {
            count += 1;
            let (title, body) = case.split_once('\n').unwrap();
            let (input, expected) = body.split_once("-- expected --\n").unwrap_or((body, ""));
            let found = outcome(&workspace, input);
            write!(written, "=== {title}\n{input}-- expected --\n{found}").unwrap();
            if found != expected && !update {
                wrong.push(format!("{}: {title}\n{found}", file.display()));
            }
        }
        if update {
            std::fs::write(&file, written).unwrap();
        }
    }
    assert!(count > 40, "{count} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
