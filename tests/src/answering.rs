//! Servers of the tests' own, over HTTP/1.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Answers on a free port of the loopback, for as long as the runtime lives: the port.
/// `accepted` is told of each connection.
///
/// # Panics
/// Where there is no port.
pub(crate) async fn answering<F>(
    accepted: impl Fn() + Send + 'static,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> u16
where
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepted();
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            tokio::spawn(Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    port
}
