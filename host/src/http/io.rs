//! A connection's bytes: a stream that can be written to after hyper has let
//! go of it, and that does not wait forever for a client that does not read.

use super::untaken::Untaken;
use rustix::net::RecvFlags;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// What is known of a connection outside of hyper.
#[derive(Debug)]
pub struct Shared {
    stream: TcpStream,
    /// Bytes have come in since the last went out: a request, or a part of
    /// one, is waiting for an answer.
    unanswered: AtomicBool,
    /// Whose bytes may go out.
    voice: AtomicU8,
    /// The client may be at work on a request that nobody reads any more.
    unread: AtomicBool,
    /// The next answer is the last.
    ending: AtomicBool,
    /// Bodies on their way, where streams have windows of their own.
    untaken: Option<Untaken>,
}

/// How long a client is listened to after its connection was given up.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes asked for at first. What is offered has to be set to zero before, and most
/// requests are shorter; a body that fills it gets four times as much, and so on.
const FIRST_READ: usize = 2 << 10;

/// Bytes asked for at most.
const MOST_READ: usize = 256 << 10;

/// Nobody has asked anything: what hyper writes now is its own answer to a
/// malformed head, which has no body. It is held back, and the host answers.
const SILENT: u8 = 0;
/// A request is being answered.
const ANSWERING: u8 = 1;
/// The response is over, though some of it may not have been written yet.
const ENDING: u8 = 2;

impl Shared {
    /// Whether the client has begun a request that nothing was sent for.
    pub fn is_unanswered(&self) -> bool {
        self.unanswered.load(Relaxed)
    }

    /// Bodies on their way; none where a byte that cannot be sent stalls a write.
    pub fn untaken(&self) -> Option<&Untaken> {
        self.untaken.as_ref()
    }

    /// A request was understood; from now on there is something to say.
    pub fn answering(&self) {
        self.voice.store(ANSWERING, Relaxed);
    }

    /// The response's body is over.
    pub fn answered(&self) {
        // Unless the next request is at work already.
        let _ = self
            .voice
            .compare_exchange(ANSWERING, ENDING, Relaxed, Relaxed);
    }

    /// A request's body has begun (`true`) or was read to its end (`false`).
    pub fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Relaxed);
    }

    /// Whether a request's body was not read to its end.
    pub fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Has every answer from now on say that it is the connection's last.
    pub fn end(&self) {
        self.ending.store(true, Relaxed);
    }

    /// Whether the connection closes after an answer that is sent now; a client that
    /// is not told would send its next request into the close.
    pub fn is_ending(&self) -> bool {
        self.is_unread() || self.ending.load(Relaxed)
    }

    /// Takes in what the client still sends, for a short while. Closed with
    /// bytes unread, the kernel would reset the connection, and the client lose
    /// the answer that it has not read yet.
    pub async fn linger(&self) {
        if !self.unread.load(Relaxed) {
            return;
        }
        let _ = socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write);
        let drained = async {
            let mut scrap = vec![0; 64 << 10];
            while self.stream.readable().await.is_ok() {
                match self.stream.try_read(&mut scrap) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        // A client that goes on for longer is cut off.
        let _ = tokio::time::timeout(LINGER, drained).await;
    }

    /// Sends `bytes` if the socket takes them now: the last words on a
    /// connection that is being closed, before [`Self::linger`].
    pub fn last_words(&self, bytes: &[u8]) {
        // Nobody is owed these bytes: where they do not fit, the close says it.
        let _ = self.stream.try_write(bytes);
        self.set_unread(true);
    }
}

/// A connection as hyper reads and writes it.
#[derive(Debug)]
pub struct Io {
    shared: Arc<Shared>,
    stall_limit: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// hyper's own words were held back.
    muted: bool,
    /// Whether they are to be.
    mutes: bool,
    /// Bytes that the next read offers room for.
    reach: usize,
}

impl Io {
    /// Wraps `stream`. A write that makes no progress for `stall_limit` ends
    /// the connection. `mutes`: hyper may write only after
    /// [`Shared::answering`], which makes sense where one request follows the
    /// other.
    pub fn new(stream: TcpStream, stall_limit: Duration, mutes: bool) -> Self {
        Self {
            shared: Arc::new(Shared {
                stream,
                unanswered: AtomicBool::new(false),
                voice: AtomicU8::new(SILENT),
                unread: AtomicBool::new(false),
                ending: AtomicBool::new(false),
                untaken: (!mutes).then(Untaken::default),
            }),
            stall_limit,
            stalled: None,
            muted: false,
            mutes,
            reach: FIRST_READ,
        }
    }

    /// What stays known after hyper has the rest.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Whether bytes are held back now.
    fn is_silent(&mut self) -> bool {
        let silent = self.mutes && self.shared.voice.load(Relaxed) == SILENT;
        self.muted |= silent;
        silent
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let stream = &this.shared.stream;
        loop {
            match stream.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
            let room = this.reach.min(buffer.remaining());
            let offered = buffer.initialize_unfilled_to(room);
            let mut taken = None;
            let tried = stream.try_io(Interest::READABLE, || {
                let (_, count) = rustix::net::recv(stream, &mut *offered, RecvFlags::empty())?;
                taken = Some(count);
                if 0 < count && count < room {
                    // That was all there is. Said like this, the runtime waits for
                    // more without another call to be told so: one in three of a
                    // request's calls.
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            match (taken, tried) {
                (Some(count), _) => {
                    if count > 0 {
                        this.shared.unanswered.store(true, Relaxed);
                    }
                    this.reach = if count == room {
                        this.reach.saturating_mul(4).min(MOST_READ)
                    } else {
                        FIRST_READ
                    };
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                (None, _) => {}
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
        if self.is_silent() {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.poll_try_write(cx, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_silent() {
            return Poll::Ready(Ok(pieces.iter().map(|piece| piece.len()).sum()));
        }
        self.poll_try_write(cx, |stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has written all it had.
        let voice = &self.shared.voice;
        let _ = voice.compare_exchange(ENDING, SILENT, Relaxed, Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.muted {
            // There will be last words.
            return Poll::Ready(Ok(()));
        }
        let socket = socket2::SockRef::from(&self.shared.stream);
        Poll::Ready(match socket.shutdown(std::net::Shutdown::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }
}
