//! `--provenance`, `--sbom` and `--attest`.

use builder::request::{AttestRequest, ProvenanceMode, ProvenanceRequest, ProvenanceVersion, SbomRequest};

use super::BuildArgs;
use super::csv;

impl BuildArgs {
    /// What is attested. The short options count more than `--attest`.
    pub fn attestations(&self) -> Result<AttestRequest, String> {
        let mut request = AttestRequest::default();
        for text in &self.attest {
            let wrong = |why: String| format!("--attest {text}: {why}");
            let pairs = pairs(text).map_err(wrong)?;
            let (types, rest): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| key == "type");
            match types.as_slice() {
                [(_, kind)] if kind == "provenance" => {
                    request.provenance = provenance(rest).map_err(wrong)?
                }
                [(_, kind)] if kind == "sbom" => request.sbom = sbom(rest).map_err(wrong)?,
                [(_, kind)] => {
                    return Err(wrong(format!("unknown type {kind:?}; known are provenance, sbom")));
                }
                _ => return Err(wrong("type= is missing".to_owned())),
            }
        }
        if let Some(text) = &self.provenance {
            let wrong = |why| format!("--provenance {text}: {why}");
            request.provenance = switched(text).and_then(provenance).map_err(wrong)?;
        }
        if let Some(text) = &self.sbom {
            let wrong = |why| format!("--sbom {text}: {why}");
            request.sbom = switched(text).and_then(sbom).map_err(wrong)?;
        }
        Ok(request)
    }
}

type Pairs = Vec<(String, String)>;

fn pairs(text: &str) -> Result<Pairs, String> {
    csv::pairs(text)?
        .into_iter()
        .map(|(key, value)| {
            value.map(|value| (key.clone(), value)).ok_or(format!("{key:?} is not KEY=VALUE"))
        })
        .collect()
}

/// `true`, `false`, or fields.
fn switched(text: &str) -> Result<Pairs, String> {
    match text {
        "" | "true" => Ok(Vec::new()),
        "false" => Ok(vec![("disabled".to_owned(), "true".to_owned())]),
        fields => pairs(fields),
    }
}

fn provenance(fields: Pairs) -> Result<Option<ProvenanceRequest>, String> {
    let mut request = ProvenanceRequest {
        mode: ProvenanceMode::Min,
        version: ProvenanceVersion::V1,
        builder_id: String::new(),
        reproducible: false,
        filename: "provenance.json".to_owned(),
        inline_only: false,
    };
    let mut disabled = false;
    for (key, value) in fields {
        match key.as_str() {
            "mode" => {
                request.mode = match value.as_str() {
                    "min" => ProvenanceMode::Min,
                    "max" => ProvenanceMode::Max,
                    _ => return Err(format!("mode={value} is unknown; known are min, max")),
                }
            }
            "version" => {
                request.version = match value.as_str() {
                    "v1" => ProvenanceVersion::V1,
                    "v0.2" => ProvenanceVersion::V02,
                    _ => return Err(format!("version={value} is unknown; known are v1, v0.2")),
                }
            }
            "builder-id" => request.builder_id = value,
            "reproducible" => request.reproducible = flag(&key, &value)?,
            "inline-only" => request.inline_only = flag(&key, &value)?,
            "filename" => request.filename = filename(value)?,
            "disabled" => disabled = flag(&key, &value)?,
            _ => {
                return Err(format!(
                    "unknown key {key:?}; known are mode, version, builder-id, reproducible, inline-only, filename"
                ));
            }
        }
    }
    Ok((!disabled).then_some(request))
}

fn sbom(fields: Pairs) -> Result<Option<SbomRequest>, String> {
    let mut request = SbomRequest { generator: None, filename: "sbom.spdx.json".to_owned() };
    let mut disabled = false;
    for (key, value) in fields {
        match key.as_str() {
            "filename" => request.filename = filename(value)?,
            "disabled" => disabled = flag(&key, &value)?,
            "generator" => {
                let image = value.parse().map_err(|error| format!("generator={value}: {error}"))?;
                request.generator = Some(image);
            }
            _ => return Err(format!("unknown key {key:?}; known are generator, filename")),
        }
    }
    Ok((!disabled).then_some(request))
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("{key}={value} is neither true nor false")),
    }
}

fn filename(value: String) -> Result<String, String> {
    match value.is_empty() || value.contains('/') || value == "." || value == ".." {
        true => Err(format!("filename={value} is no file name")),
        false => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provenance_as_buildx_writes_it() {
        let parse = |text: &str| switched(text).and_then(provenance);
        assert_eq!(parse("true").unwrap().unwrap().mode, ProvenanceMode::Min);
        assert_eq!(parse("false"), Ok(None));
        let all =
            "mode=max,version=v0.2,builder-id=https://a/b,reproducible=true,inline-only=true,filename=p.json";
        let all = parse(all).unwrap().unwrap();
        assert_eq!((all.mode, all.version), (ProvenanceMode::Max, ProvenanceVersion::V02));
        assert!(all.reproducible && all.inline_only && all.filename == "p.json");
        for bad in ["mode=some", "version=2", "max", "colour=blue", "filename=a/b", "reproducible=maybe"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_generator_is_an_image() {
        let parse = |text: &str| switched(text).and_then(sbom);
        assert_eq!(parse("true").unwrap().unwrap().generator, None);
        let generator = parse("generator=r.test/a:b").unwrap().unwrap().generator.unwrap();
        assert_eq!(generator.familiar(), "r.test/a:b");
        assert!(parse("generator=A B").unwrap_err().contains("generator=A B"));
    }
}
