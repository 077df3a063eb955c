//! `--cache-from` and `--cache-to`.

use std::path::PathBuf;

use builder::cache::request::{
    CacheDestination, CacheMode, CacheSource, CacheTarget, Earlier, OnFault, Pick,
};
use builder::request::LayerIndex;
use oci::Reference;

use super::csv;
use super::output::fields::Fields;

/// Back ends of BuildKit that are not built here.
const ABSENT: &[&str] = &["gha", "s3", "azblob"];

/// Parses one `--cache-from` value: `type=…,key=value…`, or a name for `type=registry`.
pub fn parse_source(text: &str) -> Result<CacheSource, String> {
    let Some(mut fields) = Fields::parse_or_word(text)? else {
        return Ok(CacheSource::Registry(reference(text)?));
    };
    let source = match kind(&mut fields)?.as_str() {
        "registry" => CacheSource::Registry(name(&mut fields)?),
        "local" => CacheSource::Local { directory: path(&mut fields, "src")?, pick: pick(&mut fields)? },
        other => return Err(unknown(other, "registry (for inline caches too), local")),
    };
    fields.end()?;
    Ok(source)
}

/// Parses one `--cache-to` value: `type=…,key=value…`, or a name for `type=registry`.
pub fn parse_target(text: &str) -> Result<CacheTarget, String> {
    let mut fields = match Fields::parse_or_word(text)? {
        Some(fields) => fields,
        None => Fields::new(csv::pairs(&format!("type=registry,ref={text}"))?)?,
    };
    let destination = match kind(&mut fields)?.as_str() {
        "registry" => CacheDestination::Registry(registry_target(&mut fields)?),
        "local" => CacheDestination::Local {
            directory: path(&mut fields, "dest")?,
            tag: fields.take("tag").filter(|tag| !tag.is_empty()).unwrap_or_else(|| "latest".to_owned()),
            earlier: if fields.flag("reset", false)? { Earlier::Goes } else { Earlier::Stays },
        },
        "inline" => CacheDestination::Inline,
        other => return Err(unknown(other, "registry, local, inline")),
    };
    let target = CacheTarget {
        mode: mode(&mut fields)?,
        on_fault: match fields.flag("ignore-error", true)? {
            true => OnFault::Warn,
            false => OnFault::Fail,
        },
        compression: match destination {
            CacheDestination::Registry(_) | CacheDestination::Local { .. } => manifest_form(&mut fields)?,
            CacheDestination::Inline => builder::request::CompressionChoice::default(),
        },
        destination,
    };
    if target.destination == CacheDestination::Inline && target.mode == CacheMode::Max {
        return Err("type=inline has only the layers of the image: mode=min".to_owned());
    }
    fields.end()?;
    Ok(target)
}

/// A part is an OCI image manifest, whatever else is asked for.
fn manifest_form(fields: &mut Fields) -> Result<builder::request::CompressionChoice, String> {
    for key in ["image-manifest", "oci-mediatypes"] {
        if !fields.flag(key, true)? {
            return Err(format!("{key}=false is not supported: a cache is written as OCI image manifests"));
        }
    }
    let form = fields.compression()?;
    match form.index {
        LayerIndex::None => Ok(form),
        LayerIndex::Estargz => {
            Err("compression=estargz is for images: layers of a cache have no index".to_owned())
        }
    }
}

fn kind(fields: &mut Fields) -> Result<String, String> {
    fields.take("type").ok_or_else(|| "type= is missing".to_owned())
}

fn unknown(kind: &str, known: &str) -> String {
    match ABSENT.contains(&kind) {
        true => format!("type={kind} is not supported; known are {known}"),
        false => format!("unknown type {kind:?}; known are {known}"),
    }
}

fn reference(text: &str) -> Result<Reference, String> {
    text.parse().map_err(|error| format!("{error}"))
}

fn name(fields: &mut Fields) -> Result<Reference, String> {
    reference(&fields.take("ref").ok_or("type=registry needs ref=")?)
}

fn registry_target(fields: &mut Fields) -> Result<Reference, String> {
    let name = name(fields)?;
    match name.digest() {
        None => Ok(name),
        Some(_) => Err(format!("ref={name}: a cache is written under a tag")),
    }
}

fn path(fields: &mut Fields, key: &str) -> Result<PathBuf, String> {
    match fields.take(key) {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        Some(_) | None => Err(format!("type=local needs {key}=")),
    }
}

fn pick(fields: &mut Fields) -> Result<Pick, String> {
    match (fields.take("digest"), fields.take("tag")) {
        (Some(_), Some(_)) => Err("digest= and tag= exclude each other".to_owned()),
        (Some(digest), None) => Ok(Pick::Digest(digest.parse().map_err(|error| format!("digest: {error}"))?)),
        (None, Some(tag)) => Ok(Pick::Tag(tag)),
        (None, None) => Ok(Pick::Tag("latest".to_owned())),
    }
}

fn mode(fields: &mut Fields) -> Result<CacheMode, String> {
    match fields.take("mode").as_deref() {
        None | Some("min") => Ok(CacheMode::Min),
        Some("max") => Ok(CacheMode::Max),
        Some(other) => Err(format!("mode={other} is unknown; known are min, max")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (given, expected) in [
            ("reg.test/a:b", CacheSource::Registry("reg.test/a:b".parse().unwrap())),
            ("type=registry,ref=reg.test/a", CacheSource::Registry("reg.test/a".parse().unwrap())),
            (
                "type=local,src=dir",
                CacheSource::Local { directory: "dir".into(), pick: Pick::Tag("latest".to_owned()) },
            ),
            (
                &format!("type=local,src=dir,digest={digest}"),
                CacheSource::Local { directory: "dir".into(), pick: Pick::Digest(digest.parse().unwrap()) },
            ),
        ] {
            assert_eq!(parse_source(given).unwrap(), expected, "{given}");
        }
    }

    #[test]
    fn targets() {
        let registry =
            parse_target("type=registry,ref=r.test/a:b,mode=max,compression=zstd,ignore-error=false")
                .unwrap();
        assert_eq!(registry.mode, CacheMode::Max);
        assert_eq!(registry.on_fault, OnFault::Fail);
        assert_eq!(registry.compression.form, oci::Compression::Zstd);
        let word = parse_target("r.test/a:b").unwrap();
        assert_eq!(word.destination, registry.destination);
        assert_eq!((word.mode, word.on_fault), (CacheMode::Min, OnFault::Warn));
        let local = parse_target("type=local,dest=d,tag=x,image-manifest=true,oci-mediatypes=true").unwrap();
        let to = |earlier, tag: &str| CacheDestination::Local {
            directory: "d".into(),
            tag: tag.to_owned(),
            earlier,
        };
        assert_eq!(local.destination, to(Earlier::Stays, "x"));
        let reset = parse_target("type=local,dest=d,reset=true").unwrap();
        assert_eq!(reset.destination, to(Earlier::Goes, "latest"));
        assert_eq!(parse_target("type=inline").unwrap().destination, CacheDestination::Inline);
    }

    #[test]
    fn mistakes_are_refused() {
        for (bad, why) in [
            ("type=gha", "type=gha is not supported"),
            ("type=nothing", "unknown type"),
            ("type=registry", "needs ref="),
            ("type=registry,ref=A", ""),
            ("type=registry,ref=a,mode=all", "mode=all is unknown"),
            ("type=registry,ref=a,image-manifest=false", "image-manifest=false is not supported"),
            ("type=registry,ref=a,oci-mediatypes=false", "oci-mediatypes=false is not supported"),
            ("type=registry,ref=a,dest=b", "unknown key \"dest\""),
            (
                "type=registry,ref=a@sha256:1111111111111111111111111111111111111111111111111111111111111111",
                "under a tag",
            ),
            ("type=local", "needs dest="),
            ("type=local,dest=a,reset=some", "reset"),
            ("type=registry,ref=a,reset=true", "unknown key \"reset\""),
            ("type=inline,mode=max", "mode=min"),
            ("type=inline,compression=zstd", "unknown key"),
            ("mode=max", "type= is missing"),
        ] {
            let said = parse_target(bad).unwrap_err();
            assert!(said.contains(why), "{bad}: {said}");
        }
        for bad in
            ["type=inline", "type=local", "type=local,src=a,tag=b,digest=c", "type=registry,ref=a,mode=max"]
        {
            assert!(parse_source(bad).is_err(), "{bad}");
        }
    }
}
