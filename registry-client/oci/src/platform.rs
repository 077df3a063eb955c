//! Platforms.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::null::absent;

/// A text that is no platform.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no platform: {reason}")]
pub struct PlatformError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Operating system and architecture (image-spec, image-index.md, "platform").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64` …
    #[serde(default)]
    pub architecture: String,
    /// `linux` …
    #[serde(default)]
    pub os: String,
    /// `v7`, `v8` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Version of the operating system.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system.
    #[serde(
        default,
        rename = "os.features",
        deserialize_with = "absent",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
}

const KNOWN_OS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "macos",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "zos",
];

const KNOWN_ARCHITECTURES: &[&str] = &[
    "386",
    "aarch64",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "armel",
    "armhf",
    "i386",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
    "x86-64",
    "x86_64",
];

impl Platform {
    /// A platform in normal form.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.map(str::to_owned),
            os_version: None,
            os_features: Vec::new(),
        }
        .normalise()
    }

    /// The platform this program runs on.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86" => "386",
            "loongarch64" => "loong64",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            other => other,
        };
        Self::new("linux", architecture, None)
    }

    /// One spelling per platform: lower case, `x86_64` is `amd64`, `arm` is `arm/v7`, `arm64/v8` is `arm64` …
    #[must_use]
    pub fn normalise(&self) -> Self {
        let os = match self.os.to_ascii_lowercase() {
            os if os == "macos" => "darwin".to_owned(),
            os => os,
        };
        let architecture = self.architecture.to_ascii_lowercase();
        let variant = self.variant.as_deref().unwrap_or_default().to_ascii_lowercase();
        let (architecture, variant) = normal_architecture(&architecture, &variant);
        Self {
            architecture: architecture.to_owned(),
            os,
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
            os_version: self.os_version.clone().filter(|version| !version.is_empty()),
            os_features: self.os_features.clone(),
        }
    }
}

/// The spellings that containerd and Go agree on.
fn normal_architecture<'a>(architecture: &'a str, variant: &'a str) -> (&'a str, &'a str) {
    match (architecture, variant) {
        ("i386" | "386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "8.0" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    }
}

/// `os` or `os(version)`.
fn split_version(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    match text.split_once('(') {
        None => Ok((text, None)),
        Some((os, rest)) => match rest.strip_suffix(')') {
            Some(version) if is_component(version) => Ok((os, Some(version))),
            Some(_) | None => Err("not an operating system version"),
        },
    }
}

fn is_component(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn parse(text: &str) -> Result<Platform, &'static str> {
    let parts: Vec<&str> = text.split('/').collect();
    let (first, os_version) = split_version(parts.first().copied().unwrap_or_default())?;
    if !is_component(first) || !parts.iter().skip(1).all(|part| is_component(part)) {
        return Err("letters, digits, '.', '_' and '-' between slashes are expected");
    }
    let lower = first.to_ascii_lowercase();
    let platform = match parts.as_slice() {
        [_] if KNOWN_OS.contains(&lower.as_str()) => {
            let host = Platform::host();
            Platform::new(first, &host.architecture, host.variant.as_deref())
        }
        [_] if KNOWN_ARCHITECTURES.contains(&lower.as_str()) && os_version.is_none() => {
            Platform::new("linux", first, None)
        }
        [_] => return Err("neither an operating system nor an architecture"),
        [_, architecture] => Platform::new(first, architecture, None),
        [_, architecture, variant] => Platform::new(first, architecture, Some(variant)),
        _ => return Err("more than three parts"),
    };
    Ok(Platform { os_version: os_version.map(str::to_owned), ..platform })
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        parse(text).map_err(|reason| PlatformError { text: text.to_owned(), reason })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if let Some(version) = &self.os_version {
            write!(f, "({version})")?;
        }
        write!(f, "/{}", self.architecture)?;
        if let Some(variant) = &self.variant {
            write!(f, "/{variant}")?;
        }
        Ok(())
    }
}
