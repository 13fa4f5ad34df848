//! Reads along with what the server sends, for the things that the driver knows
//! but does not tell: whether the session is in a transaction, whether the server
//! ended the connection with a last word, whether a statement was ever written,
//! and when the server was done with one.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Enough of an error message for its severity, which comes first.
const CAPTURE: usize = 40;

/// What was seen on one connection.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Bytes handed to the operating system.
    written: AtomicU64,
    /// The status byte of the last ReadyForQuery; 0 before the first.
    status: AtomicU8,
    /// How many of ReadyForQuery there were.
    answered: AtomicU64,
    /// Told at each.
    answer: Notify,
    fatal: AtomicBool,
    encrypted: AtomicBool,
}

impl Signals {
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(super) fn add_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Release);
    }

    /// Whether the session was in a transaction, a failed one included, when it
    /// last finished a request.
    pub(super) fn in_transaction(&self) -> bool {
        matches!(self.status.load(Ordering::Acquire), b'T' | b'E')
    }

    /// How often the server was done with what it was sent.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Acquire)
    }

    /// Returns when the server was done with something since it was `before`. For
    /// one caller at a time.
    pub(super) async fn answered_since(&self, before: u64) {
        while self.answered() == before {
            self.answer.notified().await;
        }
    }

    fn ready(&self, status: u8) {
        self.status.store(status, Ordering::Release);
        self.answered.fetch_add(1, Ordering::Release);
        self.answer.notify_one();
    }

    /// Whether the server announced that it ends the session. It does so in
    /// the place of the running statement's answer, so no later one has begun.
    pub(super) fn is_fatal(&self) -> bool {
        self.fatal.load(Ordering::Acquire)
    }
}

/// Where in the message stream the next byte falls.
#[derive(Debug)]
enum Frame {
    /// The one byte that answers a request for TLS.
    TlsAnswer,
    /// In the five bytes of tag and length.
    Header { bytes: [u8; 5], have: usize },
    /// In a message's body, of which this much is to come.
    Body { tag: u8, left: usize },
}

const HEADER: Frame = Frame::Header {
    bytes: [0; 5],
    have: 0,
};

/// Follows the server's messages across reads.
#[derive(Debug)]
pub(super) struct Frames {
    frame: Frame,
    captured: Vec<u8>,
}

impl Frames {
    pub(super) fn new(after_tls_request: bool) -> Self {
        Self {
            frame: if after_tls_request {
                Frame::TlsAnswer
            } else {
                HEADER
            },
            captured: Vec::new(),
        }
    }

    pub(super) fn read(&mut self, mut bytes: &[u8], signals: &Signals) {
        while let Some(&first) = bytes.first() {
            match &mut self.frame {
                Frame::TlsAnswer => {
                    self.frame = HEADER;
                    // An old server may answer with an error message instead.
                    if matches!(first, b'S' | b'N') {
                        bytes = &bytes[1..];
                    }
                }
                Frame::Header {
                    bytes: header,
                    have,
                } => {
                    let take = bytes.len().min(header.len() - *have);
                    header[*have..*have + take].copy_from_slice(&bytes[..take]);
                    *have += take;
                    bytes = &bytes[take..];
                    if *have == header.len() {
                        let [tag, length @ ..] = *header;
                        let left = (u32::from_be_bytes(length) as usize).saturating_sub(4);
                        self.frame = if left == 0 {
                            HEADER
                        } else {
                            Frame::Body { tag, left }
                        };
                        self.captured.clear();
                    }
                }
                Frame::Body { tag, left } => {
                    let take = bytes.len().min(*left);
                    match *tag {
                        b'Z' => signals.ready(first),
                        b'E' => {
                            let room = CAPTURE.saturating_sub(self.captured.len());
                            self.captured.extend_from_slice(&bytes[..take.min(room)]);
                        }
                        _ => {}
                    }
                    *left -= take;
                    bytes = &bytes[take..];
                    if *left == 0 {
                        if *tag == b'E' && is_fatal(&self.captured) {
                            signals.fatal.store(true, Ordering::Release);
                        }
                        self.frame = HEADER;
                    }
                }
            }
        }
    }
}

/// The severity in field `V` is never translated; that in `S` may be.
fn is_fatal(error: &[u8]) -> bool {
    error
        .split(|byte| *byte == 0)
        .any(|field| matches!(field, b"VFATAL" | b"VPANIC"))
}

/// A stream from the server that is read along with.
#[derive(Debug)]
pub(super) struct Watched<S> {
    inner: S,
    frames: Frames,
    signals: Arc<Signals>,
    /// Below the encryption there is nothing to see once it is on.
    below_tls: bool,
}

impl<S> Watched<S> {
    /// The transport itself, before any TLS.
    pub(super) fn transport(inner: S, asks_for_tls: bool, signals: Arc<Signals>) -> Self {
        Self {
            inner,
            frames: Frames::new(asks_for_tls),
            signals,
            below_tls: true,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let poll = Pin::new(&mut this.inner).poll_read(cx, buf);
        let blind = this.below_tls && this.signals.encrypted.load(Ordering::Relaxed);
        if !blind {
            this.frames.read(&buf.filled()[before..], &this.signals);
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Watched<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// Makes the TLS stream a watched one.
pub(super) struct WatchedTls<T> {
    pub(super) inner: T,
    pub(super) signals: Arc<Signals>,
}

impl<S, T> TlsConnect<S> for WatchedTls<T>
where
    T: TlsConnect<S>,
    T::Future: Send + 'static,
    T::Stream: 'static,
    T::Error: 'static,
{
    type Stream = Watched<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        self.signals.encrypted.store(true, Ordering::Relaxed);
        let handshake = self.inner.connect(stream);
        let signals = self.signals;
        Box::pin(async move {
            Ok(Watched {
                inner: handshake.await?,
                frames: Frames::new(false),
                signals,
                below_tls: false,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[tag], length.as_slice(), body].concat()
    }

    /// Feeds the bytes in pieces of every size, which must make no difference.
    fn seen(after_tls_request: bool, bytes: &[u8]) -> (u8, bool) {
        let mut results = (1..=bytes.len()).map(|size| {
            let signals = Signals::default();
            let mut frames = Frames::new(after_tls_request);
            for piece in bytes.chunks(size) {
                frames.read(piece, &signals);
            }
            (signals.status.load(Ordering::Relaxed), signals.is_fatal())
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
        first
    }

    #[test]
    fn the_last_status_counts() {
        let bytes = [
            message(b'Z', b"I"),
            message(b'2', b""),
            message(
                b'D',
                b"Z\0\0\0\x05I and other bytes that look like messages",
            ),
            message(b'C', b"BEGIN\0"),
            message(b'Z', b"T"),
        ]
        .concat();
        assert_eq!(seen(false, &bytes), (b'T', false));
    }

    #[test]
    fn the_answer_about_tls_is_no_message() {
        let bytes = [
            b"N".to_vec(),
            message(b'R', b"\0\0\0\0"),
            message(b'Z', b"I"),
        ]
        .concat();
        assert_eq!(seen(true, &bytes), (b'I', false));
    }

    #[test]
    fn a_last_word_is_told_from_an_error() {
        let error = message(b'E', b"SERROR\0VERROR\0C42601\0Msyntax VFATAL\0\0");
        let fatal = message(b'E', b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0");
        let translated = message(b'E', b"SDODELIJK\0VFATAL\0C57P01\0Mx\0\0");
        assert_eq!(seen(false, &error), (0, false));
        assert_eq!(seen(false, &fatal), (0, true));
        assert_eq!(seen(false, &translated), (0, true));
    }

    #[tokio::test]
    async fn each_end_is_told() {
        let signals = Signals::default();
        let before = signals.answered();
        let answer = message(b'Z', b"I");
        let mut told = std::pin::pin!(signals.answered_since(before));
        assert!(futures::poll!(&mut told).is_pending());
        Frames::new(false).read(&answer, &signals);
        told.await;
        assert_eq!(signals.answered(), before + 1);
    }

    #[test]
    fn a_failed_transaction_is_one() {
        let signals = Signals::default();
        for (status, expected) in [(b'I', false), (b'T', true), (b'E', true)] {
            Frames::new(false).read(&message(b'Z', &[status]), &signals);
            assert_eq!(signals.in_transaction(), expected);
        }
    }
}
