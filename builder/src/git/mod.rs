//! Git repositories: the commit that a name stands for, and a commit's files as a layer.
//!
//! The program `git` does the work, run outside as the real user (so that ssh keys and agents of
//! that user serve, unless the build was given an agent), with nothing of the host's git configuration.
//!
//! Invariants:
//! - no address and no name ever reaches `git` as an option; only the transports of
//!   `TRANSPORTS` are spoken; no hook, filter or credential helper of any configuration runs;
//! - a commit is fetched by its full name, so what a key says is what a layer holds;
//! - the layer has modes as a umask of 022 gives them, belongs to 0:0, and holds nothing of git's
//!   own unless it was asked for;
//! - passwords in addresses appear in no message and stay in no configuration.

mod address;
mod checkout;
mod command;
mod error;
mod import;
mod refs;
mod ssh;
#[cfg(test)]
mod tests;

pub(crate) use address::shown;
pub use error::GitError;
pub use ssh::GitAgent;

use graph::GitSource;
use layer_store::Snapshot;

use crate::Session;
use crate::worker::{Permit, blocking};
use command::{Git, Runner};
use ssh::SshClient;

/// The commit that a branch, a tag or a full ref of a repository stands for; the empty name is the
/// default branch.
pub async fn resolve(session: &Session, url: &str, name: &str) -> Result<String, GitError> {
    let (git, name) = (open(session, url)?, name.to_owned());
    blocking(Permit::free(), move || refs::resolve(&git, &name)).await
}

/// The files of a commit, as one layer.
pub async fn fetch(session: &Session, source: &GitSource) -> Result<Snapshot, GitError> {
    let (git, lease, source) = (open(session, &source.url)?, session.lease.clone(), source.clone());
    blocking(Permit::free(), move || {
        let dir = lease.scratch_dir()?;
        let result = checkout::checkout(&git, &source, &dir)
            .and_then(|tree| import::import(&lease, &tree, import::Machinery::of(&source)));
        // What cannot be removed now goes with the lease.
        drop(std::fs::remove_dir_all(&dir));
        Ok(Snapshot(vec![result?]))
    })
    .await
}

/// The committer's time of a commit, in seconds since 1970.
pub(crate) async fn commit_time(session: &Session, source: &GitSource) -> Result<i64, GitError> {
    let (git, lease, source) = (open(session, &source.url)?, session.lease.clone(), source.clone());
    blocking(Permit::free(), move || {
        let dir = lease.scratch_dir()?;
        let result = checkout::fetch(&git, &source.commit, graph::GitHistory::default(), &dir)
            .and_then(|()| checkout::committed(&git, &source.commit, &dir));
        drop(std::fs::remove_dir_all(&dir));
        result
    })
    .await
}

/// The committer's time of the commit that a directory of this machine has checked out, in seconds
/// since 1970. `None`: it is in no repository, or `git` is not installed.
pub async fn directory_time(session: &Session, dir: &std::path::Path) -> Option<i64> {
    let (runner, dir) = (runner(session).ok()?, dir.to_owned());
    blocking(Permit::free(), move || {
        let git = Git::new(runner, "file:///").ok()?;
        // Nothing of what the repository's own settings name is run for this.
        let said = git
            .run(Some(&dir), &["-c", "safe.directory=*", "rev-parse", "--verify", "HEAD^{commit}"])
            .ok()?;
        let commit =
            git.run(Some(&dir), &["-c", "safe.directory=*", "cat-file", "commit", said.trim()]).ok()?;
        checkout::committer_time(&commit)
    })
    .await
}

/// `git` for a repository, with the secret or the agent that opens it. Needs a runtime around it.
fn open(session: &Session, url: &str) -> Result<Git, GitError> {
    let git = Git::new(runner(session)?, url)?.authorised(session.remote_secrets.of_repository(url));
    let agent = session.git_agent.as_ref();
    Ok(git.with_ssh(agent.map(|agent| SshClient::serve(agent, &session.lease)).transpose()?))
}

fn runner(session: &Session) -> Result<Runner, GitError> {
    let helper = session.helper.clone().ok_or(GitError::NoHelper)?;
    Ok(Box::new(move |command| helper.run(command)))
}
