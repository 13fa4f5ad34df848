//! The admin listener: probes, metrics, the table and commands, on a thread of
//! its own, so that they are answered while every core is busy.

mod api;
mod auth;
mod table;
mod upload;

use crate::live::{LiveTable, Rollouts};
use crate::readiness::Readiness;
use crate::signature::Key;
use crate::telemetry::{Exposition, Metrics};
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Longest wait for a request's head. Probes and scrapers are near and quick.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// Connections at once: some for each probe, scraper and developer.
const CONNECTIONS: usize = 128;

/// Longest connection. A rollout takes its minutes; whoever stays longer comes
/// again.
const CONVERSATION: Duration = Duration::from_secs(600);

/// How long accepting rests after a failure, such as too few descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the admin listener tells of.
#[derive(Debug)]
pub struct Admin {
    /// What is waited for.
    pub readiness: Readiness,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// What is served, from when there is something.
    pub live: Arc<OnceLock<Arc<LiveTable>>>,
    /// Where commands go, from when there is something to command.
    pub rollouts: Arc<OnceLock<Rollouts>>,
    /// What commands have to present.
    pub key: Option<Key>,
    /// Deploys from their upload until they are proposed: each holds its bytes,
    /// and instances beside those that serve.
    pub deploys: Semaphore,
}

/// Deploys that are uploaded and loaded at once.
pub const DEPLOYS: usize = 2;

/// The body of an answer.
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer.
type Answer = Response<Body>;

/// The bound admin listener.
#[derive(Debug)]
pub struct Bound {
    /// The address, with its real port.
    pub address: SocketAddr,
}

impl Admin {
    /// Binds `address` and serves it on a new thread for as long as the
    /// process lives.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound or the thread not be started.
    pub fn start(self, address: SocketAddr) -> std::io::Result<Bound> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let admin = Arc::new(self);
        std::thread::Builder::new()
            .name("admin".into())
            .spawn(move || runtime.block_on(admin.serve(listener)))?;
        Ok(Bound { address })
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!("the admin listener cannot be served: {error}");
                return;
            }
        };
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // Never closed, so there is a place sooner or later.
            let place = places.clone().acquire_owned().await.ok();
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let conversation = self.clone().converse(stream, peer);
                    tokio::spawn(async move {
                        let _place = place;
                        if timeout(CONVERSATION, conversation).await.is_err() {
                            tracing::debug!(%peer, "admin connection ended: it took too long");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!("admin accept failed: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn converse(self: Arc<Self>, stream: tokio::net::TcpStream, peer: SocketAddr) {
        // Events are small, and each is to be seen when it happens.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, "TCP_NODELAY refused: {error}");
        }
        let service = service_fn(move |request: Request<Incoming>| {
            let admin = self.clone();
            async move {
                let command = request.uri().path().starts_with("/v1/");
                let answer = if command {
                    api::answer(&admin, peer, request).await
                } else {
                    admin.answer(&request)
                };
                Ok::<_, Infallible>(answer)
            }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!("admin connection ended: {error}");
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let known = matches!(
            request.uri().path(),
            "/livez" | "/readyz" | "/metrics" | "/table"
        );
        if known && request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = json(
                StatusCode::METHOD_NOT_ALLOWED,
                &serde_json::json!({ "error": "method not allowed" }),
            );
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            // That this thread answers is all there is to being alive;
            // dependencies never make a node worth killing.
            "/livez" => json(StatusCode::OK, &serde_json::json!({ "alive": true })),
            "/readyz" => {
                let waiting = self.readiness.waiting();
                let status = if waiting.is_empty() {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                json(
                    status,
                    &serde_json::json!({ "ready": waiting.is_empty(), "waiting_for": waiting }),
                )
            }
            "/metrics" => {
                let form = Exposition::accepted(request.headers().get(ACCEPT));
                let mut response = Response::new(whole(self.metrics.render(form)));
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
                response
            }
            "/table" => match self.live.get() {
                Some(live) => json(StatusCode::OK, &table::describe(&live.pin())),
                None => json(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &serde_json::json!({ "error": "no table yet" }),
                ),
            },
            _ => json(
                StatusCode::NOT_FOUND,
                &serde_json::json!({ "error": "not found" }),
            ),
        }
    }
}

fn whole(text: String) -> Body {
    Full::from(text).boxed_unsync()
}

fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut response = Response::new(whole(value.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
