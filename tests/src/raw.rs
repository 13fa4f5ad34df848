//! A connection that sends what it is told to, byte for byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest a read may hang before its test fails.
const LIMIT: Duration = Duration::from_secs(30);

pub struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

/// A response, as far as it came.
#[derive(Debug)]
pub struct Transfer {
    pub status: u16,
    /// The head's text, in lower case.
    pub head: String,
    /// The body's bytes, without the framing.
    pub body: Vec<u8>,
    /// Whether the framing says that nothing is missing.
    pub complete: bool,
}

impl Raw {
    /// # Panics
    /// Where the port is closed.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the port is open");
        stream.set_nodelay(true).expect("a socket option");
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// A body-less GET.
    pub async fn get(address: SocketAddr, path: &str) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n"))
            .await;
        raw
    }

    /// The head of a POST whose body of `length` bytes is still to come.
    pub async fn post_head(address: SocketAddr, path: &str, length: usize) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(&format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
        raw
    }

    /// # Panics
    /// Where the other side is gone.
    pub async fn send(&mut self, text: &str) {
        self.stream
            .write_all(text.as_bytes())
            .await
            .expect("the connection is open");
    }

    /// Says that nothing more will be sent.
    ///
    /// # Panics
    /// Where the other side is gone.
    pub async fn close_half(&mut self) {
        self.stream
            .shutdown()
            .await
            .expect("the connection is open");
    }

    /// What an other side that closed its half may refuse.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads at least one more piece; false at the end, broken or not.
    ///
    /// # Panics
    /// Where nothing comes in time.
    pub async fn more(&mut self) -> bool {
        let read = timeout(LIMIT, self.stream.read_buf(&mut self.received)).await;
        matches!(read.expect("something comes in time"), Ok(1..))
    }

    /// Reads until the head is there, and answers its status.
    ///
    /// # Panics
    /// Where it does not come.
    pub async fn head(&mut self) -> u16 {
        loop {
            if let Some((head, _)) = split(&self.received) {
                return status(&head);
            }
            assert!(self.more().await, "closed before a response's head");
        }
    }

    /// Reads until the response is complete or the connection ends.
    ///
    /// # Panics
    /// Where not even a head comes.
    pub async fn transfer(mut self) -> Transfer {
        self.response().await
    }

    /// As [`Raw::transfer`], for one of several responses on the connection.
    ///
    /// # Panics
    /// Where not even a head comes.
    pub async fn response(&mut self) -> Transfer {
        self.next().await.expect("a response's head")
    }

    /// The same; none where the connection ended before a head was there.
    pub async fn next(&mut self) -> Option<Transfer> {
        loop {
            let parsed = parse(&self.received);
            if let Some((transfer, taken)) = parsed
                && transfer.complete
            {
                self.received.drain(..taken);
                return Some(transfer);
            }
            if !self.more().await {
                break;
            }
        }
        let (transfer, _) = parse(&self.received)?;
        self.received.clear();
        Some(transfer)
    }

    /// Reads until the other side ends the connection; everything received.
    pub async fn until_closed(mut self) -> Vec<u8> {
        while self.more().await {}
        self.received
    }

    /// Goes away without a word.
    pub fn abort(self) {
        // A reset, not a farewell: what a client that dies looks like.
        let _ = self.stream.set_zero_linger();
    }
}

fn split(received: &[u8]) -> Option<(String, &[u8])> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
    Some((head, &received[end + 4..]))
}

fn status(head: &str) -> u16 {
    let text = head.split(' ').nth(1).expect("a status line");
    text.parse().expect("a status")
}

/// The first response, and how many bytes it has.
fn parse(received: &[u8]) -> Option<(Transfer, usize)> {
    let (head, rest) = split(received)?;
    let status = status(&head);
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse::<usize>().ok());
    let chunked = head
        .lines()
        .any(|line| line.starts_with("transfer-encoding: chunked"));
    let (body, left) = if chunked {
        dechunk(rest)
    } else if matches!(status, 100..=199 | 204 | 304) {
        (Vec::new(), Some(rest))
    } else {
        match length.and_then(|length| rest.split_at_checked(length)) {
            Some((body, left)) => (body.to_vec(), Some(left)),
            None => (rest.to_vec(), None),
        }
    };
    let taken = received.len() - left.unwrap_or_default().len();
    let transfer = Transfer {
        status,
        head,
        body,
        complete: left.is_some(),
    };
    Some((transfer, taken))
}

/// The chunks' bytes, and what follows the last chunk where that is there.
fn dechunk(mut rest: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]);
        let Ok(size) = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16) else {
            return (body, None);
        };
        rest = &rest[end + 2..];
        if size == 0 {
            return (body, rest.strip_prefix(b"\r\n"));
        }
        let there = size.min(rest.len());
        body.extend_from_slice(&rest[..there]);
        if rest.len() < size + 2 {
            return (body, None);
        }
        rest = &rest[size + 2..];
    }
    (body, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_complete_with_its_last_chunk_only() {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        let whole = [&head[..], b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"].concat();
        let cut = [&head[..], b"3\r\nabc\r\n2\r\nd"].concat();
        let (whole, _) = parse(&whole).unwrap();
        assert_eq!(
            (whole.body.as_slice(), whole.complete),
            (&b"abcde"[..], true)
        );
        let (cut, _) = parse(&cut).unwrap();
        assert_eq!((cut.body.as_slice(), cut.complete), (&b"abcd"[..], false));
    }

    #[test]
    fn a_counted_body_is_complete_with_its_last_byte_only() {
        let (whole, _) = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert!(whole.complete);
        let (cut, _) = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc").unwrap();
        assert!(!cut.complete);
    }

    #[test]
    fn a_response_ends_where_the_next_begins() {
        let one = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc".to_vec();
        let two = [&one[..], b"HTTP/1.1 204 No"].concat();
        let (first, taken) = parse(&two).unwrap();
        assert_eq!((first.body.as_slice(), taken), (&b"abc"[..], one.len()));
        let one = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
        let two = [&one[..], b"HTTP"].concat();
        let (first, taken) = parse(&two).unwrap();
        assert_eq!((first.complete, taken), (true, one.len()));
    }
}
