//! An ordinary user with no id but its own, and nobody's help: images have the owners that root's have.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::debian::debian;
use crate::support::ordinary::Ordinary;
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

const BUSYBOX: &str = r#"FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN echo root:x:0:0::/root:/bin/sh > /etc/passwd && \
    echo app:x:1000:1001::/home/app:/bin/sh >> /etc/passwd && echo web:x:33:app >> /etc/group
FROM base
COPY --chown=1000:1001 --chmod=640 owned/ /owned/
RUN touch /f && chown 5:6 /f && chmod 4750 /f && mkdir -m 2775 /shared && chown :50 /shared && chmod 2775 /shared
RUN echo x > /shared/f && mkdir /shared/d && ln -s f /shared/l && mkfifo /shared/p
RUN mknod -m 660 /disk b 8 1 && chown 0:6 /disk && mknod /null c 1 3 && ln /null /also && ln -s /f /l && chown -h 7:8 /l
RUN mkdir -p /home/app && chown app /home/app && su app -c 'cd /home/app; mkdir d; echo 1 > d/f; ln -s d/f l; id -u'
RUN mv /home/app/l /home/app/d/l && chown -R 60000:65534 /owned && [ "$(stat -c %u /home/app/d/l)" = 1000 ]
WORKDIR /work/here
USER app
WORKDIR /home/app/work
RUN --mount=type=cache,target=/cache,uid=1000,gid=1001,mode=700 --mount=type=secret,id=word,uid=1000 \
    [ "$(id -u):$(id -G)" = "1000:1001 33" ] && [ "$(stat -c '%u %g %a' /cache)" = "1000 1001 700" ] && \
    [ "$(stat -c %u /run/secrets/word)" = 1000 ] && touch /cache/f made && [ "$(stat -c %u /cache/f)" = 1000 ]
RUN --mount=type=cache,target=/cache,uid=1000,gid=1001,mode=700 [ "$(stat -c %u /cache/f)" = 1000 ] && \
    ! chown 0 made 2>/dev/null && ! su root -c true 2>/dev/null && echo more >> made
"#;

/// The user's own copy of the binary, its home and a context.
struct Alone {
    user: Ordinary,
}

impl Alone {
    fn new(context: &Path) -> Alone {
        let user = Ordinary::without_ids();
        std::fs::copy(env!("CARGO_BIN_EXE_rbuild"), user.home().join("rbuild")).unwrap();
        copy(context, &user.home().join("context"));
        Alone { user }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.user.home().join(name)
    }

    fn run(&self, words: &[&str]) -> Said {
        let mut command = self.user.command(&self.path("rbuild"));
        Said::from(command.args(words).output().unwrap())
    }

    fn ok(&self, words: &[&str]) -> Said {
        let said = self.run(words);
        assert!(said.code == Some(0), "{words:?}: {said:?}");
        said
    }

    /// Builds the context into an archive of its tree.
    fn tree(&self, options: &[&str]) -> BTreeMap<PathBuf, File> {
        let tar = self.path("tree.tar");
        let output = format!("type=tar,dest={}", tar.display());
        let context = self.path("context");
        let mut words = vec!["build", "--progress=plain", "-o", &output];
        words.extend(options);
        words.push(context.to_str().unwrap());
        self.ok(&words);
        read(&tar)
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All there is to a file of an archive but its times and its content.
#[derive(Debug, PartialEq)]
struct File {
    kind: tar::EntryType,
    mode: u32,
    owner: (u64, u64),
    device: (Option<u32>, Option<u32>),
    link: Option<PathBuf>,
    attributes: BTreeMap<String, Vec<u8>>,
}

fn read(archive: &Path) -> BTreeMap<PathBuf, File> {
    let mut archive = tar::Archive::new(std::fs::File::open(archive).unwrap());
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut attributes = BTreeMap::new();
        for extension in entry.pax_extensions().unwrap().into_iter().flatten().flatten() {
            let key = extension.key().unwrap();
            if key.starts_with("SCHILY") {
                attributes.insert(key.to_owned(), extension.value_bytes().to_vec());
            }
        }
        let header = entry.header();
        let file = File {
            kind: header.entry_type(),
            mode: header.mode().unwrap(),
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            device: (header.device_major().unwrap(), header.device_minor().unwrap()),
            link: entry.link_name().unwrap().map(Into::into),
            attributes,
        };
        let path = entry.path().unwrap().into_owned();
        std::io::copy(&mut entry.by_ref(), &mut std::io::sink()).unwrap();
        files.insert(path, file);
    }
    files
}

fn root_tree(workspace: &Workspace, options: &[&str]) -> BTreeMap<PathBuf, File> {
    let tar = workspace.path().join("tree.tar");
    let output = format!("type=tar,dest={}", tar.display());
    let mut words = vec!["-o", &output];
    words.extend(options);
    workspace.build(&words);
    read(&tar)
}

fn compare(root: &BTreeMap<PathBuf, File>, alone: &BTreeMap<PathBuf, File>) {
    for path in root.keys().chain(alone.keys()) {
        assert_eq!(root.get(path), alone.get(path), "{}", path.display());
    }
}

#[test]
fn a_user_with_one_id_builds_the_tree_that_root_builds() {
    if !(is_root() && has("busybox")) {
        return;
    }
    let workspace = Workspace::with(BUSYBOX);
    workspace.file("owned/a", "1");
    workspace.file("owned/b/c", "2");
    workspace.file("word", "secret");
    workspace.mode("word", 0o644);
    let secret = format!("id=word,src={}", workspace.context().join("word").display());
    let root = root_tree(&workspace, &["--secret", &secret]);
    let alone = Alone::new(&workspace.context());
    let secret = format!("id=word,src={}", alone.path("context/word").display());
    let tree = alone.tree(&["--secret", &secret]);
    compare(&root, &tree);
    let owner = |path: &str| tree[Path::new(path)].owner;
    assert_eq!((owner("home/app/work/made"), owner("l")), ((1000, 1001), (7, 8)));
    assert_eq!((owner("owned/b/c"), owner("disk")), ((60000, 65534), (0, 6)));

    compare(&root, &alone.tree(&["--secret", &secret, "--no-cache", "--snapshotter=copy"]));

    let context = alone.path("context");
    alone.ok(&["build", "-q", "--secret", &secret, "-t", "mine", context.to_str().unwrap()]);
    // A container finds them as well, and cannot tell what stands for the devices.
    let said = alone.ok(&["run", "mine", "sh", "-c", "stat -c '%u %g %F' /l /disk /home/app/d/l; id -un"]);
    let expected = "7 8 symbolic link\n0 6 block special file\n1000 1001 symbolic link\napp\n";
    assert_eq!(said.out, expected);

    // The store stays as it was made, also when the user has more ids by now.
    alone.user.give_ids();
    assert_eq!(alone.ok(&["run", "mine", "id", "-u"]).out, "1000\n");
}

#[test]
fn a_store_with_many_ids_is_not_for_a_user_with_one() {
    if !(is_root() && has("newuidmap")) {
        return;
    }
    let user = Ordinary::new();
    let rbuild = Path::new(env!("CARGO_BIN_EXE_rbuild"));
    let images = |user: &Ordinary| Said::from(user.command(rbuild).args(["images"]).output().unwrap());
    assert_eq!(images(&user).code, Some(0));
    user.take_ids();
    let said = images(&user);
    assert_eq!(said.code, Some(5), "{said:?}");
    assert!(said.err.contains("mapped") && said.err.contains("single-id"), "{said:?}");
}

const DEBIAN: &str = r#"FROM scratch
ADD debian.tar /
RUN apt-get update && apt-get install -y --no-install-recommends sudo libcap2-bin cron && dpkg --audit
RUN useradd -m -G sudo ann && echo 'ann ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ann && \
    [ "$(su ann -c 'id -un; sudo id -un; sudo -u www-data id -un; touch ~/f; sudo stat -c %U ~/f' | tr '\n' ' ')" = "ann root www-data ann " ]
RUN cp /bin/true /bin/capable && setcap cap_net_raw+ep /bin/capable && chgrp mail /bin/capable && \
    setcap cap_net_raw+ep /bin/capable && [ "$(getcap /bin/capable)" = "/bin/capable cap_net_raw=ep" ]
RUN cp -a /home/ann /home/copy && tar -C /home -cf - ann | tar -C /mnt -xf - && chown -R root:root /home/copy
RUN --mount=target=/context perl /context/calls.pl
"#;

/// Calls of x86_64 that no sane program makes, and the list of attributes, which hides ours.
const CALLS: &str = r#"use strict;
my ($home, $name, $one, $room, $long) = ("/home/ann", "user.test", "1", "\0" x 4096, "x" x 5000);
sub fails { my ($errno, @call) = @_; my $number = shift @call;
    my $result = syscall($number, @call, (0) x (5 - @call));
    $result == -1 && $! == $errno or die "call $number: $result, $!"; }
syscall(188, $home, $name, $one, 1, 0) == 0 or die "set: $!";
my $length = syscall(194, $home, $room, 4096);
substr($room, 0, $length) eq "user.test\0" or die "list: " . substr($room, 0, $length);
syscall(194, $home, 0, 0) >= 10 or die "length of the list";
fails(34, 194, $home, $room, 3);
syscall(197, $home, $name) == 0 or die "remove: $!";
fails(14, 4, $home, 8);       # stat to a bad place
fails(14, 4, 8, $room);       # of a bad path
fails(14, 92, 8, 1, 1);       # chown
fails(36, 92, $long, 1, 1);
fails(9, 93, 99, 1, 1);       # fchown
fails(22, 260, -100, $home, 1, 1, 1 << 20);
fails(22, 116, 70000, $room); # setgroups
fails(14, 116, 5, 8);
fails(22, 105, -1);           # setuid
fails(14, 118, 8, 8, 8);      # getresuid
"#;

#[test]
fn debian_packages_and_users_are_as_root_has_them() {
    if !(is_root() && has("debootstrap")) || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let workspace = Workspace::with(DEBIAN);
    workspace.file("calls.pl", CALLS);
    let tar = workspace.context().join("debian.tar");
    std::fs::hard_link(debian(), &tar).or_else(|_| std::fs::copy(debian(), &tar).map(drop)).unwrap();
    let alone = Alone::new(&workspace.context());
    compare(&root_tree(&workspace, &[]), &alone.tree(&[]));
}
