//! Contexts that are no directory of this machine, and files that `ADD` fetches.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::has;
use crate::support::http::Http;
use crate::support::workspace::{Said, Workspace};

/// Builds with words and bytes on standard input.
fn with_stdin(workspace: &Workspace, words: &[&str], input: &[u8]) -> Said {
    let mut command = workspace.rbuild();
    let mut child = command
        .args(["build", "--progress=plain"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A build that refuses its input does not read all of it.
    drop(child.stdin.take().unwrap().write_all(input));
    Said::from(child.wait_with_output().unwrap())
}

fn good(said: &Said) {
    assert_eq!(said.code, Some(0), "{said:?}");
}

fn fails(said: &Said, code: i32, words: &str) {
    assert!(said.code == Some(code) && said.err.contains(words), "expected {code} with {words:?}: {said:?}");
}

/// A tar of files; `->` in a content makes a link.
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o640);
        header.set_uid(12);
        header.set_gid(34);
        header.set_mtime(1_000_000_000);
        match content.strip_prefix("->") {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, path, target).unwrap();
            }
            None => {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_bytes()).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn filter(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// Where the files of a build go, and words that say so.
fn out(workspace: &Workspace, name: &str) -> (PathBuf, String) {
    let path = workspace.path().join(name);
    let word = format!("--output=type=local,dest={}", path.display());
    (path, word)
}

fn read(directory: &Path, path: &str) -> String {
    std::fs::read_to_string(directory.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const COPY_ALL: &str = "FROM scratch\nCOPY . /\n";

#[test]
fn an_archive_on_standard_input_is_the_context() {
    let workspace = Workspace::new();
    let plain = tar(&[("Dockerfile", COPY_ALL), (".dockerignore", "a\n"), ("a", "one"), ("d/b", "two")]);
    let mut forms = vec![("tar", plain.clone()), ("gzip", gzip(&plain))];
    for program in ["bzip2", "xz", "zstd"] {
        if has(program) {
            forms.push((program, filter(program, &plain)));
        }
    }
    for (form, bytes) in forms {
        let (path, word) = out(&workspace, form);
        good(&with_stdin(&workspace, &[&word, "-"], &bytes));
        assert_eq!((read(&path, "a"), read(&path, "d/b")), ("one".to_owned(), "two".to_owned()), "{form}");
    }
}

#[test]
fn the_build_file_lies_where_the_options_say() {
    let workspace = Workspace::new();
    let inside = tar(&[("sub/Other", COPY_ALL), ("a", "one")]);
    let (path, word) = out(&workspace, "inside");
    good(&with_stdin(&workspace, &[&word, "-f", "sub/Other", "-"], &inside));
    assert_eq!(read(&path, "a"), "one");

    workspace.file("a", "of the directory");
    let context = workspace.context();
    let (path, word) = out(&workspace, "text");
    good(&with_stdin(&workspace, &[&word, "-f", "-", context.to_str().unwrap()], COPY_ALL.as_bytes()));
    assert_eq!(read(&path, "a"), "of the directory");

    workspace.file("Dockerfile", "FROM scratch\nLABEL a=b\n");
    good(&with_stdin(&workspace, &["-f", "context/Dockerfile", "-"], b""));
    good(&with_stdin(&workspace, &["-"], b"FROM scratch\nLABEL a=b\n"));
}

#[test]
fn podmans_names_do_where_buildkits_are_absent() {
    let workspace = Workspace::new();
    workspace.file("Containerfile", COPY_ALL);
    workspace.file(".containerignore", "a\n");
    workspace.file(".dockerignore", "b\n");
    workspace.file("a", "one");
    workspace.file("b", "two");
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let built = |name: &str, more: &[&str]| {
        let (path, word) = out(&workspace, name);
        workspace.ok(&[&["build", &word], more, &[context]].concat());
        (path.join("a").exists(), path.join("b").exists())
    };
    let listed = |more: &[&str]| {
        let said = workspace.ok(&[&["context", "ls"], more, &[context]].concat()).out;
        (said.contains("\na\n"), said.contains("\nb\n"))
    };
    assert_eq!(built("found", &[]), (false, true));
    assert_eq!(listed(&[]), (false, true));
    let named = format!("--file={context}/Containerfile");
    assert_eq!(built("named", &[&named]), (true, false));
    assert_eq!(listed(&[&named]), (true, false));
    workspace.file("other", "a\nb\n");
    let other = format!("--ignorefile={context}/other");
    assert_eq!(built("other", &[&other]), (false, false));
    assert_eq!(listed(&[&other]), (false, false));
    workspace.file("Containerfile", "FROM scratch\nRUNN x\n");
    let said = workspace.fails(2, &["build", context]);
    assert!(said.err.contains("/Containerfile:2:1"), "{said:?}");
    workspace.file("Dockerfile", COPY_ALL);
    assert_eq!(built("dockerfile", &[]), (true, false));
    assert_eq!(listed(&[]), (true, false));
    workspace.fails(5, &["build", "--ignorefile=none", context]);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let workspace = Workspace::new();
    let archive = tar(&[("a", "one")]);
    fails(&with_stdin(&workspace, &["-f", "-", "-"], b""), 2, "cannot both be standard input");
    fails(&with_stdin(&workspace, &["-f", "x", "-"], COPY_ALL.as_bytes()), 2, "-f names another");
    fails(&with_stdin(&workspace, &["-f", "-", "."], &archive), 2, "is an archive");
    fails(&with_stdin(&workspace, &["-"], &archive), 2, "there is no build file Dockerfile");
    fails(&with_stdin(&workspace, &["-"], b"FROM scratch\nCOPY a /\n"), 1, "not found");
    fails(&with_stdin(&workspace, &["-"], b"\x1f\x8b\x08not really"), 5, "no tar archive");
    for (context, words) in [
        ("https://h/r.git?tag=a&branch=b", "branch conflicts with tag"),
        ("https://h/r.git?ref=a#b", "ref conflicts"),
        ("https://h/r.git?what=1", "unexpected query"),
        ("s3://bucket/x", "s3:// addresses are not supported"),
    ] {
        fails(&with_stdin(&workspace, &[context], b""), 2, words);
    }
}

#[test]
fn links_of_an_archive_do_not_leave_it() {
    let workspace = Workspace::new();
    std::fs::write(workspace.path().join("secret"), "FROM scratch\nLABEL secret=1\n").unwrap();
    let secret = workspace.path().join("secret").to_string_lossy().into_owned();
    let link = format!("->{secret}");
    fails(&with_stdin(&workspace, &["-"], &tar(&[("Dockerfile", &link)])), 2, "there is no build file");
    let copying = tar(&[("Dockerfile", "FROM scratch\nCOPY x /\n"), ("x", &link)]);
    assert_ne!(with_stdin(&workspace, &["-"], &copying).code, Some(0));
    let through = tar(&[
        ("d", &format!("->{}", workspace.path().display())),
        ("d/made", "x"),
        ("Dockerfile", COPY_ALL),
    ]);
    with_stdin(&workspace, &["-"], &through);
    assert!(!workspace.path().join("made").exists());
}

#[test]
fn a_url_is_an_archive_or_a_build_file() {
    let (workspace, http) = (Workspace::new(), Http::start());
    http.put("/c.tgz", gzip(&tar(&[("Dockerfile", COPY_ALL), ("a", "one")])), &[]);
    http.put("/Dockerfile", "FROM scratch\nLABEL a=b\n", &[]);
    http.put("/copy", "FROM scratch\nCOPY a /\n", &[]);
    http.put("/noise", [0u8, 159, 146, 150], &[]);
    let (path, word) = out(&workspace, "url");
    good(&with_stdin(&workspace, &[&word, &http.url("/c.tgz")], b""));
    assert_eq!(read(&path, "a"), "one");
    good(&with_stdin(&workspace, &[&http.url("/Dockerfile")], b""));
    fails(&with_stdin(&workspace, &[&http.url("/copy")], b""), 1, "not found");
    fails(&with_stdin(&workspace, &[&http.url("/noise")], b""), 2, "neither an archive nor a Dockerfile");
    fails(&with_stdin(&workspace, &[&http.url("/none")], b""), 3, "404");
}

#[test]
fn a_fetched_file_is_asked_for_again_and_sent_again_only_if_it_changed() {
    let (workspace, http) = (Workspace::new(), Http::start());
    let url = http.url("/p/a.bin?x=1");
    workspace
        .file("Dockerfile", format!("FROM scratch AS a\nADD {url} /d/\nFROM scratch\nCOPY --from=a /d /e\n"));
    for header in ["ETag: \"v1\"", "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT"] {
        http.put("/p/a.bin", format!("one {header}"), &[header]);
        workspace.build(&[]);
        assert_eq!(http.asked().last().map(|(_, status)| *status), Some(200), "{header}");
        let (path, word) = out(&workspace, "same");
        let said = workspace.build(&[&word]);
        assert_eq!(http.asked(), [("/p/a.bin".to_owned(), 304)], "{header}");
        // The question itself, and nothing else.
        assert_eq!(said.steps().0, 1, "{said:?}");
        assert_eq!(read(&path, "e/a.bin"), format!("one {header}"));
    }
    http.put("/p/a.bin", "two", &["ETag: \"v2\""]);
    let (path, word) = out(&workspace, "changed");
    assert_eq!(workspace.build(&[&word]).steps().0, 3);
    assert_eq!(read(&path, "e/a.bin"), "two");

    // Another version of the same bytes: fetched, but nothing is built upon it.
    http.put("/p/a.bin", "two", &["ETag: \"v3\""]);
    let said = workspace.build(&[]);
    assert_eq!(http.asked().last().map(|(_, status)| *status), Some(200));
    assert_eq!(said.steps().0, 1, "{said:?}");
}

#[test]
fn a_fetched_file_has_the_mode_and_time_that_were_asked_for() {
    use std::os::unix::fs::MetadataExt;
    let (workspace, http) = (Workspace::new(), Http::start());
    http.put("/f", "x", &["Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT"]);
    http.put("/t.tar", tar(&[("in/a", "one")]), &[]);
    let (file, archive) = (http.url("/f"), http.url("/t.tar"));
    workspace.file(
        "Dockerfile",
        format!("FROM scratch\nADD {file} /plain\nADD --chmod=755 {file} /moded\nADD {archive} /packed/\nADD --unpack=true {archive} /open/\n"),
    );
    let (path, word) = out(&workspace, "attributes");
    workspace.build(&[&word]);
    let stat = |name: &str| std::fs::metadata(path.join(name)).unwrap();
    assert_eq!((stat("plain").mode() & 0o7777, stat("plain").mtime()), (0o600, 1_445_412_480));
    assert_eq!(stat("moded").mode() & 0o7777, 0o755);
    assert!(path.join("packed/t.tar").exists());
    assert_eq!(read(&path, "open/in/a"), "one");
}

#[test]
fn a_checksum_is_held_against_the_body() {
    use sha2::Digest;
    let (workspace, http) = (Workspace::new(), Http::start());
    http.put("/f", "right", &[]);
    let url = http.url("/f");
    let hex: String = sha2::Sha256::digest(b"right").iter().map(|byte| format!("{byte:02x}")).collect();
    workspace.file("Dockerfile", format!("FROM scratch\nADD --checksum=sha256:{hex} {url} /\n"));
    workspace.build(&[]);
    http.asked();
    workspace.build(&[]);
    assert_eq!(http.asked(), [], "what is pinned is not asked for again");
    workspace.file("Dockerfile", format!("FROM scratch\nADD --checksum=sha256:{} {url} /\n", "0".repeat(64)));
    let context = workspace.context();
    let said = workspace.fails(1, &["build", context.to_str().unwrap()]);
    assert!(said.err.contains("checksum"), "{said:?}");
}

/// Files below a directory, by their paths in it.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut waiting) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { waiting.push(path) } else { files.push(path) }
        }
    }
    files
}

#[test]
fn secrets_open_files_and_repositories_of_their_host() {
    if !has("git") {
        return;
    }
    let (workspace, http) = (Workspace::new(), Http::start());
    let (dir, _server) = repository(&workspace);
    git(&dir, &["update-server-info"]);
    for file in files_below(&dir.join(".git")) {
        let path = file.strip_prefix(dir.join(".git")).unwrap().display().to_string();
        http.put(&format!("/r.git/{path}"), std::fs::read(&file).unwrap(), &[]);
    }
    http.put("/f", "of the file", &[]);
    let (repository, file) = (http.url("/r.git"), http.url("/f"));
    workspace.file("Dockerfile", format!("FROM scratch\nADD {file} /\nADD {repository}#main /r/\n"));
    // `x-access-token:hidden` in base64.
    http.want("basic eC1hY2Nlc3MtdG9rZW46aGlkZGVu");
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let said = workspace.fails(3, &["build", context]);
    assert!(!said.err.contains("hidden"), "{said:?}");
    std::fs::write(workspace.path().join("token"), "hidden\n").unwrap();
    std::fs::write(workspace.path().join("header"), "basic eC1hY2Nlc3MtdG9rZW46aGlkZGVu").unwrap();
    let header = "--secret=id=HTTP_AUTH_HEADER_127.0.0.1,src=header";
    let (path, word) = out(&workspace, "opened");
    for token in ["GIT_AUTH_TOKEN".to_owned(), format!("GIT_AUTH_TOKEN.{}", &http.url("")[7..])] {
        let token = format!("--secret=id={token},src=token");
        workspace.ok(&["build", "--no-cache", &word, header, &token, context]);
        assert_eq!((read(&path, "f"), read(&path, "r/a")), ("of the file".to_owned(), "one".to_owned()));
        // As the context, too.
        workspace.ok(&["build", &word, header, &token, &repository]);
        assert_eq!(read(&path, "a"), "one");
    }
    workspace.file("Dockerfile", format!("FROM scratch\nADD --keep-git-dir {repository} /\n"));
    workspace.ok(&["build", &word, "--secret=id=GIT_AUTH_TOKEN,src=token", context]);
    for file in files_below(&path.join(".git")) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("eC1hY2Nlc3M") && !text.contains("hidden"), "{}", file.display());
    }
}

/// `git daemon` on loopback.
pub struct GitServer {
    child: Child,
    port: u16,
}

impl GitServer {
    fn start(root: &Path) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new("git")
            .args(["daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--base-path={}", root.display()))
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self { child, port }
    }

    pub fn url(&self, rest: &str) -> String {
        format!("git://127.0.0.1:{}/{rest}", self.port)
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        // Asked to end, it ends its own children; killed, it would leave them.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}

pub fn git(directory: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(directory)
        .args(["-c", "user.name=a", "-c", "user.email=a@b"])
        .args(words)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a build file at its root and one in `sub`.
pub fn repository(workspace: &Workspace) -> (PathBuf, GitServer) {
    let root = workspace.path().join("served");
    let dir = root.join("r");
    std::fs::create_dir_all(dir.join("sub")).unwrap();
    git(&dir, &["init", "-q", "-b", "main"]);
    std::fs::write(dir.join("Dockerfile"), COPY_ALL).unwrap();
    std::fs::write(dir.join("sub/Dockerfile"), COPY_ALL).unwrap();
    std::fs::write(dir.join("sub/inner"), "inner").unwrap();
    std::fs::write(dir.join("a"), "one").unwrap();
    std::os::unix::fs::symlink("sub", dir.join("link")).unwrap();
    git(&dir, &["add", "-A"]);
    git(&dir, &["commit", "-q", "-m", "x"]);
    git(&dir, &["tag", "v1"]);
    (dir, GitServer::start(&root))
}

#[test]
fn a_repository_is_the_context() {
    if !has("git") {
        return;
    }
    let workspace = Workspace::new();
    let (dir, server) = repository(&workspace);
    let first = git(&dir, &["rev-parse", "HEAD"]);
    std::fs::write(dir.join("a"), "two").unwrap();
    git(&dir, &["commit", "-q", "-a", "-m", "y"]);
    let short = &first[..10];
    for (number, (rest, expected)) in [
        ("r".to_owned(), "two"),
        ("r#main".to_owned(), "two"),
        ("r#v1".to_owned(), "one"),
        ("r?tag=v1".to_owned(), "one"),
        (format!("r?tag=v1&commit={short}"), "one"),
        (format!("r#{first}"), "one"),
    ]
    .iter()
    .enumerate()
    {
        let (path, word) = out(&workspace, &format!("git{number}"));
        good(&with_stdin(&workspace, &[&word, &server.url(rest)], b""));
        assert_eq!(read(&path, "a"), *expected, "{rest}");
        assert!(!path.join(".git").exists(), "{rest}");
    }
    let (path, word) = out(&workspace, "subdir");
    good(&with_stdin(&workspace, &[&word, &server.url("r#:sub")], b""));
    assert!(path.join("inner").exists() && !path.join("a").exists());
    let (path, word) = out(&workspace, "kept");
    good(&with_stdin(&workspace, &[&word, &server.url("r?keep-git-dir=1")], b""));
    assert!(path.join(".git/HEAD").exists());

    fails(&with_stdin(&workspace, &[&server.url("r#:link")], b""), 3, "symbolic link");
    fails(&with_stdin(&workspace, &[&server.url("r#none")], b""), 3, "no branch or tag none");
    fails(
        &with_stdin(&workspace, &[&server.url("r?ref=main&checksum=0000000")], b""),
        2,
        "expected checksum",
    );
    fails(&with_stdin(&workspace, &[&server.url("r#--upload-pack=x")], b""), 2, "cannot be the name");
}

#[test]
fn a_repository_is_added_and_named() {
    if !has("git") {
        return;
    }
    let workspace = Workspace::new();
    let (dir, server) = repository(&workspace);
    workspace.file(
        "Dockerfile",
        format!("FROM scratch\nADD {} /added/\nCOPY --from=repo /a /named\n", server.url("r#main")),
    );
    let named = format!("--build-context=repo={}", server.url("r#main:"));
    let (path, word) = out(&workspace, "added");
    workspace.build(&[&word, &named]);
    assert_eq!((read(&path, "added/a"), read(&path, "named")), ("one".to_owned(), "one".to_owned()));
    let said = workspace.build(&[&word, &named]);
    assert_eq!(said.steps().0, 0, "{said:?}");

    std::fs::write(dir.join("a"), "two").unwrap();
    git(&dir, &["commit", "-q", "-a", "-m", "y"]);
    workspace.build(&[&word, &named]);
    assert_eq!((read(&path, "added/a"), read(&path, "named")), ("two".to_owned(), "two".to_owned()));
}

#[test]
fn a_repository_and_its_checkout_make_one_image() {
    use std::os::unix::fs::PermissionsExt;
    if !has("git") {
        return;
    }
    let workspace = Workspace::new();
    let (dir, server) = repository(&workspace);
    std::fs::write(dir.join("Dockerfile"), "FROM scratch\nCOPY a link sub /t/\nCOPY sub /u\n").unwrap();
    git(&dir, &["commit", "-q", "-a", "-m", "y"]);
    // As a user with another umask has it.
    std::fs::set_permissions(dir.join("a"), std::fs::Permissions::from_mode(0o664)).unwrap();
    let id = |options: &[&str], context: &str| {
        workspace.ok(&[&["build", "-q", "--reproducible"], options, &[context]].concat()).out
    };
    let fetched = id(&[], &server.url("r"));
    assert!(fetched.starts_with("sha256:"), "{fetched}");
    assert_eq!(id(&["--context-metadata=git"], dir.to_str().unwrap()), fetched);
    assert_eq!(id(&[], &server.url("r?mtime=commit")), fetched);
}

#[test]
fn an_image_of_a_layout_is_a_base() {
    let workspace = Workspace::new();
    workspace.file("a", "one");
    workspace.file("Dockerfile", "FROM scratch\nCOPY a /a\nENV WHO=layout\n");
    let (directory, archive) = (workspace.path().join("layout"), workspace.path().join("layout.tar"));
    workspace.build(&["-t", "x:v1", &format!("--output=type=oci,tar=false,dest={}", directory.display())]);
    workspace.build(&["-t", "x:v1", &format!("--output=type=oci,dest={}", archive.display())]);
    workspace.file("Dockerfile", "FROM base\nCOPY --from=base /a /copied\n");
    for place in [
        directory.display().to_string(),
        format!("{}:v1", directory.display()),
        archive.display().to_string(),
    ] {
        let fresh = workspace.path().join("other-store");
        drop(std::fs::remove_dir_all(&fresh));
        let (path, word) = out(&workspace, "from-layout");
        let root = format!("--root={}", fresh.display());
        let context = workspace.context();
        let named = format!("--build-context=base=oci-layout://{place}");
        let said = Said::from(
            workspace
                .rbuild()
                .args(["build", &root, &word, &named, context.to_str().unwrap()])
                .output()
                .unwrap(),
        );
        good(&said);
        assert_eq!(
            (read(&path, "a"), read(&path, "copied")),
            ("one".to_owned(), "one".to_owned()),
            "{place}"
        );
    }
    let context = workspace.context();
    for (place, words) in [("none", "none"), ("layout:v9", "no image is tagged v9")] {
        let named = format!("--build-context=base=oci-layout://{place}");
        let said = workspace.fails(5, &["build", &named, context.to_str().unwrap()]);
        assert!(said.err.contains(words), "{said:?}");
    }
}

#[test]
fn a_context_is_listed_and_explained() {
    let workspace = Workspace::new();
    workspace.file(".dockerignore", "# logs\n*.log\n\nout\n!out/keep\n");
    for name in ["a", "b.log", "out/drop", "out/keep", "d/c.log", "d/e"] {
        workspace.file(name, "");
    }
    let context = workspace.context();
    let context = context.to_str().unwrap();
    let listed = workspace.ok(&["context", "ls", context]).out;
    assert_eq!(listed, ".dockerignore\na\nd/\nd/c.log\nd/e\nout/\nout/keep\n");
    let ignore = format!("{context}/.dockerignore");
    for (path, verdict) in [
        ("b.log", format!("excluded by {ignore}:2: *.log")),
        ("out/drop", format!("excluded by {ignore}:4: out")),
        ("out/keep", format!("included by {ignore}:5: !out/keep")),
        ("a", format!("included: no rule of {ignore} matches it")),
        ("no.log", format!("excluded by {ignore}:2: *.log (there is no such file)")),
    ] {
        let said = workspace.ok(&["context", "ls", "--why", path, context]).out;
        assert_eq!(said, format!("{path}: {verdict}\n"));
    }
    workspace.file("d/server.key", "");
    std::fs::File::create(workspace.context().join("d/large")).unwrap().set_len(200 << 20).unwrap();
    let said = workspace.ok(&["context", "ls", context]);
    assert!(said.err.contains("warning: d/server.key looks like a secret"), "{said:?}");
    assert!(said.err.contains("warning: d/large takes 20"), "{said:?}");
    workspace.file("x.Dockerfile.dockerignore", "*\n");
    assert_eq!(workspace.ok(&["context", "ls", "-f", &format!("{context}/x.Dockerfile"), context]).out, "");
}
