//! `--ssh ID=HOST:KEY`: a real ssh server that lets each key at one repository, and a step with git and ssh.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::road::BUSYBOX;
use crate::support::workspace::{Said, Workspace};
use crate::support::{has, is_root};

fn run(command: &mut Command) -> String {
    let said = Said::from(command.output().unwrap());
    assert!(said.code == Some(0), "{command:?}: {said:?}");
    said.out
}

/// A server with the repositories `one.git` and `two.git`, each behind a key of its name.
struct Server {
    dir: PathBuf,
    port: u16,
    child: Child,
    /// The directory that the program wants, if it had to be made.
    made: Option<&'static str>,
    _alone: MutexGuard<'static, ()>,
}

/// One server at a time, since all want the same directory.
static SERVERS: Mutex<()> = Mutex::new(());

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(made) = self.made {
            drop(std::fs::remove_dir(made));
        }
    }
}

impl Server {
    fn start(dir: &Path) -> Self {
        let dir = dir.join("server");
        std::fs::create_dir(&dir).unwrap();
        let mut allowed = String::new();
        for name in ["host", "one", "two"] {
            let key = dir.join(name);
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        }
        for name in ["one", "two"] {
            let repository = dir.join(format!("{name}.git"));
            run(Command::new("git").args(["init", "-q", "--bare"]).arg(&repository));
            let git = ["-c", "user.name=a", "-c", "user.email=b"];
            let empty = run(Command::new("git").arg("-C").arg(&repository).args([
                "hash-object",
                "-w",
                "-t",
                "tree",
                "/dev/null",
            ]));
            let commit = run(Command::new("git").arg("-C").arg(&repository).args(git).args([
                "commit-tree",
                empty.trim(),
                "-m",
                name,
            ]));
            run(Command::new("git").arg("-C").arg(&repository).args([
                "update-ref",
                &format!("refs/heads/{name}"),
                commit.trim(),
            ]));
            let public = std::fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap();
            allowed.push_str(&format!(
                "restrict,command=\"case $SSH_ORIGINAL_COMMAND in who) echo {name};; *{name}.git*) sh -c \\\"$SSH_ORIGINAL_COMMAND\\\";; *) echo this key is for {name} >&2; exit 1;; esac\" {public}"
            ));
        }
        std::fs::write(dir.join("allowed"), allowed).unwrap();
        let alone = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        let made = "/run/sshd";
        let made = std::fs::create_dir(made).is_ok().then_some(made);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/allowed\nStrictModes no\n\
             PidFile none\nPasswordAuthentication no\nPermitRootLogin yes\nUsePAM no\n",
            dir.display()
        );
        std::fs::write(dir.join("config"), config).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.join("config"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { dir, port, child, made, _alone: alone }
    }
}

/// Copies a program with its libraries below a directory.
fn program(root: &Path, name: &str) {
    let path = run(Command::new("sh").args(["-c", &format!("command -v {name}")]));
    let libraries = run(Command::new("ldd").arg(path.trim()));
    let libraries = libraries.split_ascii_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain([path.trim()]) {
        let to = if file == path.trim() { format!("bin/{name}") } else { file[1..].to_owned() };
        let to = root.join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
}

#[test]
fn each_repository_and_each_host_gets_its_key() {
    if !(is_root() && ["busybox", "git", "ssh", "sshd", "ssh-keygen"].iter().all(|program| has(program))) {
        return;
    }
    let workspace = Workspace::new();
    std::fs::copy("/bin/busybox", workspace.context().join("busybox")).unwrap();
    let root = workspace.context().join("root");
    program(&root, "git");
    program(&root, "ssh");
    workspace.file("root/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    workspace.file("root/etc/ssh/ssh_config", "Include /etc/ssh/ssh_config.d/*.conf\nBatchMode yes\n");
    let server = Server::start(workspace.path());
    let (dir, port) = (server.dir.display(), server.port);
    workspace.file(
        "Dockerfile",
        format!(
            "{BUSYBOX}COPY root/ /\nFROM base AS both\n\
             RUN --mount=type=ssh git ls-remote ssh://root@127.0.0.1:{port}{dir}/one.git > /1 && \
             git ls-remote root@127.0.0.1:{dir}/two.git > /2\n\
             FROM base AS hosts\n\
             RUN --mount=type=ssh --mount=type=ssh,id=other \
             ssh -p {port} root@127.0.0.1 who > /1 && ssh root@localhost who > /2\n"
        ),
    );
    let known = workspace.path().join("home/.ssh/known_hosts");
    let lines = || {
        let key = std::fs::read_to_string(server.dir.join("host.pub")).unwrap();
        format!("*.example.com ssh-ed25519 AAAA\n[127.0.0.1]:{port} {key}[localhost]:{port} {key}")
    };
    let context = workspace.context();
    let build = |target: &str, options: &[&str]| {
        let out = workspace.path().join(target);
        let out = format!("type=local,dest={}", out.display());
        let mut words = vec!["build", "--progress=plain", "--target", target, "-o", &out];
        words.extend(options);
        words.push(context.to_str().unwrap());
        Said::from(workspace.run(&words))
    };
    let key = |name: &str| format!("root@127.0.0.1:{port}{dir}/{name}.git:{dir}/{name}");
    let own = format!("default={},{}", key("one"), key("two"));

    let unknown = build("both", &["--ssh", &own]);
    assert!(unknown.code == Some(1) && unknown.err.contains("Host key verification failed"), "{unknown:?}");
    std::fs::create_dir_all(known.parent().unwrap()).unwrap();
    std::fs::write(&known, lines()).unwrap();
    // Names behind hashes, as Debian writes them.
    run(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&known));
    let said = build("both", &["--ssh", &own]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let both = workspace.path().join("both");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert!(read(&both.join("1")).contains("refs/heads/one"));
    assert!(read(&both.join("2")).contains("refs/heads/two"));
    for gone in ["etc/ssh/ssh_config.d", "run", "root"] {
        assert!(!both.join(gone).exists(), "{gone} is left in the image");
    }

    // Another host is another key, and agents of two ids serve one step. Plain ssh finds it, too.
    let said = build(
        "hosts",
        &[
            "--ssh",
            &format!("default=127.0.0.1:{dir}/two"),
            "--ssh",
            &format!("other=localhost:{port}:{dir}/one"),
        ],
    );
    // The first has no port of its own, so that its line of the known hosts has another name.
    assert!(said.code == Some(1) && said.err.contains("Host key verification failed"), "{said:?}");
    let options =
        [format!("default=127.0.0.1:{port}:{dir}/two"), format!("other=localhost:{port}:{dir}/one")];
    let said = build("hosts", &["--ssh", &options[0], "--ssh", &options[1]]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let hosts = workspace.path().join("hosts");
    assert_eq!((read(&hosts.join("1")).trim(), read(&hosts.join("2")).trim()), ("two", "one"));

    // Without a path the first key is taken for all of the host, and is not for the second repository.
    let host = format!("127.0.0.1:{port}:{dir}");
    let wrong = build("both", &["--no-cache", "--ssh", &format!("default={host}/one,{host}/two")]);
    assert!(wrong.code == Some(1) && wrong.err.contains("this key is for one"), "{wrong:?}");
}

#[test]
fn repositories_behind_ssh_are_opened_by_the_agent_that_is_given() {
    if !(is_root() && ["busybox", "git", "ssh", "sshd", "ssh-keygen"].iter().all(|program| has(program))) {
        return;
    }
    let workspace = Workspace::new();
    let server = Server::start(workspace.path());
    let (dir, port) = (server.dir.display(), server.port);
    let url = |name: &str| format!("ssh://root@127.0.0.1:{port}{dir}/{name}.git#{name}");
    workspace.file(
        "Dockerfile",
        format!("FROM scratch\nADD --keep-git-dir=true {} /one\nADD {} /two\n", url("one"), url("two")),
    );
    let home = workspace.path().join("home/.ssh");
    std::fs::create_dir_all(&home).unwrap();
    // What the user would ask without an agent that is given is not asked with one: this key opens `one`.
    std::fs::write(home.join("config"), format!("IdentityFile {dir}/one\nIdentityAgent none\n")).unwrap();
    let context = workspace.context();
    let out = format!("type=local,dest={}", workspace.path().join("out").display());
    let build = |from: &str, options: &[&str]| {
        let mut words = vec!["build", "--progress=plain", "--no-cache", "-o", &out];
        words.extend(options);
        words.push(from);
        Said::from(workspace.run(&words))
    };
    let here = context.to_str().unwrap();
    let key = |name: &str| format!("root@127.0.0.1:{port}{dir}/{name}.git:{dir}/{name}");
    let both = format!("default={},{}", key("one"), key("two"));

    let unknown = build(here, &["--ssh", &both]);
    assert!(unknown.code == Some(3) && unknown.err.contains("ssh-keyscan"), "{unknown:?}");
    let known = std::fs::read_to_string(server.dir.join("host.pub")).unwrap();
    std::fs::write(home.join("known_hosts"), format!("[127.0.0.1]:{port} {known}")).unwrap();

    // A key for each repository.
    let said = build(here, &["--ssh", &both]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(workspace.path().join("out/one/.git").is_dir());
    // One key for all: it opens one repository and not the other, be it given as a file or by an agent.
    let file = format!("default={dir}/two");
    let wrong = build(here, &["--ssh", &file]);
    assert!(wrong.code != Some(0) && wrong.err.contains("this key is for two"), "{wrong:?}");
    let agent = SshAgent::start(workspace.path(), &server.dir.join("two"));
    let socket = format!("default={}", agent.socket.display());
    let wrong = build(&url("one"), &["--ssh", &socket]);
    assert!(wrong.code != Some(0) && wrong.err.contains("this key is for two"), "{wrong:?}");
    // A context, too: this one has no Dockerfile, which is found out once it is there.
    let said = build(&url("two"), &["--ssh", &socket]);
    assert!(said.code == Some(2) && said.err.contains("Dockerfile"), "{said:?}");
}

/// A real agent with one key.
struct SshAgent {
    socket: PathBuf,
    child: Child,
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl SshAgent {
    fn start(dir: &Path, key: &Path) -> Self {
        let socket = dir.join("agent");
        let mut command = Command::new("ssh-agent");
        let child = command.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        run(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket));
        Self { socket, child }
    }
}
