//! What all handles of a pool share: the queue in front of the connections.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::connect::Dialer;
use super::connection::Connection;
use super::error::Error;
use super::known::Known;
use super::lanes::{Lanes, Ticket};
use super::line::Turn;
use super::metrics::PoolMetrics;
use super::opener::Health;
use super::permit::{Permit, Place};
use super::settings::Settings;
use super::slot::{Grant, Lane, SlotId};
use super::way::Way;
use crate::pool::origin::Peer;
use crate::pool::placement::{self, Placement};

/// Someone who holds a connection and may be idle with it.
pub(super) trait Occupant: Send + Sync {
    /// Takes the connection away if nothing happened on it for `idle`.
    fn reclaim(self: Arc<Self>, idle: Duration);
}

pub(super) struct Inner {
    /// `user@host:port/database`, for logs and metrics.
    pub(super) name: String,
    pub(super) peer: Peer,
    pub(super) settings: Settings,
    pub(super) placement: Placement,
    pub(super) dialer: Dialer,
    pub(super) metrics: PoolMetrics,
    pub(super) known: Known,
    pub(super) lanes: Mutex<Lanes<Arc<Connection>, oneshot::Sender<Permit>>>,
    pub(super) health: Mutex<Health>,
    occupants: Mutex<Vec<Weak<dyn Occupant>>>,
    /// There may be connections to open.
    pub(super) wake: Arc<Notify>,
    /// A connection was opened or is gone.
    pub(super) changed: Notify,
    /// How far away its server is.
    pub(super) way: Way,
}

impl Inner {
    pub(super) fn new(
        name: String,
        peer: Peer,
        settings: Settings,
        placement: Placement,
        dialer: Dialer,
        metrics: PoolMetrics,
        lanes: Lanes<Arc<Connection>, oneshot::Sender<Permit>>,
    ) -> Self {
        Self {
            name,
            peer,
            known: Known::new(settings.known_statements),
            settings,
            placement,
            dialer,
            metrics,
            lanes: Mutex::new(lanes),
            health: Mutex::default(),
            occupants: Mutex::default(),
            wake: Arc::default(),
            changed: Notify::new(),
            way: Way::new(Instant::now()),
        }
    }

    /// A place on a connection: at once, or after those who came before, until
    /// the deadline.
    pub(super) async fn checkout(
        self: &Arc<Self>,
        lane: Lane,
        deadline: Instant,
    ) -> Result<Permit, Error> {
        let now = Instant::now();
        let (ticket, grant) = match self.ask(lane, now)? {
            Asked::Granted(permit) => return Ok(permit),
            Asked::Queued(ticket, grant) => (ticket, grant),
        };
        let _place = InQueue {
            pool: self,
            lane,
            ticket,
        };
        let result = self.wait(grant, now, deadline).await;
        let waited = now.elapsed();
        self.metrics.wait.observe(waited.as_secs_f64());
        if matches!(
            result,
            Err(Error::PoolTimeout { .. } | Error::Unavailable { .. })
        ) {
            self.metrics.timeouts.inc();
        }
        result
    }

    /// Takes a place if there is one, else a number in the queue.
    fn ask(self: &Arc<Self>, lane: Lane, now: Instant) -> Result<Asked, Error> {
        let core = placement::core().unwrap_or_default();
        let mut lanes = self.lanes.lock();
        if let Some(grant) = lanes.acquire(lane, core, now) {
            let grow = lanes.wanted() > 0;
            drop(lanes);
            if grow {
                self.wake.notify_one();
            }
            return Ok(Asked::Granted(self.permit(lane, grant)));
        }
        if lanes.is_closed() {
            return Err(Error::Closed);
        }
        let (granted, grant) = oneshot::channel();
        let ticket = lanes.enqueue(lane, core, granted);
        drop(lanes);
        self.wake.notify_one();
        Ok(Asked::Queued(ticket, grant))
    }

    async fn wait(
        &self,
        mut grant: oneshot::Receiver<Permit>,
        since: Instant,
        deadline: Instant,
    ) -> Result<Permit, Error> {
        let mut look = since + self.settings.unavailable_after;
        loop {
            match timeout_at(look.min(deadline), &mut grant).await {
                Ok(Ok(permit)) => return Ok(permit),
                Ok(Err(_)) => return Err(Error::Closed),
                Err(_) if look < deadline => {
                    if let Some(reason) = self.down() {
                        return Err(Error::Unavailable { reason });
                    }
                    look += self.settings.unavailable_after;
                }
                Err(_) => {
                    return Err(match self.down() {
                        Some(reason) => Error::Unavailable { reason },
                        None => Error::PoolTimeout {
                            waited: since.elapsed(),
                        },
                    });
                }
            }
        }
    }

    /// Why there is no connection, if there is none and none can be opened.
    fn down(&self) -> Option<String> {
        if self.lanes.lock().counts().open > 0 {
            return None;
        }
        self.health.lock().last_error()
    }

    /// What its metrics are known by.
    pub(super) fn series(&self) -> &str {
        self.settings.series.unwrap_or(&self.name)
    }

    pub(super) fn permit(self: &Arc<Self>, lane: Lane, grant: Grant<Arc<Connection>>) -> Permit {
        Permit::new(Place {
            pool: self.clone(),
            connection: grant.connection,
            slot: grant.slot,
            lane,
            turn: Turn::default(),
        })
    }

    /// Gives a place back and what became free to those who wait. `begun` is when
    /// a statement that ended well was sent; how long it ran is returned, without the
    /// way there and back.
    pub(super) fn release(
        self: &Arc<Self>,
        slot: SlotId,
        lane: Lane,
        connection: &Connection,
        begun: Option<Instant>,
    ) -> Option<Duration> {
        let now = Instant::now();
        let mut lanes = self.lanes.lock();
        let released = lanes.release(slot, lane, begun, now);
        let mut retired = None;
        if let Some(released) = released {
            if released.deserted {
                connection.deserted.notify_waiters();
            }
            if released.idle && connection.signals.in_transaction() {
                // Only a statement that hides a BEGIN from us gets here.
                tracing::error!(
                    pool = self.name,
                    "a connection came back inside a transaction; it is closed"
                );
                lanes.condemn(slot);
                connection.kill();
            }
            if lanes.is_over(slot) {
                retired = lanes.retire(slot);
            }
        }
        let granted = lanes.pump(now);
        drop(lanes);
        drop(retired);
        self.deliver(granted);
        let released = released?;
        let run = released.run?;
        if !released.whole {
            return Some(run);
        }
        self.way.note(run);
        Some(run.saturating_sub(self.way.least()))
    }

    /// Looks for callers that can be served now.
    pub(super) fn pump(self: &Arc<Self>) {
        let granted = self.lanes.lock().pump(Instant::now());
        self.deliver(granted);
    }

    fn deliver(
        self: &Arc<Self>,
        granted: Vec<(Lane, oneshot::Sender<Permit>, Grant<Arc<Connection>>)>,
    ) {
        for (lane, waiter, grant) in granted {
            // A caller that left meanwhile drops the permit, which comes back
            // here for the next one.
            let _ = waiter.send(self.permit(lane, grant));
        }
    }

    /// Counts a statement of the place's connection as one without a caller.
    pub(super) fn abandon(&self, place: &Place) {
        let mut lanes = self.lanes.lock();
        lanes.abandon(place.slot);
        let deserted = lanes.only_abandoned(place.slot);
        drop(lanes);
        if deserted {
            place.connection.deserted.notify_waiters();
        }
    }

    /// Lets the connection be taken back from `occupant` when it is idle.
    pub(super) fn register(&self, occupant: Weak<dyn Occupant>) {
        let mut occupants = self.occupants.lock();
        // Those that ended are swept out now and then.
        if occupants.len() >= 2 * self.settings.max.get() {
            occupants.retain(|occupant| occupant.strong_count() > 0);
        }
        occupants.push(occupant);
    }

    /// Takes back what sits idle.
    pub(super) fn reclaim_idle(&self) {
        self.way.pass(Instant::now());
        let occupants: Vec<_> = {
            let mut occupants = self.occupants.lock();
            occupants.retain(|occupant| occupant.strong_count() > 0);
            occupants.iter().filter_map(Weak::upgrade).collect()
        };
        for occupant in occupants {
            occupant.reclaim(self.settings.pin_idle);
        }
        let since = Instant::now().checked_sub(self.settings.idle_timeout);
        let retired = since.map(|since| self.lanes.lock().retire_idle(since));
        drop(retired);
    }
}

/// What a caller got.
enum Asked {
    Granted(Permit),
    Queued(Ticket, oneshot::Receiver<Permit>),
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// A caller's place in the queue, left when the caller goes.
struct InQueue<'a> {
    pool: &'a Arc<Inner>,
    lane: Lane,
    ticket: Ticket,
}

impl Drop for InQueue<'_> {
    fn drop(&mut self) {
        let left = self.pool.lanes.lock().leave(self.lane, self.ticket);
        if left.is_some() {
            // A connection that was kept for this caller is free for others.
            self.pool.pump();
        }
    }
}
