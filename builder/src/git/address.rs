//! Addresses of repositories, for `git` and for people.

use super::GitError;

/// Address schemes that `git` may speak.
const TRANSPORTS: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// The transports that may serve an address and its submodules, as `GIT_ALLOW_PROTOCOL` wants them.
/// Files of this machine serve only a repository that is itself one.
pub(super) fn transports(url: &str) -> Result<&'static str, GitError> {
    let refused = |reason| GitError::Address { url: shown(url), reason };
    if url.starts_with('-') || url.contains(['\n', '\r', '\0']) {
        return Err(refused("it cannot be an address"));
    }
    match url.split_once("://") {
        Some((scheme, _)) if !TRANSPORTS.contains(&scheme) => Err(refused("such addresses are not fetched")),
        Some((_, rest)) if rest.starts_with('-') => Err(refused("it cannot be an address")),
        Some(("file", _)) => Ok("file"),
        Some(_) => Ok("https:http:ssh:git"),
        // `ext::…` and its like run programs.
        None if url.contains("::") => Err(refused("such addresses are not fetched")),
        None if url.contains(':') => Ok("ssh"),
        None => Err(refused("it is no address of a repository")),
    }
}

/// The address without password and user of an `http` address.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        None => url.to_owned(),
        Some((user, host)) => {
            let user = match (scheme, user.split_once(':')) {
                ("ssh", None) => user,
                _ => "xxxxx",
            };
            format!("{scheme}://{user}@{host}{path}")
        }
    }
}

/// The address without anything secret, for a configuration that is kept.
pub(super) fn without_secrets(url: &str) -> String {
    shown(url).replace("://xxxxx@", "://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_transports() {
        for good in ["https://h/r.git", "git@h:p", "ssh://git@h/p", "git://h/p", "file:///r"] {
            assert!(transports(good).is_ok(), "{good}");
        }
        for bad in [
            "--upload-pack=x",
            "ext::sh -c id",
            "https://-h/r.git",
            "fd::3",
            "/r",
            "gopher://h/r",
            "a\nb:c",
            "x",
        ] {
            assert!(transports(bad).is_err(), "{bad}");
        }
        assert_eq!(transports("git@h:p").ok(), Some("ssh"));
        assert_eq!(transports("https://h/r.git").ok(), Some("https:http:ssh:git"));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("https://me:secret@h/r.git"), "https://xxxxx@h/r.git");
        assert_eq!(shown("https://token@h:1/r.git"), "https://xxxxx@h:1/r.git");
        assert_eq!(shown("https://h/a@b.git"), "https://h/a@b.git");
        assert_eq!(shown("ssh://git@h/r"), "ssh://git@h/r");
        assert_eq!(shown("ssh://git:x@h/r"), "ssh://xxxxx@h/r");
        assert_eq!(without_secrets("https://t@h/r.git"), "https://h/r.git");
    }
}
