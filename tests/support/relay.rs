//! A TCP relay in front of a registry, that sees the requests and can stop in the middle of an answer or of a body.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to a request and to what follows on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The connection ends before it is answered.
    Reset,
    /// It is answered with this status.
    Status(u16),
    /// The connection ends after so many bytes of the answer.
    Cut(u64),
    /// Bytes of its answer, the last one at least, are other ones.
    Wrong,
}

type Judge = Arc<dyn Fn(&str) -> Option<Harm> + Send + Sync>;

#[derive(Default)]
struct State {
    /// Heads of requests, as they were sent.
    heads: Vec<String>,
    /// Bytes of answers that were passed on.
    passed: u64,
    /// Pass no more of any connection than so many bytes.
    most: Option<u64>,
    /// Bytes of bodies that were passed on.
    sent: u64,
    /// Pass no more of bodies, all in all, than so many bytes.
    most_sent: Option<u64>,
    /// Which requests come to harm, by their heads.
    judge: Option<Judge>,
    ended: bool,
}

/// The running relay.
pub struct Relay {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Relay {
    /// Starts one in front of `HOST:PORT`.
    pub fn start(behind: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state: Arc<Mutex<State>> = Arc::default();
        let (shared, behind) = (Arc::clone(&state), behind.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().ended {
                    return;
                }
                let (shared, behind) = (Arc::clone(&shared), behind.clone());
                std::thread::spawn(move || relay(stream.unwrap(), &behind, &shared));
            }
        });
        Self { port, state }
    }

    /// An image name at this relay.
    pub fn name(&self, path: &str) -> String {
        format!("127.0.0.1:{}/{path}", self.port)
    }

    /// Passes no more than so many bytes of the answers of one connection; `None`: all.
    pub fn stall_after(&self, most: Option<u64>) {
        self.state.lock().unwrap().most = most;
    }

    /// Passes no more than so many bytes of bodies, counted from the start; `None`: all, but those of a connection
    /// that was held up, which ends.
    pub fn hold_bodies_after(&self, most: Option<u64>) {
        self.state.lock().unwrap().most_sent = most;
    }

    /// Lets requests come to harm, by their heads.
    pub fn harm(&self, judge: impl Fn(&str) -> Option<Harm> + Send + Sync + 'static) {
        self.state.lock().unwrap().judge = Some(Arc::new(judge));
    }

    /// How many bytes of bodies were passed on.
    pub fn sent(&self) -> u64 {
        self.state.lock().unwrap().sent
    }

    /// The heads of requests since the last call.
    pub fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().heads)
    }

    /// How many bytes of answers were passed on.
    pub fn passed(&self) -> u64 {
        self.state.lock().unwrap().passed
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.lock().unwrap().ended = true;
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

fn relay(client: TcpStream, behind: &str, state: &Arc<Mutex<State>>) {
    let server = TcpStream::connect(behind).unwrap();
    let (answers, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let shared = Arc::clone(state);
    let harm: Arc<Mutex<Option<Harm>>> = Arc::default();
    let harmed = Arc::clone(&harm);
    let back = std::thread::spawn(move || pass_answers(answers, to_client, &shared, &harmed));
    pass_requests(client, server, state, &harm);
    back.join().unwrap();
}

/// Passes requests on. Bodies have lengths, or come in chunks.
fn pass_requests(
    client: TcpStream,
    mut server: TcpStream,
    state: &Mutex<State>,
    harmed: &Mutex<Option<Harm>>,
) {
    let mut to_client = client.try_clone().unwrap();
    let mut lines = BufReader::new(client);
    let mut head = String::new();
    while lines.read_line(&mut head).is_ok_and(|count| count > 0) {
        if head.ends_with("\r\n\r\n") {
            let judge = {
                let mut state = state.lock().unwrap();
                state.heads.push(head.clone());
                state.judge.clone()
            };
            match judge.and_then(|judge| judge(&head)) {
                Some(Harm::Reset) => break,
                Some(Harm::Status(status)) => {
                    let answer =
                        format!("HTTP/1.1 {status} Harm\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    drop(to_client.write_all(answer.as_bytes()));
                    break;
                }
                harm @ (Some(Harm::Cut(_) | Harm::Wrong) | None) => *harmed.lock().unwrap() = harm,
            }
            if server.write_all(head.as_bytes()).is_err()
                || pass_body(&head, &mut lines, &mut server, state).is_err()
            {
                break;
            }
            head.clear();
        }
    }
    drop(server.shutdown(Shutdown::Both));
}

fn pass_body(
    head: &str,
    from: &mut BufReader<TcpStream>,
    to: &mut TcpStream,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    if let Some(length) = field("content-length").and_then(|text| text.parse().ok()) {
        pass_bytes(&mut from.take(length), to, state)?;
    } else if field("transfer-encoding") == Some("chunked") {
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            to.write_all(line.as_bytes())?;
            let length = u64::from_str_radix(line.trim(), 16).unwrap_or_default();
            pass_bytes(&mut from.take(length + 2), to, state)?;
            if length == 0 {
                break;
            }
        }
    }
    Ok(())
}

fn pass_bytes(from: &mut impl Read, to: &mut TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        let mut held = false;
        loop {
            let mut state = state.lock().unwrap();
            if state.most_sent.is_none_or(|most| state.sent + (count as u64) <= most) {
                if held {
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
                state.sent += count as u64;
                break;
            }
            held = true;
            drop(state);
            std::thread::sleep(Duration::from_millis(20));
        }
        to.write_all(&buffer[..count])?;
    }
}

fn pass_answers(
    mut server: TcpStream,
    mut client: TcpStream,
    state: &Mutex<State>,
    harmed: &Mutex<Option<Harm>>,
) {
    let (mut buffer, mut passed) = (vec![0; 16 << 10], 0);
    let mut left = None;
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    loop {
        let most = state.lock().unwrap().most.unwrap_or(u64::MAX);
        let room = usize::try_from((most.saturating_sub(passed)).min(buffer.len() as u64)).unwrap();
        if room == 0 {
            // Until the client goes away, which ends the connection behind, or more may pass.
            std::thread::sleep(Duration::from_millis(20));
            if !matches!(server.peek(&mut [0]), Ok(1..)) {
                return;
            }
            continue;
        }
        match server.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(mut count) => {
                match *harmed.lock().unwrap() {
                    Some(Harm::Cut(most)) => {
                        let rest = left.unwrap_or(most);
                        count = usize::try_from(rest.min(count as u64)).unwrap();
                        left = Some(rest - count as u64);
                    }
                    Some(Harm::Wrong) if !buffer[..count].ends_with(b"\r\n\r\n") => buffer[count - 1] ^= 1,
                    Some(Harm::Wrong | Harm::Reset | Harm::Status(_)) | None => {}
                }
                passed += count as u64;
                state.lock().unwrap().passed += count as u64;
                if client.write_all(&buffer[..count]).is_err() || left == Some(0) {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
            Err(_) => break,
        }
    }
    drop(client.shutdown(Shutdown::Both));
}
