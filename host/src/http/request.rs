//! A client's request, made ready for a guest: its body bounded and its target
//! absolute.

use super::io::Shared;
use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

/// How far a request's body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Upload {
    /// It is whole, or nobody waits for more of it.
    Settled = 0,
    /// The guest waits for the client to send more.
    Awaited = 1,
    /// It went over the limit.
    TooLarge = 2,
    /// The client sent nothing for too long.
    TooSlow = 3,
    /// Its framing makes no sense, or it ended before its end.
    Broken = 4,
}

/// A view of a body that has been handed to a guest.
#[derive(Debug, Clone)]
pub struct UploadWatch(Arc<AtomicU8>);

impl UploadWatch {
    fn new() -> Self {
        Self(Arc::new(AtomicU8::new(Upload::Settled as u8)))
    }

    fn set(&self, upload: Upload) {
        self.0.store(upload as u8, Relaxed);
    }

    /// How far the body has come.
    pub fn get(&self) -> Upload {
        match self.0.load(Relaxed) {
            1 => Upload::Awaited,
            2 => Upload::TooLarge,
            3 => Upload::TooSlow,
            4 => Upload::Broken,
            _ => Upload::Settled,
        }
    }
}

/// Wraps `body` so that a guest never reads more than `limit` bytes of it and
/// never waits longer than `patience` for the next of them. `connection` is told
/// when it was read to its end.
pub fn bounded(
    body: Incoming,
    limit: u64,
    patience: Duration,
    connection: Arc<Shared>,
) -> (WasiBody, UploadWatch) {
    let watch = UploadWatch::new();
    if body.is_end_stream() {
        let empty = http_body_util::Empty::new().map_err(|never| match never {});
        return (empty.boxed_unsync(), watch);
    }
    let bounded = Bounded {
        inner: body,
        left: limit,
        patience,
        timer: None,
        watch: watch.clone(),
        connection,
    };
    (bounded.boxed_unsync(), watch)
}

struct Bounded {
    inner: Incoming,
    left: u64,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    watch: UploadWatch,
    connection: Arc<Shared>,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.timer = None;
                this.watch.set(Upload::Settled);
                let Some(frame) = frame else {
                    this.connection.set_unread(false);
                    return Poll::Ready(None);
                };
                let frame = match frame {
                    Ok(frame) => frame,
                    Err(error) => {
                        // A guest may take a stream that broke for one that ended.
                        this.watch.set(Upload::Broken);
                        return Poll::Ready(Some(Err(error.into())));
                    }
                };
                if this.inner.is_end_stream() {
                    this.connection.set_unread(false);
                }
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match this.left.checked_sub(length) {
                    Some(left) => {
                        this.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => {
                        this.watch.set(Upload::TooLarge);
                        Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))))
                    }
                }
            }
            Poll::Pending => {
                this.watch.set(Upload::Awaited);
                let patience = this.patience;
                let timer = this.timer.get_or_insert_with(|| {
                    Box::pin(tokio::time::sleep_until(Instant::now() + patience))
                });
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.watch.set(Upload::TooSlow);
                Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The request's target with a scheme and an authority, which guests ask for
/// and HTTP/1 leaves to the `Host` header. None where it is for no guest: a tunnel,
/// or a host that a proxy may have understood as another.
pub fn absolute_target<B>(request: &Request<B>) -> Option<Uri> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    let unnamed = host.is_none() && request.version() == Version::HTTP_11;
    if unnamed || hosts.next().is_some() || request.method() == Method::CONNECT {
        return None;
    }
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    if parts.authority.is_none() {
        parts.authority = Some(match host {
            Some(host) => Authority::try_from(host.as_bytes()).ok()?,
            // HTTP/1.0 need not name its host.
            None => Authority::from_static("localhost"),
        });
    }
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    Uri::from_parts(parts).ok()
}
