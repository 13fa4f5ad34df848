//! The primary of a service that sentinels watch: asked for at each connection,
//! for it is another one after a failover.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::time::timeout;

use super::error::ConnectError;
use super::target::{Sentinels, Target};

/// Asks the sentinels of one target.
#[derive(Debug)]
pub(super) struct Seeker {
    target: Target,
    service: String,
    sentinels: Vec<Client>,
    /// The one that knew last: it is asked first, until what it says is found wrong.
    good: AtomicUsize,
    /// How long each has to answer.
    patience: Duration,
}

impl Seeker {
    /// All of them together may take no longer than `limit`, with as much as one
    /// of them has left for the server itself.
    pub(super) fn new(target: &Target, sentinels: &Sentinels, limit: Duration) -> Self {
        let client = |(host, port): &(String, u16)| {
            Client::open(target.sentinel_info(sentinels, host, *port))
                .expect("connection information needs no further parsing")
        };
        let shares = u32::try_from(sentinels.places.len()).unwrap_or(u32::MAX);
        Self {
            target: target.clone(),
            service: sentinels.service.clone(),
            sentinels: sentinels.places.iter().map(client).collect(),
            good: AtomicUsize::new(0),
            patience: limit / shares.saturating_add(1),
        }
    }

    /// The server that is the primary by the first sentinel that says so.
    ///
    /// # Errors
    /// What the last one met, where none does.
    pub(super) async fn primary(&self) -> Result<Client, ConnectError> {
        let count = self.sentinels.len();
        let first = self.good.load(Ordering::Relaxed) % count.max(1);
        let mut failed = ConnectError::transient("no sentinel is named");
        for turn in 0..count {
            let at = (first + turn) % count;
            let asked = Box::pin(self.ask(&self.sentinels[at]));
            match timeout(self.patience, asked).await {
                Ok(Ok((host, port))) => {
                    self.good.store(at, Ordering::Relaxed);
                    return Client::open(self.target.info_at(&host, port)).map_err(Into::into);
                }
                Ok(Err(error)) => failed = error,
                Err(_) => failed = ConnectError::silent(self.patience),
            }
        }
        let cause = format!("no sentinel names the primary: {}", failed.cause);
        Err(ConnectError {
            cause: cause.into(),
            ..failed
        })
    }

    /// What was said last led to no primary: the next one is asked first from now on.
    /// A sentinel that is cut off from the others goes on naming the server that was.
    pub(super) fn distrust(&self) {
        self.good.fetch_add(1, Ordering::Relaxed);
    }

    async fn ask(&self, sentinel: &Client) -> Result<(String, u16), ConnectError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let mut connection = sentinel
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let answer: Option<(String, u16)> = ask.query_async(&mut connection).await?;
        answer.ok_or_else(|| ConnectError::transient("it watches no service of this name"))
    }
}

/// Whether the server on the other side is a primary: one that was demoted, or has
/// not taken over yet, is none.
pub(super) async fn check_role(connection: &mut MultiplexedConnection) -> Result<(), ConnectError> {
    let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(connection).await?;
    let name = role
        .into_iter()
        .next()
        .map(redis::from_redis_value::<String>);
    match name {
        Some(Ok(name)) if name == "master" => Ok(()),
        _ => Err(ConnectError::transient(
            "the server that the sentinels name is not the primary yet",
        )),
    }
}
