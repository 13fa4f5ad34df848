//! An ordinary HTTP client.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

/// The longest a request may hang before its test fails.
const LIMIT: Duration = Duration::from_secs(60);

/// What a request body can be made of.
pub type Body = BoxBody<Bytes, std::io::Error>;

/// Talks to one port, over as many connections as it takes.
#[derive(Clone)]
pub struct Api {
    address: SocketAddr,
    client: Client<HttpConnector, Body>,
}

/// A whole response.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What was asked, for messages.
    asked: String,
}

impl Api {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Speaks HTTP/2 from the first byte.
    pub fn h2c(address: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        Self { address, client }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn head(&self, path: &str) -> Reply {
        self.send(Method::HEAD, path, &[], Bytes::new()).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.json(Method::POST, path, body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.json(Method::PUT, path, body.to_string()).await
    }

    /// A body said to be JSON, whether it is or not.
    pub async fn json(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Reply {
        let headers = [(CONTENT_TYPE, "application/json")];
        self.send(method, path, &headers, body.into()).await
    }

    /// # Panics
    /// Where there is no response in time.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Reply {
        let body = Full::new(body).map_err(|never| match never {}).boxed();
        let asked = format!("{method} {path}");
        match self.try_send(method, path, headers, body).await {
            Ok(reply) => reply,
            Err(error) => panic!("{asked}: {error:#}"),
        }
    }

    /// # Errors
    /// Where the connection or the transfer broke, or took too long.
    ///
    /// # Panics
    /// Where the path is not one.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Body,
    ) -> anyhow::Result<Reply> {
        let asked = format!("{method} {path}");
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(body).expect("a request");
        let exchange = async {
            let response = self.client.request(request).await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Reply {
                status: head.status,
                headers: head.headers,
                body,
                asked,
            })
        };
        timeout(LIMIT, exchange).await?
    }
}

impl Reply {
    /// # Panics
    /// Where the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{} answered {}",
            self.asked,
            self.text()
        );
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// # Panics
    /// Where the body is not JSON.
    #[track_caller]
    pub fn value(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => {
                panic!("{}: {error}: {}", self.asked, self.text())
            }
        }
    }

    /// # Panics
    /// Where the body is not a list.
    #[track_caller]
    pub fn list(&self) -> Vec<Value> {
        match self.value() {
            Value::Array(list) => list,
            other => panic!("{}: not a bare array: {other}", self.asked),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// An error as every error should be: the status, JSON, and a text that
    /// gives nothing away.
    ///
    /// # Panics
    /// Where it is not.
    #[track_caller]
    pub fn error(&self, status: u16) -> String {
        let asked = &self.asked;
        assert_eq!(
            self.status.as_u16(),
            status,
            "{asked} answered {}",
            self.text()
        );
        let kind = self.header("content-type").unwrap_or_default();
        assert!(
            kind.starts_with("application/json"),
            "{asked}: content-type {kind:?}"
        );
        let error = self.value()["error"].as_str().map(ToOwned::to_owned);
        let error = error.unwrap_or_else(|| panic!("{asked}: no `error` text in {}", self.text()));
        assert!(!error.is_empty(), "{asked}: an empty error text");
        let shown = self.text();
        for secret in [
            "SELECT ",
            "INSERT ",
            "UPDATE ",
            "wasm backtrace",
            "panicked at",
            "<html",
        ] {
            assert!(
                !shown.contains(secret),
                "{asked} gives away {secret:?}: {shown}"
            );
        }
        error
    }

    /// An error whose text names what is wrong.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    pub fn error_naming(&self, status: u16, field: &str) {
        let error = self.error(status);
        assert!(
            error.contains(field),
            "{}: {error:?} does not name {field:?}",
            self.asked
        );
    }
}
