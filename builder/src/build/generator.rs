//! Images that list software: run as steps, by BuildKit's protocol for generators.
//!
//! A generator finds the image's tree and the trees beside it below a directory, read-only, and writes its lists into
//! another one, which is a part of its own tree.

use graph::{
    Edge, Environment, ExecOp, FileAction, Graph, ImageSource, Lowered, Meta, MkDir, Mount, MountKind, Op,
    Target,
};
use oci::{Platform, Reference, RunConfig};

use crate::attest::GENERATED;
use crate::error::{BuildError, Category, Cause};
use crate::plan::{Extra, ImageSourceOfFacts};

const SOURCE: &str = "/run/src/core/sbom";
const EXTRAS: &str = "/run/src/extras/";
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Adds the steps of a generator; one for each target, in their order.
pub(super) async fn add(
    generator: &Reference,
    images: &dyn ImageSourceOfFacts,
    extra: &Extra,
    lowered: &mut Lowered,
) -> Result<Vec<Edge>, BuildError> {
    let platform = Platform::host();
    let failed = |cause| BuildError::Need {
        what: format!("the generator {} cannot be had", generator.familiar()),
        span: None,
        cause,
    };
    let step = extra.begin(format!("[internal] load metadata for {}", generator.familiar()), None).await;
    let facts = images.facts(generator.clone(), platform.clone()).await;
    extra.end(step, &facts).await;
    let facts = facts.map_err(failed)?;
    let config = &facts.config.config;
    let args: Vec<String> =
        [&config.entrypoint, &config.cmd].into_iter().flatten().flatten().cloned().collect();
    if args.is_empty() {
        let why = std::io::Error::other("its image names no program");
        return Err(failed(Cause::new(Category::Step, why)));
    }
    let source = ImageSource { reference: generator.clone(), manifest: facts.manifest, platform };
    let meta = |title: String| Meta { title, ..Meta::default() };
    let graph = &mut lowered.graph;
    let image = graph.add(Op::Image(source), Vec::new(), meta(format!("[sbom] FROM {generator}")));
    let destination =
        MkDir { path: GENERATED.to_owned(), mode: 0o777, owner: None, parents: true, created: Some(0) };
    let ready = Op::File(vec![FileAction::MkDir(destination)]);
    let ready = graph.add(ready, vec![Some(Edge::first(image))], meta(format!("[sbom] mkdir {GENERATED}")));
    let steps = lowered.targets.iter().map(|target| run(graph, Edge::first(ready), target, &args, config));
    Ok(steps.collect())
}

fn run(graph: &mut Graph, ready: Edge, target: &Target, args: &[String], config: &RunConfig) -> Edge {
    let mut inputs = vec![Some(ready), target.root];
    let mut mounts = vec![mount(SOURCE.to_owned(), 1)];
    for scan in &target.scans {
        mounts.push(mount(format!("{EXTRAS}sbom-{}", scan.name), inputs.len()));
        inputs.push(scan.root);
    }
    let cwd = if config.working_dir.starts_with('/') { config.working_dir.clone() } else { "/".to_owned() };
    let process = ExecOp {
        args: args.to_vec(),
        env: environment(config),
        cwd,
        user: config.user.clone(),
        mounts,
        network: graph::Network::default(),
        security: graph::Security::default(),
        hostname: None,
        extra_hosts: Vec::new(),
        shm_size: None,
        ulimits: Vec::new(),
        proxy: graph::ProxyEnv::default(),
        secret_env: Vec::new(),
        devices: Vec::new(),
        valid_exit_codes: Vec::new(),
    };
    let title = format!("[sbom] list the software of {}", target.platform);
    let meta = Meta { title, ..Meta::default() };
    Edge::first(graph.add(Op::Exec(Box::new(process)), inputs, meta))
}

fn mount(target: String, input: usize) -> Mount {
    Mount { target, kind: MountKind::Bind { input, source: "/".to_owned(), writable: false } }
}

fn environment(config: &RunConfig) -> Environment {
    let mut all = Environment::default();
    all.push("PATH".to_owned(), USUAL_PATH.to_owned());
    for variable in config.env.iter().flatten() {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        all.push(name.to_owned(), value.to_owned());
    }
    let destination = format!("{GENERATED}/");
    for (name, value) in [("DESTINATION", &*destination), ("SOURCE", SOURCE), ("SOURCE_EXTRAS", EXTRAS)] {
        all.push(format!("BUILDKIT_SCAN_{name}"), value.to_owned());
    }
    all
}
