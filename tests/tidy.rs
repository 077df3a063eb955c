//! The structure of the repository, as a test: what may depend on what, how long a file may be,
//! where the dangerous things are.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const LINES_AT_MOST: usize = 600;

/// Crate, its folder, and the crates of ours it may use.
const EDGES: &[(&str, &str, &[&str])] = &[
    ("defence", "runtime-exec/defence", &[]),
    ("oci", "registry-client/oci", &["defence"]),
    ("runtime-exec", "runtime-exec", &["defence"]),
    ("graph", "frontends/graph", &["oci"]),
    ("registry-client", "registry-client", &["defence", "oci"]),
    ("layer-store", "layer-store", &["defence", "oci"]),
    ("dockerfile", "frontends/dockerfile", &["defence", "graph", "oci"]),
    ("builder", "builder", &["defence", "graph", "oci", "registry-client", "layer-store", "runtime-exec"]),
    (
        "rbuild",
        ".",
        &[
            "builder",
            "defence",
            "dockerfile",
            "graph",
            "oci",
            "registry-client",
            "layer-store",
            "runtime-exec",
        ],
    ),
];

/// A text that may stand only below some folders, and why.
const DOORS: &[(&str, &[&str], &str)] = &[
    ("unsafe ", &["runtime-exec/src/sys"], "unsafe code lives behind runtime-exec's sys"),
    ("reqwest::", &["registry-client"], "registry-client is the one door to HTTP"),
    ("hyper::", &["builder/src/serve"], "builder::serve is the one door for HTTP that comes in"),
    (
        "spawn_blocking(",
        &["builder/src/worker"],
        "builder::worker::blocking is the one bridge to blocking threads",
    ),
    ("Command::new(", &["runtime-exec"], "runtime-exec is the one door to other programs"),
    ("println!(", &["builder/cli", "build.rs"], "only the binary speaks"),
    (
        "env::var",
        &["builder/cli", "build.rs", "runtime-exec/defence/src/switches.rs"],
        "only the binary reads the environment",
    ),
    ("rusqlite::", &["layer-store"], "layer-store owns the index"),
];

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of the repository, relative to its top.
fn sources() -> Vec<PathBuf> {
    fn visit(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                visit(&path, found);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    visit(&top(), &mut found);
    found.into_iter().map(|path| path.strip_prefix(top()).unwrap().to_owned()).collect()
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| ["tests", "benches", "examples"].iter().any(|name| part.as_os_str() == *name))
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The part of a file that ships: without the unit tests at its end, comments and doc comments.
fn shipped(text: &str) -> String {
    let body = text.split("#[cfg(test)]").next().unwrap_or_default();
    body.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn dependencies_point_down() {
    let names: Vec<&str> = EDGES.iter().map(|(name, _, _)| *name).collect();
    let mut wrong = Vec::new();
    for (name, folder, allowed) in EDGES {
        let manifest = std::fs::read_to_string(top().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies = manifest["dependencies"].as_table().unwrap();
        for used in dependencies.keys().filter(|used| names.contains(&used.as_str())) {
            if !allowed.contains(&used.as_str()) {
                wrong.push(format!("{name} may not depend on {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_workspace_member_has_its_place_in_the_order() {
    let manifest: toml::Table = std::fs::read_to_string(top().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    for member in members {
        let folder = member.as_str().unwrap();
        assert!(EDGES.iter().any(|(_, known, _)| *known == folder), "{folder} is not in the list of edges");
    }
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|path| (std::fs::read_to_string(top().join(&path)).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LINES_AT_MOST)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "longer than {LINES_AT_MOST} lines:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is_about() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|path| !std::fs::read_to_string(top().join(path)).unwrap().starts_with("//!"))
        .map(|path| path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "without a module comment on the first line:\n{}", silent.join("\n"));
}

#[test]
fn each_danger_has_one_door() {
    let mut wrong = BTreeMap::new();
    for path in sources().into_iter().filter(|path| !is_test(path)) {
        let text = shipped(&std::fs::read_to_string(top().join(&path)).unwrap());
        for (needle, doors, why) in DOORS {
            if !doors.iter().any(|door| path.starts_with(door)) && text.contains(needle) {
                wrong.insert(format!("{}: {needle}", path.display()), *why);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_is_called_utils() {
    for path in sources() {
        let name = path.to_string_lossy().into_owned();
        assert!(!name.contains("util"), "{name}: name it after its subject");
    }
}
