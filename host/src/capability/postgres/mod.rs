//! `spin:postgres@4.2.0` and `spin:postgres@3.0.0`: statements to a PostgreSQL
//! server, over the node's pools.
//!
//! A guest's connection is a session of a pool. Opening one does no I/O; it
//! checks the address against the component's `allowed_outbound_hosts`. A
//! session behaves as a connection of the handle's own does, so what was
//! written for one connection per handle works here too.

mod failure;
mod open;
mod result;
mod v3;
mod v42;
mod value;

use self::failure::Failure;
use self::open::{close, open};
use self::value::{Parameter, Value};
use super::{HasCapabilities, Host, current_call, traced};
use crate::pool::postgres::{Rows, Session, ToSql};
use crate::telemetry::trace::Span;
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::AsContextMut;
use wasmtime::component::{Linker, Resource};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package warmlink:postgres;
            world imports {
                import spin:postgres/postgres@4.2.0;
                import spin:postgres/postgres@3.0.0;
            }
        ",
        imports: {
            "spin:postgres/postgres@4.2.0.[drop]connection": trappable,
            "spin:postgres/postgres@4.2.0.[drop]connection-builder": trappable,
            "spin:postgres/postgres@3.0.0.[drop]connection": trappable,
            default: async | store | trappable,
        },
        with: {
            "spin:postgres/postgres@4.2.0.connection": super::Connection,
            "spin:postgres/postgres@4.2.0.connection-builder": super::Builder,
            "spin:postgres/postgres@3.0.0.connection": super::Connection,
        },
    });
}

/// Provides both versions of the interface.
///
/// # Errors
///
/// When something else provides them already.
pub fn link<T: HasCapabilities>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::spin::postgres4_2_0::postgres::add_to_linker::<T, Host>(linker, T::capabilities)?;
    bindings::spin::postgres3_0_0::postgres::add_to_linker::<T, Host>(linker, T::capabilities)
}

/// What a guest's handle stands for. Calls under way keep it alive when the
/// guest drops it meanwhile; the last of them gone, it is rolled back.
pub struct Connection(Arc<Session>);

/// What a guest has said of a connection that it has yet to open.
pub struct Builder {
    address: String,
    /// PEM.
    ca_root: Option<String>,
}

/// One call of a guest: what it goes through, and how long it may take.
struct Caller {
    session: Arc<Session>,
    deadline: Instant,
    /// The guest's work, of which its statements are parts.
    work: Span,
    /// For rows that are streamed: by then the answer's body is over.
    body_deadline: Instant,
}

impl Caller {
    fn of<T: HasCapabilities>(
        mut store: impl AsContextMut<Data = T>,
        connection: &Resource<Connection>,
    ) -> wasmtime::Result<Self> {
        let call = current_call(&mut store)?;
        let deadline = call.due();
        let work = call.span.clone();
        let body_deadline = call.body_due();
        let mut store = store.as_context_mut();
        let view = store.data_mut().capabilities();
        let session = view.table.get(connection)?.0.clone();
        Ok(Self {
            session,
            deadline,
            work,
            body_deadline,
        })
    }

    /// A span for a statement that begins now.
    fn span(&self, statement: &str) -> Span {
        let start = || traced::statement(statement, self.session.peer());
        self.work.child(start)
    }

    /// Runs something within a span for the statement.
    async fn traced<T>(
        &self,
        statement: &str,
        run: impl AsyncFnOnce(&Span) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let span = self.span(statement);
        let done = run(&span).await;
        if let Err(failure) = &done {
            failure.tell(&span);
        }
        done
    }

    /// The result is read until the same deadline, and independent of
    /// the handle's life.
    async fn query<V: Into<Value>>(
        &self,
        statement: &str,
        values: Vec<V>,
        span: &Span,
    ) -> Result<Rows, Failure> {
        let parameters = Parameter::all(values);
        let parameters = by_reference(&parameters);
        let rows = self
            .session
            .query(statement, &parameters, self.deadline, span)
            .await?;
        Ok(rows)
    }

    async fn execute<V: Into<Value>>(
        &self,
        statement: &str,
        values: Vec<V>,
    ) -> Result<u64, Failure> {
        let parameters = Parameter::all(values);
        let parameters = by_reference(&parameters);
        let run = async |span: &Span| {
            let session = &self.session;
            let done = session.execute(statement, &parameters, self.deadline, span);
            Ok(done.await?)
        };
        self.traced(statement, run).await
    }
}

fn by_reference(parameters: &[Parameter]) -> Vec<&(dyn ToSql + Sync)> {
    parameters
        .iter()
        .map(|parameter| parameter as &(dyn ToSql + Sync))
        .collect()
}
