//! `SOURCE_DATE_EPOCH` that names where the time comes from.

use crate::contexts::{git, repository};
use crate::support::has;
use crate::support::http::Http;
use crate::support::workspace::Workspace;

/// When the image says that it was made.
fn created(workspace: &Workspace, context: &str, arguments: &[&str]) -> String {
    workspace.ok(&[&["build", "-t", "app:1", context], arguments].concat());
    let config = workspace.ok(&["inspect", "--config", "app:1"]).out;
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["created"].as_str().unwrap().to_owned()
}

/// A tar with files of these times.
fn archive(dockerfile: &str, times: &[u64]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |name: &str, text: &str, time| {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(time);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    };
    add("Dockerfile", dockerfile, 0);
    for time in times {
        add(&format!("file-{time}"), "x", *time);
    }
    builder.into_inner().unwrap()
}

const COPY: &str = "FROM scratch\nCOPY . /\n";

#[test]
fn the_time_of_an_archive_is_its_servers_or_its_newest_files() {
    let http = Http::start();
    http.put("/told.tar", archive(COPY, &[100]), &["Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT"]);
    http.put("/untold.tar", archive(COPY, &[1_577_934_245, 100]), &[]);
    http.put("/text", "no archive", &[]);
    for (name, expected) in [("told.tar", "2015-10-21T07:28:00Z"), ("untold.tar", "2020-01-02T03:04:05Z")] {
        let url = http.url(&format!("/{name}"));
        let stage = format!(
            "ARG SOURCE_DATE_EPOCH=times\nFROM scratch AS times\nADD {url} /\nFROM scratch\nLABEL a=b\n"
        );
        let workspace = Workspace::with(&stage);
        let context = workspace.context();
        assert_eq!(created(&workspace, context.to_str().unwrap(), &[]), expected, "stage {name}");
        let by_name = ["--build-arg", "SOURCE_DATE_EPOCH=context"];
        assert_eq!(created(&workspace, &url, &by_name), expected, "context {name}");
    }
    let workspace = Workspace::with(&format!(
        "ARG SOURCE_DATE_EPOCH=times\nFROM scratch AS times\nADD {} /\nFROM scratch\nCOPY x /\n",
        http.url("/text")
    ));
    workspace.file("x", "");
    let made = created(&workspace, workspace.context().to_str().unwrap(), &[]);
    assert!(made.as_str() > "2024", "a source without a time sets none: {made}");
}

#[test]
fn the_time_of_a_repository_is_its_commits() {
    if !has("git") {
        return;
    }
    let workspace = Workspace::new();
    let (dir, server) = repository(&workspace);
    std::fs::write(dir.join("Dockerfile"), format!("ARG SOURCE_DATE_EPOCH=context\n{COPY}")).unwrap();
    git(&dir, &["commit", "-q", "-a", "-m", "y"]);
    let seconds = git(&dir, &["show", "-s", "--format=%ct"]).parse().unwrap();
    let committed = jiff::Timestamp::from_second(seconds).unwrap().to_string();
    assert_eq!(created(&workspace, &server.url("r"), &[]), committed);
    assert_eq!(created(&workspace, &server.url("r?mtime=commit"), &[]), committed);
    let named = format!("FROM scratch\nADD {} /\n", server.url("r?mtime=commit"));
    workspace.file("Dockerfile", named);
    let out = workspace.path().join("out");
    let context = workspace.context();
    workspace.ok(&["build", "-o", out.to_str().unwrap(), context.to_str().unwrap()]);
    let written = std::fs::metadata(out.join("a")).unwrap().modified().unwrap();
    assert_eq!(written.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), seconds as u64);
}
