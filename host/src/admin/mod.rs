//! The admin listener: probes, metrics and the table, on a thread of its own,
//! so that they are answered while every core is busy.

mod table;

use crate::live::LiveTable;
use crate::readiness::Readiness;
use crate::telemetry::{METRICS_TYPE, Metrics};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Longest wait for a request's head. Probes and scrapers are near and quick.
const HEADER_TIME: Duration = Duration::from_secs(5);

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
}

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
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(self.clone().converse(stream));
                }
                Err(error) => {
                    tracing::warn!("admin accept failed: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn converse(self: Arc<Self>, stream: tokio::net::TcpStream) {
        let service = service_fn(move |request| {
            let response = self.answer(&request);
            async { Ok::<_, std::convert::Infallible>(response) }
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

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
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
                let mut response = Response::new(Full::from(self.metrics.render()));
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
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

fn json(status: StatusCode, value: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(value.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
