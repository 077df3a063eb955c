//! Paths inside a root that lead out of it: sources and targets of mounts, and their cleaning up.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use defence::Defence;
use runtime_exec::{MountSource, MountSpec, ReadOnly};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::descriptors::said;
use crate::exhibit::{CANARY, Exhibit, Loot, stolen, treasury};
use crate::modes::Mode;
use crate::support::{Place, Step};

/// Each of them alone keeps a mount point inside.
const TARGETS: &[Defence] = &[Defence::LinksReadInside, Defence::NoLinks, Defence::RootEnds];

pub const EXHIBITS: &[Exhibit] = &[
    Exhibit::entered("bind-source-through-link", &[Defence::RootEnds], &Mode::ALL, |place| {
        source(place, "link/canary")
    }),
    Exhibit::entered("bind-source-through-dots", &[Defence::RootEnds], &Mode::ALL, |place| {
        source(place, "up/canary")
    }),
    Exhibit::entered("bind-target-through-link", TARGETS, &Mode::ALL, |place| target(place, "/link/made")),
    Exhibit::entered("bind-target-through-root-of-process", TARGETS, &Mode::ALL, target_through_process),
    Exhibit::entered(
        "bind-target-swapped",
        &[Defence::NoLinks, Defence::RootEnds],
        &Mode::ALL,
        target_swapped,
    ),
    Exhibit::entered(
        "clean-up-through-link",
        &[Defence::NoLinks, Defence::RootEnds, Defence::StubsUntouched],
        &Mode::ALL,
        clean_up_through_link,
    ),
    Exhibit::entered("bind-written-without-a-place", &[Defence::BindReadOnly], &Mode::ALL, bind_written),
];

fn mount(target: &str, source: MountSource) -> MountSpec {
    MountSpec { target: target.to_owned(), source, read_only: ReadOnly::No }
}

fn content() -> MountSource {
    MountSource::Content { bytes: b"planted".to_vec(), mode: 0o644, uid: 0, gid: 0 }
}

fn with(step: Step, source: MountSpec) -> Step {
    step.with(|spec| spec.mounts.push(source))
}

/// A layer with links to a directory of the host.
fn linking(place: &Place, to: &Path) -> std::path::PathBuf {
    let layer = place.fresh();
    symlink(to, layer.join("link")).unwrap();
    // All of them lie side by side.
    symlink(Path::new("..").join(to.file_name().unwrap()), layer.join("up")).unwrap();
    layer
}

/// `--mount=type=bind,from=image,source=…`, upon one layer and upon two.
fn source(place: &Place, subpath: &str) -> Loot {
    let layer = linking(place, &treasury(place));
    [vec![layer.clone()], vec![place.base.clone(), layer]].into_iter().find_map(|lower| {
        let source = MountSource::Overlay { lower, subpath: subpath.to_owned(), scratch: None };
        stolen(&said(&with(place.step(&["cat", "/m"]), mount("/m", source))))
    })
}

/// What a mount made in a directory of the host.
fn made_in(dir: &Path) -> Loot {
    let names: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    (!names.is_empty()).then(|| format!("made {names:?}"))
}

fn target(place: &Place, target: &str) -> Loot {
    let dir = place.fresh();
    let step = place.step_on(vec![place.base.clone(), linking(place, &dir)], &["true"]);
    said(&with(step, mount(target, content())));
    made_in(&dir)
}

/// The root of the first process still is the host's when mounts are made.
fn target_through_process(place: &Place) -> Loot {
    let dir = place.fresh();
    said(&with(place.step(&["true"]), mount(&format!("/proc/1/root{}/made", dir.display()), content())));
    made_in(&dir)
}

/// Another step swaps a directory of a shared cache for a link, while mounts are made below it.
fn target_swapped(place: &Place) -> Loot {
    // One in two hits: enough of them that the attack never fails by chance.
    const TRIES: usize = 24;
    // As if it swapped each time just after the link was looked for.
    let _looked = defence::take_down(&[Defence::LinksReadInside]);
    let (dir, cache) = (place.fresh(), place.fresh());
    fs::create_dir(cache.join("sub")).unwrap();
    symlink(&dir, cache.join("other")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                renameat_with(CWD, cache.join("sub"), CWD, cache.join("other"), RenameFlags::EXCHANGE)
                    .unwrap();
                std::thread::sleep(std::time::Duration::from_micros(50));
            }
        });
        let loot = (0..TRIES).find_map(|_| {
            let step = with(place.step(&["true"]), mount("/c", MountSource::Directory(cache.clone())));
            said(&with(step, mount("/c/sub/made", content())));
            made_in(&dir)
        });
        over.store(true, Ordering::Relaxed);
        loot
    })
}

/// The step puts a link where the parent of its mount point was; the name is removed afterwards.
fn clean_up_through_link(place: &Place) -> Loot {
    let dir = place.fresh();
    let file = dir.join("stub");
    fs::write(&file, "").unwrap();
    let script = format!("mv /a /b && ln -s {} /a && echo swapped", dir.display());
    let done = with(place.sh(&script), mount("/a/stub", content())).run().unwrap();
    assert_eq!(done.out, "swapped\n");
    (!file.exists()).then(|| "removed a file of the host".to_owned())
}

/// Nobody keeps what is written, so nothing may be.
fn bind_written(place: &Place) -> Loot {
    let dir = treasury(place);
    let source = MountSource::Overlay { lower: vec![dir.clone()], subpath: "/".to_owned(), scratch: None };
    said(&with(place.sh("echo changed > /m/canary"), mount("/m", source)));
    let now = fs::read_to_string(dir.join("canary")).unwrap();
    (now != CANARY).then_some(now)
}
