//! Trees as lines of text: `dir etc 0755 0:0`, `file etc/x 0644 0:0 content`, `link bin usr/bin`,
//! `hard b a`, `fifo p 0600 0:0`. Nothing is said of times.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use graph::{Copy, FileAction, Unpack};
use layer_store::{
    Attributes, Content, IdRanges, Kind, LayerWriter, Lease, Mode, OpenOptions, Snapshot, StackView, Store,
    Time,
};
use tempfile::TempDir;

use crate::context::scan;
use crate::file::{Again, FileError, FileInput, run_file};
use crate::request::LocalContext;

/// A time long ago, given to everything that tests make.
pub(super) const LONG_AGO: i64 = 1_000_000_000;

/// A store of its own.
pub(super) struct Bench {
    pub(super) store: Store,
    pub(super) lease: Lease,
    temp: TempDir,
}

/// A bench, or nothing where the tests cannot run.
pub(super) fn bench() -> Option<Bench> {
    if !rustix::process::geteuid().is_root() {
        #[expect(clippy::disallowed_methods, reason = "a test looks around")]
        let in_ci = std::env::var_os("CI").is_some();
        assert!(!in_ci, "needs root");
        eprintln!("skipped: needs root, to give files to owners");
        return None;
    }
    let temp = TempDir::new().expect("temporary directory");
    let options = OpenOptions { mode: Mode::Root, ids: IdRanges::default() };
    let store = Store::open(&temp.path().join("store"), &options).expect("store");
    let lease = store.lease().expect("lease");
    Some(Bench { store, lease, temp })
}

impl Bench {
    /// A layer with these lines upon `base`.
    pub(super) fn snapshot(&self, base: &Snapshot, lines: &[&str]) -> Snapshot {
        let mut writer = self.lease.write_layer(base).expect("layer");
        for line in lines {
            write_line(&mut writer, line);
        }
        let mut layers = base.0.clone();
        layers.push(writer.commit().expect("commit"));
        Snapshot(layers)
    }

    /// A directory with these lines.
    pub(super) fn directory(&self, name: &str, lines: &[&str]) -> PathBuf {
        let root = self.temp.path().join(name);
        fs::create_dir_all(&root).expect("directory");
        for line in lines {
            make_line(&root, line);
        }
        date_all(&root);
        root
    }

    pub(super) fn context(&self, root: &Path, ignore: &[&str]) -> FileInput {
        let ignore: Vec<String> = ignore.iter().map(|rule| rule.to_string()).collect();
        let context = LocalContext::Directory(root.into());
        FileInput::Context(Arc::new(scan(&context, &ignore, &self.store.stat_index()).expect("scan")))
    }

    /// Runs one copy from input 1 and shows the layer it makes.
    pub(super) fn copy(
        &self,
        base: &Snapshot,
        from: FileInput,
        copy: Copy,
    ) -> Result<Vec<String>, FileError> {
        self.run(base, &[from], &[FileAction::Copy(Box::new(copy))])
    }

    pub(super) fn run(
        &self,
        base: &Snapshot,
        inputs: &[FileInput],
        actions: &[FileAction],
    ) -> Result<Vec<String>, FileError> {
        Ok(self.lines(&self.layer(base, inputs, actions)?))
    }

    /// Runs actions and gives the new layer alone.
    pub(super) fn layer(
        &self,
        base: &Snapshot,
        inputs: &[FileInput],
        actions: &[FileAction],
    ) -> Result<Snapshot, FileError> {
        let mut all = vec![FileInput::Snapshot(base.clone())];
        all.extend(inputs.iter().cloned());
        Ok(Snapshot(vec![run_file(&self.store, &self.lease, actions, base, &all, Again::Files)?.layer]))
    }

    pub(super) fn lines(&self, snapshot: &Snapshot) -> Vec<String> {
        let view = self.store.stack(snapshot).expect("view");
        let mut lines = Vec::new();
        show(&view, Path::new(""), &mut lines);
        lines
    }
}

/// A copy as `COPY` makes it.
pub(super) fn copy(source: &str, dest: &str) -> Copy {
    Copy {
        input: 1,
        source: source.into(),
        dest: dest.into(),
        wildcard: true,
        allow_empty_wildcard: true,
        follow_symlinks: true,
        dir_contents: true,
        create_dest_path: true,
        owner: None,
        mode: None,
        exclude: Vec::new(),
        parents: false,
        unpack: Unpack::Never,
        required: false,
    }
}

struct Line<'a> {
    what: &'a str,
    path: &'a str,
    rest: Vec<&'a str>,
}

impl<'a> Line<'a> {
    fn new(line: &'a str) -> Self {
        let mut words = line.splitn(5, ' ');
        let what = words.next().expect("a word");
        let path = words.next().expect("a path");
        Self { what, path, rest: words.collect() }
    }

    fn mode(&self) -> u32 {
        self.rest.first().map_or(0, |mode| u32::from_str_radix(mode, 8).expect("mode"))
    }

    fn attributes(&self, kind: Kind) -> Attributes {
        let mut attributes = Attributes::new(kind, self.mode());
        let (uid, gid) = self.rest.get(1).and_then(|ids| ids.split_once(':')).unwrap_or(("0", "0"));
        attributes.uid = uid.parse().expect("uid");
        attributes.gid = gid.parse().expect("gid");
        attributes.mtime = Time { secs: LONG_AGO, nanos: 0 };
        attributes
    }

    fn content(&self) -> &'a [u8] {
        self.rest.get(2).map_or(b"", |text| text.as_bytes())
    }
}

fn write_line(writer: &mut LayerWriter, line: &str) {
    let line = Line::new(line);
    let path = Path::new(line.path);
    let done = match line.what {
        "dir" => writer.directory(path, &line.attributes(Kind::Directory)),
        "file" => {
            let size = line.content().len() as u64;
            writer.file(path, &line.attributes(Kind::File { size }), Content::Bytes(line.content()))
        }
        "link" => {
            let target = line.rest.join(" ").into();
            let mut attributes = Attributes::new(Kind::Symlink { target }, 0o777);
            attributes.mtime = Time { secs: LONG_AGO, nanos: 0 };
            writer.symlink(path, &attributes)
        }
        "hard" => writer.hardlink(path, Path::new(line.rest[0])),
        "fifo" => writer.special(path, &line.attributes(Kind::Fifo)),
        other => panic!("{other}"),
    };
    done.expect("line of a layer");
}

fn make_line(root: &Path, line: &str) {
    let line = Line::new(line);
    let path = root.join(line.path);
    match line.what {
        "dir" => fs::create_dir(&path).expect("directory"),
        "file" => fs::write(&path, line.content()).expect("file"),
        "link" => std::os::unix::fs::symlink(line.rest.join(" "), &path).expect("link"),
        "hard" => fs::hard_link(root.join(line.rest[0]), &path).expect("hard link"),
        "fifo" => {
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
                .expect("fifo")
        }
        other => panic!("{other}"),
    }
    if matches!(line.what, "dir" | "file" | "fifo") {
        fs::set_permissions(&path, fs::Permissions::from_mode(line.mode())).expect("mode");
    }
}

/// Dates a tree long ago, so that nothing in it looks as if it were still being written.
fn date_all(root: &Path) {
    let spec = rustix::fs::Timespec { tv_sec: LONG_AGO, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: spec, last_modification: spec };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    if root.symlink_metadata().expect("metadata").is_dir() {
        fs::read_dir(root).expect("listing").for_each(|entry| date_all(&entry.expect("entry").path()));
    }
    rustix::fs::utimensat(rustix::fs::CWD, root, &times, flags).expect("times");
}

fn show(view: &StackView, directory: &Path, lines: &mut Vec<String>) {
    for (name, entry) in view.read_dir(directory).expect("listing") {
        let path = directory.join(&name);
        let Attributes { kind, mode, uid, gid, .. } = &entry.attributes;
        let shown = path.display();
        lines.push(match kind {
            Kind::Directory => format!("dir {shown} {mode:04o} {uid}:{gid}"),
            Kind::Symlink { target } => format!("link {shown} {}", target.display()),
            Kind::File { .. } => {
                let mut content = String::new();
                view.open(&path).expect("open").read_to_string(&mut content).expect("content");
                let line = format!("file {shown} {mode:04o} {uid}:{gid} {content}");
                line.trim_end().to_owned()
            }
            Kind::Fifo => format!("fifo {shown} {mode:04o} {uid}:{gid}"),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Socket => format!("special {shown}"),
        });
        if *kind == Kind::Directory {
            show(view, &path, lines);
        }
    }
}

/// The identity of a file in a snapshot, to see which names share it.
pub(super) fn identity(bench: &Bench, snapshot: &Snapshot, path: &str) -> Option<(usize, u64)> {
    let view = bench.store.stack(snapshot).expect("view");
    view.lookup(Path::new(path)).expect("lookup").map(|entry| entry.identity)
}

/// The whole entry's attributes.
pub(super) fn attributes(bench: &Bench, snapshot: &Snapshot, path: impl AsRef<OsStr>) -> Attributes {
    let view = bench.store.stack(snapshot).expect("view");
    view.lookup(Path::new(path.as_ref())).expect("lookup").expect("entry").attributes
}
