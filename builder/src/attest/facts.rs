//! What is known of a build.

use std::collections::BTreeMap;

use graph::{ContextName, ImageSource, Lowered, Network, Op, Remote};
use oci::Digest;
use serde_json::{Value, json};

use crate::git::shown;
use crate::history::Asked;
use crate::request::BuildRequest;

/// What is known of a build, apart from what came of it.
#[derive(Clone, Debug, Default)]
pub struct BuildFacts {
    /// What was asked for.
    pub asked: Asked,
    /// Where the context was fetched from, with its digest by algorithm.
    pub source: Option<Dependency>,
    /// Name of the build file.
    pub build_file_name: String,
    /// Its text.
    pub build_file: Option<String>,
    /// Local contexts by name.
    pub locals: Vec<String>,
    /// Ids of secrets.
    pub secrets: Vec<String>,
    /// Ids of ssh agents.
    pub ssh: Vec<String>,
    /// What it was made from.
    pub dependencies: Vec<Dependency>,
    /// Whether all of those are known by digest.
    pub complete: bool,
    /// Whether no step could reach a network.
    pub hermetic: bool,
    /// The steps, for those who want to know all.
    pub steps: Vec<Value>,
    /// The build's name in the journal.
    pub invocation: String,
    /// When it began, in seconds since 1970.
    pub started: i64,
}

/// Something that a build was made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// What it is: a package URL of an image, an address.
    pub uri: String,
    /// Its digest by algorithm; empty where it is not known.
    pub digest: BTreeMap<String, String>,
}

impl BuildFacts {
    /// Gathers what the request and its graph say.
    pub(crate) fn of(request: &BuildRequest, lowered: &Lowered, build_file: Option<String>) -> Self {
        let reachable = lowered
            .graph
            .reachable(lowered.targets.iter().filter_map(|target| target.root).map(|edge| edge.vertex));
        let ops: Vec<&Op> = reachable.iter().map(|id| &lowered.graph.vertex(*id).op).collect();
        let mut dependencies: Vec<Dependency> = ops.iter().filter_map(|op| dependency(op)).collect();
        let source = request.source.as_ref().map(of_remote);
        dependencies.extend(source.clone());
        dependencies.sort();
        dependencies.dedup();
        let hermetic = !ops.iter().any(|op| reaches_network(op));
        let locals = request.contexts.keys().map(|name| match name {
            ContextName::Main => "context".to_owned(),
            ContextName::BuildFile => "dockerfile".to_owned(),
            ContextName::Named(name) => name.clone(),
        });
        Self {
            asked: request.asked.clone(),
            source,
            build_file_name: request.build_file_name.clone(),
            build_file,
            locals: locals.collect(),
            secrets: request.secrets.keys().cloned().collect(),
            ssh: request.ssh.keys().cloned().collect(),
            complete: hermetic && dependencies.iter().all(|dependency| !dependency.digest.is_empty()),
            hermetic,
            dependencies,
            steps: reachable.iter().map(|id| step(lowered, *id)).collect(),
            invocation: String::new(),
            started: 0,
        }
    }
}

fn reaches_network(op: &Op) -> bool {
    match op {
        Op::Exec(exec) => exec.network != Network::None,
        Op::Image(_) | Op::Local(_) | Op::Git(_) | Op::Http(_) | Op::File(_) | Op::Merge | Op::Diff => false,
    }
}

fn dependency(op: &Op) -> Option<Dependency> {
    match op {
        Op::Image(image) => Some(of_image(image)),
        Op::Git(git) => Some(of_remote(&Remote::Git(git.clone()))),
        Op::Http(http) => Some(of_remote(&Remote::Http(http.clone()))),
        Op::Local(_) | Op::Exec(_) | Op::File(_) | Op::Merge | Op::Diff => None,
    }
}

fn of_image(image: &ImageSource) -> Dependency {
    Dependency {
        uri: image_purl(&image.reference, &image.platform),
        digest: by_algorithm(&image.manifest.digest),
    }
}

fn of_remote(remote: &Remote) -> Dependency {
    match remote {
        Remote::Git(git) => {
            let algorithm = if git.commit.len() == 64 { "sha256" } else { "sha1" };
            let address = shown(&git.url);
            let uri = match (&git.subdir, address.contains("://")) {
                (None, _) => address,
                (Some(subdir), _) => format!("{address}#:{subdir}"),
            };
            Dependency { uri, digest: BTreeMap::from([(algorithm.to_owned(), git.commit.clone())]) }
        }
        Remote::Http(http) => Dependency {
            uri: http.url.clone(),
            digest: http.checksum.as_ref().map(by_algorithm).unwrap_or_default(),
        },
    }
}

/// A digest as in-toto writes it.
pub(super) fn by_algorithm(digest: &Digest) -> BTreeMap<String, String> {
    BTreeMap::from([(digest.algorithm().name().to_owned(), digest.hex().to_owned())])
}

/// The package URL of an image: `pkg:docker/NAME@TAG?platform=…`.
pub(super) fn image_purl(reference: &oci::Reference, platform: &oci::Platform) -> String {
    let repository = reference.repository();
    let name = match repository.registry.as_str() {
        "docker.io" => repository.path.strip_prefix("library/").unwrap_or(&repository.path).to_owned(),
        registry => format!("{registry}/{}", repository.path),
    };
    let (namespace, name) = name.rsplit_once('/').unwrap_or(("", &name));
    let version = match (reference.tag(), reference.digest()) {
        (Some(tag), _) => tag.to_owned(),
        (None, Some(digest)) => digest.to_string(),
        (None, None) => String::new(),
    };
    crate::sbom::purl("docker", namespace, name, &version, &[("platform", &platform.to_string())])
}

fn step(lowered: &Lowered, id: graph::VertexId) -> Value {
    let vertex = lowered.graph.vertex(id);
    let inputs: Vec<Value> = vertex
        .inputs
        .iter()
        .map(|input| {
            input.map_or(Value::Null, |edge| json!(format!("step{}:{}", edge.vertex.index(), edge.output)))
        })
        .collect();
    json!({
        "id": format!("step{}", id.index()),
        "title": vertex.meta.title,
        "op": vertex.op.document(),
        "inputs": inputs,
    })
}
