//! ssh agents for steps: a socket of the step's own, with the mode and owner that its mount asks for. What
//! comes in there goes on to the caller's agent only if it lists keys or has something signed: a step
//! cannot add keys, remove them, or lock the agent. Keys that the build holds itself answer here.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::ssh::{AgentSource, Keyring};

/// Name of the socket in its directory.
const SOCKET: &str = "agent";
/// Longest message of the protocol, as OpenSSH has it.
const LONGEST: u32 = 256 << 10;
/// Requests that go on: the list of keys, and a signature.
const ALLOWED: [u8; 2] = [11, 13];
/// The answer to all others: a message of one byte, "failure".
const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];

/// A socket that answers until it is dropped.
pub(crate) struct Agent {
    /// The socket.
    pub socket: PathBuf,
    serving: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Makes the socket in an empty directory and serves it. Needs a runtime around it.
pub(crate) fn forward(
    directory: &Path,
    agent: AgentSource,
    mode: u32,
    owner: (u32, u32),
) -> io::Result<Agent> {
    // The address of a socket may be 107 bytes long, and a store may lie deeper than that.
    let opened = std::fs::File::open(directory)?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()))?;
    let socket = directory.join(SOCKET);
    std::os::unix::fs::chown(&socket, Some(owner.0), Some(owner.1))?;
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(mode))?;
    let serving = tokio::spawn(serve(listener, agent));
    Ok(Agent { socket, serving })
}

async fn serve(listener: UnixListener, agent: AgentSource) {
    let mut open = JoinSet::new();
    // An end of a connection, be it an error, concerns nobody but the program that opened it.
    while let Ok((step, _)) = listener.accept().await {
        while open.try_join_next().is_some() {}
        let agent = agent.clone();
        open.spawn(async move {
            drop(match agent {
                AgentSource::Socket(agent) => relay(step, &agent).await,
                AgentSource::Keys(keys) => answer(step, &keys).await,
            });
        });
    }
}

async fn relay(mut step: UnixStream, agent: &Path) -> io::Result<()> {
    let mut agent = UnixStream::connect(agent).await?;
    while let Some(request) = message(&mut step).await? {
        let allowed = request.get(4).is_some_and(|kind| ALLOWED.contains(kind));
        if !allowed {
            step.write_all(&FAILURE).await?;
            continue;
        }
        agent.write_all(&request).await?;
        let Some(answer) = message(&mut agent).await? else { break };
        step.write_all(&answer).await?;
    }
    Ok(())
}

async fn answer(mut step: UnixStream, keys: &Keyring) -> io::Result<()> {
    while let Some(request) = message(&mut step).await? {
        let answer = keys.answer(&request[4..]).and_then(|body| {
            let length = u32::try_from(body.len()).ok()?;
            Some([&length.to_be_bytes(), body.as_slice()].concat())
        });
        step.write_all(answer.as_deref().unwrap_or(&FAILURE)).await?;
    }
    Ok(())
}

/// One message with its length. `None`: the other side has closed.
async fn message(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut message = vec![0; 4];
    match stream.read_exact(&mut message).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes([message[0], message[1], message[2], message[3]]);
    if length == 0 || length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    message.resize(4 + length as usize, 0);
    stream.read_exact(&mut message[4..]).await?;
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::KeyFile;

    /// An agent that answers each request with its kind and tells of them.
    async fn fake(socket: &Path) -> tokio::sync::mpsc::UnboundedReceiver<u8> {
        let listener = UnixListener::bind(socket).unwrap();
        let (seen, requests) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    while let Ok(Some(request)) = message(&mut stream).await {
                        seen.send(request[4]).unwrap();
                        stream.write_all(&[0, 0, 0, 2, 100, request[4]]).await.unwrap();
                    }
                });
            }
        });
        requests
    }

    async fn ask(stream: &mut UnixStream, request: &[u8]) -> Option<Vec<u8>> {
        stream.write_all(request).await.unwrap();
        message(stream).await.ok().flatten()
    }

    #[tokio::test]
    async fn only_lists_and_signatures_reach_the_agent() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        let mut requests = fake(&real).await;
        let deep = directory.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let owner = rustix::process::getuid().as_raw();
        let group = rustix::process::getgid().as_raw();
        let agent = forward(&deep, AgentSource::Socket(real), 0o620, (owner, group)).unwrap();
        assert_eq!(std::fs::metadata(&agent.socket).unwrap().permissions().mode() & 0o7777, 0o620);

        let opened = std::fs::File::open(&deep).unwrap();
        let address = format!("/proc/self/fd/{}/agent", opened.as_raw_fd());
        let mut step = UnixStream::connect(&address).await.unwrap();
        assert_eq!(ask(&mut step, &[0, 0, 0, 1, 11]).await, Some(vec![0, 0, 0, 2, 100, 11]));
        for refused in [17, 18, 19, 22, 25, 27] {
            assert_eq!(
                ask(&mut step, &[0, 0, 0, 3, refused, 1, 2]).await,
                Some(FAILURE.to_vec()),
                "{refused}"
            );
        }
        assert_eq!(ask(&mut step, &[0, 0, 0, 2, 13, 9]).await, Some(vec![0, 0, 0, 2, 100, 13]));
        // Two at once, and one that says it will send more than it may.
        let mut other = UnixStream::connect(&address).await.unwrap();
        assert_eq!(ask(&mut other, &[0, 0, 0, 1, 11]).await, Some(vec![0, 0, 0, 2, 100, 11]));
        assert_eq!(ask(&mut other, &[0xff, 0, 0, 0, 11]).await, None);
        drop(agent);
        let mut seen = Vec::new();
        while let Ok(kind) = requests.try_recv() {
            seen.push(kind);
        }
        assert_eq!(seen, [11, 13, 11]);
    }

    #[tokio::test]
    async fn keys_of_the_build_answer_without_an_agent() {
        let directory = tempfile::tempdir().unwrap();
        let key = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ssh/keys/ed25519");
        let keys = Keyring::read(&[KeyFile::anywhere(&key)], "").unwrap();
        let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let agent = forward(directory.path(), AgentSource::Keys(keys.into()), 0o600, owner).unwrap();
        let mut step = UnixStream::connect(&agent.socket).await.unwrap();
        // Locking is refused, and the connection goes on.
        assert_eq!(ask(&mut step, &[0, 0, 0, 1, 22]).await, Some(FAILURE.to_vec()));
        let list = ask(&mut step, &[0, 0, 0, 1, 11]).await.unwrap();
        assert_eq!(list[4..9], [12, 0, 0, 0, 1]);
        assert_eq!(list[17..28], *b"ssh-ed25519");
    }
}
