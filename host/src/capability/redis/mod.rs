//! `spin:redis@3.0.0` and `fermyon:spin/redis@2.0.0`: commands to a Valkey
//! server, over the node's pools.
//!
//! A guest's connection is a session of a pool. Opening one does no I/O; it
//! checks the address against the component's `allowed_outbound_hosts`.

mod commands;
mod reply;
mod v2;
mod v3;

use super::{Grants, HasCapabilities, Host, View, current_call, traced};
use crate::pool::Found;
use crate::pool::valkey::{self, Session, Target, ValkeyPool};
use crate::telemetry::trace::Span;
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::AsContextMut;
use wasmtime::component::{Linker, Resource};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package warmlink:redis;
            world imports {
                import spin:redis/redis@3.0.0;
                import fermyon:spin/redis@2.0.0;
            }
        ",
        imports: {
            "spin:redis/redis@3.0.0.[drop]connection": trappable,
            "fermyon:spin/redis@2.0.0.[drop]connection": trappable,
            default: async | store | trappable,
        },
        with: {
            "spin:redis/redis@3.0.0.connection": super::Connection,
            "fermyon:spin/redis@2.0.0.connection": super::Connection,
        },
    });
}

/// Provides both versions of the interface.
///
/// # Errors
///
/// When something else provides them already.
pub fn link<T: HasCapabilities>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::spin::redis::redis::add_to_linker::<T, Host>(linker, T::capabilities)?;
    bindings::fermyon::spin::redis::add_to_linker::<T, Host>(linker, T::capabilities)
}

/// What a guest's handle stands for. Calls under way keep it alive when the
/// guest drops it meanwhile.
pub struct Connection(Arc<Session>);

/// What went wrong, as every version of the interface can say it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    InvalidAddress,
    TooManyConnections,
    Type,
    Other(String),
}

impl Failure {
    fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }
}

impl From<valkey::Error> for Failure {
    fn from(error: valkey::Error) -> Self {
        match &error {
            valkey::Error::TooManyConnections { .. } => Self::TooManyConnections,
            valkey::Error::Server(reply) if reply.code() == "WRONGTYPE" => Self::Type,
            _ => Self::Other(error.to_string()),
        }
    }
}

fn open(view: View<'_>, address: &str) -> Result<Resource<Connection>, Failure> {
    let pool = match view.state.opened.valkey.get(address) {
        Some(pool) => pool.clone(),
        None => {
            let found = find(&view.state.grants, address)?;
            view.state.opened.valkey.remember(address, &found);
            found.pool
        }
    };
    let session = pool.session();
    view.table
        .push(Connection(Arc::new(session)))
        .map_err(|_| Failure::TooManyConnections)
}

/// The pool of an address, if the component may open it.
fn find(grants: &Grants, address: &str) -> Result<Found<ValkeyPool>, Failure> {
    let target = Target::parse(address).map_err(|error| {
        tracing::warn!(component = %grants.component, "redis address refused: {error}");
        Failure::InvalidAddress
    })?;
    for origin in target.origins() {
        if !grants
            .hosts
            .allows(origin.scheme, &origin.host, origin.port)
        {
            tracing::warn!(
                component = %grants.component,
                "redis address refused: {origin} is not among the component's \
                 allowed_outbound_hosts"
            );
            return Err(Failure::InvalidAddress);
        }
    }
    grants
        .pools
        .valkey(&target)
        .map_err(|_| Failure::TooManyConnections)
}

fn close(view: &mut View<'_>, connection: Resource<Connection>) -> wasmtime::Result<()> {
    view.table.delete(connection)?;
    Ok(())
}

/// One call of a guest: what it goes through, and how long it may take.
struct Caller {
    session: Arc<Session>,
    deadline: Instant,
    /// The guest's work, of which its commands are parts.
    work: Span,
}

impl Caller {
    fn of<T: HasCapabilities>(
        mut store: impl AsContextMut<Data = T>,
        connection: &Resource<Connection>,
    ) -> wasmtime::Result<Self> {
        let call = current_call(&mut store)?;
        let mut store = store.as_context_mut();
        let view = store.data_mut().capabilities();
        let session = view.table.get(connection)?.0.clone();
        Ok(Self {
            session,
            deadline: call.due(),
            work: call.span.clone(),
        })
    }
}
