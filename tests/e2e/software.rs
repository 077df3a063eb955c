//! The list of software beside what rpm itself says of its databases.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::has;
use crate::support::layout::layout;
use crate::support::schemas::Schemas;
use crate::support::workspace::Workspace;

const SPECIFICATION: &str = "Name: one
Version: 1.0
Release: 3%{?dist}
Epoch: 7
Summary: one
License: MIT
BuildArch: noarch
%description
%(for number in $(seq 300); do echo \"$number: what makes a record longer than a page\"; done)
%files
%package -n two-devel
Summary: two
Version: 2.5~rc1
Release: 1
%description -n two-devel
two
%files -n two-devel
";

/// Writes the records of one database as text for `db_load`, by which the older form is made.
const CONVERT: &str = "
import sqlite3, struct, sys
rows = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True).execute('select hnum, blob from Packages')
print('VERSION=3', 'format=bytevalue', 'type=hash', 'db_pagesize=4096', 'HEADER=END', sep='\\n')
print(' 00000000', ' ff000000', sep='\\n')
for number, blob in rows:
    print(' ' + struct.pack('<I', number).hex(), ' ' + blob.hex(), sep='\\n')
print('DATA=END')
";

fn ok(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn rpm(database: &Path, backend: &str) -> Command {
    let mut command = Command::new("rpm");
    command.arg(format!("--define=_db_backend {backend}")).arg("--dbpath").arg(database);
    command
}

/// What rpm lists.
fn listed(database: &Path, backend: &str) -> BTreeSet<String> {
    let form = "--qf=%{NAME} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n";
    ok(rpm(database, backend).args(["-qa", form])).lines().map(str::to_owned).collect()
}

/// Packages made by `rpmbuild`, in a database made by `rpm`.
fn install(workspace: &Workspace, database: &Path) {
    let (top, specification) = (workspace.path().join("rpmbuild"), workspace.path().join("one.spec"));
    std::fs::write(&specification, SPECIFICATION).unwrap();
    let define = |text: String| ["--define".to_owned(), text];
    ok(Command::new("rpmbuild")
        .args(define(format!("_topdir {}", top.display())))
        .arg("-bb")
        .arg(&specification));
    ok(rpm(database, "sqlite").arg("--initdb"));
    let made = std::fs::read_dir(top.join("RPMS/noarch")).unwrap().map(|entry| entry.unwrap().path());
    ok(rpm(database, "sqlite").args(["-i", "--justdb", "--nodeps"]).args(made));
}

/// Builds an image of the context, and gives the statement about its software.
fn document(workspace: &Workspace) -> (Value, String) {
    let dir = workspace.path().join("files");
    drop(std::fs::remove_dir_all(&dir));
    let said = workspace.build(&["--sbom", "-o", dir.to_str().unwrap()]);
    let statement: Value =
        serde_json::from_slice(&std::fs::read(dir.join("sbom.spdx.json")).unwrap()).unwrap();
    let path = workspace.path().join("document.json");
    std::fs::write(&path, statement["predicate"].to_string()).unwrap();
    if let Some(schemas) = Schemas::find() {
        schemas.validate("spdx-2.3-schema.json", &path);
    }
    (statement["predicate"].clone(), said.err)
}

fn told(document: &Value) -> (BTreeSet<String>, Vec<&str>) {
    let packages = &document["packages"].as_array().unwrap()[1..];
    let one = |package: &Value| {
        format!("{} {}", package["name"].as_str().unwrap(), package["versionInfo"].as_str().unwrap())
    };
    let purls = packages.iter().map(|one| one["externalRefs"][0]["referenceLocator"].as_str().unwrap());
    (packages.iter().map(one).collect(), purls.collect())
}

#[test]
fn the_list_of_software_is_that_of_rpm() {
    if !(has("rpm") && has("rpmbuild") && has("python3") && has("db5.3_load")) {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY os-release /etc/\nCOPY rpm /usr/lib/sysimage/rpm\n");
    workspace.file("os-release", "ID=fedora\nVERSION_ID=40\n");
    let database = workspace.context().join("rpm");
    std::fs::create_dir(&database).unwrap();
    install(&workspace, &database);
    let expected = listed(&database, "sqlite");
    assert_eq!(expected.len(), 2, "{expected:?}");
    let (newer, _) = document(&workspace);
    let (names, purls) = told(&newer);
    assert_eq!(names, expected);
    let two =
        "pkg:rpm/fedora/two-devel@2.5~rc1-1?arch=noarch&distro=fedora-40&epoch=7&upstream=one-1.0-3.src.rpm";
    assert!(purls.contains(&two), "{purls:?}");

    let text = ok(Command::new("python3").args(["-c", CONVERT]).arg(database.join("rpmdb.sqlite")));
    let load = workspace.path().join("records");
    std::fs::write(&load, text).unwrap();
    std::fs::remove_dir_all(&database).unwrap();
    std::fs::create_dir(&database).unwrap();
    ok(Command::new("db5.3_load").arg("-f").arg(&load).arg(database.join("Packages")));
    assert_eq!(listed(&database, "bdb_ro"), expected);
    let (older, said) = document(&workspace);
    assert_eq!(told(&older).0, expected, "{said}");
    assert!(older["comment"].is_null());
}

#[test]
fn a_database_that_is_not_read_is_named() {
    let workspace = Workspace::with("FROM scratch\nCOPY rpm /var/lib/rpm\n");
    for (name, text, why) in [
        ("Packages", &b"nothing that rpm wrote"[..], "none of the forms"),
        ("rpmdb.sqlite", b"SQLite format 3\0\x10\0\x01\x01\0", "damaged at its page 1"),
        ("rpmdb.sqlite-wal", b"frames", "has changes that were not read"),
    ] {
        drop(std::fs::remove_dir_all(workspace.context().join("rpm")));
        workspace.file(&format!("rpm/{name}"), text);
        let (document, said) = document(&workspace);
        let comment = document["comment"].as_str().unwrap();
        for told in [comment, &said] {
            assert!(told.contains(&format!("/var/lib/rpm/{name}")) && told.contains(why), "{name}: {told}");
        }
    }
}

/// A generator as BuildKit runs them: it lists the files of each tree, and fails where it can write into one.
const GENERATOR: &str = r#"#!/bin/busybox sh
set -e
[ "$BUILDKIT_SCAN_SOURCE" = /run/src/core/sbom ] && [ "$PWD" = /work ] && [ "$GREETING" = hello ]
for tree in "$BUILDKIT_SCAN_SOURCE" "$BUILDKIT_SCAN_SOURCE_EXTRAS"*; do
    [ -d "$tree" ] || continue
    if touch "$tree/written" 2>/dev/null; then echo "$tree is writable" >&2; exit 1; fi
    files=$(cd "$tree" && find . -type f | sort | tr '\n' ' ')
    document="{\"spdxVersion\":\"SPDX-2.3\",\"comment\":\"$files\"}"
    statement="{\"predicateType\":\"https://spdx.dev/Document\",\"predicate\":$document}"
    echo "$statement" > "$BUILDKIT_SCAN_DESTINATION${tree##*/}.spdx.json"
done
"#;

/// Makes an image of the store with a script as its program.
fn generator(workspace: &Workspace, name: &str, script: &str) {
    workspace.file("generator/script", script);
    workspace.mode("generator/script", 0o755);
    let busybox = workspace.context().join("busybox");
    std::fs::copy(busybox, workspace.context().join("generator/busybox")).unwrap();
    let text = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
        COPY script /script\nENV GREETING=hello\nWORKDIR /work\nENTRYPOINT [\"/script\"]\n";
    workspace.file("generator/Dockerfile", text);
    let context = workspace.context().join("generator");
    workspace.ok(&["build", "-t", name, context.to_str().unwrap()]);
}

#[test]
fn a_generator_image_lists_what_is_in_each_tree() {
    if !has("busybox") {
        return;
    }
    let text = "FROM scratch AS tools\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nCOPY b /b\n\
        FROM scratch\nCOPY a /a\nCOPY --from=tools /b /kept/\n";
    let workspace = Workspace::with(text);
    workspace.file("a", "");
    workspace.file("b", "");
    generator(&workspace, "scan:1", GENERATOR);
    let dir = workspace.path().join("files");
    let comment = |file: &str| {
        let statement: Value = serde_json::from_slice(&std::fs::read(dir.join(file)).unwrap()).unwrap();
        assert_eq!(statement["predicateType"], "https://spdx.dev/Document");
        statement["predicate"]["comment"].as_str().unwrap().to_owned()
    };
    workspace.build(&["--sbom=generator=scan:1", "-o", dir.to_str().unwrap()]);
    assert_eq!(comment("sbom.spdx.json"), "./a ./kept/b ");
    assert_eq!(comment("sbom-tools.spdx.json"), "./b ");
    assert!(!dir.join("run").exists(), "nothing of the generator is in the image");

    let attest = "type=sbom,generator=scan:1,filename=list.json";
    let said = workspace.build(&["--attest", attest, "-o", dir.to_str().unwrap()]);
    let step = said.err.lines().find(|line| line.contains("[sbom] list the software")).unwrap();
    let cached = format!("{} CACHED", step.split(' ').next().unwrap());
    assert!(said.err.contains(&cached), "what was listed is known: {said:?}");
    assert_eq!(comment("list.json"), "./a ./kept/b ");

    let out = workspace.path().join("out");
    let output = format!("type=oci,tar=false,dest={}", out.display());
    workspace.build(&["--sbom=generator=scan:1", "--provenance", "-o", &output]);
    let layout = layout(&out);
    let attested = layout.json(&layout.index()["manifests"][1]);
    let kinds: Vec<&Value> = attested["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["annotations"]["in-toto.io/predicate-type"])
        .collect();
    assert_eq!(
        kinds,
        ["https://spdx.dev/Document", "https://spdx.dev/Document", "https://slsa.dev/provenance/v1"]
    );
    let provenance = layout.json(&attested["layers"][2]).to_string();
    assert!(!provenance.contains("scan"), "the image is not made of its generator: {provenance}");
}

#[test]
fn a_generator_that_lists_nothing_fails_the_build() {
    if !has("busybox") {
        return;
    }
    let workspace = Workspace::with("FROM scratch\nCOPY busybox /\n");
    let context = workspace.context().display().to_string();
    for (script, said) in [
        ("#!/bin/busybox sh\n", "wrote no *.spdx.json"),
        (
            "#!/bin/busybox sh\necho text > $BUILDKIT_SCAN_DESTINATION/a.spdx.json\n",
            "a.spdx.json is no SPDX document",
        ),
        ("#!/bin/busybox sh\necho cannot >&2; exit 7\n", "cannot"),
    ] {
        generator(&workspace, "scan:1", script);
        for output in ["type=oci,dest=o.tar", "type=local,dest=o"] {
            let found = workspace.fails(1, &["build", "--sbom=generator=scan:1", "-o", output, &context]);
            assert!(found.err.contains(said), "{said}: {found:?}");
        }
    }
    let found = workspace
        .fails(3, &["build", "--sbom=generator=127.0.0.1:1/none:1", "-o", "type=oci,dest=o", &context]);
    assert!(found.err.contains("the generator 127.0.0.1:1/none:1 cannot be had"), "{found:?}");
}
