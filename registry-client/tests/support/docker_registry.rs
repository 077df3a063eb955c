//! Debian's docker-registry on a free loopback port.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PROGRAM: &str = "/usr/bin/docker-registry";

/// How it is to be set up.
#[derive(Default)]
pub struct Setup<'a> {
    /// Lines of an htpasswd file.
    pub htpasswd: Option<&'a str>,
    /// Certificate and key.
    pub tls: Option<(&'a Path, &'a Path)>,
    /// A token server's URL, and the certificate of who signs its tokens (`me` for the service `test`).
    pub tokens: Option<(&'a str, &'a Path)>,
}

/// A running registry; it dies with this.
pub struct DockerRegistry {
    child: Child,
    port: u16,
    _root: TempDir,
}

impl DockerRegistry {
    /// Starts it; `None`, said aloud, where it is not installed (an error in CI).
    pub fn start(setup: &Setup<'_>) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            super::skipped(&format!("{PROGRAM} is not installed"));
            return None;
        }
        for _ in 0..5 {
            if let Some(started) = Self::try_start(setup) {
                return Some(started);
            }
        }
        panic!("{PROGRAM} does not start");
    }

    fn try_start(setup: &Setup<'_>) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let root = tempfile::tempdir().expect("a directory");
        let file = root.path().join("config.yml");
        std::fs::write(&file, config(setup, root.path(), port)).expect("written");
        let child = Command::new(PROGRAM)
            .arg("serve")
            .arg(&file)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut started = Self { child, port, _root: root };
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if started.child.try_wait().ok()?.is_some() {
                return None;
            }
            if started.answers() {
                return Some(started);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let sent = stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n");
        let mut answer = [0; 4];
        sent.is_ok() && stream.read_exact(&mut answer).is_ok()
    }

    /// Host and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(setup: &Setup<'_>, root: &Path, port: u16) -> String {
    let mut text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  delete:\n    enabled: true\n  filesystem:\n    rootdirectory: {}/data\nhttp:\n  addr: 127.0.0.1:{port}\n",
        root.display()
    );
    if let Some((certificate, key)) = setup.tls {
        let _ =
            write!(text, "  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display());
    }
    if let Some((realm, certificate)) = setup.tokens {
        let _ = write!(
            text,
            "auth:\n  token:\n    realm: {realm}\n    service: test\n    issuer: me\n    rootcertbundle: {}\n",
            certificate.display()
        );
    }
    if let Some(lines) = setup.htpasswd {
        let file = root.join("htpasswd");
        std::fs::write(&file, lines).expect("written");
        let _ = write!(text, "auth:\n  htpasswd:\n    realm: here\n    path: {}\n", file.display());
    }
    text
}
