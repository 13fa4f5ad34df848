//! One instance at work: what it takes, what runs in it, how it ends.

use super::core::Core;
use super::dispatch::{Desk, Waiting};
use super::expiration::{Expiration, Status};
use super::guest::Guest;
use super::revision::Shared;
use super::ticket::{Fate, Ticket, WorkerLink};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use wasmtime::component::{Accessor, Func, GuestTaskId};
use wasmtime::{AsContextMut, Store};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{Prepared, Proxy};

/// How long a worker goes on taking requests before it lets the core's other work
/// have a turn: connections have answers to write, and requests to read.
const TURN: Duration = Duration::from_millis(1);

/// The instances alive on one core.
#[derive(Debug, Default)]
pub(super) struct CoreCount {
    pub(super) live: AtomicUsize,
    /// How many stay however long they are idle.
    pub(super) keep: usize,
}

/// An instance, and what is known of it outside of its store.
pub(super) struct Instance {
    held: Held,
    proxy: Proxy,
    expiration: Expiration,
}

/// A store that is told of its end, however that comes.
struct Held {
    store: Option<Store<Guest>>,
    shared: Arc<Shared>,
    link: Arc<WorkerLink>,
    count: Arc<CoreCount>,
}

impl Instance {
    pub(super) fn new(
        store: Store<Guest>,
        proxy: Proxy,
        shared: Arc<Shared>,
        link: Arc<WorkerLink>,
        count: Arc<CoreCount>,
    ) -> Self {
        count.live.fetch_add(1, Relaxed);
        shared.metrics.instances.inc();
        shared.metrics.instantiations.inc();
        let retirement = shared.retirement.clone();
        Self {
            expiration: Expiration::new(&shared.limits, link.clone(), count.clone(), retirement),
            proxy,
            held: Held {
                store: Some(store),
                shared,
                link,
                count,
            },
        }
    }

    /// Serves the requests that wait at `core`, until the instance is used up, idle
    /// for too long, or ended.
    pub(super) async fn serve(self, core: &Arc<Core>) {
        let Self {
            mut held,
            proxy,
            mut expiration,
        } = self;
        let seat = Seat::at(core);
        let turn = Turn::new();
        let ended = {
            let Held {
                store,
                link,
                shared,
                ..
            } = &mut held;
            let cpu = &shared.metrics.cpu;
            let Some(store) = store else { return };
            let requests = Requests {
                proxy: &proxy,
                core,
                link,
                turn: &turn,
            };
            let serving = async |accessor: &Accessor<Guest>| requests.serve(accessor).await;
            let mut serving = pin!(store.run_concurrent(serving).map(wasmtime::Result::flatten));
            poll_fn(|cx| {
                seat.enter(cx);
                turn.begin();
                let polled = loop {
                    turn.looked.store(false, Relaxed);
                    if let Poll::Ready(ended) = serving.as_mut().poll(cx) {
                        break Poll::Ready(ended.map_err(End::Failed));
                    }
                    // Nothing was looked at: the instance is stuck in one of its
                    // guests, and nothing else can happen in it.
                    let room = turn.looked.load(Relaxed) && turn.room.load(Relaxed);
                    if room && !turn.is_over() && !core.dispatch.is_empty() {
                        // What is inside waits for something: another may start.
                        turn.settled.store(true, Relaxed);
                        continue;
                    }
                    let (status, since) = *turn.status.lock();
                    if expiration.poll(cx, status, since).is_ready() {
                        break Poll::Ready(match status {
                            Status::Requests | Status::PostReturn => Err(End::Expired),
                            Status::Idle => Ok(()),
                        });
                    }
                    seat.leave(room);
                    break Poll::Pending;
                };
                // Nothing else runs on the core meanwhile.
                cpu.inc_by(turn.took().as_secs_f64());
                polled
            })
            .await
        };
        held.end(ended);
    }
}

/// Why an instance ended, where it was not used up or idle.
enum End {
    /// A guest trapped, or used too much of the processor.
    Failed(wasmtime::Error),
    /// It overstayed a limit, or its revision was cut.
    Expired,
}

impl Held {
    /// The instance is done with, well or not.
    fn end(&mut self, ended: Result<(), End>) {
        let Some(store) = self.store.take() else {
            return;
        };
        if let Err(end) = ended {
            let (fate, why) = match end {
                End::Failed(error) => (Fate::Trapped, format!("{error:#}")),
                End::Expired if self.shared.retirement.is_cut() => {
                    (Fate::Drained, "its revision is cut off".to_owned())
                }
                End::Expired => (Fate::Expired, "it overstayed a limit".to_owned()),
            };
            let doomed = store.data().doom(fate);
            self.shared.metrics.instance_failures.inc();
            tracing::warn!(
                component = %self.shared.id,
                revision = %self.shared.digest,
                request_id = doomed.requests(),
                trace_id = doomed.traces(),
                "instance ended: {why}"
            );
        }
        // The store first: what still runs in it holds its place until then.
        drop(store);
        self.link.ended();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end(Err(End::Failed(wasmtime::format_err!("the host panicked"))));
        }
        // Never used; or its runtime ends, and nothing is wrong with the guest.
        self.end(Ok(()));
        self.count.live.fetch_sub(1, Relaxed);
        self.shared.metrics.instances.dec();
    }
}

/// A worker's place at its core.
struct Seat<'a> {
    core: &'a Arc<Core>,
    desk: Arc<Desk>,
}

impl<'a> Seat<'a> {
    fn at(core: &'a Arc<Core>) -> Self {
        Self {
            core,
            desk: Arc::default(),
        }
    }

    /// The worker is at work.
    fn enter(&self, cx: &Context<'_>) {
        self.desk.register(cx.waker());
        self.core.dispatch.enter(&self.desk);
    }

    /// The worker sleeps.
    fn leave(&self, room: bool) {
        self.core.heed(self.core.dispatch.leave(&self.desk, room));
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.core.heed(self.core.dispatch.end(&self.desk));
    }
}

/// What the two sides of the store's event loop tell each other. Both are polled by
/// one task: nothing here is contended.
struct Turn {
    /// Whether the inner side came to look for requests.
    looked: AtomicBool,
    /// Whether it could take another.
    room: AtomicBool,
    /// Whether all that is inside waits for something outside.
    settled: AtomicBool,
    /// When the worker was last woken.
    began: Mutex<Instant>,
    status: Mutex<(Status, Instant)>,
}

impl Turn {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            looked: AtomicBool::new(false),
            room: AtomicBool::new(true),
            settled: AtomicBool::new(true),
            began: Mutex::new(now),
            status: Mutex::new((Status::Idle, now)),
        }
    }

    fn begin(&self) {
        *self.began.lock() = Instant::now();
        self.settled.store(true, Relaxed);
    }

    fn took(&self) -> Duration {
        self.began.lock().elapsed()
    }

    /// Whether the core's other work is to have a turn.
    fn is_over(&self) -> bool {
        self.took() >= TURN
    }

    fn set_status(&self, status: Status, since: Instant) {
        *self.status.lock() = (status, since);
    }
}

/// The requests of an instance, inside of its store's event loop.
struct Requests<'a> {
    proxy: &'a Proxy,
    core: &'a Arc<Core>,
    link: &'a Arc<WorkerLink>,
    turn: &'a Turn,
}

impl Requests<'_> {
    async fn serve(&self, accessor: &Accessor<Guest>) -> wasmtime::Result<()> {
        let limits = &self.core.shared.limits;
        let (concurrency, reuse) = (limits.concurrency.get() as usize, limits.reuse.get());
        let function = self.function();
        let mut inside = pin!(FuturesUnordered::new());
        // In order of arrival.
        let mut starts: Vec<Instant> = Vec::with_capacity(concurrency.min(64));
        let mut left = reuse;
        poll_fn(|cx| {
            self.turn.looked.store(true, Relaxed);
            loop {
                // First what is done: of those that took too long no other may follow.
                while let Poll::Ready(Some(done)) = inside.as_mut().poll_next(cx) {
                    let Done { answered, start } = match done {
                        Ok(done) => done,
                        Err(error) => return Poll::Ready(Err(error)),
                    };
                    if let Some(at) = starts.iter().position(|other| *other == start) {
                        starts.remove(at);
                    }
                    match starts.last() {
                        Some(latest) => self.turn.set_status(Status::Requests, *latest),
                        None => self.turn.set_status(Status::PostReturn, Instant::now()),
                    }
                    if !answered {
                        left = 0;
                    }
                }
                let ready = left > 0
                    && accessor
                        .poll_ready_for_concurrent_call(function, cx)
                        .is_ready();
                let room = ready && inside.len() < concurrency && !self.link.has_lingering();
                self.turn.room.store(room, Relaxed);
                // One that has not yet had to wait for anything may be computing, and
                // may trap: it has the instance to itself until then.
                let may = room
                    && (inside.is_empty() || self.turn.settled.load(Relaxed))
                    && !self.core.dispatch.is_empty()
                    && !self.turn.is_over();
                if may && let Some(waiting) = self.core.dispatch.take() {
                    self.turn.settled.store(false, Relaxed);
                    left -= 1;
                    let start = Instant::now();
                    starts.push(start);
                    self.turn.set_status(Status::Requests, start);
                    inside.push(self.start(accessor, waiting, start));
                    continue;
                }
                if !inside.is_empty() || accessor.poll_no_interesting_tasks(cx).is_pending() {
                    return Poll::Pending;
                }
                if left == 0 {
                    return Poll::Ready(Ok(()));
                }
                let mut status = self.turn.status.lock();
                if status.0 != Status::Idle {
                    *status = (Status::Idle, Instant::now());
                }
                return Poll::Pending;
            }
        })
        .await
    }

    fn function(&self) -> Func {
        match self.proxy {
            Proxy::P2(guest) => *guest.wasi_http_incoming_handler().func_handle().func(),
            Proxy::P3(guest) => *guest.wasi_http_handler().func_handle().func(),
        }
    }

    /// Hands a request to the guest; the future runs it.
    fn start<'a>(
        &'a self,
        accessor: &'a Accessor<Guest>,
        waiting: Waiting,
        start: Instant,
    ) -> impl Future<Output = wasmtime::Result<Done>> + use<'a> {
        let Waiting {
            ticket,
            request,
            answer,
        } = waiting;
        self.link.slices.renew();
        // Until now it has waited for an instance.
        ticket.call().span.event("started");
        ticket.attach(self.link.clone());
        let prepared = accessor.with(|mut store| {
            let mut store = store.as_context_mut();
            let prepared = Prepared::new(
                store.as_context_mut(),
                self.proxy,
                request,
                Guest::http,
                answer,
            )?;
            store.data_mut().begin(task(&prepared), &ticket);
            wasmtime::error::Ok(prepared)
        });
        async move {
            let deadline = ticket.call().deadline;
            let head = Head(Some(ticket));
            let answered = prepared?
                .run(accessor, tokio::time::sleep_until(deadline))
                .await?;
            drop(head);
            Ok(Done { answered, start })
        }
    }
}

/// A request that has its head, or was too late for it.
struct Done {
    answered: bool,
    start: Instant,
}

/// The component-model task that serves the request: what its imports are known by.
fn task(prepared: &Prepared<'_, Guest>) -> GuestTaskId {
    match prepared {
        Prepared::P2 { call, .. } => call.task(),
        Prepared::P3 { call, .. } => call.task(),
    }
}

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
