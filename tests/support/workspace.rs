//! A build context and a store of its own, gone with the test.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A temporary directory with a context and a store.
pub struct Workspace {
    dir: tempfile::TempDir,
}

impl Workspace {
    /// An empty one.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("context")).unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir }
    }

    /// One whose context holds a Dockerfile, and busybox where that is installed.
    pub fn with(dockerfile: &str) -> Self {
        let workspace = Self::new();
        workspace.file("Dockerfile", dockerfile);
        let busybox = Path::new("/bin/busybox");
        if busybox.exists() {
            std::fs::copy(busybox, workspace.context().join("busybox")).unwrap();
        }
        workspace
    }

    /// The whole directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The build context.
    pub fn context(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    /// The store.
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Writes a file of the context.
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.context().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Sets the mode of a file of the context.
    pub fn mode(&self, path: &str, mode: u32) {
        std::fs::set_permissions(self.context().join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The binary with the store, an empty home and nothing else of the caller's environment.
    pub fn rbuild(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rbuild"));
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.path().join("home"))
            .current_dir(self.dir.path())
            .stdin(std::process::Stdio::null())
            .arg("--root")
            .arg(self.store());
        command
    }

    /// Writes the name and password (`name:password`) for an image's registry where the binary finds
    /// them, or removes them.
    pub fn log_in(&self, image: &str, login: Option<&str>) {
        let registry = image.split('/').next().unwrap();
        let auths = login.map(|login| format!("{registry:?}:{{\"auth\":{:?}}}", base64(login.as_bytes())));
        let dir = self.dir.path().join("home/.docker");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("config.json"), format!("{{\"auths\":{{{}}}}}", auths.unwrap_or_default()))
            .unwrap();
    }

    /// Runs the binary with some words.
    pub fn run(&self, words: &[&str]) -> Output {
        self.rbuild().args(words).output().unwrap()
    }

    /// Runs the binary with some words, and shows what it said if it fails.
    pub fn ok(&self, words: &[&str]) -> Said {
        let said = Said::from(self.run(words));
        assert!(said.code == Some(0), "rbuild {}: {said:?}", words.join(" "));
        said
    }

    /// Runs the binary with some words, and expects it to fail with a code.
    pub fn fails(&self, code: i32, words: &[&str]) -> Said {
        let said = Said::from(self.run(words));
        assert!(said.code == Some(code), "rbuild {}: expected {code}: {said:?}", words.join(" "));
        said
    }

    /// Builds the context with plain progress.
    pub fn build(&self, words: &[&str]) -> Said {
        let mut all = vec!["build", "--progress=plain"];
        all.extend(words);
        let context = self.context();
        all.push(context.to_str().unwrap());
        self.ok(&all)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            super::leftovers::none(self.dir.path());
        }
    }
}

/// What a run of the binary said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "code {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.out, self.err)
    }
}

impl Said {
    /// How many steps of the plain progress ran and were cached: `(ran, cached)`, counting only
    /// steps of stages (`[2/3] …`), not loading and exporting.
    pub fn steps(&self) -> (usize, usize) {
        let title = |line: &str| {
            let (number, rest) = line.strip_prefix('#')?.split_once(' ')?;
            let inside = rest.strip_prefix('[')?.split_once(']')?.0;
            inside.contains('/').then(|| number.to_owned())
        };
        let staged: std::collections::BTreeSet<String> = self.err.lines().filter_map(title).collect();
        let count = |word: &str| {
            self.err
                .lines()
                .filter_map(|line| line.strip_prefix('#')?.split_once(' '))
                .filter(|(number, rest)| staged.contains(*number) && rest.starts_with(word))
                .count()
        };
        (count("DONE"), count("CACHED"))
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32| char::from(LETTERS[(bits & 63) as usize]);
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let letters = [18, 12, 6, 0].map(|shift| letter(bits >> shift));
        text.extend(letters.iter().take(three.len() + 1));
        text.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    text
}
