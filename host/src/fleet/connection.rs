//! The one connection to the control database, each use of it bounded in time.

use super::error::{Error, from_driver};
use crate::pool::postgres::{self, Dedicated, Target};
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

/// What changes are announced on; the payload is the application's name. Any
/// role may send there, so that a notification says no more than "look".
pub(super) const CHANNEL: &str = "warmlink";

/// For everything small. A server that is stopped in its tracks keeps its
/// sockets open, and only this shows it.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// For a component's bytes.
pub(super) const BYTES_LIMIT: Duration = Duration::from_secs(30);

/// What is fixed for the session. Names are resolved to the system's own alone:
/// whoever may create operators or functions in another schema of the database
/// must not get to run them as us. The server's limits are there for statements
/// whose node is gone.
const SESSION: &str = "SET search_path = pg_catalog, pg_temp; \
                       SET statement_timeout = '30s'; \
                       SET lock_timeout = '4s'; \
                       SET idle_in_transaction_session_timeout = '10s'; \
                       SET default_transaction_read_only = off; \
                       SET default_transaction_isolation = 'read committed'";

/// A parameter and its type. With the types known, a statement takes one round
/// trip.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// An open connection. It is of no use after its first error, which is also what
/// every later use gives.
#[derive(Debug)]
pub(super) struct Connection {
    client: Dedicated,
    changes: watch::Receiver<u64>,
    fault: OnceLock<Error>,
}

/// The announcements of one connection.
#[derive(Debug, Clone)]
pub struct Changes(watch::Receiver<u64>);

impl Changes {
    /// Resolves when something was announced since the last call: `true`; or
    /// when the connection has ended: `false`. Several announcements may be
    /// taken for one. What is announced before the first call counts.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

impl Connection {
    /// Connects and begins to listen for changes of `application`.
    pub(super) async fn open(target: &Target, application: &str) -> Result<Self, Error> {
        let (sender, changes) = watch::channel(0u64);
        let ours = application.to_owned();
        let client = postgres::listen(target, "warmlink/fleet", move |channel, payload| {
            if channel == CHANNEL && payload == ours {
                sender.send_modify(|announced| *announced = announced.wrapping_add(1));
            }
        })
        .await?;
        let connection = Self {
            client,
            changes,
            fault: OnceLock::new(),
        };
        let begin = format!("{SESSION}; LISTEN {CHANNEL}");
        connection
            .bounded(LIMIT, connection.client.batch_execute(&begin))
            .await?;
        Ok(connection)
    }

    pub(super) fn changes(&self) -> Changes {
        Changes(self.changes.clone())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.fault.get().is_some() || self.client.is_closed()
    }

    /// For what must have the connection to itself.
    pub(super) fn exclusive(&mut self) -> &mut tokio_postgres::Client {
        &mut self.client
    }

    /// Runs one statement, which is a transaction of its own.
    pub(super) async fn query(
        &self,
        limit: Duration,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        self.bounded(limit, self.client.query_typed(statement, parameters))
            .await
    }

    async fn bounded<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Error> {
        if self.is_closed() {
            return Err(self.end(closed()));
        }
        let error = match timeout(limit, call).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => from_driver(&error),
            Err(_) => no_answer(limit),
        };
        Err(self.end(error))
    }

    /// Ends it now, with whatever runs on it, because of `error`; gives what
    /// ended it first.
    pub(super) fn end(&self, error: Error) -> Error {
        let first = self.fault.get_or_init(|| error).clone();
        self.client.abort();
        first
    }
}

fn closed() -> Error {
    Error::Unavailable("the connection has ended".to_owned())
}

pub(super) fn no_answer(limit: Duration) -> Error {
    Error::Unavailable(format!("no answer within {} s", limit.as_secs()))
}
