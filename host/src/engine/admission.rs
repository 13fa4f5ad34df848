//! Deciding to serve or to shed, before any guest exists.

use super::places::PlacePermit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Everything is in use, and the queue is full or did not move in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} requests in flight, {waiting} waiting")]
pub struct Shed {
    /// How many may be in flight.
    pub limit: usize,
    /// How many were waiting.
    pub waiting: usize,
}

/// A bounded number of requests in flight, and a bounded, fair queue.
#[derive(Debug)]
pub struct Admission {
    permits: Arc<Semaphore>,
    limit: usize,
    waiting: AtomicUsize,
    /// As it was asked for.
    asked: Option<usize>,
    queue: usize,
    queue_wait: Duration,
}

/// A place in flight, given back when dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// A request's places in flight. They are given back together, once the request
/// is over.
#[derive(Debug)]
pub struct Permits {
    /// Its endpoint's.
    pub endpoint: Permit,
    /// Its node's.
    pub node: PlacePermit,
    /// Its canary's, where one serves it.
    pub canary: Option<Permit>,
}

impl Admission {
    /// Room for `limit` in flight, and `queue` waiting for `queue_wait` at most.
    ///
    /// With none given, half as many as there are places may wait: the last of them has
    /// its answer after one and a half times what it would have taken, or twice where all
    /// places come free at once, however much more is asked for.
    pub fn new(limit: usize, queue: Option<usize>, queue_wait: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            limit,
            waiting: AtomicUsize::new(0),
            asked: queue,
            queue: queue.unwrap_or(limit.div_ceil(2)),
            queue_wait,
        }
    }

    /// How many may be in flight.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The same queue before another number of places. Those taken here do not
    /// count there.
    #[must_use]
    pub fn resized(&self, limit: usize) -> Self {
        Self::new(limit, self.asked, self.queue_wait)
    }

    /// A place, if there is one now.
    pub fn try_admit(&self) -> Option<Permit> {
        self.permits.clone().try_acquire_owned().ok().map(Permit)
    }

    /// Waits for a place, in order of arrival, no longer than `deadline`.
    /// Dropping the future gives the place in the queue up.
    ///
    /// # Errors
    ///
    /// [`Shed`] at once where the queue is full, later where it did not move.
    pub async fn admit(&self, deadline: Instant) -> Result<Permit, Shed> {
        if let Some(permit) = self.try_admit() {
            return Ok(permit);
        }
        let shed = |waiting| Shed {
            limit: self.limit,
            waiting,
        };
        let ahead = self.waiting.fetch_add(1, Relaxed);
        let _place = Place(&self.waiting);
        if ahead >= self.queue {
            return Err(shed(ahead));
        }
        let until = deadline.min(Instant::now() + self.queue_wait);
        match timeout_at(until, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Permit(permit)),
            Ok(Err(_)) | Err(_) => Err(shed(ahead)),
        }
    }

    /// How many wait for a place.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// How many are in flight.
    pub fn in_flight(&self) -> usize {
        self.limit - self.permits.available_permits().min(self.limit)
    }
}

struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn sheds_at_once_when_the_queue_is_full() {
        let admission = Admission::new(1, Some(0), Duration::from_secs(60));
        let held = admission.admit(soon()).await.unwrap();
        // Without ever having to wait.
        assert_eq!(
            admission.admit(soon()).now_or_never().unwrap().unwrap_err(),
            Shed {
                limit: 1,
                waiting: 0
            }
        );
        drop(held);
        admission.admit(soon()).await.unwrap();
    }

    #[tokio::test]
    async fn half_as_many_wait_unless_told_otherwise() {
        for (limit, resized) in [(4, 10), (3, 1), (1, 2)] {
            for admission in [
                Admission::new(limit, None, Duration::from_secs(60)),
                Admission::new(resized, None, Duration::from_secs(60)).resized(limit),
            ] {
                let held: Vec<_> = (0..limit).map(|_| admission.try_admit()).collect();
                let waiting = limit.div_ceil(2);
                let mut queued: Vec<_> = (0..=waiting)
                    .map(|_| Box::pin(admission.admit(soon())))
                    .collect();
                let shed = queued
                    .iter_mut()
                    .map(|one| one.now_or_never())
                    .filter(Option::is_some);
                assert_eq!(shed.count(), 1);
                drop(held);
            }
        }
    }

    #[tokio::test]
    async fn waits_no_longer_than_the_queue_or_the_deadline() {
        let wait = Duration::from_millis(20);
        let admission = Admission::new(1, Some(8), wait);
        let _held = admission.admit(soon()).await.unwrap();
        let before = Instant::now();
        admission.admit(soon()).await.unwrap_err();
        assert!(before.elapsed() >= wait);
        let admission = Admission::new(1, Some(8), Duration::from_secs(600));
        let _held = admission.admit(soon()).await.unwrap();
        let before = Instant::now();
        admission.admit(before + wait).await.unwrap_err();
        assert!(before.elapsed() >= wait);
    }

    #[tokio::test]
    async fn a_dropped_wait_leaves_the_queue() {
        let admission = Arc::new(Admission::new(1, Some(1), Duration::from_secs(60)));
        let held = admission.admit(soon()).await.unwrap();
        {
            let mut wait = std::pin::pin!(admission.admit(soon()));
            assert!(futures::poll!(wait.as_mut()).is_pending());
            admission.admit(soon()).await.unwrap_err();
        }
        let mut wait = std::pin::pin!(admission.admit(soon()));
        assert!(futures::poll!(wait.as_mut()).is_pending(), "queued again");
        drop(held);
        wait.await.unwrap();
        assert_eq!(admission.in_flight(), 0);
    }
}
