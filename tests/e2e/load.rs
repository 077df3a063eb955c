//! `build --load`: what an engine hears, and what is said when it refuses.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread::JoinHandle;

use crate::support::workspace::Workspace;

/// An engine that answers as it is told to, and hands over the archive that it was sent.
struct Engine {
    socket: PathBuf,
    heard: JoinHandle<Option<Vec<u8>>>,
}

impl Engine {
    /// Takes a ping, and a load where an answer to one is given.
    fn start(dir: &Path, status: &'static str, load: Option<&'static str>) -> Self {
        let socket = dir.join("engine.sock");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let heard = std::thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let (head, body) = request(&mut stream);
                let is_ping = head.starts_with("GET /_ping ");
                assert!(is_ping || head.starts_with("POST /images/load?quiet=1 "), "{head}");
                let (status, text) =
                    if is_ping && load.is_some() { ("200 OK", "OK") } else { (status, load.unwrap_or("")) };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
                    text.len()
                );
                stream.write_all(answer.as_bytes()).unwrap();
                if !is_ping || load.is_none() {
                    return (!is_ping).then_some(body);
                }
            }
        });
        Self { socket, heard }
    }

    fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

/// The head of a request and its body, sent in chunks where there is one.
fn request(stream: &mut UnixStream) -> (String, Vec<u8>) {
    let (mut all, mut buffer) = (Vec::new(), [0; 1 << 16]);
    let end = |all: &[u8]| all.windows(4).position(|window| window == b"\r\n\r\n");
    while end(&all).is_none() {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the request has no end");
        all.extend_from_slice(&buffer[..count]);
    }
    let at = end(&all).unwrap() + 4;
    let head = String::from_utf8(all[..at].to_vec()).unwrap();
    let mut rest = all.split_off(at);
    let mut body = Vec::new();
    while head.starts_with("POST") {
        while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            if rest.len() < line + 2 + size + 2 {
                break;
            }
            body.extend_from_slice(&rest[line + 2..line + 2 + size]);
            rest.drain(..line + 2 + size + 2);
            if size == 0 {
                return (head, body);
            }
        }
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the body has no end");
        rest.extend_from_slice(&buffer[..count]);
    }
    (head, body)
}

/// The text of a file of an archive.
fn text(archive: &[u8], name: &str) -> String {
    let mut archive = tar::Archive::new(archive);
    let mut found =
        archive.entries().unwrap().map(Result::unwrap).find(|file| file.path_bytes() == name.as_bytes());
    let mut text = String::new();
    found.as_mut().unwrap_or_else(|| panic!("no {name}")).read_to_string(&mut text).unwrap();
    text
}

fn workspace() -> Workspace {
    let workspace = Workspace::with("FROM scratch\nCOPY file /\n");
    workspace.file("file", "content");
    workspace
}

fn build_and_load(workspace: &Workspace, engine: &Engine, progress: &str) -> Output {
    let mut rbuild = workspace.rbuild();
    rbuild.env("DOCKER_HOST", engine.address()).args(["build", progress, "--load", "-t", "app:1"]);
    rbuild.arg(workspace.context()).output().unwrap()
}

#[test]
fn an_engine_is_sent_an_archive_with_the_names() {
    let workspace = workspace();
    let engine =
        Engine::start(workspace.path(), "200 OK", Some("{\"stream\":\"Loaded image: app:1\\n\"}\r\n"));
    let built = build_and_load(&workspace, &engine, "-q");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let archive = engine.heard.join().unwrap().unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text(&archive, "manifest.json")).unwrap();
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!(["app:1"]));
    let config = manifest[0]["Config"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(String::from_utf8(built.stdout).unwrap().trim(), format!("sha256:{config}"));
    // Named by the engine alone.
    let images = workspace.rbuild().args(["images"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&images.stdout).contains("app"));
}

#[test]
fn what_an_engine_refuses_is_told_in_its_words() {
    let cases = [
        ("200 OK", Some("{\"stream\":\"x\"}\n{\"error\":\"no space\\u0007left\"}\n"), "no space left"),
        ("500 Internal Server Error", Some("{\"message\":\"broken\"}"), "500 Internal Server Error: broken"),
        // Refused before anything is built.
        ("403 Forbidden", None, "403 Forbidden"),
    ];
    for (status, load, expected) in cases {
        let workspace = workspace();
        let engine = Engine::start(workspace.path(), status, load);
        let built = build_and_load(&workspace, &engine, "--progress=plain");
        let said = String::from_utf8_lossy(&built.stderr);
        assert_eq!(built.status.code(), Some(3), "{expected}: {said}");
        assert!(said.contains(&format!("Docker engine {}: {expected}", engine.address())), "{said}");
        assert_eq!(said.contains("COPY file"), load.is_some(), "{said}");
        engine.heard.join().unwrap();
    }
}
