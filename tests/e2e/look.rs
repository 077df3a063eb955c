//! Files of images, seen without a container.

use crate::road::BUSYBOX;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn the_merged_tree_is_listed_and_its_files_are_printed() {
    let workspace = Workspace::with(
        "FROM scratch\nCOPY a b /d/\nCOPY --chown=7:8 --chmod=640 b /d/a\nCOPY b /d/sub/deep\n",
    );
    workspace.file("a", "first\n");
    workspace.file("b", "second\n");
    workspace.build(&["-t", "app:1"]);
    let lines: Vec<String> = workspace.ok(&["tree", "app:1"]).out.lines().map(str::to_owned).collect();
    let paths: Vec<&str> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(paths, ["d", "d/a", "d/b", "d/sub", "d/sub/deep"]);
    assert!(lines[1].starts_with("-0640     7:8 ") && lines[1].contains(" 7 d/a"), "{lines:?}");
    let list = json(&workspace.ok(&["ls", "--format=json", "app:1", "/d"]).out);
    let names: Vec<_> = list.as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b", "sub"]);
    assert_eq!((list[0]["uid"].as_u64(), list[0]["mode"].as_str()), (Some(7), Some("0640")));
    assert_eq!(json(&workspace.ok(&["ls", "app:1", "--format=json", "/d/a"]).out)[0]["size"], 7);
    assert_eq!(json(&workspace.ok(&["tree", "app:1", "--format=json"]).out).as_array().unwrap().len(), 5);
    assert_eq!(workspace.ok(&["cat", "app:1", "/d/a"]).out, "second\n");
    for (words, code, said) in [
        (&["cat", "app:1", "/d/none"][..], 5, "has no /d/none"),
        (&["cat", "app:1", "/d"], 5, "not a regular file"),
        (&["ls", "app:1", "/../../etc"], 5, "has no"),
        (&["ls", "store:other:1"], 5, "no image other:1 in the store"),
        (&["tree", "app:1", "--platform=linux/s390x"], 5, "linux/s390x"),
    ] {
        let failed = workspace.fails(code, words);
        assert!(failed.err.contains(said), "{words:?}: {failed:?}");
    }
}

#[test]
fn links_are_followed_inside_the_image_only() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN mkdir /d /w && echo inside > /d/f && echo image > /w/f \
         && ln -s /d/f /abs && ln -s ../../../../w/f /up && mkfifo /fifo && printf x > \"$(printf 'a\\033b')\"\n"
    ));
    workspace.build(&["-t", "app:1"]);
    assert_eq!(workspace.ok(&["cat", "app:1", "/abs"]).out, "inside\n");
    assert_eq!(workspace.ok(&["cat", "app:1", "up"]).out, "image\n");
    let listed = workspace.ok(&["ls", "app:1"]).out;
    assert!(listed.contains(" abs -> /d/f\n") && listed.contains("\np0644 "), "{listed}");
    assert!(listed.contains("a^[b") && !listed.contains('\u{1b}'), "{listed}");
    // It does not wait for a writer.
    workspace.fails(5, &["cat", "app:1", "/fifo"]);
}

#[test]
fn a_difference_names_files_modes_owners_and_config() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN mkdir /w && cd /w && echo 1 > a && echo 1 > b && echo 1 > c && ln -s a l\nENV A=1\n"
    ));
    workspace.build(&["-t", "old"]);
    workspace.file(
        "Dockerfile",
        "FROM old\nRUN chmod 600 /w/a && chown 3:4 /w/a && rm /w/b && echo 2 > /w/c && touch /w/same \
         && ln -sf c /w/l && echo new > /w/n && touch -d @5 /bin/busybox && rm /w/same\nENV A=2\nUSER 5\n",
    );
    workspace.build(&["-t", "new"]);
    let text = workspace.ok(&["diff", "old", "new"]).out;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..5],
        [
            "metadata  /w/a: mode 0644 -> 0600, owner 0:0 -> 3:4",
            "removed   /w/b",
            "content   /w/c",
            "content   /w/l: target a -> c",
            "added     /w/n",
        ],
        "{text}"
    );
    assert!(lines[5].starts_with("config    Env: ") && lines[6] == "config    User: null -> \"5\"", "{text}");
    assert_eq!(lines.len(), 7, "{text}");
    let found = json(&workspace.ok(&["diff", "--format=json", "old", "new"]).out);
    assert_eq!(found["files"][0]["new"]["uid"], 3);
    assert_eq!(found["config"]["User"]["new"], "5");
    let same = json(&workspace.ok(&["diff", "--format=json", "old", "old"]).out);
    assert_eq!(same, serde_json::json!({"files": [], "config": {}}));
}

#[test]
fn layers_tell_what_is_wasted_and_limits_fail() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(&format!(
        "{BUSYBOX}RUN dd if=/dev/zero of=/large bs=1k count=300\nRUN echo 1 > /kept; ln /kept /also\nRUN rm /large /kept\n"
    ));
    workspace.build(&["-t", "app:1"]);
    let layers = json(&workspace.ok(&["layers", "--format=json", "app:1"]).out);
    let wasted: Vec<_> =
        layers.as_array().unwrap().iter().map(|one| one["wasted"].as_u64().unwrap()).collect();
    assert_eq!(wasted, [0, 0, 307_200, 0, 0]);
    assert_eq!(layers[2]["hidden"], serde_json::json!([{"path": "large", "size": 307_200, "by": 4}]));
    assert_eq!(
        (layers[2]["fileCount"].as_u64(), layers[2]["packedSize"].is_null()),
        (Some(1), true),
        "{layers}"
    );
    let table = workspace.ok(&["layers", "--no-files", "app:1"]).out;
    assert!(table.contains("wasted: /large 307.20kB, of layer 2, hidden by layer 4\n"), "{table}");
    for (limit, code) in [
        ("--max-wasted=1MB", 0),
        ("--max-wasted=300k", 0),
        ("--max-wasted=50%", 0),
        ("--max-wasted=200k", 5),
        ("--max-wasted=1%", 5),
        ("--max-size=100MB", 0),
        ("--max-size=1MB", 5),
        ("--max-wasted=x", 2),
    ] {
        let said = Said::from(workspace.run(&["layers", "--no-files", limit, "app:1"]));
        assert_eq!(said.code, Some(code), "{limit}: {said:?}");
        assert_eq!(said.err.contains("more than --max-"), code == 5, "{limit}: {said:?}");
    }
}

#[test]
fn images_of_every_place_are_looked_into() {
    if !has("docker-registry") {
        return;
    }
    let registry = Registry::start(Access::Open);
    let name = registry.name("app:1");
    let workspace = Workspace::with("FROM scratch\nCOPY a /d/a\nCOPY a /d/b\n");
    workspace.file("a", "content\n");
    workspace.build(&["-t", &name, "--push"]);
    let at = |file: &str| workspace.path().join(file).display().to_string();
    let files = [
        format!("oci:{}:1", at("layout")),
        format!("oci-archive:{}:1", at("o.tar")),
        format!("docker-archive:{}", at("d.tar")),
        format!("dir:{}", at("dir")),
    ];
    for place in &files {
        workspace.ok(&["copy", &format!("store:{name}"), place]);
    }
    let wanted = workspace.ok(&["layers", "--format=json", &name]).out;
    let packed = json(&wanted)[0]["packedSize"].as_u64().unwrap();
    let places = [&files[..], &[format!("docker://{name}"), name.clone()]].concat();
    for place in &places {
        // Each in a store that knows nothing, where nothing gets a name.
        let other = Workspace::new();
        assert_eq!(other.ok(&["cat", place, "/d/b"]).out, "content\n", "{place}");
        assert!(other.ok(&["ls", place, "/d"]).out.lines().count() == 2, "{place}");
        assert_eq!(other.ok(&["tree", place]).out, workspace.ok(&["tree", &name]).out, "{place}");
        assert_eq!(
            json(&other.ok(&["layers", "--format=json", place]).out)[0]["packedSize"],
            packed,
            "{place}"
        );
        assert_eq!(other.ok(&["diff", place, &places[0]]).out, "", "{place}");
        assert_eq!(other.ok(&["images", "-q"]).out, "", "{place}");
    }
    workspace.fails(3, &["ls", &format!("docker://{}", registry.name("none:1"))]);
}
