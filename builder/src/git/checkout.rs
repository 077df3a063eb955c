//! A commit's files in a directory.

use std::path::{Path, PathBuf};

use graph::{GitHistory, GitMtime, GitSource, LargeFiles};

use super::GitError;
use super::address::{shown, without_secrets};
use super::command::Git;

/// Files of a commit in a directory of ours.
#[derive(Debug)]
pub(super) struct Checkout {
    /// The directory that becomes the root.
    pub(super) root: PathBuf,
    /// The time of everything in it, in seconds since 1970; `None`: each file has its own.
    pub(super) time: Option<i64>,
}

/// Checks the commit out into an empty directory of ours.
pub(super) fn checkout(git: &Git, source: &GitSource, dir: &Path) -> Result<Checkout, GitError> {
    let commit = source.commit.as_str();
    fetch(git, commit, source.history, dir)?;
    git.run(Some(dir), &["checkout", "-q", "--force", "--detach", commit, "--"])?;
    if source.submodules && dir.join(".gitmodules").symlink_metadata().is_ok_and(|found| found.is_file()) {
        git.run(Some(dir), &["submodule", "update", "-q", "--init", "--recursive", "--depth=1", "--"])?;
    }
    match source.large_files {
        LargeFiles::Pointers => {}
        LargeFiles::Content => large_files(git, dir)?,
    }
    git.run(Some(dir), &["config", "remote.origin.url", &without_secrets(&git.url)])?;
    let time = match source.mtime {
        GitMtime::Checkout => None,
        GitMtime::Commit => Some(committed(git, commit, dir)?),
    };
    Ok(Checkout { root: subdirectory(source, dir)?, time })
}

/// Fetches the files that stand in the tree as pointers of Git LFS.
fn large_files(git: &Git, dir: &Path) -> Result<(), GitError> {
    match git.run(Some(dir), &["lfs", "pull", "origin"]) {
        Ok(_) => Ok(()),
        Err(GitError::Failed { said, .. }) if said.contains("is not a git command") => {
            Err(GitError::NoLargeFiles { url: shown(&git.url) })
        }
        Err(error) => Err(error),
    }
}

/// The committer's time of a commit that was fetched, in seconds since 1970.
pub(super) fn committed(git: &Git, commit: &str, dir: &Path) -> Result<i64, GitError> {
    let said = git.run(Some(dir), &["cat-file", "commit", commit])?;
    match committer_time(&said) {
        Some(time) => Ok(time),
        None => Err(GitError::Failed { url: shown(&git.url), doing: "cat-file".to_owned(), said }),
    }
}

/// The time in a commit's header: `committer NAME <ADDRESS> SECONDS ZONE`.
pub(super) fn committer_time(commit: &str) -> Option<i64> {
    let mut header = commit.lines().take_while(|line| !line.is_empty());
    let line = header.find_map(|line| line.strip_prefix("committer "))?;
    line.rsplit_once('>')?.1.split_whitespace().next()?.parse().ok()
}

/// Fetches a commit, with as much of what came before as that is, into a new repository in an empty directory of ours.
pub(super) fn fetch(git: &Git, commit: &str, history: GitHistory, dir: &Path) -> Result<(), GitError> {
    if !matches!(commit.len(), 40 | 64) || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(GitError::Name { name: commit.to_owned() });
    }
    let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    git.run(Some(dir), &["init", "-q", "--template=", format])?;
    // Submodules with relative addresses start from it.
    git.run(Some(dir), &["config", "remote.origin.url", &git.url])?;
    download(git, dir, commit, history)
}

/// The last commits alone, where that is asked for and the server gives commits by name, else everything it has.
fn download(git: &Git, dir: &Path, commit: &str, history: GitHistory) -> Result<(), GitError> {
    let depth = match history {
        GitHistory::Whole => return everything(git, dir),
        GitHistory::Last(commits) => format!("--depth={commits}"),
    };
    let alone = ["fetch", "-q", "--no-tags", "--no-recurse-submodules", &depth, "--", "origin", commit];
    match git.run(Some(dir), &alone) {
        Ok(_) => Ok(()),
        Err(GitError::Failed { said, .. }) if refuses_commits(&said) => everything(git, dir),
        Err(error) => Err(error),
    }
}

/// Branches and everything else under its own name, and tags under theirs.
fn everything(git: &Git, dir: &Path) -> Result<(), GitError> {
    let words =
        ["fetch", "-q", "--tags", "--no-recurse-submodules", "--", "origin", "+refs/*:refs/remotes/origin/*"];
    git.run(Some(dir), &words).map(drop)
}

/// Whether a server says that commits are not to be asked for by name.
fn refuses_commits(said: &str) -> bool {
    ["not our ref", "unadvertised object", "Server does not allow", "shallow"]
        .iter()
        .any(|words| said.contains(words))
}

/// The directory that becomes the root: a real one, behind real ones.
fn subdirectory(source: &GitSource, dir: &Path) -> Result<PathBuf, GitError> {
    let mut root = dir.to_owned();
    for name in source.subdir.iter().flat_map(|subdir| subdir.split('/')).filter(|name| !name.is_empty()) {
        let refused = |link| GitError::Subdir {
            url: shown(&source.url),
            subdir: source.subdir.clone().unwrap_or_default(),
            link,
        };
        if matches!(name, "." | ".." | ".git") {
            return Err(refused(false));
        }
        root.push(name);
        match root.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(found) => return Err(refused(found.is_symlink())),
            Err(_) => return Err(refused(false)),
        }
    }
    Ok(root)
}
