//! An h2 client that says what it is told to, frame by frame, and keeps no rule.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest a read may hang before its test fails.
const LIMIT: Duration = Duration::from_secs(30);

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const ASKED: &[u8; 8] = b"are all?";

/// One frame, byte for byte.
///
/// # Panics
/// Where the payload is longer than a frame's may be.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it fits").to_be_bytes();
    assert_eq!(length[0], 0, "a length has three bytes");
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a GET, as HPACK has them.
///
/// # Panics
/// Where the path is longer than 126 bytes.
pub fn get(path: &str) -> Vec<u8> {
    // The static table has GET and http; the path and the authority follow
    // their names' numbers, as they are.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(4, path), (1, "test")] {
        let length = u8::try_from(value.len()).expect("it is short");
        assert!(length < 127, "one byte says the length");
        block.extend([name, length]);
        block.extend(value.as_bytes());
    }
    block
}

/// A GET, complete with its head.
pub fn open(stream: u32, path: &str) -> Vec<u8> {
    let end_of_stream_and_headers = 5;
    frame(HEADERS, end_of_stream_and_headers, stream, &get(path))
}

/// The end of a stream by its client.
pub fn reset(stream: u32) -> Vec<u8> {
    let cancel = 8_u32.to_be_bytes();
    frame(RST_STREAM, 0, stream, &cancel)
}

/// Settings, by their numbers.
pub fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in all {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// A question whether the other side is there.
pub fn ping(word: &[u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, word)
}

/// Room for more of a stream, or of the connection where it is 0.
pub fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// A frame that came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether it breaks a stream off.
    pub fn resets(&self, stream: u32) -> bool {
        self.kind == RST_STREAM && self.stream == stream
    }
}

/// A connection of such a client.
pub struct H2 {
    stream: TcpStream,
    received: Vec<u8>,
}

impl H2 {
    /// # Panics
    /// Where the port is closed.
    pub async fn begin(address: SocketAddr, own: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.expect("the port is open");
        stream.set_nodelay(true).expect("a socket option");
        let received = Vec::new();
        let mut it = Self { stream, received };
        it.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        it.send(&settings(own)).await;
        it
    }

    /// Sends what the other side takes of it: one that has had enough is within
    /// its rights.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next frame; none where the other side has hung up.
    ///
    /// # Panics
    /// Where neither comes in time.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let read = timeout(LIMIT, self.stream.read_buf(&mut self.received)).await;
            let Ok(1..) = read.expect("a frame or the end") else {
                return None;
            };
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let (head, rest) = self.received.split_first_chunk::<9>()?;
        let [a, b, c, kind, _flags, stream @ ..] = *head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let frame = Frame {
            kind,
            stream: u32::from_be_bytes(stream),
            payload: rest.get(..length)?.to_vec(),
        };
        self.received.drain(..9 + length);
        Some(frame)
    }

    /// Returns true when the other side has read all that was sent, false when it
    /// has hung up.
    pub async fn settle(&mut self) -> bool {
        self.send(&ping(ASKED)).await;
        while let Some(frame) = self.next().await {
            if frame.kind == PING && frame.payload == ASKED {
                return true;
            }
        }
        false
    }
}
