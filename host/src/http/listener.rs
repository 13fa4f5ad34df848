//! Accepting connections: a permit first, then the connection, then the core
//! with the fewest of them.

use super::conn;
use super::service::Service;
use crate::cores::Cores;
use crate::telemetry::Complaints;
use rustix::net::SocketFlags;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Connections that may wait in the kernel to be accepted. A burst of clients
/// lands here first; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// How long accepting rests when the process has run out of something, such
/// as descriptors: until some connection has ended, trying again is futile.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// A bound address that accepts nothing yet: clients are refused by the
/// kernel until [`Listener::listen`].
#[derive(Debug)]
pub struct Listener {
    socket: socket2::Socket,
}

impl Listener {
    /// Takes the address.
    ///
    /// # Errors
    ///
    /// When it is taken already, or not ours to take.
    pub fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM.nonblocking(),
            Some(socket2::Protocol::TCP),
        )?;
        // Lets a restarted host take its port back while old connections
        // linger in the kernel. Two listeners are still an error.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Ok(Self { socket })
    }

    /// Opens the address to clients.
    ///
    /// # Errors
    ///
    /// When another socket listens there.
    pub fn listen(self) -> std::io::Result<Open> {
        self.socket.listen(BACKLOG)?;
        let listener = TcpListener::from(self.socket);
        let address = listener.local_addr()?;
        Ok(Open { listener, address })
    }
}

/// An address that clients can connect to.
#[derive(Debug)]
pub struct Open {
    listener: TcpListener,
    address: SocketAddr,
}

impl Open {
    /// The address, with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts until `drain` turns true, then takes what the kernel has
    /// accepted for us already, so that no client is cut off, and closes.
    ///
    /// # Errors
    ///
    /// When the socket cannot be watched; a failed accept is never one.
    pub async fn serve(
        self,
        cores: &Cores,
        service: Arc<Service>,
        connections: usize,
        mut drain: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let permits = Arc::new(Semaphore::new(connections));
        let draining = drain.clone();
        let listener = watched(self.listener)?;
        let mut complaints = Complaints::default();
        loop {
            let permit = tokio::select! {
                permit = permits.clone().acquire_owned() => permit,
                _ = drain.wait_for(|drain| *drain) => break,
            };
            let Ok(permit) = permit else { break };
            let mut ready = tokio::select! {
                ready = listener.readable() => ready?,
                _ = drain.wait_for(|drain| *drain) => break,
            };
            match ready.try_io(|listener| accept(listener.get_ref())) {
                Err(_would_block) => {}
                Ok(Ok((stream, peer))) => {
                    if let Some(unsaid) = complaints.over() {
                        tracing::warn!(unsaid, "accepting again");
                    }
                    dispatch(cores, &service, stream, peer, permit, draining.clone());
                }
                Ok(Err(error)) => {
                    service.metrics().accept_errors.inc();
                    if is_one_connections_own(&error) {
                        continue;
                    }
                    if let Some(unsaid) = complaints.add() {
                        tracing::warn!(unsaid, "accept failed: {error}");
                    }
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
        while let Ok(permit) = permits.clone().try_acquire_owned() {
            match accept(listener.get_ref()) {
                Ok((stream, peer)) => {
                    dispatch(cores, &service, stream, peer, permit, draining.clone());
                }
                Err(error) if is_one_connections_own(&error) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// Tells the runtime of the listener's readiness. tokio's own listener would tie
/// each connection to the accepting runtime before its core is chosen.
#[expect(
    unsafe_code,
    reason = "tokio cannot know that a type keeps to one descriptor"
)]
fn watched(listener: TcpListener) -> std::io::Result<AsyncFd<TcpListener>> {
    // SAFETY: std's listener owns its descriptor, keeps it open for as long as it
    // lives, and always names the same one.
    unsafe { AsyncFd::register(listener) }.map_err(Into::into)
}

fn accept(listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
    // One call for what std does in two: the stream is non-blocking at once.
    let (stream, peer) =
        rustix::net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer
        .and_then(|peer| SocketAddr::try_from(peer).ok())
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::ConnectionAborted))?;
    Ok((TcpStream::from(stream), peer))
}

/// Errors of the connection that was to be accepted, not of accepting.
fn is_one_connections_own(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, PermissionDenied,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | PermissionDenied
    )
}

fn dispatch(
    cores: &Cores,
    service: &Arc<Service>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    drain: watch::Receiver<bool>,
) {
    service.metrics().accepted.inc();
    let (seat, runtime) = cores.seat();
    let service = service.clone();
    runtime.spawn(async move {
        let open = OpenConnection::new(&service);
        let core = seat.core;
        match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => conn::serve(stream, peer, core, service, drain).await,
            Err(error) => tracing::warn!("connection lost: {error}"),
        }
        drop((open, permit, seat));
    });
}

/// A connection in the gauge.
struct OpenConnection(prometheus_client::metrics::gauge::Gauge);

impl OpenConnection {
    fn new(service: &Service) -> Self {
        let gauge = service.metrics().connections.clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
