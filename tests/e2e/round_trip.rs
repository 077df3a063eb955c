//! Random trees and random edits are the same after a push and a pull into another store, as the kernel
//! sees them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::road::BUSYBOX;
use crate::support::registry::{Access, Registry};
use crate::support::workspace::Workspace;
use crate::support::{has, is_root};

/// Pseudo-random numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn path(&mut self) -> String {
        const NAMES: [&str; 6] =
            ["a", "b", "c", "long-name-long-name-long-name-long-name-long-name", "sp ace", "ä"];
        let depth = 1 + self.roll(3);
        let names: Vec<&str> = (0..depth).map(|_| NAMES[self.roll(NAMES.len())]).collect();
        format!("'/t/{}'", names.join("/"))
    }

    /// One thing that a step does; some fail, and that is as good.
    fn edit(&mut self) -> String {
        let (path, other, number) = (self.path(), self.path(), self.roll(5000));
        match self.roll(14) {
            0..=2 => format!("mkdir -p {path}"),
            3..=5 => format!("echo {number} > {path}"),
            6 => format!("rm -rf {path}"),
            7 => format!("ln {path} {other}"),
            8 => format!("ln -sfn {other} {path}"),
            9 => format!("chmod {} {path}", ["4755", "1777", "600", "2750", "0"][number % 5]),
            10 => format!("chown -h {number}:{} {path}", number * 1000),
            11 => format!("mv {path} {other}"),
            12 => format!("touch -h -d @{} {path}", number * 100_000),
            _ => match number % 4 {
                0 => format!("mkfifo {path}"),
                1 => format!("mknod {path} b 8 {}", number % 200),
                2 => format!("dd if=/dev/urandom of={path} bs=1000 count=20 seek={number}"),
                _ => format!("rm -rf {path}; mkdir -p {path}"),
            },
        }
    }

    fn dockerfile(&mut self) -> String {
        let mut text = format!("{BUSYBOX}RUN mkdir /t\n");
        for _ in 0..3 + self.roll(4) {
            let edits: Vec<String> = (0..1 + self.roll(20)).map(|_| self.edit()).collect();
            let _ = writeln!(text, "RUN {}; true", edits.join("; "));
        }
        text
    }
}

/// What the kernel says of a file; times in whole seconds, as archives have them.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    device: u64,
    seconds: i64,
    content: Vec<u8>,
    /// The first path with the same inode.
    first: PathBuf,
}

fn seen(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let (mut all, mut firsts) = (BTreeMap::new(), BTreeMap::new());
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_owned();
        let kind = metadata.file_type();
        let content = match () {
            () if kind.is_file() => std::fs::read(&path).unwrap(),
            () if kind.is_symlink() => {
                std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            }
            () => Vec::new(),
        };
        if kind.is_dir() {
            let mut below: Vec<PathBuf> =
                std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
            below.sort_unstable_by(|one, other| other.cmp(one));
            left.extend(below);
        }
        let device = if kind.is_block_device() || kind.is_char_device() { metadata.rdev() } else { 0 };
        let first = firsts.entry(metadata.ino()).or_insert_with(|| name.clone()).clone();
        let owner = (metadata.uid(), metadata.gid());
        let one = Seen { mode: metadata.mode(), owner, device, seconds: metadata.mtime(), content, first };
        all.insert(name, one);
    }
    all
}

/// The tree of an image, mounted for a moment.
fn tree(workspace: &Workspace, name: &str) -> BTreeMap<PathBuf, Seen> {
    let path = workspace.ok(&["mount", name]).out;
    let found = std::panic::catch_unwind(|| seen(&Path::new(path.trim_end()).join("t")));
    workspace.ok(&["unmount", name]);
    found.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[test]
fn random_trees_and_edits_come_back_from_a_registry() {
    if !(is_root() && has("busybox") && has("docker-registry")) {
        return;
    }
    let rounds = std::env::var("RBUILD_ROUND_TRIPS").map_or(2, |text| text.parse().unwrap());
    let registry = Registry::start(Access::Open);
    for seed in 0..rounds {
        let dockerfile = Dice(seed).dockerfile();
        let name = registry.name(&format!("tree:{seed}"));
        let (here, there) = (Workspace::with(&dockerfile), Workspace::new());
        here.build(&["-t", &name]);
        let before = tree(&here, &name);
        here.ok(&["push", "-q", &name]);
        there.ok(&["pull", "-q", &name]);
        let after = tree(&there, &name);
        for (path, seen) in &before {
            assert_eq!(Some(seen), after.get(path), "seed {seed}: {}\n{dockerfile}", path.display());
        }
        assert_eq!(before.len(), after.len(), "seed {seed}: {:?}\n{dockerfile}", after.keys());
    }
}
