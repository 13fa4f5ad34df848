//! What a caller has instead of a connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::types::ToSql;

use super::classify::Class;
use super::dispatch::{self, Params, Reply, Want};
use super::error::Error;
use super::inner::Inner;
use super::known::Text;
use super::permit::Permit;
use super::pin::Pin;
use super::rows::Rows;
use super::slot::Lane;
use crate::pool::origin::Peer;
use crate::telemetry::trace::Span;

/// What a span is told when its statement has a connection: until then it waits.
pub(super) const CONNECTED: &str = "connected";

/// What a caller has instead of a connection. Made without I/O; dropping it
/// rolls back what it left open.
///
/// It behaves as one connection does: after `BEGIN` its statements are in the
/// transaction, after `SET` they see the setting. Statements outside of these
/// may run at the same time. A session that lost a transaction with its
/// connection fails every statement but `ROLLBACK` and `BEGIN`; one that lost
/// session state fails every statement.
pub struct Session {
    pool: Arc<Inner>,
    /// The connection that the session holds, if any. Statements read it in the
    /// order they are made, so one made after a `BEGIN` comes after it.
    pin: RwLock<Option<Arc<Pin>>>,
}

impl Session {
    pub(super) fn new(pool: Arc<Inner>) -> Self {
        Self {
            pool,
            pin: RwLock::new(None),
        }
    }

    /// Runs a statement that returns rows (or none).
    ///
    /// The result may be read after the session is gone. A value whose `ToSql`
    /// accepts every type is told the parameter's type when it is written. `span`
    /// is told when there is a connection for the statement.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        deadline: Instant,
        span: &Span,
    ) -> Result<Rows, Error> {
        match self.run(sql, params, Want::Rows, deadline, span).await? {
            Reply::Rows(rows) => Ok(rows),
            Reply::Count(_) => unreachable!("rows were asked for"),
        }
    }

    /// Runs a statement for its effect and returns the number of rows it
    /// changed; rows that it returns are skipped.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn execute(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        deadline: Instant,
        span: &Span,
    ) -> Result<u64, Error> {
        match self.run(sql, params, Want::Count, deadline, span).await? {
            Reply::Count(count) => Ok(count),
            Reply::Rows(_) => unreachable!("a count was asked for"),
        }
    }

    /// Whom its statements go to.
    pub fn peer(&self) -> &Peer {
        &self.pool.peer
    }

    async fn run(
        &self,
        sql: &str,
        params: Params<'_>,
        want: Want,
        deadline: Instant,
        span: &Span,
    ) -> Result<Reply, Error> {
        if Instant::now() >= deadline {
            return Err(Error::PoolTimeout {
                waited: Duration::ZERO,
            });
        }
        let text = self.pool.known.get(sql);
        if let Class::Refused(what, instead) = text.class {
            return Err(Error::Refused { what, instead });
        }
        loop {
            let Some(pin) = self.pinned(&text, deadline).await? else {
                return dispatch::single(&self.pool, &text, params, want, deadline, span).await;
            };
            span.event(CONNECTED);
            // A transaction is the rarer case: its state stays off the hot path.
            match Box::pin(pin.run(&text, params, want, deadline)).await? {
                Some(reply) => return Ok(reply),
                None => self.forget(&pin).await,
            }
        }
    }

    /// The connection that the statement has to run on, taken from the pool if
    /// this statement is the first to need it.
    async fn pinned(&self, text: &Text, deadline: Instant) -> Result<Option<Arc<Pin>>, Error> {
        if let Ok(pin) = self.pin.try_read()
            && (pin.is_some() || !text.class.pins())
        {
            return Ok(pin.clone());
        }
        let since = Instant::now();
        let timed_out = |_| Error::PoolTimeout {
            waited: since.elapsed(),
        };
        if !text.class.pins() {
            let pin = timeout_at(deadline, self.pin.read())
                .await
                .map_err(timed_out)?;
            return Ok(pin.clone());
        }
        let mut pin = timeout_at(deadline, self.pin.write())
            .await
            .map_err(timed_out)?;
        if pin.is_none() {
            loop {
                let permit = self.pool.checkout(Lane::Exclusive, deadline).await?;
                if !permit.connection().is_closed() {
                    if text.reads_sequence {
                        forget_sequences(&permit, deadline).await?;
                    }
                    *pin = Some(Pin::new(permit));
                    break;
                }
                self.pool.lanes.lock().condemn(permit.place().slot);
            }
        }
        Ok(pin.clone())
    }

    /// The session's hold has ended.
    async fn forget(&self, ended: &Arc<Pin>) {
        let mut pin = self.pin.write().await;
        if pin.as_ref().is_some_and(|pin| Arc::ptr_eq(pin, ended)) {
            *pin = None;
        }
    }
}

/// Other callers have used sequences on the connection; their values are none of
/// this session's business. The server then says that there is none yet.
async fn forget_sequences(permit: &Permit, deadline: Instant) -> Result<(), Error> {
    let forget = permit
        .connection()
        .client
        .batch_execute("DISCARD SEQUENCES");
    match timeout_at(deadline, forget).await {
        Ok(done) => done.map_err(Error::from_driver),
        Err(_) => {
            permit.connection().kill();
            Err(Error::Deadline {
                ran: Duration::ZERO,
            })
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.pool.name)
    }
}
