//! Provenance as SLSA has it, with the fields that BuildKit fills. Pure.

use oci::Platform;
use serde_json::{Map, Value, json};

use super::facts::{BuildFacts, Dependency};
use super::redact::redact;
use crate::request::{ProvenanceMode, ProvenanceRequest, ProvenanceVersion};

/// Says which parameters there may be and what they mean.
const BUILD_TYPE: &str = "urn:rbuild:dockerfile:1";
/// This program, where nobody says more.
const BUILDER: &str = "urn:rbuild:local";

/// The predicate type of a version.
pub(super) fn predicate_type(version: ProvenanceVersion) -> &'static str {
    match version {
        ProvenanceVersion::V1 => "https://slsa.dev/provenance/v1",
        ProvenanceVersion::V02 => "https://slsa.dev/provenance/v0.2",
    }
}

/// When a build began and ended, as RFC 3339 has it. `None` where a rebuild is to give the same bytes.
pub(super) type Span = Option<(String, String)>;

/// The predicate for one platform.
pub(super) fn predicate(
    request: &ProvenanceRequest,
    facts: &BuildFacts,
    platform: &str,
    span: &Span,
) -> Value {
    let mut value = match request.version {
        ProvenanceVersion::V1 => v1(request, facts, platform, span),
        ProvenanceVersion::V02 => v02(request, facts, platform, span),
    };
    redact(&mut value);
    value
}

/// What describes a build to scripts, for each platform: the older form, which they know. `Min` leaves out when
/// it was built.
pub(crate) fn of_platforms(
    mode: ProvenanceMode,
    facts: &BuildFacts,
    platforms: &[Platform],
) -> Vec<(Platform, Value)> {
    let request = ProvenanceRequest {
        mode,
        version: ProvenanceVersion::V02,
        builder_id: String::new(),
        reproducible: false,
        filename: String::new(),
        inline_only: false,
    };
    let time = |seconds| jiff::Timestamp::from_second(seconds).map(|time| time.to_string()).ok();
    let span = time(facts.started).zip(time(jiff::Timestamp::now().as_second()));
    let one = |platform: &Platform| {
        let mut value = predicate(&request, facts, &platform.to_string(), &span);
        if let (ProvenanceMode::Min, Some(all)) = (mode, value.as_object_mut()) {
            all.remove("metadata");
        }
        (platform.clone(), value)
    };
    platforms.iter().map(one).collect()
}

fn builder(request: &ProvenanceRequest) -> Value {
    match request.builder_id.is_empty() {
        true => json!({"id": BUILDER}),
        false => json!({"id": request.builder_id}),
    }
}

fn materials(facts: &BuildFacts) -> Vec<Value> {
    facts.dependencies.iter().map(material).collect()
}

fn material(dependency: &Dependency) -> Value {
    match dependency.digest.is_empty() {
        true => json!({"uri": dependency.uri}),
        false => json!({"uri": dependency.uri, "digest": dependency.digest}),
    }
}

/// What the caller asked for. With `min` nothing that a caller may want to keep to itself.
fn parameters(mode: ProvenanceMode, facts: &BuildFacts) -> Map<String, Value> {
    let named = |ids: &[String], key: &str| -> Vec<Value> { ids.iter().map(|id| json!({key: id})).collect() };
    let mut all = Map::new();
    all.insert("frontend".to_owned(), json!("dockerfile.v0"));
    all.insert("locals".to_owned(), json!(named(&facts.locals, "name")));
    match mode {
        ProvenanceMode::Min => {}
        ProvenanceMode::Max => {
            let arguments =
                facts.asked.arguments.iter().map(|(name, value)| (format!("build-arg:{name}"), json!(value)));
            let flags = facts.asked.flags.iter().map(|(name, value)| (name.clone(), json!(value)));
            all.insert("args".to_owned(), Value::Object(arguments.chain(flags).collect()));
            all.insert("secrets".to_owned(), json!(named(&facts.secrets, "id")));
            all.insert("ssh".to_owned(), json!(named(&facts.ssh, "id")));
        }
    }
    all
}

/// The steps and the build file.
fn build_config(facts: &BuildFacts) -> Value {
    json!({"steps": facts.steps, "buildFile": facts.build_file})
}

fn config_source(facts: &BuildFacts, path: &str) -> Value {
    let mut source = facts.source.as_ref().map_or_else(|| json!({}), material);
    source[path] = json!(facts.build_file_name);
    source
}

fn v1(request: &ProvenanceRequest, facts: &BuildFacts, platform: &str, span: &Span) -> Value {
    let mut internal = json!({"builderPlatform": oci::Platform::host().to_string(), "platform": platform});
    if request.mode == ProvenanceMode::Max {
        internal["buildConfig"] = build_config(facts);
    }
    let mut metadata = json!({
        "buildkit_completeness": {
            "request": request.mode == ProvenanceMode::Max,
            "resolvedDependencies": facts.complete,
        },
        "buildkit_hermetic": facts.hermetic,
        "buildkit_reproducible": request.reproducible,
    });
    if let Some((started, finished)) = span {
        metadata["invocationId"] = json!(facts.invocation);
        metadata["startedOn"] = json!(started);
        metadata["finishedOn"] = json!(finished);
    }
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "configSource": config_source(facts, "path"),
                "request": parameters(request.mode, facts),
            },
            "internalParameters": internal,
            "resolvedDependencies": materials(facts),
        },
        "runDetails": {"builder": builder(request), "metadata": metadata},
    })
}

fn v02(request: &ProvenanceRequest, facts: &BuildFacts, platform: &str, span: &Span) -> Value {
    let mut metadata = json!({
        "completeness": {
            "parameters": request.mode == ProvenanceMode::Max,
            "environment": true,
            "materials": facts.complete,
        },
        "reproducible": request.reproducible,
        "https://mobyproject.org/buildkit@v1#hermetic": facts.hermetic,
    });
    if let Some((started, finished)) = span {
        metadata["buildInvocationID"] = json!(facts.invocation);
        metadata["buildStartedOn"] = json!(started);
        metadata["buildFinishedOn"] = json!(finished);
    }
    let mut all = json!({
        "builder": builder(request),
        "buildType": BUILD_TYPE,
        "materials": materials(facts),
        "invocation": {
            "configSource": config_source(facts, "entryPoint"),
            "parameters": parameters(request.mode, facts),
            "environment": {"platform": platform},
        },
        "metadata": metadata,
    });
    if request.mode == ProvenanceMode::Max {
        all["buildConfig"] = build_config(facts);
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn facts() -> BuildFacts {
        let mut facts = BuildFacts { build_file_name: "Dockerfile".to_owned(), ..BuildFacts::default() };
        facts.asked.arguments.insert("TOKEN".to_owned(), "https://a:hidden@h/".to_owned());
        facts.secrets.push("key".to_owned());
        facts.dependencies.push(Dependency {
            uri: "pkg:docker/alpine@1".to_owned(),
            digest: BTreeMap::from([("sha256".to_owned(), "00".to_owned())]),
        });
        facts
    }

    fn request(mode: ProvenanceMode, version: ProvenanceVersion) -> ProvenanceRequest {
        ProvenanceRequest {
            mode,
            version,
            builder_id: String::new(),
            reproducible: true,
            filename: String::new(),
            inline_only: false,
        }
    }

    #[test]
    fn min_names_no_arguments_and_no_secrets() {
        for version in [ProvenanceVersion::V1, ProvenanceVersion::V02] {
            for (mode, says) in [(ProvenanceMode::Min, false), (ProvenanceMode::Max, true)] {
                let text = predicate(&request(mode, version), &facts(), "linux/amd64", &None).to_string();
                assert_eq!(text.contains("TOKEN"), says, "{text}");
                assert_eq!(text.contains("\"key\""), says, "{text}");
                assert!(!text.contains("hidden") && text.contains("pkg:docker/alpine@1"), "{text}");
            }
        }
    }

    #[test]
    fn scripts_get_times_with_all_the_rest_only() {
        let platforms = ["linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()];
        for (mode, says) in [(ProvenanceMode::Min, false), (ProvenanceMode::Max, true)] {
            let all = of_platforms(mode, &facts(), &platforms);
            assert_eq!(all[1].1["invocation"]["environment"]["platform"], "linux/arm64");
            for key in ["metadata", "buildConfig"] {
                assert_eq!(all[0].1.get(key).is_some(), says, "{key}");
            }
        }
    }

    /// The fields that SLSA requires, and those that a rebuild would change.
    #[test]
    fn fields_of_both_versions() {
        let span = Some(("2001-01-01T00:00:00Z".to_owned(), "2001-01-01T00:00:01Z".to_owned()));
        let one = predicate(&request(ProvenanceMode::Min, ProvenanceVersion::V1), &facts(), "p", &span);
        assert!(one["buildDefinition"]["buildType"].is_string());
        assert!(one["buildDefinition"]["externalParameters"].is_object());
        assert!(one["runDetails"]["builder"]["id"].is_string());
        assert_eq!(one["runDetails"]["metadata"]["finishedOn"], "2001-01-01T00:00:01Z");
        let two = predicate(&request(ProvenanceMode::Min, ProvenanceVersion::V02), &facts(), "p", &None);
        assert!(two["builder"]["id"].is_string() && two["buildType"].is_string());
        assert_eq!(two["materials"][0]["digest"]["sha256"], "00");
        assert_eq!(two["metadata"]["reproducible"], true);
        assert_eq!(two["metadata"]["buildStartedOn"], Value::Null);
    }
}
