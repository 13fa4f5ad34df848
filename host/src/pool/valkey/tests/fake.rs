//! A server that says what it is told to, or nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Serve,
    /// Reads, and keeps every answer until it serves again.
    Silent,
    /// The same on connections that are told of changes, and on no others.
    Untold,
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
    pub(super) gets: usize,
    pub(super) sets: usize,
}

pub(super) struct Fake {
    address: SocketAddr,
    shared: Shared,
}

#[derive(Clone)]
struct Shared {
    mode: watch::Sender<Mode>,
    seen: watch::Sender<Seen>,
    store: Arc<Mutex<Store>>,
}

impl Fake {
    pub(super) async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            mode: watch::Sender::new(mode),
            seen: watch::Sender::new(Seen::default()),
            store: Arc::default(),
        };
        tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(super) fn place(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    pub(super) fn seen(&self) -> Seen {
        *self.shared.seen.borrow()
    }

    /// Changes a key, and tells nobody.
    pub(super) fn put(&self, key: &str, value: &str) {
        let value = (value.to_owned(), -1);
        self.shared.store.lock().values.insert(key.into(), value);
    }

    /// Tells of a change of this key.
    pub(super) fn tell(&self, key: &str) {
        self.push(&format!("*1\r\n{}", bulk(key)));
    }

    /// Tells of a change of all keys.
    pub(super) fn tell_of_all(&self) {
        self.push("_\r\n");
    }

    fn push(&self, what: &str) {
        let text = format!(">2\r\n$10\r\ninvalidate\r\n{what}");
        let trackers = &mut self.shared.store.lock().trackers;
        trackers.retain(|tracker| tracker.send(text.clone()).is_ok());
    }

    /// Waits for what must come about; only a fault makes it run out.
    pub(super) async fn until(&self, reached: impl Fn(&Seen) -> bool) {
        let mut seen = self.shared.seen.subscribe();
        let reached = seen.wait_for(|seen| reached(seen));
        timeout(super::PATIENCE, reached).await.unwrap().unwrap();
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if *shared.mode.borrow() == Mode::Away {
            continue;
        }
        shared.seen.send_modify(|seen| seen.accepted += 1);
        let (mut away, seen) = (shared.mode.subscribe(), shared.seen.clone());
        let connection = serve(stream, shared.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = connection => {}
                _ = away.wait_for(|mode| *mode == Mode::Away) => {}
            }
            seen.send_modify(|seen| seen.closed += 1);
        });
    }
}

async fn serve(stream: TcpStream, shared: Shared) -> Option<()> {
    let (read, write) = stream.into_split();
    let mut read = BufReader::new(read);
    let (say, said) = mpsc::unbounded_channel();
    let tracks = Arc::new(AtomicBool::new(false));
    let writer = write_all(write, said, shared.mode.subscribe(), Arc::clone(&tracks));
    let _writer = AbortOnDropHandle::new(tokio::spawn(writer));
    let mut mode = shared.mode.subscribe();
    let mut queued = None;
    loop {
        let command = command(&mut read).await?;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        match (words[0], &mut queued) {
            ("CLIENT", _) if words[1] == "TRACKING" => {
                tracks.store(true, Ordering::Release);
                shared.store.lock().trackers.push(say.clone());
            }
            ("GET", _) => shared.seen.send_modify(|seen| seen.gets += 1),
            ("BLPOP", _) => {
                shared.seen.send_modify(|seen| seen.blocked += 1);
                mode.wait_for(|mode| *mode != Mode::Empty).await.ok()?;
            }
            ("MULTI", None) => queued = Some(Vec::new()),
            ("EXEC", Some(commands)) => {
                let replies = commands.drain(..).map(|command: Vec<String>| {
                    let words: Vec<&str> = command.iter().map(String::as_str).collect();
                    shared.store.lock().reply(&words).unwrap_or_default()
                });
                let replies: Vec<String> = replies.collect();
                let all = format!("*{}\r\n{}", replies.len(), replies.concat());
                say.send(all).ok()?;
                queued = None;
                continue;
            }
            (_, Some(commands)) => {
                commands.push(command);
                say.send("+QUEUED\r\n".into()).ok()?;
                continue;
            }
            _ => {}
        }
        let current = *mode.borrow();
        let reply = match words[0] {
            "HELLO" if current == Mode::WrongPassword => Some("-WRONGPASS no\r\n".into()),
            _ => shared.store.lock().reply(&words),
        };
        if let Some(reply) = reply {
            say.send(reply).ok()?;
        }
        if words[0] == "SET" {
            shared.seen.send_modify(|seen| seen.sets += 1);
        }
    }
}

/// Writes what is to be said when the time has come, at once what is due by then.
async fn write_all(
    mut write: OwnedWriteHalf,
    mut said: mpsc::UnboundedReceiver<String>,
    mut mode: watch::Receiver<Mode>,
    tracks: Arc<AtomicBool>,
) -> Option<()> {
    loop {
        let mut text = said.recv().await?;
        let silent = |mode: &Mode| match mode {
            Mode::Silent => true,
            Mode::Untold => tracks.load(Ordering::Acquire),
            _ => false,
        };
        mode.wait_for(|mode| !silent(mode)).await.ok()?;
        while let Ok(more) = said.try_recv() {
            text.push_str(&more);
        }
        write.write_all(text.as_bytes()).await.ok()?;
    }
}

/// What the server holds, and who is to be told of changes.
#[derive(Default)]
struct Store {
    values: HashMap<String, (String, i64)>,
    trackers: Vec<mpsc::UnboundedSender<String>>,
}

impl Store {
    fn reply(&mut self, words: &[&str]) -> Option<String> {
        Some(match words {
            ["HELLO", ..] => "%0\r\n".into(),
            ["PING"] => "+PONG\r\n".into(),
            ["ECHO", text] => bulk(text),
            ["GET", key] => match self.values.get(*key) {
                Some((value, _)) => bulk(value),
                None => "_\r\n".into(),
            },
            ["PTTL", key] => {
                let left = self.values.get(*key).map_or(-2, |(_, left)| *left);
                format!(":{left}\r\n")
            }
            ["SET", key, value] | ["EVALSHA", _, _, key, value] => {
                let value = ((*value).to_owned(), -1);
                self.values.insert((*key).to_owned(), value);
                "+OK\r\n".into()
            }
            // A sentinel's: the place is kept under the service's name.
            ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", service] => {
                let place = self
                    .values
                    .get(*service)
                    .and_then(|(place, _)| place.split_once(':'));
                place.map_or("_\r\n".into(), |(host, port)| {
                    format!("*2\r\n{}{}", bulk(host), bulk(port))
                })
            }
            ["ROLE"] => {
                let role = self.values.get("role").map_or("master", |(role, _)| role);
                format!("*1\r\n{}", bulk(role))
            }
            ["FLUSHALL"] => {
                self.values.clear();
                "+OK\r\n".into()
            }
            ["EXEC"] => "*0\r\n".into(),
            ["FAIL"] => "-ERR no\r\n".into(),
            // Never answered.
            ["HOLD"] => return None,
            _ => "+OK\r\n".into(),
        })
    }
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
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
