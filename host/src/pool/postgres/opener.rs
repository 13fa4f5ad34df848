//! Opens connections, replaces those that break, and looks after idle ones.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::backoff;
use super::connect::Opened;
use super::connection::Connection;
use super::inner::Inner;
use super::slot::SlotId;

/// A lost connection is replaced after half to all of this: the server's old
/// process has then gone, and not all nodes come at once.
const REPLACE_AFTER: Duration = Duration::from_millis(30);
/// Known statements are prepared on a new connection this many at a time, and
/// each lot may take this long. A table that somebody has locked holds up the
/// statements that name it; they are then cancelled, one by one, and prepared
/// when they are used.
const PREPARE_LOT: usize = 16;
const PREPARE_LIMIT: Duration = Duration::from_secs(1);
const CANCEL_AGAIN: Duration = Duration::from_millis(100);

/// How well connecting goes.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Attempts in a row that failed.
    failures: u32,
    error: Option<String>,
    not_before: Option<Instant>,
    /// A loss was logged and no connection opened since.
    loss_known: bool,
}

impl Health {
    /// What the last attempt met, if it failed.
    pub(super) fn last_error(&self) -> Option<String> {
        self.error.clone()
    }

    fn wait_until(&mut self, moment: Instant) {
        self.not_before = Some(self.not_before.map_or(moment, |other| other.max(moment)));
    }
}

/// Starts the pool's one task of its own. It ends with the pool.
pub(super) fn start(pool: &Arc<Inner>) {
    let weak = Arc::downgrade(pool);
    let wake = pool.wake.clone();
    let settings = &pool.settings;
    let look = (settings.pin_idle.min(settings.idle_timeout) / 4)
        .clamp(Duration::from_millis(20), Duration::from_secs(1));
    pool.placement.spawn(0, async move {
        while let Some(pool) = weak.upgrade() {
            pool.reclaim_idle();
            let next = open_wanted(&pool).unwrap_or_else(|| Instant::now() + look);
            drop(pool);
            // Woken, or it is time to look.
            let _ = timeout_at(next.min(Instant::now() + look), wake.notified()).await;
        }
    });
}

/// Starts as many openings as are wanted and allowed. Returns when to look
/// again, if that is known.
fn open_wanted(pool: &Arc<Inner>) -> Option<Instant> {
    let now = Instant::now();
    let failing = {
        let health = pool.health.lock();
        if let Some(moment) = health.not_before
            && now < moment
        {
            return Some(moment);
        }
        health.failures > 0
    };
    // One attempt at a time finds out whether a server is back.
    let parallel = if failing {
        1
    } else {
        pool.settings.connect_parallelism.get()
    };
    let mut lanes = pool.lanes.lock();
    let counts = lanes.counts();
    let room = parallel.saturating_sub(counts.opening);
    let first = counts.open < pool.settings.min && !failing;
    let slots: Vec<_> = (0..lanes.wanted().min(room))
        .map(|_| {
            let core = pool.placement.next_core();
            (lanes.begin_opening(core, now), core)
        })
        .collect();
    drop(lanes);
    for (id, core) in slots {
        let slot = SlotGuard {
            pool: Arc::downgrade(pool),
            id,
            was_open: false,
        };
        let jitter = if first {
            backoff::within(pool.settings.connect_jitter)
        } else {
            Duration::ZERO
        };
        pool.placement.spawn(core, open(slot, core, jitter));
    }
    None
}

/// A slot of the pool; free again when this is dropped.
struct SlotGuard {
    pool: Weak<Inner>,
    id: SlotId,
    was_open: bool,
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let gone = pool.lanes.lock().remove(self.id);
        drop(gone);
        if self.was_open {
            pool.metrics.closed.inc();
        }
        pool.changed.notify_waiters();
        pool.wake.notify_one();
    }
}

async fn open(slot: SlotGuard, core: usize, jitter: Duration) {
    if !jitter.is_zero() {
        sleep(jitter).await;
    }
    // The pool may go away while its server does not answer.
    let Some(dialer) = slot.pool.upgrade().map(|pool| pool.dialer.clone()) else {
        return;
    };
    let begun = Instant::now();
    let opened = dialer.open().await;
    let Some(pool) = slot.pool.upgrade() else {
        return;
    };
    let took = begun.elapsed().as_secs_f64();
    pool.metrics.connect.observe(took);
    match opened {
        Ok(opened) => introduce(&pool, slot, core, opened).await,
        Err(error) => note_failure(&pool, &error.to_string()),
    }
}

/// Makes a new connection ready and puts it to work.
async fn introduce(pool: &Arc<Inner>, mut slot: SlotGuard, core: usize, opened: Opened) {
    pool.metrics.opened.inc();
    slot.was_open = true;
    let id = slot.id;
    let kill = Arc::new(Notify::new());
    let connection = Arc::new(Connection::new(
        opened.client,
        opened.server,
        opened.signals.clone(),
        core,
        pool.settings.statement_cache,
        kill.clone(),
    ));
    let driver = Driver {
        slot,
        kill,
        run: opened.driver,
        socket: opened.socket,
    };
    pool.placement.spawn(core, driver.run());
    let ready = prepare(pool, &connection).await;
    if !ready || connection.is_closed() {
        connection.kill();
        return note_failure(pool, "the new connection does not answer");
    }
    note_success(pool);
    pool.lanes.lock().opened(id, connection, Instant::now());
    // Who waits has it before the opener looks for what is still wanted: else it
    // would open another for the same caller.
    pool.pump();
    pool.changed.notify_waiters();
    pool.wake.notify_one();
}

/// Prepares what is known on a new connection, as far as that goes.
async fn prepare(pool: &Inner, connection: &Connection) -> bool {
    let known = pool
        .known
        .recurring(pool.settings.statement_cache.get() / 2);
    for lot in known.chunks(PREPARE_LOT) {
        let mut all = std::pin::pin!(connection.prepare_all(lot));
        if timeout(PREPARE_LIMIT, &mut all).await.is_ok() {
            continue;
        }
        let token = connection.client.cancel_token();
        for _ in lot {
            if pool.dialer.cancel(&token, connection.server).await.is_err() {
                return false;
            }
            if timeout(CANCEL_AGAIN, &mut all).await.is_ok() {
                return true;
            }
        }
        return false;
    }
    true
}

fn note_success(pool: &Inner) {
    let mut health = pool.health.lock();
    let before = std::mem::take(&mut *health);
    drop(health);
    if before.failures > 0 {
        tracing::info!(
            pool = pool.name,
            attempts = before.failures,
            "connected to the database"
        );
    }
}

fn note_failure(pool: &Inner, error: &str) {
    pool.metrics.failed.inc();
    let mut health = pool.health.lock();
    health.failures = health.failures.saturating_add(1);
    health.error = Some(error.to_owned());
    let pause = backoff::pause(health.failures, pool.settings.backoff_limit);
    health.wait_until(Instant::now() + pause);
    let first = health.failures == 1;
    drop(health);
    if first {
        tracing::warn!(
            pool = pool.name,
            error,
            "cannot connect to the database; trying again"
        );
    } else {
        tracing::debug!(pool = pool.name, error, "cannot connect to the database");
    }
}

fn note_loss(pool: &Inner, error: &tokio_postgres::Error) {
    pool.metrics.lost.inc();
    let mut health = pool.health.lock();
    let first = !std::mem::replace(&mut health.loss_known, true);
    health.wait_until(Instant::now() + backoff::spread(REPLACE_AFTER));
    drop(health);
    let error = error
        .as_db_error()
        .map_or_else(|| error.to_string(), |db| db.message().to_owned());
    if first {
        tracing::info!(
            pool = pool.name,
            error,
            "a database connection was lost; it is replaced"
        );
    } else {
        tracing::debug!(pool = pool.name, error, "a database connection was lost");
    }
}

/// Runs a connection to its end and frees its slot when the server's process is
/// gone, so that the server never sees more than `max` of ours.
struct Driver {
    slot: SlotGuard,
    kill: Arc<Notify>,
    run: futures::future::BoxFuture<'static, Result<(), tokio_postgres::Error>>,
    socket: tokio::sync::oneshot::Receiver<super::wire::Socket>,
}

impl Driver {
    async fn run(self) {
        let Self {
            slot,
            kill,
            run,
            socket,
        } = self;
        let ended = tokio::select! {
            ended = run => ended,
            () = kill.notified() => Ok(()),
        };
        if let Some(pool) = slot.pool.upgrade() {
            // Nobody gets it from here on; its slot is not free yet.
            let connection = {
                let mut lanes = pool.lanes.lock();
                lanes.condemn(slot.id);
                lanes.retire(slot.id)
            };
            drop(connection);
            if let Err(error) = &ended {
                note_loss(&pool, error);
            }
        }
        if let Ok(socket) = socket.await {
            socket.linger().await;
        }
    }
}
