//! Repositories of this machine, made for the test.

use std::fs;
use std::num::NonZeroU32;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use graph::{GitHistory, GitSource, LargeFiles};
use layer_store::{IdRange, IdRanges, Kind, Lease, Mode, OpenOptions, Snapshot, Store};
use runtime_exec::{OutsideCommand, OutsideOutput};

use super::command::{Git, Runner};
use super::import::{Machinery, import};
use super::{GitError, checkout, refs};

struct Fixture {
    temp: tempfile::TempDir,
    lease: Lease,
}

fn git(dir: &Path, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args([
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b",
        "-c",
        "protocol.file.allow=always",
    ]);
    let output = command.args(words).env("GIT_CONFIG_GLOBAL", "/dev/null").output().expect("git runs");
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A program run directly, where the product asks the helper.
fn direct() -> Runner {
    with_environment(Vec::new())
}

/// The same in an environment of the caller's.
fn with_environment(own: Vec<(&'static str, std::path::PathBuf)>) -> Runner {
    Box::new(move |command: &OutsideCommand| {
        let envs = command.env.iter().map(|(name, value)| (name, value));
        let mut program = Command::new(&command.program);
        program.args(&command.args).envs(own.iter().cloned()).envs(envs).stdin(Stdio::null());
        let output = program.output().expect("runs");
        Ok(OutsideOutput {
            code: output.status.code().unwrap_or(128),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    })
}

impl Fixture {
    /// `None`: there is no git.
    #[allow(clippy::disallowed_methods)] // Only tests ask where they run.
    fn new() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "git is missing");
            eprintln!("skipped: git is missing");
            return None;
        }
        let temp = tempfile::tempdir().expect("a directory");
        let all = vec![IdRange { inside: 0, outside: 0, count: u32::MAX }];
        let options = OpenOptions { mode: Mode::Root, ids: IdRanges { users: all.clone(), groups: all } };
        let store = Store::open(&temp.path().join("store"), &options).expect("a store");
        let lease = store.lease().expect("a lease");
        let fixture = Self { temp, lease };
        fixture.repository("main");
        Some(fixture)
    }

    fn repository(&self, name: &str) -> std::path::PathBuf {
        let dir = self.temp.path().join(name);
        fs::create_dir_all(dir.join("sub/deep")).expect("directories");
        git(&dir, &["init", "-q", "-b", "main"]);
        fs::write(dir.join("run.sh"), "#!/bin/sh\n").expect("a file");
        fs::set_permissions(dir.join("run.sh"), fs::Permissions::from_mode(0o700)).expect("a mode");
        fs::write(dir.join("sub/deep/file"), name).expect("a file");
        fs::set_permissions(dir.join("sub/deep/file"), fs::Permissions::from_mode(0o600)).expect("a mode");
        symlink("sub", dir.join("link")).expect("a link");
        symlink("/etc", dir.join("out")).expect("a link");
        self.commit(name)
    }

    fn commit(&self, name: &str) -> std::path::PathBuf {
        let dir = self.temp.path().join(name);
        git(&dir, &["add", "-A"]);
        git(&dir, &["commit", "-q", "-m", "x"]);
        dir
    }

    fn url(&self, name: &str) -> String {
        format!("file://{}", self.temp.path().join(name).display())
    }

    fn resolve(&self, name: &str) -> Result<String, GitError> {
        refs::resolve(&Git::new(direct(), &self.url("main"))?, name)
    }

    fn source(&self) -> GitSource {
        GitSource {
            url: self.url("main"),
            commit: self.resolve("main").expect("a commit"),
            subdir: None,
            keep_git_dir: false,
            submodules: true,
            mtime: graph::GitMtime::Checkout,
            history: graph::GitHistory::default(),
            large_files: graph::LargeFiles::default(),
        }
    }

    /// The times of everything in the layer.
    fn times(&self, source: &GitSource) -> Vec<i64> {
        let dir = self.lease.scratch_dir().expect("a directory");
        let tree = checkout::checkout(&Git::new(direct(), &source.url).expect("git"), source, &dir);
        let layer = import(&self.lease, &tree.expect("files"), Machinery::of(source)).expect("a layer");
        let view = self.lease.store().stack(&Snapshot(vec![layer])).expect("a view");
        let mut found = Vec::new();
        view.walk(Path::new(""), &mut |_, entry| {
            found.push(entry.attributes.mtime.secs);
            Ok(layer_store::Walk::Continue)
        })
        .expect("walked");
        found
    }

    /// Paths of the layer with mode and kind.
    fn fetch(&self, source: &GitSource) -> Result<Vec<String>, GitError> {
        let dir = self.lease.scratch_dir()?;
        let root = checkout::checkout(&Git::new(direct(), &source.url)?, source, &dir)?;
        let layer = import(&self.lease, &root, Machinery::of(source))?;
        let view = self.lease.store().stack(&Snapshot(vec![layer]))?;
        let mut found = Vec::new();
        view.walk(Path::new(""), &mut |path, entry| {
            let a = &entry.attributes;
            assert_eq!((a.uid, a.gid), (0, 0));
            let mut kind = String::new();
            if let Kind::Directory = &a.kind {
                kind.push('/');
            } else if let Kind::Symlink { target } = &a.kind {
                kind = format!(" -> {}", target.display());
            }
            found.push(format!("{:o} {}{kind}", a.mode, path.display()));
            Ok(layer_store::Walk::Continue)
        })?;
        Ok(found)
    }
}

#[test]
fn names_and_full_names() {
    let Some(fixture) = Fixture::new() else { return };
    let dir = fixture.temp.path().join("main");
    let head = git(&dir, &["rev-parse", "HEAD"]);
    git(&dir, &["tag", "-a", "-m", "t", "v1"]);
    for name in ["", "main", "refs/heads/main", "v1", "refs/tags/v1"] {
        assert_eq!(fixture.resolve(name).expect(name), head, "{name}");
    }
    assert!(matches!(fixture.resolve("none"), Err(GitError::NoRef { .. })));
    for bad in ["--upload-pack=touch x", "a b", "a*", "-x"] {
        assert!(matches!(fixture.resolve(bad), Err(GitError::Name { .. })), "{bad}");
    }
}

#[test]
fn a_layer_has_plain_modes_and_nothing_of_gits() {
    let Some(fixture) = Fixture::new() else { return };
    let found = fixture.fetch(&fixture.source()).expect("a layer");
    let expected = [
        "777 link -> sub",
        "777 out -> /etc",
        "755 run.sh",
        "755 sub/",
        "755 sub/deep/",
        "644 sub/deep/file",
    ];
    assert_eq!(
        found.iter().filter(|line| !line.ends_with(' ') && *line != "755 /").collect::<Vec<_>>(),
        expected
    );
    let kept = fixture.fetch(&GitSource { keep_git_dir: true, ..fixture.source() }).expect("a layer");
    assert!(kept.iter().any(|line| line.ends_with(".git/HEAD")), "{kept:?}");
}

#[test]
fn hooks_do_not_run() {
    let Some(fixture) = Fixture::new() else { return };
    let marker = fixture.temp.path().join("ran");
    let templates = fixture.temp.path().join("templates");
    let hook = templates.join("hooks/post-checkout");
    fs::create_dir_all(templates.join("hooks")).expect("directories");
    fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", marker.display())).expect("a file");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode");
    let config = fixture.temp.path().join("config");
    fs::write(&config, format!("[core]\nhooksPath = {}\n", templates.join("hooks").display()))
        .expect("a file");

    // Both ways lead to the hook where nothing is done against it.
    let clone = |name: &str| fixture.temp.path().join(name).to_string_lossy().into_owned();
    let template = format!("--template={}", templates.display());
    git(fixture.temp.path(), &["clone", "-q", &template, &fixture.url("main"), &clone("unguarded")]);
    assert!(marker.exists());
    fs::remove_file(&marker).expect("removed");

    let source = fixture.source();
    let own = vec![
        ("GIT_TEMPLATE_DIR", templates),
        ("GIT_CONFIG_GLOBAL", config.clone()),
        ("GIT_CONFIG_SYSTEM", config),
    ];
    let dir = fixture.lease.scratch_dir().expect("a directory");
    let hostile = Git::new(with_environment(own), &source.url).expect("an address");
    checkout::checkout(&hostile, &source, &dir).expect("a checkout");
    assert!(!marker.exists());
}

#[test]
fn subdirectories_are_real() {
    let Some(fixture) = Fixture::new() else { return };
    let with = |subdir: &str| GitSource { subdir: Some(subdir.to_owned()), ..fixture.source() };
    let found = fixture.fetch(&with("sub/deep")).expect("a layer");
    assert!(
        found.contains(&"644 file".to_owned()) && !found.iter().any(|line| line.contains("run.sh")),
        "{found:?}"
    );
    for (bad, is_link) in [
        ("link", true),
        ("link/deep", true),
        ("out", true),
        ("none", false),
        ("run.sh", false),
        ("../main", false),
    ] {
        match fixture.fetch(&with(bad)) {
            Err(GitError::Subdir { link, .. }) => assert_eq!(link, is_link, "{bad}"),
            other => panic!("{bad}: {other:?}"),
        }
    }
}

#[test]
fn submodules_come_along_unless_refused() {
    let Some(fixture) = Fixture::new() else { return };
    fixture.repository("other");
    let dir = fixture.temp.path().join("main");
    git(&dir, &["submodule", "add", "-q", &fixture.url("other"), "module"]);
    fixture.commit("main");
    let found = fixture.fetch(&fixture.source()).expect("a layer");
    assert!(found.contains(&"644 module/sub/deep/file".to_owned()), "{found:?}");
    assert!(!found.iter().any(|line| line.ends_with("/.git")), "{found:?}");
    let without = fixture.fetch(&GitSource { submodules: false, ..fixture.source() }).expect("a layer");
    assert!(!without.contains(&"644 module/sub/deep/file".to_owned()), "{without:?}");
}

#[test]
fn as_much_history_comes_along_as_is_asked_for() {
    let Some(fixture) = Fixture::new() else { return };
    let dir = fixture.temp.path().join("main");
    git(&dir, &["tag", "-a", "-m", "x", "v1"]);
    for name in ["new", "newer"] {
        fs::write(dir.join(name), "").expect("a file");
        fixture.commit("main");
    }
    let two = NonZeroU32::new(2).expect("two");
    for (history, commits) in
        [(GitHistory::default(), "1"), (GitHistory::Last(two), "2"), (GitHistory::Whole, "3")]
    {
        let source = GitSource { history, ..fixture.source() };
        let dir = fixture.lease.scratch_dir().expect("a directory");
        let own = Git::new(direct(), &source.url).expect("an address");
        checkout::checkout(&own, &source, &dir).expect("a checkout");
        assert_eq!(git(&dir, &["rev-list", "--count", "HEAD"]), commits, "{history:?}");
        if history == GitHistory::Whole {
            assert!(git(&dir, &["describe"]).starts_with("v1-2-g"));
        }
    }
}

#[test]
fn large_files_are_fetched_where_that_is_asked_for() {
    let Some(fixture) = Fixture::new() else { return };
    // Stands in for git-lfs, which is seldom installed.
    let programs = fixture.temp.path().join("bin");
    fs::create_dir(&programs).expect("a directory");
    let program = programs.join("git-lfs");
    fs::write(&program, "#!/bin/sh\n[ \"$*\" = 'pull origin' ] && echo content > large\n").expect("a file");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("a mode");
    #[allow(clippy::disallowed_methods)] // Only tests ask where they run.
    let path = std::env::var("PATH").expect("a path");
    let own = vec![("PATH", format!("{}:{path}", programs.display()).into())];
    for (large_files, there) in [(LargeFiles::Pointers, false), (LargeFiles::Content, true)] {
        let source = GitSource { large_files, ..fixture.source() };
        let dir = fixture.lease.scratch_dir().expect("a directory");
        let git = Git::new(with_environment(own.clone()), &source.url).expect("an address");
        checkout::checkout(&git, &source, &dir).expect("a checkout");
        assert_eq!(dir.join("large").exists(), there, "{large_files:?}");
    }
}

#[test]
fn an_older_commit_is_fetched_too() {
    let Some(fixture) = Fixture::new() else { return };
    let old = fixture.source();
    fs::write(fixture.temp.path().join("main/new"), "").expect("a file");
    fixture.commit("main");
    let found = fixture.fetch(&old).expect("a layer");
    assert!(!found.contains(&"644 new".to_owned()), "{found:?}");
    assert!(fixture.fetch(&fixture.source()).expect("a layer").contains(&"644 new".to_owned()));
    let unknown = GitSource { commit: "0123456789".repeat(4), ..old };
    assert!(matches!(fixture.fetch(&unknown), Err(GitError::Failed { .. })));
}

#[test]
fn messages_hold_no_password() {
    let Some(_) = Fixture::new() else { return };
    let git = Git::new(direct(), "https://me:secret@127.0.0.1:1/r.git").expect("an address");
    let message = refs::resolve(&git, "main").expect_err("nobody listens").to_string();
    assert!(message.contains("127.0.0.1") && !message.contains("secret"), "{message}");
}

#[test]
fn files_have_the_time_of_the_commit_where_that_is_asked_for() {
    let Some(fixture) = Fixture::new() else { return };
    let source = GitSource { mtime: graph::GitMtime::Commit, ..fixture.source() };
    let dir = fixture.temp.path().join("main");
    let committed: i64 = git(&dir, &["show", "-s", "--format=%ct", &source.commit]).parse().expect("seconds");
    let times = fixture.times(&source);
    assert!(times.len() > 3 && times.iter().all(|time| *time == committed), "{times:?}, not {committed}");
}
