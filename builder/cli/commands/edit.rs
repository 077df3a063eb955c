//! `rbuild append`, `mutate`, `rebase` and `flatten`.

use builder::event::StepId;
use builder::toolchain::{self, ConfigChange, Edit, LayerChange, Mutation, NewTimes, Place};

use crate::args::{AppendArgs, EditTarget, FlattenArgs, Global, LabelArg, MutateArgs, RebaseArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress::Form;

/// Tars as layers on top of an image, or of nothing.
pub fn append(args: &AppendArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let edit = Edit::Append(args.new_layer.clone());
    let base = args.base.as_deref().map(super::place).transpose()?;
    run((base, args.platform.as_deref(), edit, &args.target), global, environment)
}

/// Another config.
pub fn mutate(args: &MutateArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let pairs = |given: &[LabelArg]| -> Vec<(String, String)> {
        given.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect()
    };
    let config = ConfigChange {
        env: pairs(&args.env),
        labels: pairs(&args.labels).into_iter().collect(),
        annotations: pairs(&args.annotations).into_iter().collect(),
        entrypoint: args.entrypoint.clone(),
        cmd: args.cmd.clone(),
        user: args.user.clone(),
        workdir: args.workdir.clone(),
        exposed_ports: args.exposed_ports.clone(),
        platform: args.set_platform.as_deref().map(|text| super::platform(Some(text))).transpose()?,
    };
    let times = match (args.timestamp, args.time_max) {
        (Some(time), _) => Some(NewTimes::Set(time)),
        (None, most) => most.map(NewTimes::AtMost),
    };
    let layers = LayerChange { times, left_out: args.strip.clone() };
    let edit = Edit::Mutate(Box::new(Mutation { append: args.append.clone(), config, layers }));
    let image = Some(super::place(&args.image)?);
    run((image, args.platform.as_deref(), edit, &args.target), global, environment)
}

/// Another base.
pub fn rebase(args: &RebaseArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let edit = Edit::Rebase {
        old: args.old_base.as_deref().map(super::place).transpose()?,
        new: args.new_base.as_deref().map(super::place).transpose()?,
    };
    let image = Some(super::place(&args.image)?);
    run((image, args.platform.as_deref(), edit, &args.target), global, environment)
}

/// One layer.
pub fn flatten(args: &FlattenArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let image = Some(super::place(&args.image)?);
    run((image, args.platform.as_deref(), Edit::Flatten, &args.target), global, environment)
}

type Work<'a> = (Option<Place>, Option<&'a str>, Edit, &'a EditTarget);

fn run(work: Work<'_>, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let (from, platform, edit, target) = work;
    let to = match (&target.tag, &target.output, &target.repo) {
        (Some(tag), ..) => toolchain::EditTarget::Place(super::copy::target(tag)?),
        (None, Some(file), _) => {
            toolchain::EditTarget::Place(Place::DockerArchive { file: file.clone(), name: None })
        }
        (None, None, Some(text)) => {
            let name = super::name(text.strip_prefix("docker://").unwrap_or(text))?;
            toolchain::EditTarget::ByDigest(name.repository().clone())
        }
        (None, None, None) => {
            return Err(Failure::usage("say where the image goes: --tag, --output or --repo"));
        }
    };
    let platform = platform.map(|text| super::platform(Some(text))).transpose()?;
    let open = host::open(global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let made = open.work(async move {
        toolchain::edit(&session, from.as_ref(), platform.as_ref(), &edit, &to, StepId(0)).await
    })?;
    super::print(&format!("{}\n", made.digest));
    Ok(())
}
