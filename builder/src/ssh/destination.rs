//! Where a key serves: `[USER@]HOST[:PORT][/PATH]`, and the option's words for it.

use std::path::{Path, PathBuf};

use super::error::DestinationError;

/// A host, or the repositories of one host whose path begins alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Who logs in there, where that was said.
    pub user: Option<String>,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// Where that was said.
    pub port: Option<u16>,
    /// Beginning of the paths, without `/` in front. `None`: the whole host.
    pub path: Option<String>,
}

/// A file with a private key, and where it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// `None`: wherever it is asked for.
    pub destination: Option<Destination>,
}

impl KeyFile {
    /// A key for all.
    pub fn anywhere(path: &Path) -> Self {
        Self { path: path.to_owned(), destination: None }
    }

    /// Reads `FILE` or `DESTINATION:FILE`. What begins with `/` or `.` is a file.
    ///
    /// # Errors
    ///
    /// Names what is wrong with the destination.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        if text.starts_with(['/', '.']) || !text.contains(':') {
            return Ok(Self::anywhere(Path::new(text)));
        }
        let refused = |why| DestinationError { text: text.to_owned(), why };
        let (user, rest) = match text.split_once('@') {
            Some((user, rest)) if plain(user) => (Some(user.to_owned()), rest),
            Some((user, _)) if !user.contains(['/', ':']) => {
                return Err(refused("the user has other characters than letters, digits, '.', '_' and '-'"));
            }
            Some(_) | None => (None, text),
        };
        let (host, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| refused("the ']' is missing"))?,
            None => rest.split_at(rest.find([':', '/']).unwrap_or(rest.len())),
        };
        let address = host.parse::<std::net::Ipv6Addr>().is_ok();
        if !address && !plain(host) {
            return Err(refused("the host has other characters than letters, digits, '.', '_' and '-'"));
        }
        let (port, rest) = port(rest).map_err(refused)?;
        let (path, file) = match rest.strip_prefix('/') {
            Some(rest) => {
                let (path, file) = rest.split_once(':').ok_or_else(|| refused("no file of a key follows"))?;
                (Some(path), file)
            }
            None => (None, rest.strip_prefix(':').unwrap_or_default()),
        };
        if path.is_some_and(|path| path.is_empty() || path.contains(char::is_whitespace)) {
            return Err(refused("the path is empty or has blanks"));
        }
        if file.is_empty() {
            return Err(refused("no file of a key follows"));
        }
        let (host, path) = (host.to_owned(), path.map(str::to_owned));
        Ok(Self { path: file.into(), destination: Some(Destination { user, host, port, path }) })
    }
}

/// A port in front of what follows, if one is there.
fn port(rest: &str) -> Result<(Option<u16>, &str), &'static str> {
    let Some(after) = rest.strip_prefix(':') else { return Ok((None, rest)) };
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let (digits, follows) = after.split_at(end);
    if digits.is_empty() || !follows.starts_with([':', '/']) {
        return Ok((None, rest));
    }
    match digits.parse() {
        Ok(port) if port > 0 => Ok((Some(port), follows)),
        Ok(_) | Err(_) => Err("the port is none"),
    }
}

/// A name that ssh takes as nothing else.
fn plain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_stands_before_the_file() {
        let told = |text: &str| match KeyFile::parse(text) {
            Ok(KeyFile { path, destination: None }) => format!("{}", path.display()),
            Ok(KeyFile { path, destination: Some(to) }) => {
                let or = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                let port = or(to.port.map(|port| port.to_string()));
                format!("{} {} {port} {} {}", or(to.user), to.host, or(to.path), path.display())
            }
            Err(error) => format!("! {}", error.why),
        };
        let other = "! the host has other characters than letters, digits, '.', '_' and '-'";
        let none = "! no file of a key follows";
        for (text, expected) in [
            ("key", "key"),
            ("/a:b/key", "/a:b/key"),
            ("./h:key", "./h:key"),
            ("git.example.com:key", "- git.example.com - - key"),
            ("git.example.com:/k/a:b", "- git.example.com - - /k/a:b"),
            ("me@h:2222:../key", "me h 2222 - ../key"),
            ("h:2222", "- h - - 2222"),
            ("h/team/one:key", "- h - team/one key"),
            ("h:2222//srv/one:key", "- h 2222 /srv/one key"),
            ("h:22x:key", "- h - - 22x:key"),
            ("[::1]:22:key", "- ::1 22 - key"),
            ("h:k@e", "- h - - k@e"),
            ("[::1:key", "! the ']' is missing"),
            ("h:70000:key", "! the port is none"),
            ("h:", none),
            ("h/one:", none),
            ("h:22/one", none),
            ("h/:key", "! the path is empty or has blanks"),
            ("h/a b:key", "! the path is empty or has blanks"),
            ("-oProxyCommand=x:key", other),
            ("h\nProxyCommand x:key", other),
            ("*:key", other),
            ("a b@h:key", "! the user has other characters than letters, digits, '.', '_' and '-'"),
        ] {
            assert_eq!(told(text), expected, "{text:?}");
        }
    }
}
