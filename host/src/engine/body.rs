//! A response's body on its way from a guest to a client.

use super::retirement::Retirement;
use super::ticket::{Fate, Ticket};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use prometheus_client::metrics::counter::Counter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime_wasi_http::WasiBody;

/// Why a body was cut off. The client sees a broken transfer.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Its guest trapped or was ended.
    #[error("the guest ended in the middle of its body ({0:?})")]
    Guest(Fate),
    /// Its guest sent nothing for the component's `body_idle`.
    #[error("the guest sent nothing for {} ms", .0.as_millis())]
    Idle(Duration),
    /// It took longer than the component's `body_total`.
    #[error("the body took longer than {} ms", .0.as_millis())]
    Total(Duration),
    /// Its client left no room for it.
    #[error("the client left no room for the body")]
    Left,
    /// Its guest reported an error.
    #[error("the guest gave up its body: {0}")]
    Reported(wasmtime_wasi_http::Error),
}

/// Limits of a body in time.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Longest wait for the guest's next piece.
    pub idle: Duration,
    /// Longest time from head to end.
    pub total: Duration,
}

/// A guest's body, with the request's ticket and its limits.
///
/// wasmtime-wasi-http ends a body whose worker is gone as if it were complete;
/// here such a body ends in an error, so a trap never looks like a reply.
#[derive(Debug)]
pub struct GuestBody {
    inner: WasiBody,
    ticket: Arc<Ticket>,
    limits: BodyLimits,
    began: Instant,
    progress: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    over: bool,
    retirement: Arc<Retirement>,
    aborted: Counter,
}

impl GuestBody {
    pub(super) fn new(
        inner: WasiBody,
        ticket: Arc<Ticket>,
        limits: BodyLimits,
        retirement: Arc<Retirement>,
        aborted: Counter,
    ) -> Self {
        if let Some(worker) = ticket.worker() {
            worker.body_begins();
        }
        let now = Instant::now();
        Self {
            inner,
            ticket,
            limits,
            began: now,
            progress: now,
            timer: None,
            over: false,
            retirement,
            aborted,
        }
    }

    /// All of it is here, by the length that the guest gave it: what the guest still
    /// does is not waited for.
    pub fn complete(&mut self) {
        self.over = true;
    }

    /// Its client has left no room for it for too long, and is taken for gone.
    pub fn left_by_client(self) {
        self.aborted.inc();
        tracing::debug!(request_id = %self.ticket.call().request_id, "{}", BodyError::Left);
    }

    fn abort(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.over = true;
        self.aborted.inc();
        let call = self.ticket.call();
        call.span.fail("aborted");
        tracing::warn!(
            request_id = %call.request_id,
            trace_id = call.span.trace_id().map(tracing::field::display),
            "response aborted: {error}"
        );
        // The guest may be at work on it still.
        if let Some(worker) = self.ticket.worker() {
            worker.linger(self.ticket.clone());
        }
        Poll::Ready(Some(Err(error)))
    }

    /// Ready once a limit has passed. The timer is only made for a body that
    /// has to be waited for, and only moved when it fires: most bodies are
    /// there at the first look.
    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<BodyError> {
        loop {
            let idle = self.progress + self.limits.idle;
            let total = self.began + self.limits.total;
            let due = idle.min(total);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() > due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if now >= total {
                return Poll::Ready(BodyError::Total(self.limits.total));
            }
            if now >= idle {
                return Poll::Ready(BodyError::Idle(self.limits.idle));
            }
            timer.as_mut().reset(due);
        }
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        if this.retirement.is_cut() {
            // One that is passed on from elsewhere needs no worker to go on.
            return this.abort(BodyError::Guest(Fate::Drained));
        }
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.progress = Instant::now();
                if this.progress >= this.began + this.limits.total {
                    return this.abort(BodyError::Total(this.limits.total));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => match this.ticket.fate() {
                Fate::Alive => this.abort(BodyError::Reported(error)),
                fate => this.abort(BodyError::Guest(fate)),
            },
            Poll::Ready(None) => match this.ticket.fate() {
                Fate::Alive => {
                    this.over = true;
                    Poll::Ready(None)
                }
                fate => this.abort(BodyError::Guest(fate)),
            },
            Poll::Pending => {
                let error = ready!(this.poll_limits(cx));
                this.abort(error)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Not the guest's word for it: whether its worker ended well is only
        // known once the end was polled for.
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        if self.over {
            SizeHint::with_exact(0)
        } else {
            self.inner.size_hint()
        }
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        if let Some(worker) = self.ticket.worker() {
            if !self.over {
                worker.linger(self.ticket.clone());
            }
            worker.body_over();
        }
    }
}
