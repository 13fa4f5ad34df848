//! A connection's bytes: a stream that can be written to after hyper has let
//! go of it, and that does not wait forever for a client that does not read.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// What is known of a connection outside of hyper.
#[derive(Debug)]
pub struct Shared {
    stream: TcpStream,
    /// Bytes have come in since the last went out: a request, or a part of
    /// one, is waiting for an answer.
    unanswered: AtomicBool,
}

impl Shared {
    /// Whether the client has begun a request that nothing was sent for.
    pub fn is_unanswered(&self) -> bool {
        self.unanswered.load(Relaxed)
    }

    /// Sends `bytes` if the socket takes them now: the last words on a
    /// connection that is being closed.
    pub fn last_words(&self, bytes: &[u8]) {
        // Nobody is owed these bytes: where they do not fit, the close says it.
        let _ = self.stream.try_write(bytes);
    }
}

/// A connection as hyper reads and writes it.
#[derive(Debug)]
pub struct Io {
    shared: Arc<Shared>,
    stall_limit: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Io {
    /// Wraps `stream`. A write that makes no progress for `stall_limit` ends
    /// the connection.
    pub fn new(stream: TcpStream, stall_limit: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                stream,
                unanswered: AtomicBool::new(false),
            }),
            stall_limit,
            stalled: None,
        }
    }

    /// What stays known after hyper has the rest.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    fn poll_try_write(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.shared.stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let limit = self.stall_limit;
                    let timer = self.stalled.get_or_insert_with(|| {
                        Box::pin(tokio::time::sleep_until(Instant::now() + limit))
                    });
                    return match timer.as_mut().poll(cx) {
                        Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
            match write(&self.shared.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.stalled = None;
                    self.shared.unanswered.store(false, Relaxed);
                    return Poll::Ready(result);
                }
            }
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.shared.stream.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            match self.shared.stream.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    if count > 0 {
                        self.shared.unanswered.store(true, Relaxed);
                    }
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_try_write(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_try_write(cx, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = socket2::SockRef::from(&self.shared.stream);
        Poll::Ready(match socket.shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}
