//! What the command line asks for, as far as it can change a key; for explanations.

use std::collections::BTreeMap;

use builder::history::Asked;
use clap::ValueEnum;
use dockerfile::Options;

use crate::args::{BuildArgs, ContextMetadataArg, NetworkArg};

/// Proxies reach no key and may hold passwords.
fn is_proxy(name: &str) -> bool {
    name.to_ascii_uppercase().ends_with("_PROXY")
}

/// Collects it.
pub fn asked(args: &BuildArgs, options: &Options) -> Asked {
    let given = options.build_args.get("BUILDKIT_BUILD_NAME").cloned().flatten();
    let mut subject = vec![given.filter(|name| !name.is_empty()).unwrap_or_else(|| place(&args.context))];
    subject.extend(args.file.iter().map(|file| format!("-f {file}")));
    subject.extend(args.target.iter().map(|target| format!("--target {target}")));
    let value = |(name, value): (&String, &Option<String>)| Some((name.clone(), value.clone()?));
    let arguments = options.build_args.iter().filter(|(name, _)| !is_proxy(name)).filter_map(value);
    Asked { subject, arguments: arguments.collect(), flags: flags(args) }
}

/// The context, where no build argument names the build.
fn place(context: &str) -> String {
    std::path::absolute(context)
        .map_or_else(|_| context.to_owned(), |path| path.to_string_lossy().into_owned())
}

fn flags(args: &BuildArgs) -> BTreeMap<String, String> {
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    };
    let mut all = BTreeMap::new();
    let mut add = |flag: &str, values: Vec<String>| {
        if !values.is_empty() {
            all.insert(flag.to_owned(), values.join(" "));
        }
    };
    add("platform", args.platforms.clone());
    add("add-host", args.add_hosts.iter().map(|host| format!("{}:{}", host.name, host.address)).collect());
    add("shm-size", args.shm_size.iter().map(u64::to_string).collect());
    add("ulimit", args.ulimits.iter().map(|one| format!("{}={}:{}", one.name, one.soft, one.hard)).collect());
    add("hostname", args.hostname.iter().cloned().collect());
    add("allow", args.allow.clone());
    add(
        "build-context",
        args.build_contexts.iter().map(|one| format!("{}={}", one.name, one.value)).collect(),
    );
    if args.network != NetworkArg::Default {
        add("network", vec![name(&|| args.network.to_possible_value())]);
    }
    if args.context_metadata != ContextMetadataArg::AsIs {
        add("context-metadata", vec![name(&|| args.context_metadata.to_possible_value())]);
    }
    all
}
