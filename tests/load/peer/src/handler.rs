//! How instances are made, shared and ended.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};
use wasmtime::component::GuestTaskId;
use wasmtime::{Result, Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::guest::Guest;

/// Requests that an instance answers in its life.
const REUSE: usize = 128;
/// Requests that it answers at once.
const CONCURRENCY: usize = 16;
/// How long it is kept with none.
const IDLE: Duration = Duration::from_secs(1);

/// Makes instances of one component.
pub(crate) struct Instances {
    pre: ServicePre<Guest>,
}

impl Instances {
    pub(crate) fn new(pre: ServicePre<Guest>) -> Self {
        Self { pre }
    }
}

impl HandlerState for Instances {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> Result<Instance<Guest, Expiration, Worker>> {
        let mut store = Store::new(self.pre.engine(), Guest::default());
        let proxy = Proxy::P3(self.pre.instantiate_async(&mut store).await?);
        Ok(Instance {
            store,
            proxy,
            view: Guest::http,
            expiration: Expiration(Box::pin(sleep(Duration::MAX))),
            state: Worker,
        })
    }
}

/// An instance's numbers of requests.
pub(crate) struct Worker;

impl WorkerState for Worker {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= REUSE {
            ShouldAccept::Never
        } else if concurrent >= CONCURRENCY {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(sleep(Duration::MAX))
    }

    fn drop(&self, store: Store<Guest>, result: Result<()>) {
        if let Err(error) = result {
            eprintln!("an instance ended: {error:?}");
        }
        drop(store);
    }
}

/// Ends an instance that was idle too long; requests have no limit.
pub(crate) struct Expiration(Pin<Box<Sleep>>);

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        if status != WorkerStatus::Idle {
            return Poll::Pending;
        }
        let due = (start + IDLE).into();
        let timer = &mut self.0;
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }
}
