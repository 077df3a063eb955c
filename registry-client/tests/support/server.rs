//! A small HTTP/1.1 server that answers whatever a test wants, also what no good server would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With query.
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub fn query(&self) -> BTreeMap<String, Vec<String>> {
        let url = url::Url::parse(&format!("http://h{}", self.target)).expect("a target");
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in url.query_pairs() {
            all.entry(key.into_owned()).or_default().push(value.into_owned());
        }
        all
    }
}

/// What goes back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Close the connection after so many bytes of the body.
    pub cut: Option<usize>,
    /// Wait after each so many bytes of the body.
    pub slow: Option<usize>,
    /// Send nothing more after so many bytes of the body, and keep the connection.
    pub stall: Option<usize>,
    /// Say no length: the end of the connection is the end of the body.
    pub endless: bool,
}

pub fn reply(status: u16) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: Bytes::new(),
        cut: None,
        slow: None,
        stall: None,
        endless: false,
    }
}

impl Reply {
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }
}

/// What happens to a request, decided when its head has come.
#[derive(Clone, Debug, Default)]
pub enum Fate {
    /// It is answered.
    #[default]
    Answer,
    /// The connection breaks after so many bytes of its body; the handler sees what came.
    Break(usize),
    /// It is handled, and the connection breaks before the answer.
    Mute,
    /// It is answered so, and its body is not read.
    Early(Reply),
    /// Neither its body is read nor anything answered, until the client goes away.
    Stall,
}

type Fates = Arc<dyn Fn(&Request) -> Fate + Send + Sync>;
type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A running server; it stops with the test's runtime.
pub struct Server {
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::with_fates(|_| Fate::Answer, handler).await
    }

    /// A server where requests may come to harm.
    pub async fn with_fates(
        fates: impl Fn(&Request) -> Fate + Send + Sync + 'static,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let fates: Fates = Arc::new(fates);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (log, handler): (Arc<Mutex<Vec<Request>>>, Handler) = (Arc::default(), Arc::new(handler));
        let noted = log.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, fates.clone(), handler.clone(), noted.clone()));
            }
        });
        Self { address, log, task }
    }

    /// `METHOD /path?query` of everything that came, probes aside.
    pub fn seen(&self) -> Vec<String> {
        let log = self.log.lock().expect("unpoisoned");
        log.iter()
            .filter(|request| request.target != "/v2/")
            .map(|r| format!("{} {}", r.method, r.target))
            .collect()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().expect("unpoisoned").clone()
    }

    pub fn count(&self, start: &str) -> usize {
        self.seen().iter().filter(|line| line.starts_with(start)).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, fates: Fates, handler: Handler, log: Arc<Mutex<Vec<Request>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(mut request) = head(&mut stream).await {
        let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let fate = fates(&request);
        let wanted: usize = match &fate {
            Fate::Answer | Fate::Mute => length,
            Fate::Break(after) => length.min(*after),
            Fate::Early(_) | Fate::Stall => 0,
        };
        let mut body = Vec::new();
        if (&mut stream).take(wanted as u64).read_to_end(&mut body).await.is_err() {
            break;
        }
        // a client that goes away in the middle is as a connection that breaks
        let fate = if body.len() < wanted { Fate::Break(body.len()) } else { fate };
        request.body = body.into();
        let head = request.method == "HEAD";
        let reply = match &fate {
            Fate::Early(reply) => Reply { cut: Some(reply.body.len()), ..reply.clone() },
            Fate::Stall => reply(0),
            Fate::Answer | Fate::Mute | Fate::Break(_) => handler(&request),
        };
        log.lock().expect("unpoisoned").push(request);
        match fate {
            Fate::Answer | Fate::Early(_) => {}
            Fate::Break(_) | Fate::Mute => break,
            Fate::Stall => return wait_for_end(stream).await,
        }
        let written = write(&mut stream, &reply, head).await;
        if reply.stall.is_some() {
            return wait_for_end(stream).await;
        }
        if written.is_err() || reply.cut.is_some() || reply.endless {
            break;
        }
    }
    let _ = stream.shutdown().await;
}

/// Holds a connection without reading what its client sends.
async fn wait_for_end(stream: BufReader<TcpStream>) {
    let stream = stream.into_inner();
    while stream.ready(tokio::io::Interest::ERROR).await.is_ok_and(|ready| !ready.is_error()) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn head(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let first = line(stream).await?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let text = line(stream).await?;
        let Some((name, value)) = text.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(Request { method, target, headers, body: Bytes::new() })
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut text = String::new();
    let count = stream.read_line(&mut text).await.ok()?;
    (count > 0).then(|| text.trim_end().to_owned())
}

async fn write(stream: &mut BufReader<TcpStream>, reply: &Reply, head: bool) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {} Because\r\n", reply.status);
    for (name, value) in &reply.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let has_length = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if !has_length && !reply.endless {
        text.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    if reply.endless {
        text.push_str("Connection: close\r\n");
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await?;
    if !head {
        let end = reply.cut.or(reply.stall).map_or(reply.body.len(), |cut| cut.min(reply.body.len()));
        for piece in reply.body[..end].chunks(reply.slow.unwrap_or(usize::MAX)) {
            stream.write_all(piece).await?;
            if reply.slow.is_some() {
                stream.flush().await?;
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    }
    stream.flush().await
}
