//! Many clients at once, each with a connection of its own.

use std::net::SocketAddr;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// One client and its one connection.
pub struct Solo {
    sender: SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Solo {
    /// # Errors
    /// Where the port does not accept.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // The next request says that the connection is gone.
            let _ = connection.await;
        });
        Ok(Self { sender, address })
    }

    /// # Errors
    /// Where the connection breaks.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, HeaderMap, Bytes)> {
        let what = format!("{method} {path}");
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string());
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.sender
            .ready()
            .await
            .with_context(|| format!("{what}: the connection closed"))?;
        let response = self
            .sender
            .send_request(request.body(Full::new(body.into()))?)
            .await;
        let response = response.with_context(|| what.clone())?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.with_context(|| what)?.to_bytes();
        Ok((head.status, head.headers, body))
    }

    /// As [`Solo::send`], where one status alone is right.
    ///
    /// # Errors
    /// Where the connection breaks or the status is another.
    pub async fn expect(
        &mut self,
        status: u16,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(HeaderMap, Bytes)> {
        let what = format!("{method} {path}");
        let (found, headers, body) = self.send(method, path, body).await?;
        anyhow::ensure!(
            found.as_u16() == status,
            "{what}: {found} instead of {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok((headers, body))
    }
}
