//! Where control groups are made, by what the kernel says of this process.

use std::path::{Component, Path, PathBuf};

use crate::limits::Version;

/// The hierarchies of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchies(Vec<Hierarchy>);

/// One hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    version: Version,
    /// Its controllers; of the second version all that are not elsewhere.
    controllers: Vec<String>,
    /// The topmost directory that is seen of it.
    top: PathBuf,
    /// The directory in which groups for steps are made.
    parent: PathBuf,
}

impl Hierarchies {
    /// Those of this process.
    pub(super) fn own() -> std::io::Result<Hierarchies> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let groups = std::fs::read_to_string("/proc/self/cgroup")?;
        Ok(Hierarchies::parse(&mounts, &groups))
    }

    /// From the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`.
    fn parse(mounts: &str, groups: &str) -> Hierarchies {
        let found = groups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let version = if controllers.is_empty() { Version::Two } else { Version::One };
            let (top, directory) =
                mounts.lines().find_map(|mount| directory(mount, version, controllers, path))?;
            let parent = match version {
                Version::One => directory,
                // A group with processes of its own may have none below it that are limited: the new one
                // stands beside ours.
                Version::Two if path == "/" => directory,
                Version::Two => directory.parent()?.to_owned(),
            };
            let controllers = controllers.split(',').map(str::to_owned).collect();
            Some(Hierarchy { version, controllers, top, parent })
        });
        Hierarchies(found.collect())
    }

    /// Which version has a controller, and where its groups are made.
    pub(super) fn of(&self, controller: &str) -> Option<(Version, &Path)> {
        let name = |hierarchy: &&Hierarchy| hierarchy.controllers.iter().any(|known| known == controller);
        let found = self.0.iter().find(name).or_else(|| {
            self.0
                .iter()
                .find(|hierarchy| hierarchy.version == Version::Two && offers(&hierarchy.parent, controller))
        })?;
        Some((found.version, &found.parent))
    }

    /// The same with groups made in another one, which is named from the top of each hierarchy.
    pub(super) fn within(mut self, group: &Path) -> Hierarchies {
        let relative: PathBuf =
            group.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        // A hierarchy of systemd's own has no controller to limit by.
        self.0.retain(|hierarchy| hierarchy.controllers.iter().all(|name| !name.starts_with("name=")));
        for hierarchy in &mut self.0 {
            hierarchy.parent = hierarchy.top.join(&relative);
        }
        self
    }

    /// For each hierarchy its version, its topmost directory, and where groups are made in it.
    pub(super) fn places(&self) -> impl Iterator<Item = (Version, &Path, &Path)> {
        self.0.iter().map(|one| (one.version, one.top.as_path(), one.parent.as_path()))
    }

    /// All places in which groups are made.
    pub(super) fn parents(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|hierarchy| hierarchy.parent.as_path())
    }
}

/// Whether a group of the second version has a controller to give.
fn offers(group: &Path, controller: &str) -> bool {
    std::fs::read_to_string(group.join("cgroup.controllers"))
        .is_ok_and(|text| text.split_whitespace().any(|known| known == controller))
}

/// The topmost directory of a hierarchy and that of a group in it, if this line tells of the mount of its hierarchy.
fn directory(mount: &str, version: Version, controllers: &str, path: &str) -> Option<(PathBuf, PathBuf)> {
    let (place, kind) = mount.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let (file_system, options) = (kind.next()?, kind.nth(1)?);
    let right = match version {
        Version::Two => file_system == "cgroup2",
        Version::One => {
            file_system == "cgroup"
                && controllers.split(',').all(|one| options.split(',').any(|option| option == one))
        }
    };
    if !right {
        return None;
    }
    let below = Path::new(path).strip_prefix(root).ok()?;
    Some((PathBuf::from(point), Path::new(point).join(below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
        31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        36 31 0:33 /docker/1 /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn place(hierarchies: &Hierarchies, controller: &str) -> Option<(Version, String)> {
        hierarchies.of(controller).map(|(version, path)| (version, path.display().to_string()))
    }

    #[test]
    fn hybrid() {
        let groups = "9:name=systemd:/\n8:pids:/docker/1/x\n4:memory:/a/b\n2:cpu,cpuacct:/\n0::/\n";
        let found = Hierarchies::parse(HYBRID, groups);
        assert_eq!(place(&found, "memory"), Some((Version::One, "/sys/fs/cgroup/memory/a/b".into())));
        assert_eq!(place(&found, "cpu"), Some((Version::One, "/sys/fs/cgroup/cpu,cpuacct/".into())));
        assert_eq!(place(&found, "pids"), Some((Version::One, "/sys/fs/cgroup/pids/x".into())));
        assert_eq!(place(&found, "blkio"), None);
    }

    #[test]
    fn a_group_may_be_named_from_the_top() {
        let groups = "9:name=systemd:/\n8:pids:/docker/1/x\n4:memory:/a/b\n0::/x/y\n";
        let found = Hierarchies::parse(HYBRID, groups).within(Path::new("/ci/../jobs"));
        assert_eq!(place(&found, "memory"), Some((Version::One, "/sys/fs/cgroup/memory/ci/jobs".into())));
        assert_eq!(place(&found, "pids"), Some((Version::One, "/sys/fs/cgroup/pids/ci/jobs".into())));
        let parents: Vec<_> = found.places().map(|(_, _, parent)| parent.display().to_string()).collect();
        assert!(parents.contains(&"/sys/fs/cgroup/unified/ci/jobs".to_owned()), "{parents:?}");
    }

    #[test]
    fn unified_groups_stand_beside_ours() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("user.slice/own.scope");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.parent().unwrap().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        let mounts = format!("29 23 0:26 / {} rw,nosuid - cgroup2 cgroup2 rw\n", dir.path().display());
        let found = Hierarchies::parse(&mounts, "0::/user.slice/own.scope\n");
        let expected = dir.path().join("user.slice").display().to_string();
        assert_eq!(place(&found, "memory"), Some((Version::Two, expected)));
        assert_eq!(place(&found, "io"), None);
    }
}
