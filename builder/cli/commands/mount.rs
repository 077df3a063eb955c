//! `rbuild mount`, `unmount` and `unshare`: images as directories for other programs.

use std::ffi::OsString;

use builder::error::{Categorised, Category};
use builder::event::StepId;
use builder::toolchain::{self, MountedImage, Seen, ToolError, Unmounting};
use runtime_exec::{Host, Mounts};
use serde_json::{Value, json};

use super::look::shown;
use crate::args::{Global, ListForm, MountArgs, UnmountArgs, UnshareArgs};
use crate::environment::{Environment, ROOT};
use crate::failure::Failure;
use crate::host;
use crate::progress::{self, Form};

/// Mounts an image and prints where, or lists what is mounted.
pub fn mount(args: &MountArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let Some(image) = &args.image else { return list(args.format, global, environment) };
    let place = super::place(image)?;
    let platform = super::platform(args.platform.as_deref())?;
    let open = host::open_with(Mounts::Shared, global, environment, Form::Quiet, None)?;
    let session = open.session.clone();
    let path = open.work(async move {
        let image = toolchain::open_image(&session, &place, &platform, StepId(0)).await?;
        toolchain::mount(&session, &image)
    })?;
    super::print(&format!("{}\n", path.display()));
    Ok(())
}

fn list(form: ListForm, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let local = host::open_local(global, environment)?;
    let mounted = toolchain::mounted(&local.store, &local.helper).map_err(failure)?;
    super::print(&match form {
        ListForm::Table => {
            let mut rows = vec![["IMAGE", "SEEN", "PATH"].map(str::to_owned)];
            rows.extend(mounted.iter().map(|one| {
                [progress::printable(one.image.as_bytes()), seen(one).to_owned(), shown(&one.path)]
            }));
            super::columns(&rows)
        }
        ListForm::Json => format!("{:#}\n", Value::Array(mounted.iter().map(row).collect())),
    });
    Ok(())
}

fn row(one: &MountedImage) -> Value {
    json!({"image": one.image, "path": one.path.to_string_lossy(), "seen": seen(one)})
}

fn seen(one: &MountedImage) -> &'static str {
    match one.seen {
        Seen::Here => "here",
        Seen::Elsewhere => "elsewhere",
    }
}

/// Unmounts images and prints where they were.
pub fn unmount(args: &UnmountArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let local = host::open_local_with(Mounts::Shared, global, environment)?;
    let gone =
        |which: Unmounting<'_>| toolchain::unmount_image(&local.store, &local.helper, which).map_err(failure);
    let print = |paths: Vec<std::path::PathBuf>| {
        paths.iter().for_each(|path| super::print(&format!("{}\n", path.display())));
    };
    if args.all {
        print(gone(Unmounting::All)?);
    }
    for name in &args.images {
        // A place has several spellings, a path has one.
        let image = super::place(name).map_or_else(|_| name.clone(), |place| place.to_string());
        let mut paths = gone(Unmounting::Of(name))?;
        paths.extend(gone(Unmounting::Of(&image))?);
        if paths.is_empty() {
            return Err(Failure::new(Category::Local, format!("{name} is not mounted")));
        }
        print(paths);
    }
    Ok(())
}

/// A failure of what the plain commands do.
pub fn failure(error: ToolError) -> Failure {
    Failure::from_error(error.category(), &error)
}

/// Becomes a command in the namespaces that a build has. Returns only where that fails.
pub fn unshare(args: &UnshareArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let root = host::store_root(global, environment)?;
    let host = Host::enter(&host::options(&root, global))
        .map_err(|error| Failure::from_error(Category::Host, &error))?;
    let shell = || vec![OsString::from(environment.non_empty("SHELL").unwrap_or("/bin/sh"))];
    let words = if args.command.is_empty() { shell() } else { args.command.clone() };
    let [program, arguments @ ..] = words.as_slice() else { return Ok(()) };
    // Inside, the user is root, who would have another store.
    let error = host.become_program(program, arguments, &[(ROOT, root.as_os_str())]);
    let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
    let message = format!("cannot run {}: {error}", program.to_string_lossy());
    Err(Failure::new(Category::Host, message).with_code(code))
}
