//! A TCP relay in front of a registry, that sees the requests and can stop in the middle of an answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct State {
    /// Heads of requests, as they were sent.
    heads: Vec<String>,
    /// Bytes of answers that were passed on.
    passed: u64,
    /// Pass no more of any connection than so many bytes.
    most: Option<u64>,
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
    let back = std::thread::spawn(move || pass_answers(answers, to_client, &shared));
    pass_requests(client, server, state);
    back.join().unwrap();
}

/// Passes requests on. Bodies have lengths, or come in chunks.
fn pass_requests(client: TcpStream, mut server: TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(client);
    let mut head = String::new();
    while lines.read_line(&mut head).is_ok_and(|count| count > 0) {
        if head.ends_with("\r\n\r\n") {
            state.lock().unwrap().heads.push(head.clone());
            if server.write_all(head.as_bytes()).is_err()
                || pass_body(&head, &mut lines, &mut server).is_err()
            {
                return;
            }
            head.clear();
        }
    }
    drop(server.shutdown(Shutdown::Both));
}

fn pass_body(head: &str, from: &mut BufReader<TcpStream>, to: &mut TcpStream) -> std::io::Result<()> {
    let field = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    if let Some(length) = field("content-length").and_then(|text| text.parse().ok()) {
        std::io::copy(&mut from.take(length), to)?;
    } else if field("transfer-encoding") == Some("chunked") {
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            to.write_all(line.as_bytes())?;
            let length = u64::from_str_radix(line.trim(), 16).unwrap_or_default();
            std::io::copy(&mut from.take(length + 2), to)?;
            if length == 0 {
                break;
            }
        }
    }
    Ok(())
}

fn pass_answers(mut server: TcpStream, mut client: TcpStream, state: &Mutex<State>) {
    let (mut buffer, mut passed) = (vec![0; 16 << 10], 0);
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
            Ok(count) => {
                passed += count as u64;
                state.lock().unwrap().passed += count as u64;
                if client.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
            Err(_) => break,
        }
    }
    drop(client.shutdown(Shutdown::Both));
}
