//! The connection that tells of changes, and what its silence means.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use redis::Value;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::State;
use super::trust::TRUSTED;
use crate::pool::valkey::error::ConnectError;
use crate::pool::valkey::link::Keeper;
use crate::pool::valkey::wire::{Changes, Connector, News, Wire};

/// Between the sending of two `PING`s, of which one is under way at a time. It
/// costs the server forty small commands a second.
const EVERY: Duration = Duration::from_millis(25);

/// The same where commands have very little time. Timers know no less.
const SHORTEST: Duration = Duration::from_millis(1);

/// Keeps the connection of a near cache.
pub(in crate::pool::valkey) struct Tracker {
    state: Arc<State>,
    every: Duration,
    /// A server is away that has not answered for this long. Together with the
    /// time between two `PING`s it is less than the command timeout: somebody who
    /// wrote past a server that did not answer has waited for longer than that.
    away_after: Duration,
    /// A connection is replaced that has not answered for this long.
    reply_timeout: Duration,
}

impl Tracker {
    pub(super) fn new(state: Arc<State>, command_timeout: Duration) -> Self {
        Self {
            state,
            every: (command_timeout / 10).clamp(SHORTEST, EVERY),
            away_after: command_timeout * 4 / 5,
            reply_timeout: command_timeout,
        }
    }

    /// Asks again and again; ends with the first question without an answer.
    async fn ask(&self, wire: &Wire) -> ConnectError {
        loop {
            let sent = Instant::now();
            if let Err(error) = self.ping(wire.clone(), sent).await {
                return error;
            }
            sleep_until(sent + self.every).await;
        }
    }

    async fn ping(&self, mut wire: Wire, sent: Instant) -> Result<(), ConnectError> {
        let signal = Arc::clone(&wire.signal);
        let mut answer = pin!(wire.ping());
        let in_time = async {
            let first = TRUSTED.min(self.away_after);
            if let Ok(answer) = timeout_at(sent + first, &mut answer).await {
                return Some(answer);
            }
            self.state.doubt();
            if let Ok(answer) = timeout_at(sent + self.away_after, &mut answer).await {
                return Some(answer);
            }
            // The timer may have fired late, and the answer wait to be read. The
            // connection's own task has its turn first.
            yield_now().await;
            yield_now().await;
            (&mut answer).now_or_never()
        };
        if let Some(answer) = in_time.await {
            answer?;
            self.state.answered(&signal, sent);
            return Ok(());
        }
        self.state.away();
        match timeout_at(sent + self.reply_timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(ConnectError::silent(self.reply_timeout)),
        }
    }
}

impl Keeper for Tracker {
    async fn connect(&self, connector: &Connector) -> Result<Wire, ConnectError> {
        let state = Arc::clone(&self.state);
        let changes: Changes = Arc::new(move |data: &[Value]| state.changed(data));
        connector.connect_tracking(changes).await
    }

    async fn keep(&self, wire: Wire) -> (News, ConnectError) {
        let lost = tokio::select! {
            biased;
            () = wire.signal.closed() => (News::Closed, ConnectError::closed()),
            error = self.ask(&wire) => (News::Suspect, error),
        };
        self.state.lost(&wire.signal);
        lost
    }
}
