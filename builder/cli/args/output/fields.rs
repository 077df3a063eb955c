//! The fields of one `--output`, taken one by one; what is left over is unknown.

use std::collections::BTreeMap;
use std::path::PathBuf;

use builder::request::{
    Annotation, Annotations, AttestationForm, AttestationPlace, CompressionChoice, Destination,
    ForeignLayers, LayerIndex, Output, OutputKind, Rewrite,
};
use oci::{Compression, Reference};

use super::super::annotation::from_key;
use super::super::csv;

pub struct Fields(BTreeMap<String, String>);

impl Fields {
    pub fn new(pairs: Vec<(String, Option<String>)>) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for (key, value) in pairs {
            let value = value.ok_or_else(|| format!("{key:?} is not KEY=VALUE"))?;
            let key = if key.starts_with("annotation") { key } else { key.to_lowercase() };
            if let Some(first) = fields.insert(key.clone(), value) {
                return Err(format!("{key}= is given twice, first as {first:?}"));
            }
        }
        Ok(Self(fields))
    }

    /// Reads `key=value,…`; `None` for a single word, which is no field.
    pub fn parse_or_word(text: &str) -> Result<Option<Self>, String> {
        let pairs = csv::pairs(text)?;
        if matches!(pairs.as_slice(), [(_, None)]) {
            return Ok(None);
        }
        Self::new(pairs).map(Some)
    }

    /// Refuses fields that nobody took.
    pub fn end(&self) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("unknown key {key:?}")),
        }
    }

    pub fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub fn flag(&mut self, key: &str, default: bool) -> Result<bool, String> {
        let value = self.take(key);
        as_flag(key, value.as_deref(), default)
    }

    /// A flag that somebody else takes later.
    pub fn peek_flag(&self, key: &str) -> Result<bool, String> {
        as_flag(key, self.0.get(key).map(String::as_str), false)
    }

    fn number<T: std::str::FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        self.take(key)
            .map(|value| value.parse().map_err(|_| format!("{key}={value} is no number")))
            .transpose()
    }

    pub fn destination(&mut self, kind: &str) -> Result<Destination, String> {
        match self.take("dest").as_deref() {
            Some("-") => Ok(Destination::Stdout),
            Some("") => Err(format!("type={kind}: dest= is empty")),
            Some(path) => Ok(Destination::Path(PathBuf::from(path))),
            None if kind == "local" => Err("type=local needs dest=".to_owned()),
            None => Ok(Destination::Stdout),
        }
    }

    /// Names of its own; `*` stands for those of the build.
    fn names(&mut self) -> Result<Vec<Reference>, String> {
        let Some(names) = self.take("name") else { return Ok(Vec::new()) };
        names
            .split(',')
            .filter(|name| !name.is_empty() && *name != "*")
            .map(|name| name.parse().map_err(|e| format!("{e}")))
            .collect()
    }

    /// How layers are packed.
    pub fn compression(&mut self) -> Result<CompressionChoice, String> {
        let compression = self.take("compression");
        let form = match compression.as_deref() {
            None | Some("gzip") => Compression::Gzip,
            Some("zstd") => Compression::Zstd,
            Some("uncompressed") => Compression::None,
            Some("estargz") => Compression::Gzip,
            Some(other) => {
                return Err(format!(
                    "compression={other} is unknown; known are gzip, zstd, estargz, uncompressed"
                ));
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
        let index = match compression.as_deref() {
            Some("estargz") => LayerIndex::Estargz,
            Some(_) | None => LayerIndex::None,
        };
        let force = self.flag("force-compression", false)?;
        if force && index == LayerIndex::Estargz {
            return Err(
                "force-compression=true does not go with compression=estargz: layers of the base keep \
                        their diff IDs, which an index would change"
                    .to_owned(),
            );
        }
        Ok(CompressionChoice { form, level, force, index })
    }

    fn annotations(&mut self) -> Result<Annotations, String> {
        let keys: Vec<String> = self.0.keys().filter(|key| key.starts_with("annotation")).cloned().collect();
        let mut annotations = Vec::new();
        for text in keys {
            let (place, platform, key) = from_key(&text)?;
            let value = self.take(&text).unwrap_or_default();
            annotations.push(Annotation { place, platform, key, value });
        }
        Ok(Annotations(annotations))
    }

    /// Takes what outputs of all kinds may have.
    pub fn finish(mut self, kind: OutputKind) -> Result<Output, String> {
        // An empty epoch is none: what is in the layers keeps its times, whatever the build's own is.
        let no_epoch = self.0.get("source-date-epoch").is_some_and(String::is_empty);
        if no_epoch {
            self.take("source-date-epoch");
        }
        let source_date_epoch = self.number("source-date-epoch")?;
        let output = match &kind {
            OutputKind::Image(_) | OutputKind::Oci(..) | OutputKind::Docker(_) | OutputKind::Load(_) => {
                Output {
                    compression: self.compression()?,
                    names: self.names()?,
                    oci_media_types: self.flag("oci-mediatypes", true)?,
                    rewrite: match self.flag("rewrite-timestamp", false)? && !no_epoch {
                        true => Rewrite::NotAfter,
                        false => Rewrite::No,
                    },
                    annotations: self.annotations()?,
                    foreign_layers: match self.flag("prefer-nondist-layers", false)? {
                        true => ForeignLayers::Keep,
                        false => ForeignLayers::Convert,
                    },
                    attestation_place: match self.flag("attestation-inline", false)? {
                        true => AttestationPlace::Index,
                        false => AttestationPlace::Referrer,
                    },
                    attestation_form: match self.flag("oci-artifact", false)? {
                        true => AttestationForm::Artifact,
                        false => AttestationForm::Image,
                    },
                    source_date_epoch,
                    ..Output::new(kind)
                }
            }
            OutputKind::Local(..) | OutputKind::Tar(..) => Output { source_date_epoch, ..Output::new(kind) },
            OutputKind::CacheOnly => Output::new(kind),
        };
        if output.compression.form == Compression::Zstd && !output.oci_media_types {
            return Err("compression=zstd needs oci-mediatypes=true".to_owned());
        }
        if output.compression.index == LayerIndex::Estargz && !output.oci_media_types {
            return Err("compression=estargz needs oci-mediatypes=true".to_owned());
        }
        self.end()?;
        Ok(output)
    }
}

fn as_flag(key: &str, value: Option<&str>, default: bool) -> Result<bool, String> {
    match value {
        None => Ok(default),
        Some("" | "true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("{key}={other} is neither true nor false")),
    }
}
