//! Debian's docker-registry on loopback, ended with the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running registry.
pub struct Registry {
    child: Child,
    address: SocketAddr,
    dir: tempfile::TempDir,
}

/// Who may come in.
pub enum Access<'a> {
    /// Everybody.
    Open,
    /// One user by password, the hash in htpasswd's bcrypt form.
    Basic { htpasswd: &'a str },
    /// Everybody, by TLS with this certificate and key.
    Tls { certificate: &'a std::path::Path, key: &'a std::path::Path },
}

/// How it is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Plain HTTP on loopback.
    Plain,
    /// TLS on loopback with a certificate that nobody vouches for.
    OwnCertificate,
    /// Plain HTTP at an address that is no loopback one, in a network of its own.
    OtherHost,
}

impl Registry {
    /// Starts one on a free port of loopback.
    pub fn start(access: Access<'_>) -> Self {
        Self::speaking(Wire::Plain, access)
    }

    /// Starts one that is spoken to in another way.
    pub fn speaking(wire: Wire, access: Access<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = match wire {
            Wire::Plain | Wire::OwnCertificate => free_address(),
            Wire::OtherHost => SocketAddr::from((Ipv4Addr::new(10, 87, 0, 1), 5000)),
        };
        let tls = match wire {
            Wire::OwnCertificate => {
                let (certificate, key) = own_certificate(dir.path());
                format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display())
            }
            Wire::Plain | Wire::OtherHost => String::new(),
        };
        let auth = match access {
            Access::Open => String::new(),
            Access::Tls { certificate, key } => {
                format!("  tls:\n    certificate: {}\n    key: {}\n", certificate.display(), key.display())
            }
            Access::Basic { htpasswd } => {
                let file = dir.path().join("htpasswd");
                std::fs::write(&file, htpasswd).unwrap();
                format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display())
            }
        };
        let config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n{tls}{auth}",
            dir.path().join("data").display(),
        );
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let serve = format!("exec docker-registry serve {}", file.display());
        let mut command = Command::new("sh");
        if wire == Wire::OtherHost {
            command = Command::new("unshare");
            command.args(["--net", "sh"]);
        }
        let network = match wire {
            Wire::OtherHost => format!("ip link set lo up && ip addr add {}/32 dev lo && ", address.ip()),
            Wire::Plain | Wire::OwnCertificate => String::new(),
        };
        command.arg("-c").arg(network + &serve).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self { child: command.spawn().unwrap(), address, dir };
        for _ in 0..200 {
            if registry.listens() {
                return registry;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("docker-registry does not answer at {address}");
    }

    /// An image name at this registry.
    pub fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.address)
    }

    /// The network namespace it runs in.
    pub fn network(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.child.id()).into()
    }

    /// Whether its network namespace has a socket that listens on its port.
    fn listens(&self) -> bool {
        let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", self.child.id()));
        let port = format!(":{:04X}", self.address.port());
        sockets.is_ok_and(|sockets| {
            let mut rows = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            rows.any(|row| row.get(1).is_some_and(|at| at.ends_with(&port)) && row.get(3) == Some(&"0A"))
        })
    }

    /// The certificate of a registry that has one of its own.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    /// The directory the registry keeps its data in.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Makes a certificate for loopback, signed by its own key: both files.
pub fn own_certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ])
        .args(["-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:false", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    (certificate, key)
}
