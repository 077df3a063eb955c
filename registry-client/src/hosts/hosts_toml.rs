//! containerd's `hosts.toml`: a registry's own place and its mirrors, each with its certificates.
//!
//! Mirrors are read from and never written to, also where they are said to take pushes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use url::Url;

use super::certificates::Certificates;
use super::endpoint::{Extra, Scheme, Trust};

const FILE: &str = "hosts.toml";
const DEFAULT: &str = "_default";
/// Files of settings are small.
const LONGEST: u64 = 1 << 20;

/// One place of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Host with port.
    pub(super) host: String,
    pub(super) trust: Trust,
    pub(super) extra: Extra,
    /// What it may be asked for.
    resolves: Able,
    pulls: Able,
}

/// Whether a place can do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Able {
    Yes,
    No,
}

impl Place {
    /// Whether it may be asked by tag, or by digest.
    pub(super) fn suits(&self, by: super::PullBy) -> bool {
        match by {
            super::PullBy::Tag => self.resolves == Able::Yes,
            super::PullBy::Digest => self.pulls == Able::Yes,
        }
    }
}

/// What a file says of a registry: mirrors in order, and the registry itself where it is moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) mirrors: Vec<Place>,
    pub(super) server: Option<Place>,
}

/// The settings of one place; those of the server stand at the top of a file.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawPlace {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMany>,
    client: Option<Pairs>,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
    #[serde(default)]
    header: toml::Table,
    dial_timeout: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Pairs {
    One(PathBuf),
    Paired(Vec<Vec<PathBuf>>),
    Many(Vec<PathBuf>),
}

/// The file for a host in the first directory that has one, else a directory's default.
pub(super) fn find(directories: &[PathBuf], names: &[String]) -> Option<PathBuf> {
    let default = DEFAULT.to_owned();
    let candidates = names.iter().chain([&default]);
    candidates
        .flat_map(|name| directories.iter().map(move |directory| directory.join(name).join(FILE)))
        .find(|path| path.is_file())
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Places, String> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LONGEST) {
        return Err("it is too long".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    parse(path.parent().unwrap_or(Path::new("/")), &text)
}

/// Reads a text; files that it names are relative to a folder.
pub(super) fn parse(folder: &Path, text: &str) -> Result<Places, String> {
    // the parser's longer messages quote lines, which may hold secrets
    let mut table: toml::Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let hosts = match table.remove("host") {
        None => toml::Table::new(),
        Some(toml::Value::Table(hosts)) => hosts,
        Some(_) => return Err("host is no table".to_owned()),
    };
    let server = match table.remove("server") {
        None => None,
        Some(toml::Value::String(server)) => Some(server),
        Some(_) => return Err("server is no text".to_owned()),
    };
    let read = |what: &str, value: toml::Value, url: &str| {
        let raw: RawPlace =
            value.try_into().map_err(|error: toml::de::Error| format!("{what}: {}", error.message()))?;
        place(folder, url, raw).map_err(|reason| format!("{what}: {reason}"))
    };
    let own = toml::Value::Table(table);
    let server = match server {
        Some(url) => Some(read("server", own, &url)?),
        None => {
            read("server", own, "localhost")?;
            None
        }
    };
    let mirrors = hosts.into_iter().map(|(url, value)| read(&format!("host {}", shown(&url)), value, &url));
    Ok(Places { mirrors: mirrors.collect::<Result<_, _>>()?, server })
}

/// A URL without what may be a password.
fn shown(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

fn place(folder: &Path, text: &str, raw: RawPlace) -> Result<Place, String> {
    let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = Url::parse(&full).map_err(|_| "it is no URL".to_owned())?;
    let scheme = match url.scheme() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        other => return Err(format!("{other}:// is not spoken")),
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("only scheme, host and path may be in it".to_owned());
    }
    let path = url.path().trim_matches('/');
    let root = match (path, raw.override_path) {
        (path, true) => path.to_owned(),
        ("", false) => "v2".to_owned(),
        (path, false) if path == "v2" || path.ends_with("/v2") => path.to_owned(),
        (path, false) => format!("{path}/v2"),
    };
    let can = |what: &str| match &raw.capabilities {
        Some(able) if !able.iter().any(|one| one == what) => Able::No,
        Some(_) | None => Able::Yes,
    };
    let known = ["pull", "resolve", "push", "referrers"];
    if let Some(other) = raw.capabilities.iter().flatten().find(|one| !known.contains(&one.as_str())) {
        return Err(format!("{other:?} is no capability"));
    }
    let at = |path: PathBuf| folder.join(path);
    let authorities = match raw.ca {
        None => Vec::new(),
        Some(OneOrMany::One(file)) => vec![at(file)],
        Some(OneOrMany::Many(files)) => files.into_iter().map(at).collect(),
    };
    let certificates = Certificates {
        authorities,
        client: client(raw.client)?.map(|(c, k)| (at(c), at(k))),
        consulted: Vec::new(),
    };
    Ok(Place {
        host: crate::http::transport::authority_of(&url),
        trust: if raw.skip_verify { Trust::Insecure } else { Trust::Verified },
        resolves: can("resolve"),
        pulls: can("pull"),
        extra: Extra {
            scheme: Some(scheme),
            root: Some(root),
            headers: headers(raw.header)?,
            certificates,
            mirror_of: None,
            connect_timeout: raw.dial_timeout.as_deref().map(duration).transpose()?,
        },
    })
}

/// A time as Go writes it, `1m30s` or `1.5s`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("dial_timeout {text:?} is no time such as 10s");
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(wrong()),
            };
        rest = &rest[unit..];
    }
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    if time.is_zero() { Err(wrong()) } else { Ok(time) }
}

/// Certificate and key; one file may hold both. Only the first pair is shown.
fn client(raw: Option<Pairs>) -> Result<Option<(PathBuf, PathBuf)>, String> {
    let first: Vec<PathBuf> = match raw {
        None => return Ok(None),
        Some(Pairs::One(file)) => vec![file],
        Some(Pairs::Paired(pairs)) => pairs.into_iter().next().unwrap_or_default(),
        Some(Pairs::Many(files)) => files.into_iter().take(1).collect(),
    };
    match &first[..] {
        [both] => Ok(Some((both.clone(), both.clone()))),
        [certificate, key] if !key.as_os_str().is_empty() => Ok(Some((certificate.clone(), key.clone()))),
        [certificate, _] => Ok(Some((certificate.clone(), certificate.clone()))),
        _ => Err("client must be a file, or pairs of certificate and key".to_owned()),
    }
}

fn headers(raw: toml::Table) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in raw {
        let values = match value.as_array() {
            Some(values) => values.clone(),
            None if value.is_str() => vec![value],
            None => return Err(format!("header {name:?} is no text")),
        };
        for value in values {
            let pair = HeaderName::try_from(&name)
                .ok()
                .zip(value.as_str().and_then(|text| HeaderValue::try_from(text).ok()));
            let (key, mut value) = pair.ok_or_else(|| format!("header {name:?} is none"))?;
            value.set_sensitive(true);
            headers.append(key, value);
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::PullBy;

    #[test]
    fn mirrors_and_server() {
        let text = r#"
server = "https://registry-1.docker.io"

[host."https://mirror.example:5000/cache"]
  capabilities = ["pull"]
  ca = "ca.pem"
  client = [["me.cert", "me.key"]]
  [host."https://mirror.example:5000/cache".header]
    X-Key = ["hunter2"]

[host."http://10.0.0.1/odd"]
  override_path = true
  skip_verify = true

[host."plain.example"]
"#;
        let places = parse(Path::new("/c/docker.io"), text).expect("good");
        let shown: Vec<String> = places
            .mirrors
            .iter()
            .map(|place| format!("{} {:?} {:?}", place.host, place.extra.root.as_deref(), place.trust))
            .collect();
        assert_eq!(
            shown,
            [
                "mirror.example:5000 Some(\"cache/v2\") Verified",
                "10.0.0.1 Some(\"odd\") Insecure",
                "plain.example Some(\"v2\") Verified"
            ]
        );
        let first = &places.mirrors[0];
        assert!(first.suits(PullBy::Digest) && !first.suits(PullBy::Tag));
        assert_eq!(first.extra.certificates.authorities, [Path::new("/c/docker.io/ca.pem")]);
        assert!(first.extra.certificates.client.is_some());
        assert!(!format!("{places:?}").contains("hunter2"));
        assert_eq!(places.server.map(|server| server.host).as_deref(), Some("registry-1.docker.io"));
    }

    #[test]
    fn times_are_those_of_go() {
        for (text, millis) in [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1_500)),
            ("250ms", Some(250)),
            ("1h0.5m", Some(3_630_000)),
            ("", None),
            ("0s", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1d", None),
            ("99999999999999999999999999h", None),
        ] {
            assert_eq!(duration(text).ok().map(|time| time.as_millis()), millis, "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |text: &str, part: &str| {
            let error = parse(Path::new("/"), text).expect_err(text);
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        };
        check("[host.\"ftp://a\"]\n", "not spoken");
        check("[host.\"https://me:hunter2@a\"]\n", "only scheme");
        check("server = \"https://\"\n", "no URL");
        check("[host.\"https://a\"]\ncapabilities = [\"fly\"]\n", "no capability");
        check("[host.\"https://a\".header]\nx = 3\n", "no text");
        check("[host.\"https://a\".header]\nx = \"hunter2\nnext", "expected");
        check("[host.\"https://a\"]\ndial_timeout = \"soon\"\n", "dial_timeout");
        check("[host.\"https://a\"]\ndial_timeout = 3\n", "expected");
        check("servr = \"https://a\"\n", "servr");
    }
}
