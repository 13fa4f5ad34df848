//! `spin:key-value@3.0.0` and `fermyon:spin/key-value@2.0.0`: named stores of
//! bytes by key, kept in Valkey.
//!
//! A component sees the stores that its manifest entry grants it, by label. A
//! store is a prefix of the keys of one server, so no key of another store or
//! of anything else there can be named.

mod keys;
mod v2;
mod v3;

use self::keys::Keys;
use super::{HasCapabilities, Host, View, current_call, traced};
use crate::pool::valkey::{self, ValkeyPool};
use crate::telemetry::trace::Span;
use redis::{Cmd, Value, cmd};
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::AsContextMut;
use wasmtime::component::{Linker, Resource};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package warmlink:key-value;
            world imports {
                import spin:key-value/key-value@3.0.0;
                import fermyon:spin/key-value@2.0.0;
            }
        ",
        imports: {
            "spin:key-value/key-value@3.0.0.[drop]store": trappable,
            "fermyon:spin/key-value@2.0.0.[drop]store": trappable,
            default: async | store | trappable,
        },
        with: {
            "spin:key-value/key-value@3.0.0.store": super::Store,
            "fermyon:spin/key-value@2.0.0.store": super::Store,
        },
    });
}

/// Provides both versions of the interface.
///
/// # Errors
///
/// When something else provides them already.
pub fn link<T: HasCapabilities>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::spin::key_value::key_value::add_to_linker::<T, Host>(linker, T::capabilities)?;
    bindings::fermyon::spin::key_value::add_to_linker::<T, Host>(linker, T::capabilities)
}

/// Where the keys of one store are.
#[derive(Debug, Clone)]
pub struct KeyValueStore {
    /// The server.
    pub pool: ValkeyPool,
    /// What every key of the store begins with on the server.
    pub prefix: String,
}

/// What a guest's handle stands for.
pub struct Store(Arc<KeyValueStore>);

/// What went wrong, as every version of the interface can say it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    StoreTableFull,
    AccessDenied,
    Other(String),
}

impl From<valkey::Error> for Failure {
    fn from(error: valkey::Error) -> Self {
        Self::Other(error.to_string())
    }
}

fn open(view: View<'_>, label: &str) -> Result<Resource<Store>, Failure> {
    let store = view
        .state
        .grants
        .key_value
        .get(label)
        .ok_or(Failure::AccessDenied)?;
    let store = Store(Arc::new(store.clone()));
    view.table.push(store).map_err(|_| Failure::StoreTableFull)
}

fn close(view: &mut View<'_>, store: Resource<Store>) -> wasmtime::Result<()> {
    view.table.delete(store)?;
    Ok(())
}

/// One call of a guest: the store it is about, and how long it may take.
struct Caller {
    store: Arc<KeyValueStore>,
    deadline: Instant,
    /// The guest's work, of which its commands are parts.
    work: Span,
}

impl Caller {
    fn of<T: HasCapabilities>(
        mut store: impl AsContextMut<Data = T>,
        handle: &Resource<Store>,
    ) -> wasmtime::Result<Self> {
        let call = current_call(&mut store)?;
        let mut store = store.as_context_mut();
        let view = store.data_mut().capabilities();
        let store = view.table.get(handle)?.0.clone();
        Ok(Self {
            store,
            deadline: call.due(),
            work: call.span.clone(),
        })
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self.send("GET", key, |_| {}).await? {
            Value::Nil => Ok(None),
            Value::BulkString(value) => Ok(Some(value)),
            _ => Err(unexpected()),
        }
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), Failure> {
        self.send("SET", key, |cmd| {
            cmd.arg(value);
        })
        .await?;
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Failure> {
        self.send("DEL", key, |_| {}).await?;
        Ok(())
    }

    async fn exists(&self, key: &str) -> Result<bool, Failure> {
        match self.send("EXISTS", key, |_| {}).await? {
            Value::Int(count) => Ok(count > 0),
            _ => Err(unexpected()),
        }
    }

    fn keys(self) -> Keys {
        Keys::new(self)
    }

    async fn send(
        &self,
        command: &str,
        key: &str,
        more: impl FnOnce(&mut Cmd),
    ) -> Result<Value, Failure> {
        let mut cmd = cmd(command);
        cmd.arg(format!("{}{key}", self.store.prefix));
        more(&mut cmd);
        self.traced(&cmd).await
    }

    async fn traced(&self, cmd: &Cmd) -> Result<Value, Failure> {
        let pool = &self.store.pool;
        let span = self.work.child(|| traced::command(cmd, pool.peer()));
        let reply = pool.traced(cmd, self.deadline, &span).await;
        reply.map_err(|error| {
            span.fail(error.kind().as_str());
            error.into()
        })
    }
}

fn unexpected() -> Failure {
    Failure::Other("the server's reply is not of the kind expected".into())
}
