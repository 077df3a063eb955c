//! `--output`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use builder::request::{CompressionChoice, Destination, Keep, Layout, Output, OutputKind, Push};
use oci::{Compression, Reference};

use super::csv;

/// Parses one `--output` value: `type=…,key=value…`, or a path for `type=local`, `-` for a tar on
/// standard output.
pub fn parse_output(text: &str) -> Result<Output, String> {
    if text == "-" {
        return Ok(plain(OutputKind::Tar(Destination::Stdout)));
    }
    let pairs = csv::pairs(text)?;
    if let [(path, None)] = pairs.as_slice() {
        return Ok(plain(OutputKind::Local(path.into())));
    }
    let mut fields = Fields::new(pairs)?;
    let kind = fields.take("type").ok_or("type= is missing")?;
    let kind = match kind.as_str() {
        "image" | "registry" => fields.image(&kind)?,
        "oci" => {
            let layout = if fields.flag("tar", true)? { Layout::Archive } else { Layout::Directory };
            OutputKind::Oci(fields.destination("oci")?, layout)
        }
        "docker" => OutputKind::Docker(fields.destination("docker")?),
        "tar" => OutputKind::Tar(fields.destination("tar")?),
        "local" => match fields.destination("local")? {
            Destination::Path(path) => OutputKind::Local(path),
            Destination::Stdout => return Err("type=local needs a directory as dest=".to_owned()),
        },
        "cacheonly" => OutputKind::CacheOnly,
        other => {
            return Err(format!(
                "unknown type {other:?}; known are image, registry, oci, docker, local, tar, cacheonly"
            ));
        }
    };
    fields.finish(kind)
}

fn plain(kind: OutputKind) -> Output {
    Output {
        kind,
        compression: CompressionChoice::default(),
        names: Vec::new(),
        oci_media_types: true,
        rewrite_timestamp: false,
        source_date_epoch: None,
        annotations: BTreeMap::new(),
    }
}

struct Fields(BTreeMap<String, String>);

impl Fields {
    fn new(pairs: Vec<(String, Option<String>)>) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for (key, value) in pairs {
            let value = value.ok_or_else(|| format!("{key:?} is not KEY=VALUE"))?;
            let key = if key.starts_with("annotation") { key } else { key.to_lowercase() };
            fields.insert(key, value);
        }
        Ok(Self(fields))
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    fn flag(&mut self, key: &str, default: bool) -> Result<bool, String> {
        match self.take(key).as_deref() {
            None => Ok(default),
            Some("" | "true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(format!("{key}={other} is neither true nor false")),
        }
    }

    fn number<T: std::str::FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        self.take(key)
            .map(|value| value.parse().map_err(|_| format!("{key}={value} is no number")))
            .transpose()
    }

    fn destination(&mut self, kind: &str) -> Result<Destination, String> {
        match self.take("dest").as_deref() {
            Some("-") => Ok(Destination::Stdout),
            Some("") => Err(format!("type={kind}: dest= is empty")),
            Some(path) => Ok(Destination::Path(PathBuf::from(path))),
            None if kind == "local" => Err("type=local needs dest=".to_owned()),
            None => Ok(Destination::Stdout),
        }
    }

    fn image(&mut self, kind: &str) -> Result<OutputKind, String> {
        let push = self.flag("push", kind == "registry")?;
        let by_digest = self.flag("push-by-digest", false)?;
        let store = self.flag("store", true)?;
        let push = match (push, by_digest) {
            (false, false) => Push::No,
            (true, false) => Push::ByName,
            (_, true) => Push::ByDigest,
        };
        Ok(OutputKind::Image { push, store: if store { Keep::Yes } else { Keep::No } })
    }

    fn names(&mut self) -> Result<Vec<Reference>, String> {
        let Some(names) = self.take("name") else { return Ok(Vec::new()) };
        names
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| name.parse().map_err(|e| format!("{e}")))
            .collect()
    }

    fn compression(&mut self) -> Result<CompressionChoice, String> {
        let form = match self.take("compression").as_deref() {
            None | Some("gzip") => Compression::Gzip,
            Some("zstd") => Compression::Zstd,
            Some("uncompressed") => Compression::None,
            Some(other) => {
                return Err(format!("compression={other} is unknown; known are gzip, zstd, uncompressed"));
            }
        };
        let level: Option<i32> = self.number("compression-level")?;
        let range = match form {
            Compression::None => 0..=0,
            Compression::Gzip => 0..=9,
            Compression::Zstd => 0..=22,
        };
        if let Some(level) = level.filter(|level| !range.contains(level)) {
            return Err(format!(
                "compression-level={level} is not within {} to {}",
                range.start(),
                range.end()
            ));
        }
        Ok(CompressionChoice { form, level, force: self.flag("force-compression", false)? })
    }

    fn annotations(&mut self) -> Result<BTreeMap<String, String>, String> {
        let keys: Vec<String> = self.0.keys().filter(|key| key.starts_with("annotation")).cloned().collect();
        let mut annotations = BTreeMap::new();
        for key in keys {
            let name = key
                .strip_prefix("annotation.")
                .or_else(|| key.strip_prefix("annotation-manifest."))
                .ok_or_else(|| {
                format!("{key}: only annotation.KEY and annotation-manifest.KEY are known")
            })?;
            annotations.insert(name.to_owned(), self.take(&key).unwrap_or_default());
        }
        Ok(annotations)
    }

    fn finish(mut self, kind: OutputKind) -> Result<Output, String> {
        // An empty epoch is none: what is in the layers keeps its times, whatever the build's own is.
        let no_epoch = self.0.get("source-date-epoch").is_some_and(String::is_empty);
        if no_epoch {
            self.take("source-date-epoch");
        }
        let output = Output {
            compression: self.compression()?,
            names: self.names()?,
            oci_media_types: self.flag("oci-mediatypes", true)?,
            rewrite_timestamp: self.flag("rewrite-timestamp", false)? && !no_epoch,
            source_date_epoch: self.number("source-date-epoch")?,
            annotations: self.annotations()?,
            kind,
        };
        if output.compression.form == Compression::Zstd && !output.oci_media_types {
            return Err("compression=zstd needs oci-mediatypes=true".to_owned());
        }
        match self.0.keys().next() {
            None => Ok(output),
            Some(key) => Err(format!("unknown key {key:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (given, expected) in [
            ("type=oci,dest=o.tar", OutputKind::Oci(Destination::Path("o.tar".into()), Layout::Archive)),
            ("type=oci,dest=o,tar=false", OutputKind::Oci(Destination::Path("o".into()), Layout::Directory)),
            ("type=docker,dest=-", OutputKind::Docker(Destination::Stdout)),
            ("type=local,dest=out", OutputKind::Local("out".into())),
            ("out", OutputKind::Local("out".into())),
            ("-", OutputKind::Tar(Destination::Stdout)),
            ("type=registry", OutputKind::Image { push: Push::ByName, store: Keep::Yes }),
            ("type=image,push=true,store=false", OutputKind::Image { push: Push::ByName, store: Keep::No }),
            ("type=cacheonly", OutputKind::CacheOnly),
        ] {
            assert_eq!(parse_output(given).unwrap().kind, expected, "{given}");
        }
    }

    #[test]
    fn epochs() {
        for (given, epoch, rewrite) in [
            ("rewrite-timestamp=true,source-date-epoch=17", Some(17), true),
            ("rewrite-timestamp=true,source-date-epoch=", None, false),
            ("rewrite-timestamp=true", None, true),
        ] {
            let output = parse_output(&format!("type=oci,dest=o,{given}")).unwrap();
            assert_eq!((output.source_date_epoch, output.rewrite_timestamp), (epoch, rewrite), "{given}");
        }
        assert!(parse_output("type=oci,dest=o,source-date-epoch=x").is_err());
    }

    #[test]
    fn several_names_stand_in_quotes() {
        let output = parse_output("type=image,\"name=a,b:1\"").unwrap();
        let names: Vec<String> = output.names.iter().map(Reference::familiar).collect();
        assert_eq!(names, ["a:latest", "b:1"]);
    }

    #[test]
    fn mistakes_are_refused() {
        for bad in [
            "dest=x,name=y",
            "type=nothing",
            "type=oci,dset=x",
            "type=oci,dest=",
            "type=local",
            "type=oci,dest=x,compression=lzma",
            "type=oci,dest=x,compression-level=11",
            "type=oci,dest=x,compression=zstd,oci-mediatypes=false",
            "type=oci,dest=x,tar=maybe",
            "type=image,name=UPPER",
        ] {
            assert!(parse_output(bad).is_err(), "{bad}");
        }
    }
}
