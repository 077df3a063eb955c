//! What `build` makes: its outputs and names.

use std::io::IsTerminal;

use builder::error::Category;
use builder::request::{Destination, LocalMode, Output, OutputKind};
use oci::{Compression, Reference};
use registry_client::{Engine, EngineAddress, EngineError, Verify};

use crate::args::{BuildArgs, Global, OutputArg, Trust, parse_output};
use crate::client::Additions;
use crate::engine;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host::Open;

/// What has to be allowed before `mode=delete` removes files.
pub const DELETE: &str = "buildx.local.delete";

/// The outputs that were asked for. Where none was, an image in the store if it has a name or something else about it
/// is wanted; else the steps are what was wanted, and no layer is read for the sake of an image that nobody can name.
pub fn parse(args: &BuildArgs, environment: &Environment) -> Result<Vec<OutputArg>, Failure> {
    let mut texts: Vec<&str> = args.outputs.iter().map(String::as_str).collect();
    if args.push {
        texts.push("type=registry");
    }
    if texts.is_empty() && !args.load {
        texts.push(if is_image_wanted(args) { "type=image" } else { "type=cacheonly" });
    }
    let mut outputs = Vec::new();
    if args.load {
        outputs.push(loaded(engine::address(environment)?));
    }
    for text in texts {
        let wrong = |why: String| Failure::usage(format!("--output {text}: {why}"));
        let arg = parse_output(text).map_err(wrong)?;
        check(&arg, args).map_err(wrong)?;
        outputs.push(arg);
    }
    for arg in &mut outputs {
        let of_all = args.annotations.iter().flat_map(|given| given.0.iter().cloned());
        // What an output says of itself counts more.
        let own = std::mem::take(&mut arg.output.annotations.0);
        arg.output.annotations.0 = of_all.chain(own).collect();
    }
    let to_stdout = outputs.iter().filter(|arg| is_stdout(&arg.output.kind)).count();
    if to_stdout > 1 {
        return Err(Failure::usage("--output: only one output can go to standard output"));
    }
    Ok(outputs)
}

fn is_image_wanted(args: &BuildArgs) -> bool {
    let is_told = args.quiet || args.iidfile.is_some() || args.metadata_file.is_some();
    let is_described = args.sbom.is_some() || args.provenance.is_some() || !args.annotations.is_empty();
    let is_sent = !args.cache_to.is_empty() || args.sign.is_some() || !args.attest.is_empty();
    !args.tags.is_empty() || is_told || is_described || is_sent
}

/// An engine unpacks what it gets: packing would be for nothing.
fn loaded(address: EngineAddress) -> OutputArg {
    let mut output = Output::new(OutputKind::Load(address));
    output.compression.form = Compression::None;
    OutputArg { output, trust: Trust::Usual }
}

/// Fails unless the engines that images are for answer, before anything runs for them.
pub async fn reach(outputs: &[OutputArg]) -> Result<(), Failure> {
    for arg in outputs {
        let OutputKind::Load(address) = &arg.output.kind else { continue };
        let failed = |error: EngineError| Failure::from_error(Category::Remote, &error);
        Engine::at(address.clone()).map_err(failed)?.ping().await.map_err(failed)?;
    }
    Ok(())
}

fn check(arg: &OutputArg, args: &BuildArgs) -> Result<(), String> {
    if is_stdout(&arg.output.kind) && std::io::stdout().is_terminal() {
        return Err("standard output is a terminal; name a file as dest=".to_owned());
    }
    let deletes = matches!(arg.output.kind, OutputKind::Local(_, LocalMode::Delete, _));
    if deletes && !args.allow.iter().any(|name| name == DELETE) {
        return Err(format!(
            "mode=delete removes files that the build did not make; it needs --allow {DELETE}"
        ));
    }
    Ok(())
}

fn is_stdout(kind: &OutputKind) -> bool {
    match kind {
        OutputKind::Oci(to, _) | OutputKind::Docker(to) | OutputKind::Tar(to, _) => {
            *to == Destination::Stdout
        }
        OutputKind::Image(_) | OutputKind::Load(_) | OutputKind::Local(..) | OutputKind::CacheOnly => false,
    }
}

/// Lets the session trust the registries of outputs that say so.
pub fn trust(
    outputs: &[OutputArg],
    args: &BuildArgs,
    open: &mut Open,
    global: &Global,
    environment: &Environment,
) -> Result<(), Failure> {
    let mut additions = Additions::default();
    for arg in outputs.iter().filter(|arg| arg.trust == Trust::Insecure) {
        let tags = tags(args)?;
        let hosts = arg.output.names_or(&tags).iter().map(|name| name.repository().registry.clone());
        additions.trust.extend(hosts.map(|host| (host, Verify::Never)));
    }
    open.add(&additions, global, environment)
}

/// The names of the image.
pub fn tags(args: &BuildArgs) -> Result<Vec<Reference>, Failure> {
    let tag = |text: &String| {
        let name: Reference = text.parse().map_err(|error| Failure::usage(format!("--tag: {error}")))?;
        if name.digest().is_some() {
            return Err(Failure::usage(format!(
                "--tag: {text} names a digest, which only the build can know"
            )));
        }
        Ok(name)
    };
    args.tags.iter().map(tag).collect()
}
