//! The socket under a connection.

use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::sniff::Signals;

/// How long the server gets to close its end: after that its process is gone
/// and no longer counts against `max_connections`.
const LINGER: Duration = Duration::from_secs(5);

/// After this long without traffic a connection is looked at before a statement
/// is put on it.
const QUIET: Duration = Duration::from_millis(5);
/// How often a write steps aside for what has arrived. The runtime looks at its
/// sockets every 61 polls at the latest.
const STEPS_ASIDE: u8 = 128;

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub(super) async fn unix(directory: PathBuf, port: u16) -> io::Result<Self> {
        let path = directory.join(format!(".s.PGSQL.{port}"));
        UnixStream::connect(path).await.map(Self::Unix)
    }

    /// Whether the server has sent something, or ended the connection, that the
    /// runtime has not yet noticed.
    fn has_unread(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        match self {
            Self::Tcp(stream) => SockRef::from(stream).peek(&mut byte),
            Self::Unix(stream) => SockRef::from(stream).peek(&mut byte),
        }
        .is_ok()
    }

    /// Ends our side and waits for the server to end its own.
    pub(super) async fn linger(mut self) {
        let bye = async {
            self.shutdown().await?;
            let mut rest = [0; 4096];
            while self.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // An error is as good as an end: the socket is dead either way.
        let _ = tokio::time::timeout(LINGER, bye).await;
    }
}

/// A socket that counts what is written and outlives its owner: the driver
/// drops it at the end, and the other half of [`Wire::new`] receives it.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Option<Socket>,
    back: Option<oneshot::Sender<Socket>>,
    signals: Arc<Signals>,
    /// When something was last read or written.
    active: Instant,
    stepped_aside: u8,
}

impl Wire {
    pub(super) fn new(socket: Socket, signals: Arc<Signals>) -> (Self, oneshot::Receiver<Socket>) {
        let (back, returned) = oneshot::channel();
        let wire = Self {
            socket: Some(socket),
            back: Some(back),
            signals,
            active: Instant::now(),
            stepped_aside: 0,
        };
        (wire, returned)
    }

    /// Whether a statement about to be written should wait for what has come in.
    /// A server that ends an idle session says so; a statement written to it
    /// before that is read might, for all anyone can tell, have run.
    fn must_read_first(&mut self, now: Instant) -> bool {
        let quiet = now.duration_since(self.active) > QUIET;
        let unread = quiet
            && self.stepped_aside < STEPS_ASIDE
            && self.socket.as_ref().is_some_and(Socket::has_unread);
        self.stepped_aside = if unread { self.stepped_aside + 1 } else { 0 };
        unread
    }

    fn socket(&mut self) -> Pin<&mut Socket> {
        Pin::new(self.socket.as_mut().expect("taken only by drop"))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let (Some(back), Some(socket)) = (self.back.take(), self.socket.take()) {
            // Nobody waits for it: then it is closed here and now.
            let _ = back.send(socket);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = self.socket().poll_read(cx, buf);
        if poll.is_ready() {
            self.active = Instant::now();
        }
        poll
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        if self.must_read_first(now) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.active = now;
        let poll = self.socket().poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &poll {
            self.signals.add_written(*written);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(cx)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
