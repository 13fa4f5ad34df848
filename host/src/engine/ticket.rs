//! What ties a request, its place in flight, and the worker that serves it.

use super::admission::Permits;
use super::epoch::Slices;
use crate::capability::Call;
use crate::error::Kind;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Why a worker ended before its requests were over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// It has not.
    Alive = 0,
    /// The guest trapped.
    Trapped = 1,
    /// It overstayed a wall-clock limit.
    Expired = 2,
    /// Its revision was replaced, and it was not done by the drain limit.
    Drained = 3,
}

impl Fate {
    /// The failure that a request without a response gets.
    pub fn kind(self) -> Kind {
        match self {
            Self::Alive | Self::Trapped => Kind::Trapped,
            Self::Expired => Kind::Deadline,
            Self::Drained => Kind::NotReady,
        }
    }
}

/// A request inside the engine.
///
/// It holds the request's place in flight. The response's body and the worker
/// share it, so the place is taken for as long as either is at work: a client
/// that goes away does not make room for another while its guest still runs.
#[derive(Debug)]
pub struct Ticket {
    call: Arc<Call>,
    _permits: Permits,
    worker: OnceLock<Arc<WorkerLink>>,
    fate: AtomicU8,
}

impl Ticket {
    /// A ticket for a request that was admitted by its node and its endpoint.
    pub fn new(call: Arc<Call>, permits: Permits) -> Self {
        Self {
            call,
            _permits: permits,
            worker: OnceLock::new(),
            fate: AtomicU8::new(Fate::Alive as u8),
        }
    }

    /// The request as its imports see it.
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// What became of the worker.
    pub fn fate(&self) -> Fate {
        match self.fate.load(Relaxed) {
            0 => Fate::Alive,
            1 => Fate::Trapped,
            2 => Fate::Expired,
            _ => Fate::Drained,
        }
    }

    pub(super) fn set_fate(&self, fate: Fate) {
        self.fate.store(fate as u8, Relaxed);
    }

    pub(super) fn attach(&self, link: Arc<WorkerLink>) {
        // A request is handed to one worker, once.
        let _ = self.worker.set(link);
    }

    pub(super) fn worker(&self) -> Option<&Arc<WorkerLink>> {
        self.worker.get()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let fate = self.fate();
        if fate != Fate::Alive {
            self.call.span.fail(fate.kind().label());
        }
        self.call.end();
    }
}

/// What the parts of a worker, and the bodies it feeds, know of each other.
#[derive(Debug)]
pub struct WorkerLink {
    /// Requests whose client is gone while the guest may still be at work on
    /// them. The worker takes nothing new until they are over. None once the
    /// worker has ended: a ticket kept here would keep this link, and be kept by
    /// it, for ever.
    lingering: Mutex<Option<Vec<Arc<Ticket>>>>,
    lingering_count: AtomicUsize,
    bodies: AtomicUsize,
    quiet_since: Mutex<Instant>,
    waker: AtomicWaker,
    /// The worker's CPU allowance.
    pub(super) slices: Arc<Slices>,
}

impl WorkerLink {
    pub(super) fn new(slices: Arc<Slices>) -> Self {
        Self {
            lingering: Mutex::new(Some(Vec::new())),
            lingering_count: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            quiet_since: Mutex::new(Instant::now()),
            waker: AtomicWaker::new(),
            slices,
        }
    }

    /// Keeps `ticket` until the guest is known to be done with it; lets go of it
    /// at once where there is no guest any more.
    pub(super) fn linger(&self, ticket: Arc<Ticket>) {
        let mut lingering = self.lingering.lock();
        let Some(tickets) = lingering.as_mut() else {
            return;
        };
        tickets.push(ticket);
        self.lingering_count.store(tickets.len(), Relaxed);
        drop(lingering);
        self.waker.wake();
    }

    /// The guest is gone: nothing lingers from now on.
    pub(super) fn ended(&self) {
        let tickets = self.lingering.lock().take();
        self.lingering_count.store(0, Relaxed);
        drop(tickets);
    }

    /// Whether any request lingers.
    pub(super) fn has_lingering(&self) -> bool {
        self.lingering_count.load(Relaxed) > 0
    }

    /// The guest is done with everything: lets go of the lingering requests.
    /// Answers whether there were any.
    pub(super) fn release_lingering(&self) -> bool {
        if !self.has_lingering() {
            return false;
        }
        let tickets = self.lingering.lock().as_mut().map(std::mem::take);
        self.lingering_count.store(0, Relaxed);
        tickets.is_some_and(|tickets| !tickets.is_empty())
    }

    /// A response's body has begun.
    pub(super) fn body_begins(&self) {
        self.bodies.fetch_add(1, Relaxed);
    }

    /// A response's body is over.
    pub(super) fn body_over(&self) {
        if self.bodies.fetch_sub(1, Relaxed) == 1 {
            *self.quiet_since.lock() = Instant::now();
            self.waker.wake();
        }
    }

    /// Whether a body is being sent; where none is, since when.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        (self.bodies.load(Relaxed) == 0).then(|| *self.quiet_since.lock())
    }

    /// Has the worker look at its limits again.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    pub(super) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }
}
