//! A node's admin port that answers as a test has it.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::{Response, StatusCode, Uri, request};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::node::Node;

type Parts = BoxStream<'static, io::Result<Frame<Bytes>>>;

/// How the answer ends after its parts.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// As it should.
    Whole,
    /// The connection breaks.
    Cut,
    /// Never.
    Hangs,
}

/// Answers one request; gone when dropped.
pub(super) struct Fake {
    pub(super) url: Uri,
    asked: Arc<Mutex<Option<(request::Parts, Bytes)>>>,
    serving: AbortHandle,
}

impl Fake {
    /// Answers the first request with `status` and these parts.
    pub(super) async fn answer(status: u16, parts: &[&str], end: End) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let asked = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&asked);
        let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let serving = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let service = service_fn(|request: request::Request<hyper::body::Incoming>| {
                let (kept, parts) = (Arc::clone(&kept), parts.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    *kept.lock().unwrap() = Some((head, body));
                    let mut answer = Response::new(StreamBody::new(body_of(parts, end)));
                    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
                    Ok::<_, Infallible>(answer)
                }
            });
            // A test may break the connection on purpose.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        Self {
            url,
            asked,
            serving: serving.abort_handle(),
        }
    }

    /// A client of it.
    pub(super) fn node(&self) -> Node {
        Node::new(self.url.clone(), Some("Bearer s3cret".parse().unwrap()))
    }

    /// The request that came.
    pub(super) fn asked(&self) -> (request::Parts, Bytes) {
        self.asked.lock().unwrap().take().unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn body_of(parts: Vec<String>, end: End) -> Parts {
    let parts = stream::iter(parts).map(|part| Ok(Frame::data(Bytes::from(part))));
    match end {
        End::Whole => parts.boxed(),
        End::Cut => parts
            .chain(stream::once(async {
                // The parts are on their way before the connection breaks.
                tokio::task::yield_now().await;
                Err(io::Error::other("cut"))
            }))
            .boxed(),
        End::Hangs => parts.chain(stream::pending()).boxed(),
    }
}
