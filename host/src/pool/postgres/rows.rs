//! The result of a statement.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Column, Row, RowStream, Statement};

use super::connection::Connection;
use super::error::Error;
use super::inner::Occupant;
use super::permit::Permit;
use super::pin::Streaming;

/// The result of a statement: its columns, then its rows.
///
/// Small results are complete when they are handed out. A larger one holds a
/// connection until it is read to its end or dropped, or has not been read from
/// for `pin_idle`.
pub struct Rows {
    statement: Statement,
    buffered: std::vec::IntoIter<Row>,
    affected: Option<u64>,
    tail: Option<Tail>,
}

/// What is still to come from the server.
struct Tail {
    stream: Pin<Box<RowStream>>,
    holder: Holder,
    deadline: Instant,
}

/// Whose connection the rest comes from.
enum Holder {
    /// The result's own.
    Own { permit: Permit, reader: Arc<Reader> },
    /// The session's.
    Pinned(Streaming),
}

/// When a result was last read from.
pub(super) struct Reader {
    connection: Arc<Connection>,
    used: Mutex<Instant>,
    reclaimed: AtomicBool,
}

impl Occupant for Reader {
    fn reclaim(self: Arc<Self>, idle: Duration) {
        if self.used.lock().elapsed() >= idle && !self.reclaimed.swap(true, Ordering::Relaxed) {
            self.connection.kill();
        }
    }
}

impl Rows {
    pub(super) fn complete(statement: Statement, rows: Vec<Row>, affected: Option<u64>) -> Self {
        Self {
            statement,
            buffered: rows.into_iter(),
            affected,
            tail: None,
        }
    }

    /// A result whose rest is read from a connection of its own.
    pub(super) fn streaming(
        statement: Statement,
        rows: Vec<Row>,
        stream: Pin<Box<RowStream>>,
        permit: Permit,
        deadline: Instant,
    ) -> Self {
        let reader = Arc::new(Reader {
            connection: permit.connection().clone(),
            used: Mutex::new(Instant::now()),
            reclaimed: AtomicBool::new(false),
        });
        let occupant = Arc::downgrade(&reader);
        permit.pool().register(occupant);
        Self::with_tail(
            statement,
            rows,
            stream,
            Holder::Own { permit, reader },
            deadline,
        )
    }

    /// A result whose rest is read from the session's pinned connection.
    pub(super) fn pinned(
        statement: Statement,
        rows: Vec<Row>,
        stream: Pin<Box<RowStream>>,
        streaming: Streaming,
        deadline: Instant,
    ) -> Self {
        Self::with_tail(statement, rows, stream, Holder::Pinned(streaming), deadline)
    }

    fn with_tail(
        statement: Statement,
        rows: Vec<Row>,
        stream: Pin<Box<RowStream>>,
        holder: Holder,
        deadline: Instant,
    ) -> Self {
        Self {
            statement,
            buffered: rows.into_iter(),
            affected: None,
            tail: Some(Tail {
                stream,
                holder,
                deadline,
            }),
        }
    }

    /// The columns, also of an empty result; none for a statement that gives
    /// no rows.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        self.statement.columns()
    }

    /// The next row, or `None` at the end. After an error comes `None`.
    /// Dropping the future loses no row.
    ///
    /// # Errors
    /// [`Error::Deadline`] at the deadline; else what broke the result off.
    pub async fn next(&mut self) -> Option<Result<Row, Error>> {
        if let Some(row) = self.buffered.next() {
            return Some(Ok(row));
        }
        let tail = self.tail.as_mut()?;
        let since = Instant::now();
        match timeout_at(tail.deadline, tail.stream.next()).await {
            Ok(Some(Ok(row))) => {
                tail.touch();
                Some(Ok(row))
            }
            Ok(None) => {
                self.affected = tail.stream.rows_affected();
                if let Some(tail) = self.tail.take() {
                    tail.end();
                }
                None
            }
            Ok(Some(Err(error))) => {
                let error = Error::from_driver(error);
                let tail = self.tail.take()?;
                Some(Err(tail.fail(error)))
            }
            Err(_) => {
                // Dropped while it runs: cancelled, and its place given back.
                self.tail = None;
                Some(Err(Error::Deadline {
                    ran: since.elapsed(),
                }))
            }
        }
    }

    /// The number of rows the statement returned or changed, once the last row
    /// was taken over from the server.
    #[must_use]
    pub fn affected(&self) -> Option<u64> {
        self.affected
    }

    /// Lets the rest of the result be read until `deadline` instead of the
    /// one the statement was started with.
    pub fn set_deadline(&mut self, deadline: Instant) {
        if let Some(tail) = &mut self.tail {
            tail.deadline = deadline;
        }
    }
}

impl Tail {
    fn touch(&self) {
        match &self.holder {
            Holder::Own { reader, .. } => *reader.used.lock() = Instant::now(),
            Holder::Pinned(streaming) => streaming.touch(),
        }
    }

    fn end(self) {
        match self.holder {
            Holder::Own { mut permit, .. } => permit.finish(),
            Holder::Pinned(streaming) => streaming.finish(),
        }
    }

    /// The server has ended the result; or the connection is gone, perhaps
    /// because nobody read from it.
    fn fail(self, error: Error) -> Error {
        let (idle, reclaimed) = match &self.holder {
            Holder::Own { permit, reader } => (
                permit.pool().settings.pin_idle,
                reader.reclaimed.load(Ordering::Relaxed),
            ),
            Holder::Pinned(streaming) => (streaming.idle_limit(), streaming.is_reclaimed()),
        };
        if !matches!(error, Error::Statement { .. }) {
            self.end();
        }
        if reclaimed && matches!(error, Error::ConnectionLost) {
            return Error::Reclaimed { idle };
        }
        error
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("columns", &self.columns().len())
            .field("buffered", &self.buffered.len())
            .field("complete", &self.tail.is_none())
            .finish()
    }
}
