//! A small HTTP server on loopback with files that a test can change, ended with the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One file.
#[derive(Clone)]
pub struct Served {
    pub body: Vec<u8>,
    /// Whole header lines.
    pub headers: Vec<String>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Served>,
    /// Paths with the status of the answer, in order.
    log: Vec<(String, u16)>,
    /// The same with methods.
    requests: Vec<String>,
    ended: bool,
    /// What `Authorization` must be, where it must be something.
    wanted: Option<String>,
}

/// The running server.
pub struct Http {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Http {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().ended {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream.unwrap(), &shared));
            }
        });
        Self { port, state }
    }

    /// Puts a file there, with header lines such as `ETag: "1"`.
    pub fn put(&self, path: &str, body: impl AsRef<[u8]>, headers: &[&str]) {
        let headers = headers.iter().map(|line| (*line).to_owned()).collect();
        let served = Served { body: body.as_ref().to_vec(), headers };
        self.state.lock().unwrap().files.insert(path.to_owned(), served);
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// From now on answers only who sends this `Authorization`.
    pub fn want(&self, authorisation: &str) {
        self.state.lock().unwrap().wanted = Some(authorisation.to_owned());
    }

    /// What was asked for since the last call, with the status of each answer.
    pub fn asked(&self) -> Vec<(String, u16)> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    /// The requests since the last call: `METHOD /path`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.state.lock().unwrap().ended = true;
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or("/"));
    let (mut condition, mut authorisation) = (None, None);
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        if ["if-none-match", "if-modified-since"].contains(&name.to_lowercase().as_str()) {
            condition = Some(value.trim().to_owned());
        }
        if name.eq_ignore_ascii_case("authorization") {
            authorisation = Some(value.trim().to_owned());
        }
    }
    let mut state = state.lock().unwrap();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let found = state.files.get(&path).cloned();
    let refused = state.wanted.is_some() && state.wanted != authorisation;
    let (status, served) = match found {
        Some(_) | None if refused => (401, Served { body: Vec::new(), headers: Vec::new() }),
        None => (404, Served { body: Vec::new(), headers: Vec::new() }),
        Some(served) => {
            let same = |wanted: &String| served.headers.iter().any(|line| line.ends_with(wanted.as_str()));
            if condition.as_ref().is_some_and(same) {
                (304, Served { body: Vec::new(), ..served })
            } else {
                (200, served)
            }
        }
    };
    state.requests.push(format!("{method} {path}"));
    state.log.push((path, status));
    drop(state);
    let mut text =
        format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", served.body.len());
    for line in &served.headers {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let mut stream = stream;
    let body = if method == "HEAD" { &[][..] } else { &served.body };
    drop(stream.write_all(text.as_bytes()).and_then(|()| stream.write_all(body)));
}
