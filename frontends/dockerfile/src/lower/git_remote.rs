//! Addresses of git repositories, as sources of `ADD` and as contexts.

use std::num::NonZeroU32;

use graph::{GitHistory, GitMtime, GitSource, LargeFiles, path};

use crate::mount::go_bool;

/// What an address says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitRemote {
    /// Address without fragment and query.
    pub url: String,
    /// Branch, tag, full ref or commit; empty is the default branch.
    pub reference: String,
    /// Directory that becomes the root.
    pub subdir: Option<String>,
    /// Commit, or its first digits.
    pub checksum: Option<String>,
    /// Whether `.git` stays.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched.
    pub submodules: Option<bool>,
    /// Times of the files.
    pub mtime: GitMtime,
    /// How much of the history is in `.git`.
    pub history: GitHistory,
    /// What becomes of files of Git LFS.
    pub large_files: LargeFiles,
}

/// Reads an address. `None`: it is none of a repository (a path, or a URL of a file). The error is
/// a sentence.
pub fn parse(text: &str) -> Result<Option<GitRemote>, String> {
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (url, query) = address.split_once('?').unwrap_or((address, ""));
    if !is_repository(url) {
        return Ok(None);
    }
    let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
    let mut remote =
        GitRemote { url: url.to_owned(), reference: reference.to_owned(), ..GitRemote::default() };
    remote.set_subdir(subdir)?;
    remote.read_query(query)?;
    Ok(Some(remote))
}

fn is_repository(url: &str) -> bool {
    if url.starts_with("./") || url.starts_with("../") {
        return false;
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        return match scheme.to_ascii_lowercase().as_str() {
            "git" | "ssh" => true,
            "http" | "https" => path.ends_with(".git"),
            _ => false,
        };
    }
    is_scp_like(url)
}

/// `user@host:path`.
fn is_scp_like(url: &str) -> bool {
    let all = |text: &str, extra: &str| {
        // What begins with a dash would be an option of the programs that take it on.
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    url.split_once('@')
        .and_then(|(user, rest)| Some((user, rest.split_once(':')?)))
        .is_some_and(|(user, (host, _))| all(user, "-_") && all(host, "-."))
}

impl GitRemote {
    /// The commit, where the address names it in full.
    pub fn commit(&self) -> Option<&str> {
        is_commit(&self.reference).then_some(self.reference.as_str())
    }

    /// The files that the address stands for, now that its commit is known. `keep_git_dir` is what
    /// counts where the address says nothing of it. The error is a sentence.
    pub fn source(self, commit: String, keep_git_dir: Option<bool>) -> Result<GitSource, String> {
        if let Some(checksum) = self.checksum.as_deref().filter(|checksum| !commit.starts_with(checksum)) {
            return Err(format!("expected checksum to match {checksum}, got {commit}"));
        }
        Ok(GitSource {
            url: self.url,
            commit,
            subdir: self.subdir,
            keep_git_dir: self.keep_git_dir.or(keep_git_dir).unwrap_or(false),
            submodules: self.submodules.unwrap_or(true),
            mtime: self.mtime,
            history: self.history,
            large_files: self.large_files,
        })
    }

    fn set_subdir(&mut self, subdir: &str) -> Result<(), String> {
        let cleaned = path::clean(&format!("/{subdir}"));
        let cleaned = cleaned.trim_start_matches('/');
        if cleaned.is_empty() {
            return Ok(());
        }
        match &self.subdir {
            Some(old) if old != cleaned => Err(format!("subdir conflicts: {old:?} vs {subdir:?}")),
            Some(_) => Ok(()),
            None => {
                self.subdir = Some(cleaned.to_owned());
                Ok(())
            }
        }
    }

    fn set_reference(&mut self, reference: &str) -> Result<(), String> {
        if !self.reference.is_empty() && self.reference != reference {
            return Err(format!("ref conflicts: {:?} vs {reference:?}", self.reference));
        }
        reference.clone_into(&mut self.reference);
        Ok(())
    }

    fn read_query(&mut self, query: &str) -> Result<(), String> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let (mut tag, mut branch) = (None, None);
        for (position, (key, value)) in pairs.iter().enumerate() {
            if pairs[..position].iter().any(|(earlier, _)| earlier == key) {
                return Err(format!("query {key:?} has multiple values"));
            }
            let switch = || match value.as_str() {
                "" => Ok(true),
                text => go_bool(text).ok_or_else(|| format!("invalid {key} value: {value:?}")),
            };
            match key.as_str() {
                "keep-git-dir" => self.keep_git_dir = Some(switch()?),
                "submodules" => self.submodules = Some(switch()?),
                // The commit is fetched by its name in any case.
                "fetch-by-commit" => drop(switch()?),
                "lfs" if switch()? => self.large_files = LargeFiles::Content,
                "lfs" => self.large_files = LargeFiles::Pointers,
                _ if value.is_empty() => return Err(format!("query {key:?} has no value")),
                "ref" => self.set_reference(value)?,
                "tag" => tag = Some(with_prefix("refs/tags/", value)),
                "branch" => branch = Some(with_prefix("refs/heads/", value)),
                "subdir" => self.set_subdir(value)?,
                "checksum" | "commit" => self.checksum = Some(value.clone()),
                "depth" => self.history = history(value)?,
                "mtime" if value == "checkout" => self.mtime = GitMtime::Checkout,
                "mtime" if value == "commit" => self.mtime = GitMtime::Commit,
                "mtime" => {
                    return Err(format!("invalid mtime value: {value:?} (must be checkout or commit)"));
                }
                _ => return Err(format!("unexpected query {key:?}")),
            }
        }
        if tag.is_some() && branch.is_some() {
            return Err("branch conflicts with tag".to_owned());
        }
        tag.or(branch).map_or(Ok(()), |reference| self.set_reference(&reference))
    }
}

/// `0` is all of it, another number that many commits.
fn history(value: &str) -> Result<GitHistory, String> {
    let depth: u32 = value
        .parse()
        .map_err(|_| format!("invalid depth value: {value:?} (a number of commits, 0 for all)"))?;
    Ok(NonZeroU32::new(depth).map_or(GitHistory::Whole, GitHistory::Last))
}

fn with_prefix(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

/// Whether the text is a whole object name (SHA-1 or SHA-256).
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_repositories() {
        for text in [
            "./a.git",
            "dir/x",
            "https://h/a.tar.gz",
            "http://h/x.git/y",
            "ftp://h/x.git",
            "a@b",
            "c:d",
            "-a@b:c",
            "a@-b:c",
        ] {
            assert_eq!(parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn repositories() {
        let one = |text: &str| parse(text).expect(text).expect(text);
        let plain = one("https://github.com/foo/bar.git#baz/qux:quux/quuz");
        assert_eq!(plain.url, "https://github.com/foo/bar.git");
        assert_eq!((plain.reference.as_str(), plain.subdir.as_deref()), ("baz/qux", Some("quux/quuz")));
        assert_eq!(one("git@github.com:foo/bar#:dir/").subdir.as_deref(), Some("dir"));
        assert_eq!(one("ssh://h/x").url, "ssh://h/x");
        let query = one("git://h/x?tag=v1&subdir=/a/&keep-git-dir&submodules=false&commit=abc");
        assert_eq!(query.reference, "refs/tags/v1");
        assert_eq!(query.subdir.as_deref(), Some("a"));
        assert_eq!((query.keep_git_dir, query.submodules), (Some(true), Some(false)));
        assert_eq!(query.checksum.as_deref(), Some("abc"));
        assert_eq!(query.mtime, GitMtime::Checkout);
        assert_eq!(one("git://h/x?mtime=commit").mtime, GitMtime::Commit);
        assert_eq!(one("git://h/x?depth=0").history, GitHistory::Whole);
        assert_eq!(one("git://h/x?depth=1").history, GitHistory::default());
        assert_eq!(one("git://h/x?lfs").large_files, LargeFiles::Content);
        assert_eq!(one("git://h/x?lfs=0").large_files, LargeFiles::Pointers);
    }

    #[test]
    fn contradictions() {
        for text in [
            "git://h/x?tag=v1&branch=b",
            "git://h/x?ref=a#b",
            "git://h/x?subdir=a#:b",
            "git://h/x?ref=",
            "git://h/x?ref=a&ref=b",
            "git://h/x?what=1",
            "git://h/x?submodules=perhaps",
            "git://h/x?mtime=yesterday",
            "git://h/x?depth=",
            "git://h/x?depth=-1",
            "git://h/x?lfs=perhaps",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
