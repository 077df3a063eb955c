//! `rbuild save` and `rbuild load`.

use std::io::IsTerminal;

use builder::toolchain::{self, LoadOptions, LoadSource, SaveOptions, SaveTarget, Sink};

use crate::args::{Global, LoadArgs, SaveArgs, SaveForm};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::host;
use crate::progress;

/// Saves images of the store as a file.
pub fn save(args: &SaveArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let names = args.images.iter().map(|name| super::name(name)).collect::<Result<Vec<_>, _>>()?;
    let target = target(args)?;
    let options = SaveOptions {
        platform: args.platform.as_deref().map(|text| super::platform(Some(text))).transpose()?,
        compression: super::transfer::compression(args.compression),
    };
    let form = progress::choose(args.quiet, None, environment).map_err(Failure::usage)?;
    let open = host::open(global, environment, form, None)?;
    let session = open.session.clone();
    let title = format!("save {}", args.images.join(" "));
    open.step(
        &title,
        |step| async move { toolchain::save(&session, &names, &target, &options, step).await },
    )?;
    Ok(())
}

fn target(args: &SaveArgs) -> Result<SaveTarget, Failure> {
    let file = args.output.as_ref().filter(|path| path.as_os_str() != "-");
    if args.format == SaveForm::OciLayout {
        let dir = file.ok_or_else(|| Failure::usage("an OCI layout is a directory: name it with -o"))?;
        return Ok(SaveTarget::OciLayout(dir.clone()));
    }
    let sink = match file {
        Some(file) => Sink::File(file.clone()),
        None if std::io::stdout().is_terminal() => {
            return Err(Failure::usage("standard output is a terminal: name a file with -o"));
        }
        None => Sink::Stdout,
    };
    Ok(match args.format {
        SaveForm::OciArchive => SaveTarget::OciArchive(sink),
        SaveForm::DockerArchive | SaveForm::OciLayout => SaveTarget::Docker(sink),
    })
}

/// Loads images from a file and prints their names.
pub fn load(args: &LoadArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let options = LoadOptions {
        name: args.tag.as_deref().map(super::name).transpose()?,
        platform: args.platform.as_deref().map(|text| super::platform(Some(text))).transpose()?,
    };
    let from = match args.input.as_ref().filter(|path| path.as_os_str() != "-") {
        Some(path) => LoadSource::Path(path.clone()),
        None if std::io::stdin().is_terminal() => {
            return Err(Failure::usage("standard input is a terminal: name a file with -i"));
        }
        None => LoadSource::Stdin,
    };
    let form = progress::choose(args.quiet, None, environment).map_err(Failure::usage)?;
    let open = host::open(global, environment, form, None)?;
    let session = open.session.clone();
    let loaded = open
        .step("load images", |step| async move { toolchain::load(&session, &from, &options, step).await })?;
    for name in loaded {
        super::print(&format!("Loaded image: {}\n", name.familiar()));
    }
    Ok(())
}
