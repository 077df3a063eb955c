//! Files that are seldom meant to be in a context.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::progress;

/// Files of this size and more are remarked upon.
const LARGE: u64 = 100 << 20;
/// As many remarks of each kind are made.
const MOST: usize = 10;

const SECRET_NAMES: [&str; 13] = [
    ".env",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".htpasswd",
    ".git-credentials",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "credentials.json",
    "kubeconfig",
];
const SECRET_ENDINGS: [&str; 6] = [".pem", ".key", ".pfx", ".p12", ".keystore", ".jks"];
const SECRET_PATHS: [&str; 3] = [".aws/credentials", ".docker/config.json", ".kube/config"];

/// Lines about some of the paths (directories end in a slash) below a root.
pub fn remarks(root: &Path, paths: &[Vec<u8>]) -> Vec<String> {
    let files = || paths.iter().filter(|path| !path.ends_with(b"/"));
    let secrets = files().filter(|path| looks_secret(path)).map(|path| {
        format!(
            "warning: {} looks like a secret: name it in .dockerignore, or give it with --secret\n",
            shown(path)
        )
    });
    let sized = files().filter_map(|path| {
        let size =
            root.join(OsStr::from_bytes(path)).symlink_metadata().ok().filter(|found| found.is_file())?.len();
        (size >= LARGE).then(|| format!("warning: {} takes {}\n", shown(path), progress::bytes(size)))
    });
    secrets.take(MOST).chain(sized.take(MOST)).collect()
}

fn shown(path: &[u8]) -> String {
    progress::printable(path)
}

fn looks_secret(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path);
    let name = path.rsplit('/').next().unwrap_or_default();
    let harmless = [".example", ".sample", ".template", ".dist"].iter().any(|ending| name.ends_with(ending));
    let in_place =
        |known: &&str| path.strip_suffix(*known).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    !harmless
        && (SECRET_NAMES.contains(&name)
            || name.starts_with(".env.")
            || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
            || SECRET_PATHS.iter().any(in_place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_secret() {
        for secret in
            [".env", "a/.env.production", "x/id_rsa", "tls/server.key", ".aws/credentials", "a/.kube/config"]
        {
            assert!(looks_secret(secret.as_bytes()), "{secret}");
        }
        for harmless in [".env.example", "env", "id_rsa.pub", "monkey", "key", "x.aws/credentials", "config"]
        {
            assert!(!looks_secret(harmless.as_bytes()), "{harmless}");
        }
    }
}
