//! One core's instances of a revision.

use super::dispatch::{Answer, Dispatch, Next, Request, Waiting};
use super::epoch::Slices;
use super::guest::Guest;
use super::memory::Limiter;
use super::revision::Shared;
use super::ticket::{Ticket, WorkerLink};
use super::worker::{CoreCount, Instance};
use crate::capability::Capabilities;
use crate::capability::outbound_http::Outbound;
use futures::channel::oneshot;
use parking_lot::Mutex;
use std::sync::Arc;
use wasmtime::{Store, StoreLimitsBuilder};

/// A core's instances of a revision, and the requests that wait for one of them.
pub(super) struct Core {
    pub(super) shared: Arc<Shared>,
    pub(super) dispatch: Dispatch,
    index: usize,
    /// Instances made ahead of any request.
    stash: Mutex<Vec<Instance>>,
    count: Arc<CoreCount>,
}

/// No instance could be made for the request.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoInstance(String);

/// The instance ended before it answered.
#[derive(Debug)]
pub(super) struct Ended;

impl Core {
    /// A core without instances; of those it makes, `keep` stay.
    pub(super) fn new(index: usize, shared: Arc<Shared>, keep: usize) -> Self {
        Self {
            shared,
            dispatch: Dispatch::default(),
            index,
            stash: Mutex::default(),
            count: Arc::new(CoreCount {
                keep,
                ..CoreCount::default()
            }),
        }
    }

    /// Makes the instances that stay.
    pub(super) async fn warm(&self) -> wasmtime::Result<()> {
        // Not in the loop's head, where the lock would be held throughout.
        let made = self.stash.lock().len();
        for _ in made..self.count.keep {
            let instance = self.make().await?;
            self.stash.lock().push(instance);
        }
        Ok(())
    }

    /// Lets go of the instances that no request has used.
    pub(super) fn discard(&self) {
        let stashed = std::mem::take(&mut *self.stash.lock());
        drop(stashed);
    }

    /// Has an instance answer `request`. On this core's runtime.
    ///
    /// Dropping the future takes back a request that no instance has taken yet.
    ///
    /// # Errors
    ///
    /// [`Ended`] where the instance was lost with the request in it; within it, why
    /// there is no response.
    pub(super) async fn handle(
        self: &Arc<Self>,
        ticket: Arc<Ticket>,
        request: Request,
    ) -> Result<Answer, Ended> {
        let (answer, answered) = oneshot::channel();
        self.heed(self.dispatch.push(Waiting {
            ticket,
            request,
            answer,
        }));
        answered.await.map_err(|_canceled| Ended)
    }

    /// Does what is to be done for the requests that wait.
    pub(super) fn heed(self: &Arc<Self>, next: Next) {
        match next {
            Next::Covered => {}
            Next::Start => {
                tokio::spawn(self.clone().work());
            }
        }
    }

    async fn work(self: Arc<Self>) {
        let instance = self.instance().await;
        self.dispatch.started();
        match instance {
            Ok(instance) => instance.serve(&self).await,
            Err(error) => {
                // Each attempt costs one request: those behind it may find an instance
                // that has room again, or fare better.
                if let Some(waiting) = self.dispatch.take() {
                    let error = NoInstance(format!("{error:#}"));
                    // Whoever is gone needs no answer.
                    let _ = waiting.answer.send(Err(error.into()));
                }
                self.heed(self.dispatch.call());
            }
        }
    }

    async fn instance(&self) -> wasmtime::Result<Instance> {
        let stashed = self.stash.lock().pop();
        match stashed {
            Some(instance) => Ok(instance),
            None => self.make().await,
        }
    }

    /// Makes an instance.
    pub(super) async fn make(&self) -> wasmtime::Result<Instance> {
        let shared = &self.shared;
        let limits = &shared.limits;
        let guest = Guest::new(
            shared.wasi()?,
            Outbound::new(shared.grants.clone(), limits.deadline),
            Capabilities::new(shared.grants.clone()),
            Limiter::new(
                StoreLimitsBuilder::new()
                    .memory_size(limits.memory)
                    .table_elements(limits.table_elements)
                    .build(),
                shared.memory.clone(),
            ),
            limits.handles,
        );
        let mut store = Store::new(shared.engine.inner(), guest);
        store.limiter(Guest::limiter);
        let slices = Arc::new(Slices::default());
        slices.attach(&mut store, limits.cpu);
        // A guest's start is held to the same clock as its answers.
        let proxy = tokio::time::timeout(limits.deadline, shared.pre.instantiate_async(&mut store))
            .await
            .map_err(|_elapsed| wasmtime::format_err!("the guest did not start in time"))??;
        let link = Arc::new(WorkerLink::new(slices));
        shared.retirement.enroll(self.index, &link);
        Ok(Instance::new(
            store,
            proxy,
            shared.clone(),
            link,
            self.count.clone(),
        ))
    }
}
