//! `spin:redis@3.0.0`: the guest goes on while a command is under way.

use super::bindings::spin::redis::redis::{
    Error, Host as Interface, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult,
};
use super::commands::Argument;
use super::reply::Item;
use super::{Caller, Connection, Failure, close, open};
use crate::capability::{HasCapabilities, Host, View};
use wasmtime::component::{Accessor, Resource};

type Answer<V> = wasmtime::Result<Result<V, Error>>;

impl Interface for View<'_> {}

impl HostConnection for View<'_> {
    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        close(self, connection)
    }
}

impl<T: HasCapabilities> HostConnectionWithStore<T> for Host {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Answer<Resource<Connection>> {
        let opened = accessor.with(|mut store| open(store.get(), &address));
        Ok(opened.map_err(Error::from))
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Answer<()> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        Ok(caller
            .publish(&channel, &payload)
            .await
            .map_err(Error::from))
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Answer<Option<Vec<u8>>> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        Ok(caller.get(&key).await.map_err(Error::from))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        Ok(caller.set(&key, &value).await.map_err(Error::from))
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Answer<i64> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        Ok(caller.incr(&key).await.map_err(Error::from))
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        keys: Vec<String>,
    ) -> Answer<u32> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        Ok(caller.del(&keys).await.map_err(Error::from))
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        Ok(caller.sadd(&key, &values).await.map_err(Error::from))
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Answer<Vec<String>> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        Ok(caller.smembers(&key).await.map_err(Error::from))
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        Ok(caller.srem(&key, &values).await.map_err(Error::from))
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Answer<Vec<RedisResult>> {
        let caller = accessor.with(|store| Caller::of(store, &connection))?;
        let arguments = arguments.into_iter().map(Argument::from);
        let items = caller.execute(&command, arguments).await;
        Ok(items
            .map(|items| items.into_iter().map(RedisResult::from).collect())
            .map_err(Error::from))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::InvalidAddress => Error::InvalidAddress,
            Failure::TooManyConnections => Error::TooManyConnections,
            Failure::Type => Error::TypeError,
            Failure::Other(text) => Error::Other(text),
        }
    }
}

impl From<RedisParameter> for Argument {
    fn from(parameter: RedisParameter) -> Self {
        match parameter {
            RedisParameter::Int64(value) => Argument::Int(value),
            RedisParameter::Binary(value) => Argument::Binary(value),
        }
    }
}

impl From<Item> for RedisResult {
    fn from(item: Item) -> Self {
        match item {
            Item::Nil => RedisResult::Nil,
            Item::Status(status) => RedisResult::Status(status),
            Item::Int(value) => RedisResult::Int64(value),
            Item::Binary(bytes) => RedisResult::Binary(bytes),
        }
    }
}
