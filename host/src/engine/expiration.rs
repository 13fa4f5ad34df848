//! When an instance has stayed too long.

use super::retirement::Retirement;
use super::ticket::WorkerLink;
use super::worker::CoreCount;
use crate::manifest::ComponentLimits;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// How long after a limit inside the store's event loop the limit outside of
/// it takes hold. The inner one spares the instance's other requests, so it
/// goes first; the outer one is for guests that keep the loop from turning.
const GRACE: Duration = Duration::from_millis(250);

/// What an instance is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Nothing.
    Idle,
    /// Requests that have no head yet.
    Requests,
    /// What guests do after their last head.
    PostReturn,
}

/// When an instance is ended from outside of its store's event loop.
pub(super) struct Expiration {
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
    fn due(&self, status: Status, start: Instant) -> Instant {
        match status {
            Status::Requests => start + self.limits.deadline + GRACE,
            Status::PostReturn => match self.link.quiet_since() {
                // All is sent; what the guest does now, it does for itself.
                Some(quiet) => start.max(quiet) + self.limits.deadline + GRACE,
                None => start + self.limits.body_total + GRACE,
            },
            Status::Idle => start + self.limits.idle,
        }
    }

    /// Ready once the instance, in `status` since `start`, is to end.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        status: Status,
        start: Instant,
    ) -> Poll<()> {
        let this = self;
        this.link.slices.gave_way();
        this.link.register(cx.waker());
        let retirement = &this.retirement;
        if retirement.is_cut() || (status == Status::Idle && retirement.is_retired()) {
            return Poll::Ready(());
        }
        if status == Status::Idle && this.link.release_lingering() {
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
            let kept = status == Status::Idle && this.core.live.load(Relaxed) <= this.core.keep;
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
