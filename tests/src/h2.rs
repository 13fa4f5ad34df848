//! An h2 client that says what it is told to, frame by frame, and keeps no rule.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest a read may hang before its test fails.
const LIMIT: Duration = Duration::from_secs(30);

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags of HEADERS and of CONTINUATION.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

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
    asked(0x82, path)
}

/// The same of a POST.
///
/// # Panics
/// Where the path is longer than 126 bytes.
pub fn post(path: &str) -> Vec<u8> {
    asked(0x83, path)
}

fn asked(method: u8, path: &str) -> Vec<u8> {
    // The static table has the methods and http; the path and the authority follow
    // their names' numbers, as they are.
    let mut block = vec![method, 0x86];
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
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &get(path))
}

/// A POST whose body is still to come.
pub fn open_post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &post(path))
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

    /// What is said of the stream: `204` of its response, `reset 7` where it is
    /// broken off; of any stream, `goaway 11` where the connection is.
    pub fn says(&self, stream: u32) -> Option<String> {
        let code = |at: usize| {
            let four = self.payload.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*four))
        };
        match self.kind {
            GOAWAY => code(4).map(|code| format!("goaway {code}")),
            RST_STREAM if self.stream == stream => code(0).map(|code| format!("reset {code}")),
            HEADERS if self.stream == stream => Some(status(&self.payload)),
            _ => None,
        }
    }
}

/// The status that a response's headers begin with.
fn status(block: &[u8]) -> String {
    match *block {
        [indexed @ 0x88..=0x8e, ..] => ["200", "204", "206", "304", "400", "404", "500"]
            [usize::from(indexed - 0x88)]
        .to_owned(),
        // By the name's number, and three digits in Huffman's code: those up to 2 in
        // five bits, the others in six.
        [0x08 | 0x18 | 0x48, 0x82 | 0x83, a, b, ref rest @ ..] => {
            let third = rest.first().copied().unwrap_or_default();
            let mut bits = u32::from_be_bytes([a, b, third, 0]);
            let mut status = String::new();
            for _ in 0..3 {
                let (digit, taken) = match bits >> 27 {
                    short @ 0..3 => (short, 5),
                    _ => ((bits >> 26).saturating_sub(0b01_1001) + 3, 6),
                };
                status.push_str(&digit.to_string());
                bits <<= taken;
            }
            status
        }
        _ => format!("headers {block:02x?}"),
    }
}

/// A connection of such a client.
pub struct H2 {
    stream: TcpStream,
    received: BytesMut,
}

impl H2 {
    /// # Panics
    /// Where the port is closed.
    pub async fn begin(address: SocketAddr, own: &[(u16, u32)]) -> Self {
        let stream = TcpStream::connect(address).await.expect("the port is open");
        stream.set_nodelay(true).expect("a socket option");
        let received = BytesMut::new();
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

    /// The same, taking in what comes meanwhile: an other side that cannot get rid of
    /// its answers need not read on.
    pub async fn exchange(&mut self, bytes: &[u8]) {
        let (mut read, mut write) = self.stream.split();
        let mut sent = std::pin::pin!(write.write_all(bytes));
        loop {
            tokio::select! {
                _ = sent.as_mut() => return,
                read = read.read_buf(&mut self.received) => {
                    let Ok(1..) = read else { return };
                }
            }
        }
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

    /// The next frame of one of these streams.
    ///
    /// # Panics
    /// Where the other side hangs up before it.
    pub async fn next_of(&mut self, streams: &[u32]) -> Frame {
        loop {
            let frame = self.next().await.expect("the connection goes on");
            if streams.contains(&frame.stream) {
                return frame;
            }
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
        self.received.advance(9 + length);
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

    /// What is said of `stream` and of one that was opened after it, up to the latter's
    /// answer; it ends with `closed` where the other side has hung up before.
    pub async fn outcome(&mut self, stream: u32, last: u32) -> String {
        let mut said = Vec::new();
        while let Some(frame) = self.next().await {
            if let Some(answer) = frame.says(last).filter(|_| frame.stream == last) {
                said.push(answer);
                return said.join(" ");
            }
            said.extend(frame.says(stream));
        }
        said.push("closed".to_owned());
        said.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_however_it_is_written() {
        for (block, wanted) in [
            (&[0x89, 0x61][..], "204"),
            (&[0x48, 0x83, 0x69, 0x90, 0xff], "431"),
            (&[0x48, 0x82, 0x10, 0x01], "200"),
        ] {
            assert_eq!(status(block), wanted);
        }
    }
}
