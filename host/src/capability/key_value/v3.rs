//! `spin:key-value@3.0.0`: the guest goes on while a call is under way, and
//! takes keys as a stream.

use super::bindings::spin::key_value::key_value::{
    Error, Host as Interface, HostStore, HostStoreWithStore,
};
use super::keys::Keys;
use super::{Caller, Failure, Store, close, open};
use crate::capability::{HasCapabilities, Host, View};
use futures::stream::{BoxStream, StreamExt, try_unfold};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    Accessor, Destination, FutureReader, Resource, StreamProducer, StreamReader, StreamResult,
    VecBuffer,
};

type Answer<V> = wasmtime::Result<Result<V, Error>>;

impl Interface for View<'_> {}

impl HostStore for View<'_> {
    fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        close(self, store)
    }
}

impl<T: HasCapabilities> HostStoreWithStore<T> for Host {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Answer<Resource<Store>> {
        let opened = accessor.with(|mut store| open(store.get(), &label));
        Ok(opened.map_err(Error::from))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        let caller = accessor.with(|access| Caller::of(access, &store))?;
        Ok(caller.get(&key).await.map_err(Error::from))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        let caller = accessor.with(|access| Caller::of(access, &store))?;
        Ok(caller.set(&key, &value).await.map_err(Error::from))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Answer<()> {
        let caller = accessor.with(|access| Caller::of(access, &store))?;
        Ok(caller.delete(&key).await.map_err(Error::from))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Answer<bool> {
        let caller = accessor.with(|access| Caller::of(access, &store))?;
        Ok(caller.exists(&key).await.map_err(Error::from))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        accessor.with(|mut access| {
            let keys = Caller::of(&mut access, &store)?.keys();
            let (outcome, ended) = oneshot::channel();
            let stream = StreamReader::new(&mut access, KeyStream::new(keys, outcome))?;
            let outcome = FutureReader::new(&mut access, async {
                // A guest that drops the stream wants no more: no error.
                wasmtime::error::Ok(ended.await.unwrap_or(Ok(())))
            })?;
            Ok((stream, outcome))
        })
    }
}

/// Keys on their way to the guest. A batch is asked for when the guest reads
/// and has all of the one before: what it does not take is not fetched.
struct KeyStream {
    batches: BoxStream<'static, Result<Vec<String>, Failure>>,
    outcome: Option<oneshot::Sender<Result<(), Error>>>,
}

impl KeyStream {
    fn new(keys: Keys, outcome: oneshot::Sender<Result<(), Error>>) -> Self {
        let batches = try_unfold(keys, |mut keys| async move {
            let batch = keys.next().await?;
            Ok(batch.map(|batch| (batch, keys)))
        });
        Self {
            batches: batches.boxed(),
            outcome: Some(outcome),
        }
    }

    fn end(&mut self, outcome: Result<(), Failure>) -> Poll<wasmtime::Result<StreamResult>> {
        if let Some(sender) = self.outcome.take() {
            // A guest that dropped the future does not want to know.
            let _ = sender.send(outcome.map_err(Error::from));
        }
        Poll::Ready(Ok(StreamResult::Dropped))
    }
}

impl<T: 'static> StreamProducer<T> for KeyStream {
    type Item = String;
    type Buffer = VecBuffer<String>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, T>,
        mut destination: Destination<'a, String, VecBuffer<String>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // A read of nothing asks whether there is something; the next real read
        // finds out.
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        match self.batches.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(batch))) => {
                destination.set_buffer(batch.into());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(Some(Err(failure))) => self.end(Err(failure)),
            Poll::Ready(None) => self.end(Ok(())),
            // The batch under way is kept for the next read.
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::StoreTableFull => Error::StoreTableFull,
            Failure::AccessDenied => Error::AccessDenied,
            Failure::Other(text) => Error::Other(text),
        }
    }
}
