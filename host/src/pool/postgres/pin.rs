//! A connection that belongs to one session for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use super::classify::Class;
use super::dispatch::{Answer, Buffer, Params, Progress, Reply, Want, send};
use super::error::Error;
use super::inner::Occupant;
use super::known::Text;
use super::permit::Permit;
use super::recover;
use super::rows::Rows;

/// The server's own limit inside a transaction comes this much after the
/// caller's deadline: it is for the case that the cancellation got lost.
const BACKSTOP: Duration = Duration::from_millis(250);

/// A session's hold on a connection.
///
/// Statements take turns, in the order they were made. A turn that is dropped
/// in the middle of a statement is passed on when that has been cancelled.
pub(super) struct Pin {
    turn: Arc<AsyncMutex<Turn>>,
    used: Mutex<Instant>,
    /// Results that are not read to their end.
    streams: AtomicUsize,
    reclaimed: AtomicBool,
    idle_limit: Duration,
}

struct Turn {
    hold: Hold,
    /// The connection has to be reset before anyone else gets it.
    leaves_state: bool,
}

enum Hold {
    Live(Permit),
    /// The transaction ended and nothing else holds the connection.
    Ended,
    /// The connection broke or was taken back, and what the session had on it
    /// is gone.
    Lost(Lost),
}

#[derive(Clone, Copy)]
enum Lost {
    Broken,
    Reclaimed,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Hold::Live(permit) = std::mem::replace(&mut self.hold, Hold::Ended) {
            recover::reset_later(permit, self.leaves_state);
        }
    }
}

impl Pin {
    pub(super) fn new(permit: Permit) -> Arc<Self> {
        let pool = permit.pool().clone();
        let pin = Arc::new(Self {
            turn: Arc::new(AsyncMutex::new(Turn {
                hold: Hold::Live(permit),
                leaves_state: false,
            })),
            used: Mutex::new(Instant::now()),
            streams: AtomicUsize::new(0),
            reclaimed: AtomicBool::new(false),
            idle_limit: pool.settings.pin_idle,
        });
        let occupant = Arc::downgrade(&pin);
        pool.register(occupant);
        pin
    }

    /// Runs a statement in its turn. `None` if the session's hold has ended: the
    /// statement is then one like any other.
    pub(super) async fn run(
        self: &Arc<Self>,
        text: &Arc<Text>,
        params: Params<'_>,
        want: Want,
        deadline: Instant,
    ) -> Result<Option<Reply>, Error> {
        let since = Instant::now();
        let Ok(mut turn) = timeout_at(deadline, self.turn.clone().lock_owned()).await else {
            return Err(Error::PoolTimeout {
                waited: since.elapsed(),
            });
        };
        match &mut turn.hold {
            Hold::Live(permit) => permit.begin(),
            Hold::Ended => return Ok(None),
            Hold::Lost(lost) => {
                let lost = *lost;
                return self.after_loss(&mut turn, lost, text.class);
            }
        }
        turn.leaves_state |= text.class.leaves_state();
        let begun = Instant::now();
        let mut running = Running(Some(turn));
        let statement = self.statement(&mut running, text, params, want, deadline);
        match timeout_at(deadline, statement).await {
            Ok(result) => result.map(Some),
            Err(_) => Err(Error::Deadline {
                ran: begun.elapsed(),
            }),
        }
    }

    /// A transaction that was lost is not to be continued statement by
    /// statement; it may be given up, or begun again, unless session state that
    /// the caller relies on went with it.
    fn after_loss(
        &self,
        turn: &mut Turn,
        lost: Lost,
        class: Class,
    ) -> Result<Option<Reply>, Error> {
        if !turn.leaves_state && matches!(class, Class::Begin | Class::Rollback) {
            turn.hold = Hold::Ended;
            return Ok(None);
        }
        Err(match lost {
            Lost::Broken => Error::ConnectionLost,
            Lost::Reclaimed => Error::Reclaimed {
                idle: self.idle_limit,
            },
        })
    }

    async fn statement(
        self: &Arc<Self>,
        running: &mut Running,
        text: &Arc<Text>,
        params: Params<'_>,
        want: Want,
        deadline: Instant,
    ) -> Result<Reply, Error> {
        let permit = running.permit()?;
        let pool = permit.pool().clone();
        let connection = permit.connection().clone();
        let fresh = !connection.signals.in_transaction();
        let sent = send(&pool, &connection, text, params, want, fresh, None);
        let limit = transaction_limit(text.class, fresh, deadline, pool.settings.statement_timeout);
        let answer = match limit {
            // Prepared first, so that the two commands go out in this order.
            Some(limit)
                if connection
                    .prepare(text, &pool.placement, &pool.metrics)
                    .await
                    .is_ok() =>
            {
                let (answer, _) = futures::join!(sent, connection.client.batch_execute(&limit));
                answer
            }
            _ => sent.await,
        };
        if text.class == Class::Discard {
            connection.forget_all();
        }
        let result = match answer {
            Ok(Answer::Count(count)) => Ok(Reply::Count(count)),
            Ok(Answer::Rows(statement, stream)) => {
                let mut buffer = Buffer::new(statement, stream);
                match buffer.fill(pool.settings.row_buffer_bytes).await {
                    Ok(Progress::Complete) => Ok(Reply::Rows(buffer.into_complete())),
                    Ok(Progress::Full) => {
                        let streaming = Streaming::new(self.clone());
                        running.pass_on(None);
                        return Ok(Reply::Rows(buffer.into_pinned(streaming, deadline)));
                    }
                    Err(error) => Err(error),
                }
            }
            Err(failure) => Err(failure.error),
        };
        if matches!(result, Err(Error::ConnectionLost)) {
            running.pass_on(Some(Hold::Lost(Lost::Broken)));
            return result;
        }
        // An error may come some way ahead of the end of the statement, and with
        // it of the news whether the transaction lives.
        if result.is_err() && connection.barrier().await.is_err() {
            running.pass_on(Some(Hold::Lost(Lost::Broken)));
            return result;
        }
        let ended = !connection.signals.in_transaction()
            && !running.leaves_state()
            && self.streams.load(Ordering::Relaxed) == 0;
        *self.used.lock() = Instant::now();
        running.pass_on(ended.then_some(Hold::Ended));
        result
    }
}

/// The limit to set for a transaction that begins: none if the connection's own
/// is about as good.
fn transaction_limit(
    class: Class,
    fresh: bool,
    deadline: Instant,
    usual: Duration,
) -> Option<String> {
    let left = deadline.saturating_duration_since(Instant::now()) + BACKSTOP;
    (class == Class::Begin && fresh && left < usual)
        .then(|| format!("SET LOCAL statement_timeout = {}", left.as_millis()))
}

/// A turn in the middle of a statement.
struct Running(Option<OwnedMutexGuard<Turn>>);

impl Running {
    fn permit(&mut self) -> Result<&mut Permit, Error> {
        match self.0.as_mut().map(|turn| &mut turn.hold) {
            Some(Hold::Live(permit)) => Ok(permit),
            _ => Err(Error::ConnectionLost),
        }
    }

    fn leaves_state(&self) -> bool {
        self.0.as_ref().is_some_and(|turn| turn.leaves_state)
    }

    /// The statement is over: the next may go, with the same hold or a new one.
    fn pass_on(&mut self, hold: Option<Hold>) {
        let Some(mut turn) = self.0.take() else {
            return;
        };
        if let Hold::Live(permit) = &mut turn.hold {
            permit.finish();
        }
        if let Some(hold) = hold {
            // A permit in it is given back as it is.
            turn.hold = hold;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut turn) = self.0.take() else {
            return;
        };
        let Hold::Live(permit) = &turn.hold else {
            return;
        };
        let placement = permit.pool().placement.clone();
        let core = permit.connection().core;
        placement.spawn(core, async move {
            let Hold::Live(permit) = &mut turn.hold else {
                return;
            };
            let settled = recover::interrupt(permit).await;
            permit.finish();
            if settled.is_err() {
                turn.hold = Hold::Lost(Lost::Broken);
            }
        });
    }
}

impl Occupant for Pin {
    fn reclaim(self: Arc<Self>, idle: Duration) {
        if self.used.lock().elapsed() < idle {
            return;
        }
        // A statement that runs is not idle, however long it takes.
        let Ok(mut turn) = self.turn.clone().try_lock_owned() else {
            return;
        };
        if !matches!(turn.hold, Hold::Live(_)) {
            return;
        }
        self.reclaimed.store(true, Ordering::Relaxed);
        let hold = std::mem::replace(&mut turn.hold, Hold::Lost(Lost::Reclaimed));
        if let Hold::Live(permit) = hold {
            permit.pool().metrics.reclaimed.inc();
            if self.streams.load(Ordering::Relaxed) > 0 {
                permit.connection().kill();
            }
            recover::reset_later(permit, turn.leaves_state);
        }
    }
}

/// A result that is read from a pinned connection.
pub(super) struct Streaming {
    pin: Arc<Pin>,
}

impl Streaming {
    fn new(pin: Arc<Pin>) -> Self {
        pin.streams.fetch_add(1, Ordering::Relaxed);
        let streaming = Self { pin };
        streaming.touch();
        streaming
    }

    pub(super) fn touch(&self) {
        *self.pin.used.lock() = Instant::now();
    }

    /// The result was read to its end.
    pub(super) fn finish(self) {
        self.touch();
    }

    pub(super) fn is_reclaimed(&self) -> bool {
        self.pin.reclaimed.load(Ordering::Relaxed)
    }

    pub(super) fn idle_limit(&self) -> Duration {
        self.pin.idle_limit
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.pin.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Buffer {
    fn into_pinned(self, streaming: Streaming, deadline: Instant) -> Rows {
        Rows::pinned(self.statement, self.rows, self.stream, streaming, deadline)
    }
}
