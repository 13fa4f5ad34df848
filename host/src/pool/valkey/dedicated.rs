//! Connections that one session has to itself, bounded and reused.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::error::Error;
use super::metrics::{Counted, PoolMetrics};
use super::wire::{Connector, Wire};

/// Leases on at most `limit` connections. Those that come back clean are parked
/// for the next session and closed after `idle`. Leased and parked ones together
/// are never more than `limit`: one is opened only when none is parked.
pub(super) struct Dedicated {
    connector: Arc<Connector>,
    limit: usize,
    idle: Duration,
    free: Arc<Semaphore>,
    parking: Mutex<Parking>,
    metrics: PoolMetrics,
}

#[derive(Default)]
struct Parking {
    wires: Vec<Parked>,
    /// Whether a task closes what is parked for too long.
    swept: bool,
}

struct Parked {
    since: Instant,
    wire: Wire,
    counted: Counted,
}

/// A connection that is nobody else's. Dropping it closes it.
pub(super) struct Lease {
    pub(super) wire: Wire,
    counted: Counted,
    permit: OwnedSemaphorePermit,
}

impl Dedicated {
    pub(super) fn new(
        connector: Arc<Connector>,
        limit: usize,
        idle: Duration,
        metrics: PoolMetrics,
    ) -> Self {
        let free = Arc::new(Semaphore::new(limit));
        Self {
            connector,
            limit,
            idle,
            free,
            parking: Mutex::default(),
            metrics,
        }
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Waits its turn until `until`.
    pub(super) async fn lease(&self, until: Instant) -> Result<Lease, Error> {
        let turn = Arc::clone(&self.free).acquire_owned();
        let permit = match timeout_at(until, turn).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(Error::TooManyConnections { limit: self.limit }),
        };
        if let Some(Parked { wire, counted, .. }) = self.unpark() {
            return Ok(Lease {
                wire,
                counted,
                permit,
            });
        }
        let counted = Counted::new(&self.metrics.dedicated);
        match timeout_at(until, Box::pin(self.connector.connect())).await {
            Ok(Ok(wire)) => Ok(Lease {
                wire,
                counted,
                permit,
            }),
            Ok(Err(error)) => Err(Error::Unavailable { cause: error.cause }),
            Err(_) => Err(Error::Unavailable {
                cause: "still connecting".into(),
            }),
        }
    }

    fn unpark(&self) -> Option<Parked> {
        let mut parking = self.parking.lock();
        while let Some(last) = parking.wires.pop() {
            if !last.wire.signal.is_closed() {
                return Some(last);
            }
        }
        None
    }

    /// Keeps a connection that carries no trace of its session.
    pub(super) fn park(self: &Arc<Self>, lease: Lease) {
        let Lease {
            wire,
            counted,
            permit,
        } = lease;
        if wire.signal.is_closed() {
            return;
        }
        let mut parking = self.parking.lock();
        parking.wires.push(Parked {
            since: Instant::now(),
            wire,
            counted,
        });
        let swept = std::mem::replace(&mut parking.swept, true);
        drop(parking);
        // Only now may another session take the place.
        drop(permit);
        if !swept {
            tokio::spawn(close_idle(Arc::downgrade(self), self.idle));
        }
    }
}

/// Closes what was parked for `idle`; ends when nothing is parked.
async fn close_idle(dedicated: Weak<Dedicated>, idle: Duration) {
    loop {
        let next = {
            let Some(dedicated) = dedicated.upgrade() else {
                return;
            };
            let mut parking = dedicated.parking.lock();
            let now = Instant::now();
            parking
                .wires
                .retain(|parked| !parked.wire.signal.is_closed() && parked.since + idle > now);
            let Some(oldest) = parking.wires.iter().map(|parked| parked.since).min() else {
                parking.swept = false;
                return;
            };
            oldest + idle
        };
        sleep_until(next).await;
    }
}
