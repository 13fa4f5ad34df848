//! A server that says what it is told to, or nothing.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Serve,
    /// Reads, and keeps every answer until it serves again.
    Silent,
    /// Answers all but what blocks.
    Empty,
    /// Refuses to say hello.
    WrongPassword,
    /// Closes every connection it has and takes no new ones.
    Away,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    pub(super) accepted: usize,
    pub(super) closed: usize,
    pub(super) blocked: usize,
}

pub(super) struct Fake {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    seen: watch::Sender<Seen>,
}

impl Fake {
    pub(super) async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, _) = watch::channel(mode);
        let (seen, _) = watch::channel(Seen::default());
        tokio::spawn(accept(listener, mode.clone(), seen.clone()));
        Self {
            address,
            mode,
            seen,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(super) fn seen(&self) -> Seen {
        *self.seen.borrow()
    }

    /// Waits for what must come about; only a fault makes it run out.
    pub(super) async fn until(&self, reached: impl Fn(&Seen) -> bool) {
        let mut seen = self.seen.subscribe();
        let reached = seen.wait_for(|seen| reached(seen));
        timeout(super::PATIENCE, reached).await.unwrap().unwrap();
    }
}

async fn accept(listener: TcpListener, mode: watch::Sender<Mode>, seen: watch::Sender<Seen>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if *mode.borrow() == Mode::Away {
            continue;
        }
        seen.send_modify(|seen| seen.accepted += 1);
        let (mut away, seen) = (mode.subscribe(), seen.clone());
        let connection = serve(stream, mode.subscribe(), seen.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = connection => {}
                _ = away.wait_for(|mode| *mode == Mode::Away) => {}
            }
            seen.send_modify(|seen| seen.closed += 1);
        });
    }
}

async fn serve(
    stream: TcpStream,
    mut mode: watch::Receiver<Mode>,
    seen: watch::Sender<Seen>,
) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let command = command(&mut read).await?;
        let reply = reply(&command, *mode.borrow());
        let Some(reply) = reply else { continue };
        if command[0] == "BLPOP" {
            seen.send_modify(|seen| seen.blocked += 1);
            mode.wait_for(|mode| *mode != Mode::Empty).await.ok()?;
        }
        mode.wait_for(|mode| *mode != Mode::Silent).await.ok()?;
        write.write_all(reply.as_bytes()).await.ok()?;
    }
}

fn reply(command: &[String], mode: Mode) -> Option<String> {
    Some(match command[0].as_str() {
        "HELLO" if mode == Mode::WrongPassword => "-WRONGPASS no\r\n".into(),
        "HELLO" => "%0\r\n".into(),
        "PING" => "+PONG\r\n".into(),
        "ECHO" => format!("${}\r\n{}\r\n", command[1].len(), command[1]),
        "EXEC" => "*0\r\n".into(),
        "FAIL" => "-ERR no\r\n".into(),
        // Never answered.
        "HOLD" => return None,
        _ => "+OK\r\n".into(),
    })
}

/// A command as clients send it: an array of strings.
async fn command(read: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Vec<String>> {
    let count = number(read, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(read, '$').await? + 2];
        read.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8(word).unwrap());
    }
    Some(words)
}

async fn number(read: &mut (impl AsyncBufReadExt + Unpin), kind: char) -> Option<usize> {
    let mut line = String::new();
    read.read_line(&mut line).await.ok()?;
    line.strip_prefix(kind)?.trim_end().parse().ok()
}
