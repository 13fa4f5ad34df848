//! One connection, from the handshake to the signal that it is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, ServerError, Value};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::error::ConnectError;
use super::sentinel::{self, Seeker};
use super::target::Target;

/// Takes what the server says of changed keys: the keys, or nothing of any use
/// where all of them are gone. Runs in the connection's task, in order with the
/// replies, and before a later reply reaches who waits for it.
pub(super) type Changes = Arc<dyn Fn(&[Value]) + Send + Sync>;

/// Opens connections to one target.
#[derive(Debug)]
pub(super) struct Connector {
    server: Server,
    connect_timeout: Duration,
    /// Commands the client library queues before a sender has to wait. As many
    /// as may be in flight, so that the in-flight cap is the only place where a
    /// command waits.
    queue: usize,
}

/// Where connections lead.
#[derive(Debug)]
enum Server {
    /// To this one, always.
    Fixed(Client),
    /// To whichever is the primary.
    Primary(Seeker),
}

/// A connection that has answered a `PING`. It closes when the last clone is
/// dropped.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) connection: MultiplexedConnection,
    pub(super) signal: Arc<Signal>,
    /// Whether it is a primary's, and no good once that was demoted.
    of_primary: bool,
}

/// What is said about a connection by those who use it.
#[derive(Debug, Default)]
pub(super) struct Signal {
    closed: AtomicBool,
    news: Notify,
    suspect: AtomicBool,
}

impl Connector {
    pub(super) fn new(target: &Target, connect_timeout: Duration, queue: usize) -> Self {
        let server = match target.sentinels() {
            Some(sentinels) => Server::Primary(Seeker::new(target, sentinels, connect_timeout)),
            None => Server::Fixed(
                Client::open(target.connection_info())
                    .expect("connection information needs no further parsing"),
            ),
        };
        Self {
            server,
            connect_timeout,
            queue,
        }
    }

    /// Connects, authenticates, selects the database and awaits the answer to a
    /// `PING`: a server that still loads its data accepts connections, too.
    ///
    /// The connection's own task runs on the runtime that polls this.
    pub(super) async fn connect(&self) -> Result<Wire, ConnectError> {
        self.open(None).await
    }

    /// The same, and the server tells `changes` when a key that was read over
    /// this connection is another since.
    pub(super) async fn connect_tracking(&self, changes: Changes) -> Result<Wire, ConnectError> {
        self.open(Some(changes)).await
    }

    async fn open(&self, changes: Option<Changes>) -> Result<Wire, ConnectError> {
        let tracking = changes.is_some();
        let signal = Arc::new(Signal::default());
        let pushed = Arc::clone(&signal);
        // Deadlines are ours, so that one timer covers the wait for room, too.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_pipeline_buffer_size(self.queue)
            .set_push_sender(move |push: PushInfo| {
                match (&push.kind, &changes) {
                    (PushKind::Disconnection, _) => pushed.close(),
                    (PushKind::Invalidate, Some(changes)) => changes(&push.data),
                    _ => {}
                }
                Ok::<(), redis::aio::SendError>(())
            });
        let attempt = async {
            let (client, of_primary) = match &self.server {
                Server::Fixed(client) => (client.clone(), false),
                Server::Primary(seeker) => (Box::pin(seeker.primary()).await?, true),
            };
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = Box::pin(connecting).await?;
            if of_primary {
                sentinel::check_role(&mut connection).await?;
            }
            let mut wire = Wire {
                connection,
                signal,
                of_primary,
            };
            if tracking {
                let mut track = redis::cmd("CLIENT");
                track.arg("TRACKING").arg("ON");
                track.exec_async(&mut wire.connection).await?;
            }
            wire.ping().await?;
            Ok(wire)
        };
        let outcome = timeout(self.connect_timeout, attempt).await;
        if let (Server::Primary(seeker), Ok(Err(_)) | Err(_)) = (&self.server, &outcome) {
            seeker.distrust();
        }
        outcome.unwrap_or_else(|_| {
            Err(ConnectError::transient(format!(
                "no connection within {:?}",
                self.connect_timeout
            )))
        })
    }
}

impl Wire {
    /// Looks at a server's refusal: what was the primary may be one no more, and then
    /// the next connection leads elsewhere.
    pub(super) fn heard(&self, error: &ServerError) {
        if self.of_primary && error.code() == "READONLY" {
            self.signal.close();
        }
    }

    /// Answered only after every command sent before it.
    pub(super) async fn ping(&mut self) -> Result<(), ConnectError> {
        redis::cmd("PING")
            .exec_async(&mut self.connection)
            .await
            .map_err(ConnectError::from)
    }
}

impl Signal {
    /// Says that nothing that comes over the connection counts any more.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.news.notify_one();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Reports a command that got no reply in time.
    pub(super) fn suspect(&self) {
        self.suspect.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Waits until the connection closed or somebody suspects it.
    pub(super) async fn news(&self) -> News {
        loop {
            if self.is_closed() {
                return News::Closed;
            }
            if self.suspect.swap(false, Ordering::AcqRel) {
                return News::Suspect;
            }
            self.news.notified().await;
        }
    }

    /// Waits until the connection closed.
    pub(super) async fn closed(&self) {
        while self.news().await != News::Closed {}
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    Closed,
    Suspect,
}
