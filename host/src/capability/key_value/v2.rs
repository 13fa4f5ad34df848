//! `fermyon:spin/key-value@2.0.0`: the guest waits for each call, and takes
//! keys as one list.

use super::bindings::fermyon::spin::key_value::{
    Error, Host as Interface, HostStore, HostStoreWithStore,
};
use super::{Caller, Failure, Store, close, open};
use crate::capability::{HasCapabilities, Host, View};
use std::collections::HashSet;
use wasmtime::component::{Access, Resource};

/// The most bytes of keys that one list may have. It is held in memory twice,
/// here and in the guest, whose own limit is of this order.
const LONGEST_LIST: usize = 16 << 20;

type Answer<V> = wasmtime::Result<Result<V, Error>>;

impl Interface for View<'_> {}

impl HostStore for View<'_> {
    fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        close(self, store)
    }
}

impl<T: HasCapabilities> HostStoreWithStore<T> for Host {
    async fn open(mut access: Access<'_, T, Self>, label: String) -> Answer<Resource<Store>> {
        Ok(open(access.get(), &label).map_err(Error::from))
    }

    async fn get(
        access: Access<'_, T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        let caller = Caller::of(access, &store)?;
        Ok(caller.get(&key).await.map_err(Error::from))
    }

    async fn set(
        access: Access<'_, T, Self>,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        let caller = Caller::of(access, &store)?;
        Ok(caller.set(&key, &value).await.map_err(Error::from))
    }

    async fn delete(
        access: Access<'_, T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Answer<()> {
        let caller = Caller::of(access, &store)?;
        Ok(caller.delete(&key).await.map_err(Error::from))
    }

    async fn exists(
        access: Access<'_, T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Answer<bool> {
        let caller = Caller::of(access, &store)?;
        Ok(caller.exists(&key).await.map_err(Error::from))
    }

    async fn get_keys(access: Access<'_, T, Self>, store: Resource<Store>) -> Answer<Vec<String>> {
        let caller = Caller::of(access, &store)?;
        Ok(list(caller).await.map_err(Error::from))
    }
}

async fn list(caller: Caller) -> Result<Vec<String>, Failure> {
    let mut keys = caller.keys();
    let mut list = HashSet::new();
    let mut bytes = 0;
    while let Some(batch) = keys.next().await? {
        bytes += batch.iter().map(String::len).sum::<usize>();
        if bytes > LONGEST_LIST {
            return Err(Failure::Other(format!(
                "the store has more than {LONGEST_LIST} bytes of keys"
            )));
        }
        list.extend(batch);
    }
    Ok(list.into_iter().collect())
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
