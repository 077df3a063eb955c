//! `--output`.

pub mod fields;
#[cfg(test)]
mod tests;

use builder::request::{
    Dangling, Destination, ExtraName, ImageOutput, Keep, Layout, LocalMode, Output, OutputKind,
    PlatformSplit, Push, TreeOptions,
};

use super::csv;
use fields::Fields;

/// One `--output`.
#[derive(Clone, Debug)]
pub struct OutputArg {
    /// What is made.
    pub output: Output,
    /// How far its registries are trusted.
    pub trust: Trust,
}

/// How far registries are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// As elsewhere.
    Usual,
    /// Plain HTTP and any certificate will do (`registry.insecure=true`).
    Insecure,
}

/// Parses one `--output` value: `type=…,key=value…`, or a path for `type=local`, `-` for a tar on
/// standard output.
pub fn parse_output(text: &str) -> Result<OutputArg, String> {
    if text == "-" {
        return Ok(plain(OutputKind::Tar(Destination::Stdout, TreeOptions::default())));
    }
    let pairs = csv::pairs(text)?;
    if let [(path, None)] = pairs.as_slice() {
        return Ok(plain(OutputKind::Local(path.into(), LocalMode::Copy, TreeOptions::default())));
    }
    let mut fields = Fields::new(pairs)?;
    let kind = fields.take("type").ok_or("type= is missing")?;
    let mut trust = Trust::Usual;
    let kind = match kind.as_str() {
        "image" | "registry" => {
            if fields.flag("registry.insecure", false)? {
                trust = Trust::Insecure;
            }
            OutputKind::Image(image(&mut fields, &kind)?)
        }
        "oci" => {
            let layout = if fields.flag("tar", true)? { Layout::Archive } else { Layout::Directory };
            OutputKind::Oci(fields.destination("oci")?, layout)
        }
        "docker" => match fields.flag("tar", true)? {
            true => OutputKind::Docker(fields.destination("docker")?),
            false => {
                return Err("type=docker is always a tar; type=oci,tar=false makes a directory".to_owned());
            }
        },
        "tar" => OutputKind::Tar(fields.destination("tar")?, trees(&mut fields)?),
        "local" => match fields.destination("local")? {
            Destination::Path(path) => OutputKind::Local(path, mode(&mut fields)?, trees(&mut fields)?),
            Destination::Stdout => return Err("type=local needs a directory as dest=".to_owned()),
        },
        "cacheonly" => OutputKind::CacheOnly,
        other => {
            return Err(format!(
                "unknown type {other:?}; known are image, registry, oci, docker, local, tar, cacheonly"
            ));
        }
    };
    Ok(OutputArg { output: fields.finish(kind)?, trust })
}

fn plain(kind: OutputKind) -> OutputArg {
    OutputArg { output: Output::new(kind), trust: Trust::Usual }
}

fn image(fields: &mut Fields, kind: &str) -> Result<ImageOutput, String> {
    let push = fields.flag("push", kind == "registry")?;
    let by_digest = fields.flag("push-by-digest", false)?;
    let store = fields.flag("store", true)?;
    let rewritten = fields.peek_flag("rewrite-timestamp")?;
    if fields.flag("unpack", false)? && rewritten {
        return Err("unpack=true excludes rewrite-timestamp=true".to_owned());
    }
    let extra = |wanted| if wanted { ExtraName::Yes } else { ExtraName::No };
    // The option is misspelt in BuildKit, and therefore here.
    let only_alone = fields.flag("danging-name-empty-only", false)?;
    let dangling = match fields.take("dangling-name-prefix") {
        Some(prefix) => Some(Dangling {
            prefix: prefix.parse().map_err(|error| format!("dangling-name-prefix: {error}"))?,
            beside_others: extra(!only_alone),
        }),
        None => None,
    };
    Ok(ImageOutput {
        push: match (push, by_digest) {
            (false, false) => Push::No,
            (true, false) => Push::ByName,
            (_, true) => Push::ByDigest,
        },
        store: if store { Keep::Yes } else { Keep::No },
        canonical: extra(fields.flag("name-canonical", false)?),
        dangling,
    })
}

fn mode(fields: &mut Fields) -> Result<LocalMode, String> {
    match fields.take("mode").as_deref() {
        None | Some("" | "copy") => Ok(LocalMode::Copy),
        Some("delete") => Ok(LocalMode::Delete),
        Some(other) => Err(format!("mode={other} is unknown; known are copy, delete")),
    }
}

fn trees(fields: &mut Fields) -> Result<TreeOptions, String> {
    let split = match (fields.has("platform-split"), fields.flag("platform-split", true)?) {
        (false, _) => PlatformSplit::Several,
        (true, true) => PlatformSplit::Always,
        (true, false) => PlatformSplit::Never,
    };
    let attestation_prefix = fields.take("attestation-prefix").unwrap_or_default();
    if attestation_prefix.contains('/') {
        return Err(format!("attestation-prefix={attestation_prefix} is no beginning of a file name"));
    }
    Ok(TreeOptions { split, attestation_prefix })
}
