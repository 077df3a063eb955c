//! Option values that have a grammar of their own.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use runtime_exec::Resource;

use super::csv;

/// `--build-arg NAME[=VALUE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildArg {
    pub name: String,
    /// `None`: the caller's environment decides.
    pub value: Option<String>,
}

impl FromStr for BuildArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err("a build argument needs a name".to_owned());
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

/// `--label KEY[=VALUE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelArg {
    pub key: String,
    pub value: String,
}

impl FromStr for LabelArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() {
            return Err("a label needs a name".to_owned());
        }
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}

/// `--add-host NAME:ADDRESS`, `NAME=ADDRESS`, the address of version 6 in brackets or not; or
/// `NAME:host-gateway`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostArg {
    pub name: String,
    pub address: HostAddress,
}

/// What a name of `--add-host` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostAddress {
    Is(IpAddr),
    /// The host that this runs on.
    Gateway,
}

impl std::fmt::Display for HostAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Is(address) => address.fmt(f),
            Self::Gateway => f.write_str("host-gateway"),
        }
    }
}

impl FromStr for HostArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .ok_or_else(|| format!("{text:?} is not NAME:ADDRESS"))?;
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        if name.is_empty() {
            return Err(format!("{text:?} has no name"));
        }
        let address = match bare {
            "host-gateway" => HostAddress::Gateway,
            _ => HostAddress::Is(bare.parse().map_err(|_| format!("{address:?} is no IP address"))?),
        };
        Ok(Self { name: name.to_owned(), address })
    }
}

/// `--secret id=ID[,src=FILE|,env=NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretArg {
    pub id: String,
    pub from: SecretFrom,
}

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFrom {
    File(PathBuf),
    Variable(String),
    /// Neither was named: the variable called like the id, else the file called like it.
    ById,
}

impl FromStr for SecretArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut id, mut source, mut variable, mut kind) = (None, None, None, None);
        for (key, value) in csv::pairs(text)? {
            let value = value.ok_or_else(|| format!("{key:?} is not KEY=VALUE"))?;
            match key.to_lowercase().as_str() {
                "id" => id = Some(value),
                "src" | "source" => source = Some(value),
                "env" => variable = Some(value),
                "type" => kind = Some(value),
                _ => return Err(format!("unknown key {key:?}; known are id, src, env, type")),
            }
        }
        let id = id.filter(|id| !id.is_empty()).ok_or("a secret needs an id")?;
        let from = match (kind.as_deref(), source, variable) {
            (Some("env"), Some(name), None) | (None | Some("env"), None, Some(name)) => {
                SecretFrom::Variable(name)
            }
            (None | Some("file"), Some(path), None) => SecretFrom::File(path.into()),
            (None, None, None) => SecretFrom::ById,
            (Some("file"), None, None) => SecretFrom::File(id.clone().into()),
            (Some("env"), None, None) => SecretFrom::Variable(id.clone()),
            (Some("file" | "env") | None, _, _) => return Err("src and env exclude each other".to_owned()),
            (Some(other), _, _) => return Err(format!("unknown type {other:?}; known are file, env")),
        };
        Ok(Self { id, from })
    }
}

/// `--build-context NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextArg {
    pub name: String,
    pub value: String,
}

impl FromStr for ContextArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("{text:?} is not NAME=VALUE")),
        }
    }
}

/// `--ulimit NAME=SOFT[:HARD]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UlimitArg {
    pub name: String,
    pub resource: Resource,
    pub soft: i64,
    pub hard: i64,
}

impl FromStr for UlimitArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, values) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=SOFT[:HARD]"))?;
        let resource = name.parse::<Resource>().map_err(|error| error.to_string())?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let number = |value: &str| value.parse::<i64>().map_err(|_| format!("{value:?} is no number"));
        let (soft, hard) = (number(soft)?, number(hard)?);
        if hard != -1 && (soft > hard || soft == -1) {
            return Err(format!("{name}: the soft limit {soft} is above the hard limit {hard}"));
        }
        Ok(Self { name: name.to_owned(), resource, soft, hard })
    }
}

/// How long ago, as Go writes a duration.
pub fn age(text: &str) -> Result<std::time::Duration, String> {
    Ok(std::time::Duration::from_secs(u64::try_from(age_seconds(text)?).unwrap_or_default()))
}

/// The same in seconds.
pub fn age_seconds(text: &str) -> Result<i64, String> {
    seconds(text).ok_or_else(|| format!("{text:?} is no duration such as 24h or 1h30m"))
}

/// The seconds of a duration as Go writes it: `1h30m`, `45s`.
fn seconds(text: &str) -> Option<i64> {
    let mut total = 0i64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: i64 = rest[..end].parse().ok()?;
        let unit = match rest.as_bytes()[end] {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[end + 1..];
    }
    (!text.is_empty()).then_some(total)
}

/// A duration as Go writes it: `1h30m`, `45s`; a number alone is seconds.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => Some(seconds),
        Err(_) => seconds(text).and_then(|seconds| u64::try_from(seconds).ok()),
    };
    match seconds {
        Some(seconds) if seconds > 0 => Ok(std::time::Duration::from_secs(seconds)),
        Some(_) | None => Err(format!("{text:?} is no duration such as 90s or 1h30m")),
    }
}

/// A size with an optional unit: `64m`, `1g`, `65536`, `64MiB`. Units count by 1024, as Docker's do.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| format!("{text:?} is no size"))?;
    let unit = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        other => return Err(format!("{text:?}: unknown unit {other:?}")),
    };
    number.checked_mul(unit).ok_or_else(|| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (given, name, address) in [
            ("a:1.2.3.4", "a", "1.2.3.4"),
            ("a=1.2.3.4", "a", "1.2.3.4"),
            ("a:::1", "a", "::1"),
            ("a=[fe80::1]", "a", "fe80::1"),
            ("a:host-gateway", "a", "host-gateway"),
        ] {
            let host: HostArg = given.parse().unwrap();
            assert_eq!((host.name.as_str(), host.address.to_string().as_str()), (name, address), "{given}");
        }
        for bad in ["a", ":1.2.3.4", "a:b"] {
            assert!(bad.parse::<HostArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets() {
        let from = |text: &str| text.parse::<SecretArg>().map(|secret| secret.from);
        assert_eq!(from("id=a,src=f"), Ok(SecretFrom::File("f".into())));
        assert_eq!(from("id=a,env=V"), Ok(SecretFrom::Variable("V".into())));
        assert_eq!(from("type=env,id=a,src=V"), Ok(SecretFrom::Variable("V".into())));
        assert_eq!(from("id=a"), Ok(SecretFrom::ById));
        for bad in ["src=f", "id=a,sorce=f", "id=a,src=f,env=V", "id"] {
            assert!(bad.parse::<SecretArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes("64m"), Ok(64 << 20));
        assert_eq!(bytes("1GiB"), Ok(1 << 30));
        assert_eq!(bytes("65536"), Ok(65536));
        for bad in ["", "m", "1x", "99999999999999999999", "99999999999999t"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("90"), duration("1m30s"));
        assert_eq!(duration("2h").unwrap().as_secs(), 7200);
        for bad in ["", "0", "1x", "-1", "m"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits() {
        let limit: UlimitArg = "nofile=1024:2048".parse().unwrap();
        assert_eq!((limit.soft, limit.hard), (1024, 2048));
        for bad in ["nofile", "nofile=x", "nofile=3:2", "no-such=1"] {
            assert!(bad.parse::<UlimitArg>().is_err(), "{bad}");
        }
    }
}
