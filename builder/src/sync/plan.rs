//! Every image with its place at the target.

use std::path::{Path, PathBuf};

use oci::{Reference, Repository};

use super::error::SyncError;
use super::list::{Listed, SyncList, Wanted};
use crate::Session;
use crate::toolchain::{Place, PlaceError};
use crate::worker::{Permit, blocking};

/// Directories deeper than this hold no images.
const DEEPEST: usize = 32;

/// Where the images are.
pub enum SyncSource {
    /// An image of a registry.
    Image(Reference),
    /// All tags of a repository.
    Repository(Repository),
    /// A directory with directories of images (skopeo's `dir:`) anywhere below it, or one of those.
    Directory(PathBuf),
    /// A list of repositories.
    List(SyncList),
}

/// Where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncTarget {
    /// Below a registry's host or path: `registry.example/mirror`.
    Registry(String),
    /// Into directories of images below one.
    Directory(PathBuf),
}

/// How much of its old name an image keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The last part: `busybox:1`.
    #[default]
    Base,
    /// All of it: `docker.io/library/busybox:1`.
    Full,
}

/// One copy to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// From.
    pub from: Place,
    /// To.
    pub to: Place,
}

/// All copies to be made, and what could not be found out.
#[derive(Debug, Default)]
pub struct SyncPlan {
    /// The copies.
    pub copies: Vec<Planned>,
    /// Repositories whose tags could not be had, images without a name at the target.
    pub failures: Vec<SyncError>,
}

/// Finds out what is to be copied where. What cannot be found out of a part is a failure of that part.
pub async fn plan_sync(
    session: &Session,
    source: &SyncSource,
    target: &SyncTarget,
    scope: Scope,
) -> Result<SyncPlan, SyncError> {
    let mut plan = SyncPlan::default();
    match source {
        SyncSource::Image(image) => plan.registry_image(image, target, scope),
        SyncSource::Repository(repository) => {
            for image in tagged(session, repository, |_| true).await? {
                plan.registry_image(&image, target, scope);
            }
        }
        SyncSource::List(list) => {
            for wanted in list.registries.iter().flat_map(|Listed { wanted, .. }| wanted) {
                plan.wanted(session, wanted, target, scope).await;
            }
        }
        SyncSource::Directory(top) => {
            let wanted = top.clone();
            let found = blocking(Permit::free(), move || images_below(&wanted)).await?;
            for dir in found {
                plan.directory(top, &dir, target, scope);
            }
        }
    }
    match plan.copies.is_empty() && plan.failures.is_empty() {
        true => Err(SyncError::Nothing { source_name: source.shown() }),
        false => Ok(plan),
    }
}

impl SyncSource {
    fn shown(&self) -> String {
        match self {
            SyncSource::Image(image) => image.familiar(),
            SyncSource::Repository(repository) => repository.familiar(),
            SyncSource::Directory(dir) => dir.display().to_string(),
            SyncSource::List(_) => "the list".to_owned(),
        }
    }
}

impl SyncPlan {
    async fn wanted(&mut self, session: &Session, wanted: &Wanted, target: &SyncTarget, scope: Scope) {
        match wanted {
            Wanted::Image(image) => self.registry_image(image, target, scope),
            Wanted::Tags(repository, tags) => {
                match tagged(session, repository, |tag| tags.lets_through(tag)).await {
                    Ok(images) => images.iter().for_each(|image| self.registry_image(image, target, scope)),
                    Err(failure) => self.failures.push(failure),
                }
            }
        }
    }

    fn registry_image(&mut self, image: &Reference, target: &SyncTarget, scope: Scope) {
        self.add(Place::Registry(image.clone()), &image.to_string(), target, scope);
    }

    fn directory(&mut self, top: &Path, dir: &Path, target: &SyncTarget, scope: Scope) {
        let below = dir.strip_prefix(top).unwrap_or(dir);
        let own = if below.as_os_str().is_empty() { dir.file_name().map(Path::new) } else { Some(below) };
        let name = own.unwrap_or(dir).to_string_lossy().into_owned();
        self.add(Place::Directory(dir.to_owned()), &name, target, scope);
    }

    fn add(&mut self, from: Place, full: &str, target: &SyncTarget, scope: Scope) {
        let name = match scope {
            Scope::Full => full,
            Scope::Base => full.rsplit('/').next().unwrap_or(full),
        };
        let to = match target {
            SyncTarget::Directory(dir) => Ok(Place::Directory(dir.join(name))),
            SyncTarget::Registry(prefix) => {
                let name = format!("{}/{name}", prefix.trim_end_matches('/'));
                name.parse().map(Place::Registry).map_err(|error: oci::ReferenceError| SyncError::Name {
                    image: from.to_string(),
                    name,
                    reason: error.reason.to_owned(),
                })
            }
        };
        match to {
            // Two lists may want the same.
            Ok(to) if self.copies.iter().any(|known| known.from == from && known.to == to) => {}
            Ok(to) => match self.copies.iter().find(|known| known.to == to) {
                Some(other) => self.failures.push(SyncError::Name {
                    image: from.to_string(),
                    name: to.to_string(),
                    reason: format!("{} is called so as well (--scoped keeps them apart)", other.from),
                }),
                None => self.copies.push(Planned { from, to }),
            },
            Err(failure) => self.failures.push(failure),
        }
    }
}

async fn tagged(
    session: &Session,
    repository: &Repository,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Reference>, SyncError> {
    let failed = |source| SyncError::Tags { repository: repository.clone(), source };
    let tags = session.client.tags(repository).await.map_err(|error| failed(error.into()))?;
    // What a registry calls a tag and is none cannot be asked for.
    Ok(tags.iter().filter(|tag| wanted(tag)).filter_map(|tag| repository.with_tag(tag).ok()).collect())
}

/// Directories of images at or below one. Links are not followed.
fn images_below(top: &Path) -> Result<Vec<PathBuf>, PlaceError> {
    fn visit(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), PlaceError> {
        if dir.join("manifest.json").is_file() {
            found.push(dir.to_owned());
            return Ok(());
        }
        if depth == 0 {
            return Ok(());
        }
        for entry in std::fs::read_dir(dir).map_err(|error| PlaceError::io(dir, error))? {
            let entry = entry.map_err(|error| PlaceError::io(dir, error))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                visit(&entry.path(), depth - 1, found)?;
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    visit(top, DEEPEST, &mut found)?;
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_target_are_skopeos() {
        let image: Reference = "busybox:1".parse().unwrap();
        for (target, scope, expected) in [
            (SyncTarget::Registry("a.example/x/".to_owned()), Scope::Base, "docker://a.example/x/busybox:1"),
            (
                SyncTarget::Registry("a.example".to_owned()),
                Scope::Full,
                "docker://a.example/docker.io/library/busybox:1",
            ),
            (SyncTarget::Directory("/usb".into()), Scope::Base, "dir:/usb/busybox:1"),
            (SyncTarget::Directory("/usb".into()), Scope::Full, "dir:/usb/docker.io/library/busybox:1"),
        ] {
            let mut plan = SyncPlan::default();
            plan.registry_image(&image, &target, scope);
            plan.registry_image(&image, &target, scope);
            let [only] = plan.copies.as_slice() else { panic!("one copy") };
            assert_eq!(only.to.to_string(), expected);
        }
        let target = SyncTarget::Registry("a.example".to_owned());
        let mut plan = SyncPlan::default();
        for (dir, scope) in
            [("usb/busybox:1", Scope::Base), ("usb/q/busybox:1", Scope::Full), ("usb", Scope::Base)]
        {
            plan.directory(Path::new("usb"), Path::new(dir), &target, scope);
        }
        let to: Vec<String> = plan.copies.iter().map(|copy| copy.to.to_string()).collect();
        assert_eq!(
            to,
            [
                "docker://a.example/busybox:1",
                "docker://a.example/q/busybox:1",
                "docker://a.example/usb:latest"
            ]
        );
        // Two of one name, and one that can be no name.
        plan.directory(Path::new("usb"), Path::new("usb/other/busybox:1"), &target, Scope::Base);
        plan.directory(Path::new("usb"), Path::new("usb/UPPER:1"), &target, Scope::Base);
        let reasons: Vec<String> = plan.failures.iter().map(ToString::to_string).collect();
        assert!(reasons[0].contains("--scoped") && reasons[1].contains("lower case"), "{reasons:?}");
    }
}
