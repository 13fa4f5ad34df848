//! Requests that wait for an instance, and which instance takes them.
//!
//! All of this is one core's. There another instance is of no use while one computes:
//! it is woken, or made, when those at work are full, or stuck in a call that lets
//! nothing else happen in them. wasmtime's own handler makes one whenever the last that
//! had room takes a request while another waits: with 500 connections 110 where two are
//! enough, and each of them with memory of its own that no cache holds.

use super::ticket::Ticket;
use futures::channel::oneshot;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Waker;
use wasmtime_wasi_http::WasiBody;

/// A request on its way to a guest.
pub(super) type Request = http::Request<WasiBody>;

/// What a guest made of it.
pub(super) type Answer = Result<http::Response<WasiBody>, wasmtime::Error>;

/// A request that no instance has taken yet.
pub(super) struct Waiting {
    pub(super) ticket: Arc<Ticket>,
    pub(super) request: Request,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The requests of one core that wait, and its workers.
#[derive(Default)]
pub(super) struct Dispatch(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Workers that sleep and have room. The last to fall asleep is the first to be
    /// woken: the caches still hold its memory.
    open: Vec<Arc<Desk>>,
    /// Workers that look at the queue before they sleep again.
    awake: usize,
    /// Workers whose instance is being made.
    starting: usize,
}

/// What has to be done for the requests that wait.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: a worker is on its way to them, or there are none.
    Covered,
    /// A worker is to be started.
    Start,
}

/// A worker as its core knows it.
#[derive(Default)]
pub(super) struct Desk {
    awake: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Desk {
    /// Whom to wake where there is a request for this worker.
    pub(super) fn register(&self, waker: &Waker) {
        let mut known = self.waker.lock();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }
}

impl State {
    /// Sees to it that somebody looks at the requests that wait.
    fn call(&mut self) -> Next {
        if self.waiting.is_empty() || self.awake > 0 {
            return Next::Covered;
        }
        if let Some(desk) = self.open.pop() {
            desk.awake.store(true, Relaxed);
            self.awake += 1;
            desk.wake();
            return Next::Covered;
        }
        if self.starting > 0 {
            return Next::Covered;
        }
        self.starting += 1;
        Next::Start
    }

    fn forget(&mut self, desk: &Arc<Desk>) {
        if let Some(at) = self.open.iter().rposition(|open| Arc::ptr_eq(open, desk)) {
            self.open.remove(at);
        }
    }
}

impl Dispatch {
    /// A request to be taken, in order of arrival.
    pub(super) fn push(&self, waiting: Waiting) -> Next {
        let mut state = self.0.lock();
        state.waiting.push_back(waiting);
        state.call()
    }

    /// The next request that somebody still waits for.
    pub(super) fn take(&self) -> Option<Waiting> {
        loop {
            // Let go of outside of the lock: what a request holds may be a lot.
            let next = self.0.lock().waiting.pop_front()?;
            if !next.answer.is_canceled() {
                return Some(next);
            }
        }
    }

    /// Whether any request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().waiting.is_empty()
    }

    /// The worker whose start was asked for has its instance, or cannot have one.
    pub(super) fn started(&self) {
        self.0.lock().starting -= 1;
    }

    /// The worker is at work, and looks at the queue before it sleeps.
    pub(super) fn enter(&self, desk: &Arc<Desk>) {
        if desk.awake.swap(true, Relaxed) {
            return;
        }
        let mut state = self.0.lock();
        state.awake += 1;
        state.forget(desk);
    }

    /// The worker has looked at the queue and sleeps; with room, it may be woken for
    /// the next request.
    pub(super) fn leave(&self, desk: &Arc<Desk>, room: bool) -> Next {
        let mut state = self.0.lock();
        if desk.awake.swap(false, Relaxed) {
            state.awake -= 1;
        }
        if room {
            state.open.push(desk.clone());
        }
        state.call()
    }

    /// The worker is no more.
    pub(super) fn end(&self, desk: &Arc<Desk>) -> Next {
        let mut state = self.0.lock();
        if desk.awake.swap(false, Relaxed) {
            state.awake -= 1;
        }
        state.forget(desk);
        state.call()
    }

    /// Asks again for what waits: after a start that came to nothing.
    pub(super) fn call(&self) -> Next {
        self.0.lock().call()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::Call;
    use crate::engine::{Admission, Permits};
    use crate::telemetry::trace::Span;
    use futures::task::{ArcWake, waker};
    use http_body_util::{BodyExt, Empty};
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;
    use tokio::time::Instant;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl ArcWake for Woken {
        fn wake_by_ref(woken: &Arc<Self>) {
            woken.0.fetch_add(1, Relaxed);
        }
    }

    impl Woken {
        fn times(&self) -> usize {
            self.0.load(Relaxed)
        }
    }

    fn waiting(id: &str) -> (Waiting, oneshot::Receiver<Answer>) {
        let admission = Admission::new(2, Some(0), Duration::ZERO);
        let permits = Permits {
            endpoint: admission.try_admit().unwrap(),
            node: admission.try_admit().unwrap().into(),
            canary: None,
        };
        let call = Call::new(Instant::now(), Duration::ZERO, id.into(), Span::OFF);
        let (answer, answered) = oneshot::channel();
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let waiting = Waiting {
            ticket: Arc::new(Ticket::new(Arc::new(call), permits)),
            request: http::Request::new(body),
            answer,
        };
        (waiting, answered)
    }

    fn worker(dispatch: &Dispatch) -> (Arc<Desk>, Arc<Woken>) {
        let (desk, woken) = (Arc::<Desk>::default(), Arc::<Woken>::default());
        desk.register(&waker(woken.clone()));
        dispatch.enter(&desk);
        (desk, woken)
    }

    #[test]
    fn one_worker_is_started_for_many_requests() {
        let dispatch = Dispatch::default();
        let (first, _first) = waiting("first");
        let (second, _second) = waiting("second");
        assert_eq!(dispatch.push(first), Next::Start);
        assert_eq!(dispatch.push(second), Next::Covered, "one is on its way");
        dispatch.started();
        let (desk, _) = worker(&dispatch);
        let taken = dispatch.take().unwrap();
        assert_eq!(&*taken.ticket.call().request_id, "first");
        let next = dispatch.leave(&desk, false);
        assert_eq!(next, Next::Start, "full, and one still waits");
    }

    #[test]
    fn the_last_to_fall_asleep_is_woken_and_once() {
        let dispatch = Dispatch::default();
        let (early, early_woken) = worker(&dispatch);
        let (late, late_woken) = worker(&dispatch);
        assert_eq!(dispatch.leave(&early, true), Next::Covered);
        assert_eq!(dispatch.leave(&late, true), Next::Covered);
        let (first, _first) = waiting("first");
        let (second, _second) = waiting("second");
        assert_eq!(dispatch.push(first), Next::Covered);
        assert_eq!(dispatch.push(second), Next::Covered);
        assert_eq!((early_woken.times(), late_woken.times()), (0, 1));
        // It turns out to be stuck: another one is asked.
        dispatch.enter(&late);
        assert_eq!(dispatch.leave(&late, false), Next::Covered);
        assert_eq!((early_woken.times(), late_woken.times()), (1, 1));
        // That one ends before it looks: a third is needed.
        assert_eq!(dispatch.end(&early), Next::Start);
    }

    #[test]
    fn a_worker_that_wakes_by_itself_is_not_called_again() {
        let dispatch = Dispatch::default();
        let (desk, woken) = worker(&dispatch);
        assert_eq!(dispatch.leave(&desk, true), Next::Covered);
        dispatch.enter(&desk);
        let (request, _answered) = waiting("request");
        assert_eq!(dispatch.push(request), Next::Covered, "it looks anyway");
        assert_eq!(woken.times(), 0);
        assert_eq!(dispatch.leave(&desk, true), Next::Covered);
        assert_eq!(woken.times(), 1, "it has left one, and has room");
    }

    #[test]
    fn nobody_works_for_a_client_that_is_gone() {
        let dispatch = Dispatch::default();
        let (gone, answered) = waiting("gone");
        let (here, _answered) = waiting("here");
        let _ = (dispatch.push(gone), dispatch.push(here));
        drop(answered);
        let taken = dispatch.take().unwrap();
        assert_eq!(&*taken.ticket.call().request_id, "here");
        assert!(dispatch.take().is_none() && dispatch.is_empty());
    }
}
