//! One connection, from its first byte to its close.

use super::io::Io;
use super::respond;
use super::service::{Client, Service};
use crate::engine::GuestBody;
use crate::error::Kind;
use crate::router::spin_headers;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::net::RecvFlags;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Streams that one h2 connection may have open. hyper's default of 200,
/// stated: it bounds what a connection costs before admission looks at it.
const H2_STREAMS: u32 = 200;

/// How long an h2 connection may say nothing before it is pinged, and how
/// long it has to answer.
const H2_KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Serves the connection until it ends, or until `drain` turns true and what
/// it has begun is answered.
pub async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    core: usize,
    service: Arc<Service>,
    drain: watch::Receiver<bool>,
) {
    // Without it, answers stall by some 37 ms at p90: the kernel waits for an
    // acknowledgement before it sends a small second piece.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, "TCP_NODELAY refused: {error}");
    }
    let limits = service.limits().clone();
    let metrics = service.metrics().clone();
    let protocol = tokio::time::timeout(limits.header_time, detect(&stream));
    let protocol = tokio::select! {
        protocol = protocol => protocol,
        () = drained_before_first_byte(&stream, limits.drain_idle, drain.clone()) => return,
    };
    let Ok(Some(protocol)) = protocol else {
        // Nothing was said, so nothing is answered.
        return;
    };
    let io = Io::new(stream, limits.body_time, protocol == Protocol::Http1);
    let shared = io.shared();
    let client = Client {
        core,
        peer,
        proxied: service.proxies().trust(peer),
        address: spin_headers::client_addr(peer),
        connection: io.shared(),
    };
    let handler = service_fn(move |request| {
        let (service, client) = (service.clone(), client.clone());
        async move { Ok::<_, std::convert::Infallible>(service.respond(client, request).await) }
    });
    // The host ends once nobody listens for its drain any more.
    let _held = drain.clone();
    // Looked at only when it was woken: each look at the channel itself takes a lock
    // that all connections share, and a connection is polled several times a request.
    let mut told: FuturesUnordered<_> = std::iter::once(told_to_drain(drain)).collect();
    let result = match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_time)
                // hyper takes no less than 8 KiB.
                .max_buf_size(limits.header_bytes.max(8 << 10));
            let mut conn = pin!(builder.serve_connection(TokioIo::new(io), handler));
            tokio::select! {
                biased;
                result = conn.as_mut() => result,
                _ = told.next() => {
                    shared.end();
                    match tokio::time::timeout(limits.drain_idle, conn.as_mut()).await {
                        Ok(result) => result,
                        Err(_nothing_was_asked) => {
                            conn.as_mut().graceful_shutdown();
                            conn.await
                        }
                    }
                }
            }
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(H2_STREAMS)
                .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
                .keep_alive_interval(H2_KEEP_ALIVE)
                .keep_alive_timeout(H2_KEEP_ALIVE);
            let mut conn = pin!(builder.serve_connection(TokioIo::new(io), handler));
            let mut left = pin!(async {
                match shared.untaken() {
                    Some(untaken) => {
                        untaken
                            .watch(limits.body_time, GuestBody::left_by_client)
                            .await
                    }
                    None => std::future::pending().await,
                }
            });
            tokio::select! {
                biased;
                result = conn.as_mut() => result,
                never = left.as_mut() => match never {},
                _ = told.next() => {
                    conn.as_mut().graceful_shutdown();
                    tokio::select! {
                        result = conn => result,
                        never = left => match never {},
                    }
                }
            }
        }
    };
    if let Err(error) = result {
        let kind = if error.is_timeout() && shared.is_unanswered() {
            Some(Kind::RequestTimeout)
        } else if error.is_parse_too_large() {
            Some(Kind::HeadTooLarge)
        } else if error.is_parse() {
            Some(Kind::BadRequest)
        } else {
            None
        };
        if let Some(kind) = kind.filter(|_| protocol == Protocol::Http1) {
            metrics.count_failure(kind);
            shared.last_words(&respond::raw(kind));
        }
        tracing::debug!(%peer, "connection ended: {error}");
    }
    if protocol == Protocol::Http1 {
        shared.linger().await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Looks at the first bytes without taking them. `None` where the client went
/// away before it said which protocol it speaks.
async fn detect(stream: &TcpStream) -> Option<Protocol> {
    // No HTTP/1 method but `PRI`, which is reserved, begins like this.
    const PREFACE: &[u8] = b"PRI * HTTP/2";
    let mut first = [0; PREFACE.len()];
    let mut seen = 0;
    loop {
        stream.readable().await.ok()?;
        let peeked = stream.try_io(Interest::READABLE, || {
            let (_, count) = rustix::net::recv(stream, &mut first[..], RecvFlags::PEEK)?;
            if count > 0 && count == seen {
                // No news: this makes the runtime wait for the next bytes.
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            Ok(count)
        });
        let count = match peeked {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Ok(0) | Err(_) => return None,
            Ok(count) => count,
        };
        let (known, begun) = (first.get(..count)?, PREFACE.get(..count)?);
        if known != begun {
            return Some(Protocol::Http1);
        }
        if count == PREFACE.len() {
            return Some(Protocol::Http2);
        }
        seen = count;
    }
}

/// Returns when the host drains, or is gone.
async fn told_to_drain(mut drain: watch::Receiver<bool>) {
    // The guard that comes with the value must not be held while waiting on.
    let _ = drain.wait_for(|drain| *drain).await.map(drop);
}

/// A connection that has not said anything a while after the host drains is closed;
/// one whose first bytes are on their way is served.
async fn drained_before_first_byte(
    stream: &TcpStream,
    idle: Duration,
    drain: watch::Receiver<bool>,
) {
    told_to_drain(drain).await;
    tokio::time::sleep(idle).await;
    // Bytes that have reached this machine are seen at once.
    let peeked = rustix::net::recv(stream, &mut [0; 1][..], RecvFlags::PEEK);
    if matches!(peeked, Ok((_, 1..))) {
        std::future::pending::<()>().await;
    }
}
