//! Listening, TLS, and an orderly end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::Shared;

/// Connections at once; further ones wait to be accepted.
const MOST: usize = 256;
/// How long a head, or a handshake, may take.
const HEAD: Duration = Duration::from_secs(30);
/// How long requests may go on when the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves connections until it is told to stop.
pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(MOST));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let place = tokio::select! {
            () = &mut stop => break,
            place = Arc::clone(&room).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (tls, shared, watcher) = (tls.clone(), Arc::clone(&shared), graceful.watcher());
                connections.spawn(async move {
                    let _place = place;
                    secured(stream, tls, shared, watcher).await;
                });
            }
            // Too many open files, or a peer that left again: the next one may be served.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    // Those that take longer are broken off when the set is dropped.
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}

async fn secured(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>, watcher: Watcher) {
    // Answers are written in a few large pieces; waiting to fill packets only delays the small ones.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(stream, shared, watcher).await,
        Some(tls) => {
            // Else it is a peer that does not trust the certificate, speaks no TLS, or says nothing.
            if let Ok(Ok(stream)) = tokio::time::timeout(HEAD, tls.accept(stream)).await {
                serve(stream, shared, watcher).await;
            }
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    shared: Arc<Shared>,
    watcher: Watcher,
) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    // A connection that breaks is the peer's affair.
    let _ = watcher.watch(connection).await;
}
