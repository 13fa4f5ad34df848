//! One instance at work: what it accepts, how long it lives, how it ends.

use super::epoch::CpuLimit;
use super::guest::Guest;
use super::retirement::Retirement;
use super::revision::Shared;
use super::ticket::{Fate, Ticket, WorkerLink};
use crate::manifest::ComponentLimits;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::handler::{ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus};

/// How long after a limit inside the store's event loop the limit outside of
/// it takes hold. The inner one spares the instance's other requests, so it
/// goes first; the outer one is for guests that keep the loop from turning.
const GRACE: Duration = Duration::from_millis(250);

/// The worker's side of an instance.
pub struct Worker {
    shared: Arc<Shared>,
    link: Arc<WorkerLink>,
    core: Arc<CoreCount>,
}

/// The instances alive on one core.
#[derive(Debug, Default)]
pub struct CoreCount {
    pub(super) live: AtomicUsize,
    /// How many stay however long they are idle.
    pub(super) keep: usize,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, link: Arc<WorkerLink>, core: Arc<CoreCount>) -> Self {
        core.live.fetch_add(1, Relaxed);
        shared.metrics.instances.inc();
        shared.metrics.instantiations.inc();
        Self { shared, link, core }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.core.live.fetch_sub(1, Relaxed);
        self.shared.metrics.instances.dec();
    }
}

impl WorkerState for Worker {
    type StoreData = Guest;
    type RequestData = Arc<Ticket>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        let limits = &self.shared.limits;
        if total >= limits.reuse.get() as usize {
            ShouldAccept::Never
        } else if concurrent >= limits.concurrency.get() as usize || self.link.has_lingering() {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        ticket: Arc<Ticket>,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        self.link.slices.renew();
        ticket.attach(self.link.clone());
        store.data_mut().begin(task, &ticket);
        let deadline = ticket.call().deadline;
        let head = Head(Some(ticket));
        Box::pin(async move {
            let _head = head;
            tokio::time::sleep_until(deadline).await;
        })
    }

    fn drop(&self, store: Store<Guest>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = &result
            && !is_hosts_end(error)
        {
            let expired = error.downcast_ref::<wasmtime::Trap>().is_none()
                && error.downcast_ref::<CpuLimit>().is_none()
                && error.to_string() == EXPIRED;
            let fate = if expired && self.shared.retirement.is_cut() {
                Fate::Drained
            } else if expired {
                Fate::Expired
            } else {
                Fate::Trapped
            };
            store.data().doom(fate);
            self.shared.metrics.instance_failures.inc();
            tracing::warn!(
                component = %self.shared.id,
                revision = %self.shared.digest,
                "instance ended: {error:#}"
            );
        }
        // The store first: what still runs in it holds its place until then.
        drop(store);
        self.link.ended();
    }
}

/// Whether the worker was dropped with its runtime: the host ends, and nothing
/// is wrong with the guest. The request handler takes that for a panic.
fn is_hosts_end(error: &wasmtime::Error) -> bool {
    error.to_string() == "worker panicked" && !std::thread::panicking()
}

/// What the request handler says of a worker that its expiration ended.
const EXPIRED: &str = "guest timed out";

/// Held from a request's start to its head. Where the client is gone by then,
/// the guest may still be at work, and the request lingers.
struct Head(Option<Arc<Ticket>>);

impl Drop for Head {
    fn drop(&mut self) {
        let Some(ticket) = self.0.take() else { return };
        if Arc::strong_count(&ticket) == 1
            && let Some(worker) = ticket.worker().cloned()
        {
            worker.linger(ticket);
        }
    }
}

/// When an instance is ended from outside of its store's event loop.
pub struct Expiration {
    limits: Limits,
    link: Arc<WorkerLink>,
    core: Arc<CoreCount>,
    retirement: Arc<Retirement>,
    timer: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy)]
struct Limits {
    deadline: Duration,
    body_total: Duration,
    idle: Duration,
}

impl Expiration {
    pub(super) fn new(
        limits: &ComponentLimits,
        link: Arc<WorkerLink>,
        core: Arc<CoreCount>,
        retirement: Arc<Retirement>,
    ) -> Self {
        Self {
            limits: Limits {
                deadline: limits.deadline,
                body_total: limits.body_total,
                idle: limits.idle,
            },
            link,
            core,
            retirement,
            timer: None,
        }
    }

    /// When the worker, in `status` since `start`, has stayed too long.
    fn due(&self, status: WorkerStatus, start: Instant) -> Instant {
        match status {
            WorkerStatus::Requests => start + self.limits.deadline + GRACE,
            WorkerStatus::PostReturn => match self.link.quiet_since() {
                // All is sent; what the guest does now, it does for itself.
                Some(quiet) => start.max(quiet) + self.limits.deadline + GRACE,
                None => start + self.limits.body_total + GRACE,
            },
            WorkerStatus::Idle => start + self.limits.idle,
        }
    }
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        let this = &mut *self;
        this.link.slices.gave_way();
        this.link.register(cx.waker());
        let retirement = &this.retirement;
        if retirement.is_cut() || (status == WorkerStatus::Idle && retirement.is_retired()) {
            return Poll::Ready(());
        }
        if status == WorkerStatus::Idle && this.link.release_lingering() {
            // It was closed to new requests; let it look again.
            cx.waker().wake_by_ref();
        }
        loop {
            let due = tokio::time::Instant::from_std(this.due(status, start));
            let timer = this
                .timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            // An early timer is left to fire rather than moved on each poll:
            // polls are many, firings few.
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = tokio::time::Instant::now();
            if now < due {
                timer.as_mut().reset(due);
                continue;
            }
            let kept =
                status == WorkerStatus::Idle && this.core.live.load(Relaxed) <= this.core.keep;
            if !kept {
                return Poll::Ready(());
            }
            timer.as_mut().reset(now + this.limits.idle.max(GRACE));
            return match timer.as_mut().poll(cx) {
                Poll::Ready(()) | Poll::Pending => Poll::Pending,
            };
        }
    }
}
