//! `rbuild verify`: builds again, otherwise than before, and compares.
//!
//! What differs: the time, the umask, the number of processors and of steps at once, what the cache has, and of local
//! contexts the path, the owner and the order in which their files were made. No variable of this process reaches a
//! step or is looked at for texts, so that zone and locale need no other value.

use std::fmt::Write as _;

use builder::error::Category;
use builder::toolchain::{self, Comparison, DifferingPart, Place, Sameness};
use builder::{Categorised, Session};
use oci::Reference;
use rustix::fs::Mode;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::build;
use super::elsewhere::ContextPlace;
use crate::args::{BuildArgs, Global, VerifyArgs};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::progress;

/// As many deviations are told.
const MOST: usize = 50;

/// Rebuilds with nothing from the cache, on one processor, with another umask and from copies, then compares.
pub fn run(args: &VerifyArgs, global: &Global, environment: &Environment) -> Result<(), Failure> {
    let image = super::place(&args.image)?;
    let given = &args.build;
    if !given.outputs.is_empty() || given.push || !given.tags.is_empty() || given.sign.is_some() {
        return Err(Failure::usage(
            "verify makes nothing that stays: -o, -t, --push and --sign have no place in it",
        ));
    }
    let platform = match given.platforms.as_slice() {
        [] => oci::Platform::host(),
        [one] => super::platform(Some(one))?,
        _ => return Err(Failure::usage("verify looks at one platform at a time")),
    };
    let text = format!("rbuild.invalid/verify:{}", std::process::id());
    let name: Reference = text.parse().map_err(Failure::usage)?;
    let build = BuildArgs {
        tags: vec![text],
        // With a manifest, so that the digest can be compared, too.
        outputs: vec!["type=image,rewrite-timestamp=true,name-canonical=true".to_owned()],
        no_cache: true,
        reproducible: given.timestamp.is_none(),
        jobs: Some(1),
        ..given.clone()
    };
    rustix::process::umask(Mode::from_raw_mode(0o077));
    take_one_processor();
    let form = progress::choose(build.quiet, build.progress, environment).map_err(Failure::usage)?;
    let outputs = super::outputs::parse(&build, environment)?;
    let built = build::perform(
        &build,
        outputs,
        (form, ContextPlace::Elsewhere),
        global,
        environment,
        async |session, _| {
            let again = Place::Store(name.clone());
            let compared = toolchain::compare(session, &image, &again, &platform).await;
            forget(session, &name)?;
            compared.map_err(|error| Failure::from_error(error.category(), &error))
        },
    )?;
    tell(&args.image, &built.after)
}

/// Leaves this process, and what it starts, the last of its processors. There is no thread yet.
fn take_one_processor() {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let mut one = CpuSet::new();
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|number| allowed.is_set(*number)) {
        one.set(last);
        // Whoever may not do that verifies with the processors there are.
        let _may_not = sched_setaffinity(None, &one);
    }
}

/// Takes the names of the rebuilt image away.
fn forget(session: &Session, name: &Reference) -> Result<(), Failure> {
    let failed = |error: layer_store::StoreError| Failure::from_error(Category::Local, &error);
    for (known, _) in session.store.images().map_err(failed)? {
        if known.repository() == name.repository() {
            session.store.untag(&known).map_err(failed)?;
        }
    }
    Ok(())
}

fn tell(image: &str, compared: &Comparison) -> Result<(), Failure> {
    match compared.sameness {
        Sameness::Manifest => super::print(&format!("{image}: rebuilt to the same manifest\n")),
        Sameness::Content => {
            super::print(&format!("{image}: rebuilt to the same files and config, packed otherwise\n"));
        }
        Sameness::Different => {
            super::print(&described(compared));
            let count = compared.deviations.len() + compared.more;
            return Err(Failure::new(
                Category::Step,
                format!("{image}: the rebuilt image differs ({count})"),
            ));
        }
    }
    Ok(())
}

fn described(compared: &Comparison) -> String {
    let mut text = String::new();
    for deviation in compared.deviations.iter().take(MOST) {
        let part = match &deviation.part {
            DifferingPart::Config(field) => format!("config: {field}"),
            DifferingPart::Layers => "number of layers".to_owned(),
            DifferingPart::File(layer, path) => format!("layer {}: /{}", layer + 1, path.display()),
            DifferingPart::Archive(layer) => format!("layer {}: its archive", layer + 1),
        };
        let _ = write!(text, "{part}: {}", deviation.how);
        if let Some(step) = &deviation.step {
            let _ = write!(text, "\n    by {}", step.lines().next().unwrap_or_default());
        }
        text.push('\n');
    }
    let more = compared.deviations.len().saturating_sub(MOST) + compared.more;
    if more > 0 {
        let _ = writeln!(text, "and {more} more");
    }
    text
}
