//! What a name in a repository stands for.

use super::GitError;
use super::address::shown;
use super::command::Git;

/// The commit a name stands for: asked of the server, nothing is fetched.
pub(super) fn resolve(git: &Git, name: &str) -> Result<String, GitError> {
    if name.starts_with('-') || name.contains(|c: char| c.is_control() || c == ' ' || "*?[\\^~:".contains(c))
    {
        return Err(GitError::Name { name: name.to_owned() });
    }
    let asked = if name.is_empty() { "HEAD" } else { name };
    let peeled = format!("{asked}^{{}}");
    let answer = git.run(None, &["ls-remote", "--", &git.url, asked, &peeled])?;
    choose(&answer, name).ok_or_else(|| GitError::NoRef {
        url: shown(&git.url),
        name: if name.is_empty() { "default branch".to_owned() } else { format!("branch or tag {name}") },
    })
}

/// Branches come before tags; a tag object stands for its commit.
fn choose(answer: &str, name: &str) -> Option<String> {
    let find = |wanted: &str| {
        let mut lines = answer.lines().filter_map(|line| line.split_once('\t'));
        lines.find(|(commit, full)| *full == wanted && is_commit(commit)).map(|(commit, _)| commit.to_owned())
    };
    if name.is_empty() {
        return find("HEAD");
    }
    let in_folder = |folder: &str| format!("{folder}{}", name.strip_prefix(folder).unwrap_or(name));
    let exact = in_folder("refs/");
    let wanted = [format!("{exact}^{{}}"), exact, in_folder("refs/heads/")];
    let tag = in_folder("refs/tags/");
    wanted.iter().chain(&[format!("{tag}^{{}}"), tag]).find_map(|full| find(full))
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_tags_and_full_names() {
        let id = |c: &str| c.repeat(40);
        let answer = format!(
            "{}\tHEAD\n{}\trefs/heads/v1\n{}\trefs/tags/v1\n{}\trefs/tags/v1^{{}}\n{}\trefs/heads/x/v1\n{}\trefs/pull/1/head\n",
            id("a"),
            id("b"),
            id("c"),
            id("d"),
            id("e"),
            id("f")
        );
        let cases = [
            ("", Some("a")),
            ("v1", Some("b")),
            ("refs/heads/v1", Some("b")),
            ("heads/v1", Some("b")),
            ("refs/tags/v1", Some("d")),
            ("tags/v1", Some("d")),
            ("refs/pull/1/head", Some("f")),
            ("1", None),
        ];
        for (name, expected) in cases {
            assert_eq!(choose(&answer, name), expected.map(id), "{name}");
        }
    }
}
