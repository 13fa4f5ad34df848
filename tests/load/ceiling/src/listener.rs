//! Accepting connections and serving them, with the host's settings.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use crate::cores::Cores;

/// The host's backlog.
const BACKLOG: i32 = 4096;
/// The host's limits of a request's head.
const HEADER_TIME: Duration = Duration::from_secs(10);
const HEADER_BYTES: usize = 32 << 10;

/// What a server does for a request; one on each core.
pub(crate) trait Work: Clone + Send + Sync + 'static {
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = anyhow::Result<Response<Full<Bytes>>>> + Send;
}

/// Serves until the process ends; `work` is by core.
///
/// # Errors
/// Where no port can be had, or accepting fails.
pub(crate) fn serve<W: Work>(cores: &Cores, work: Vec<W>) -> anyhow::Result<()> {
    let listener = listen()?;
    println!("listening {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        let (seat, runtime) = cores.seat();
        let work = work[seat.core].clone();
        runtime.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => connection(stream, work).await,
                Err(error) => eprintln!("connection lost: {error}"),
            }
            drop(seat);
        });
    }
}

fn listen() -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

async fn connection<W: Work>(stream: TcpStream, work: W) {
    if let Err(error) = stream.set_nodelay(true) {
        eprintln!("TCP_NODELAY refused: {error}");
    }
    let handler = service_fn(move |request| {
        let work = work.clone();
        async move {
            let answer = work.answer(request).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|error| failed(&error)))
        }
    });
    // A client that goes away is no concern of a yardstick.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), handler)
        .await;
}

/// Any of these makes a run void.
fn failed(error: &anyhow::Error) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{error:#}")));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
