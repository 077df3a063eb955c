//! An ordinary user with subordinate ids, without touching the host's accounts: a mount namespace in
//! which the account files are ours.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

/// The user's id. Nobody has it on a usual machine.
pub const UID: u32 = 45_678;

const SCRIPT: &str = r#"set -e
for file in passwd group subuid subgid; do mount --bind "$ACCOUNTS/$file" /etc/$file; done
exec setpriv --reuid=45678 --regid=45678 --clear-groups --inh-caps=-all -- "$@"
"#;

/// A user whose account files and home are below a directory.
pub struct Ordinary {
    dir: tempfile::TempDir,
}

impl Ordinary {
    /// Writes the account files.
    pub fn new() -> Self {
        Self::with("builder:3000000:65536\n")
    }

    /// The same without subordinate ids.
    pub fn without_ids() -> Self {
        Self::with("")
    }

    /// Gives the user subordinate ids from now on.
    pub fn give_ids(&self) {
        self.set_ids("builder:3000000:65536\n");
    }

    /// Takes them away.
    pub fn take_ids(&self) {
        self.set_ids("");
    }

    fn set_ids(&self, ids: &str) {
        for name in ["subuid", "subgid"] {
            std::fs::write(self.dir.path().join(name), ids).unwrap();
        }
    }

    fn with(ids: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        open_to_all(dir.path());
        let write = |name: &str, line: &str| {
            let mut text = std::fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
            text.push_str(line);
            std::fs::write(dir.path().join(name), text).unwrap();
        };
        write("passwd", &format!("builder:x:{UID}:{UID}::{}:/bin/sh\n", dir.path().join("home").display()));
        write("group", &format!("builder:x:{UID}:\n"));
        write("subuid", ids);
        write("subgid", ids);
        std::fs::create_dir(dir.path().join("home")).unwrap();
        chown(dir.path().join("home"), Some(UID), Some(UID)).unwrap();
        Self { dir }
    }

    /// The home directory, which the user owns.
    pub fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("home")
    }

    /// A program as that user.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", SCRIPT, "sh"])
            .arg(program)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("ACCOUNTS", self.dir.path())
            .env("HOME", self.home())
            .current_dir(self.home())
            .stdin(std::process::Stdio::null());
        command
    }
}

/// Lets others enter a directory.
fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
}
