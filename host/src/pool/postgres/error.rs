use std::time::Duration;

use tokio_postgres::error::{DbError, SqlState};

/// Why a statement did not give its result.
///
/// No variant carries the statement's text, its parameters or an address.
/// [`Error::Database`] is the server's own message and may quote values.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// All connections were busy until the caller's deadline.
    #[error("no database connection became free within {} ms", .waited.as_millis())]
    PoolTimeout {
        /// How long the caller stood in the queue.
        waited: Duration,
    },
    /// There is no connection and new ones cannot be opened.
    #[error("the database cannot be reached: {reason}")]
    Unavailable {
        /// What the last attempt to connect met.
        reason: String,
    },
    /// The statement did not finish before the caller's deadline. It was
    /// cancelled on the server, or is being so.
    #[error("the statement was given up at its deadline, after {} ms", .ran.as_millis())]
    Deadline {
        /// From dispatch to the deadline.
        ran: Duration,
    },
    /// The server refused or failed the statement.
    #[error("{}", .0.message())]
    Database(Box<DbError>),
    /// The statement could not be put on the wire, or its answer not be read:
    /// a parameter does not fit its type, or their number is wrong.
    #[error("{error}{}", cause(.error))]
    Statement {
        /// Its source is what the parameter's `ToSql` returned.
        error: tokio_postgres::Error,
    },
    /// The connection broke while the statement may have been running:
    /// whether it took effect is not known.
    #[error("the database connection was lost while the statement was running")]
    ConnectionLost,
    /// The connection that was pinned to this session (by a transaction or by
    /// session state) sat idle for too long and was taken back; an open
    /// transaction was rolled back. Or: a result was not read for as long.
    #[error(
        "the session held its connection idle for more than {} ms; it was taken back and any open \
         transaction rolled back",
        .idle.as_millis()
    )]
    Reclaimed {
        /// The limit.
        idle: Duration,
    },
    /// The statement can never work over a pooled connection.
    #[error("{what} is not supported over a pooled connection; {instead}")]
    Refused {
        /// The command, in SQL's words.
        what: &'static str,
        /// What to do about it.
        instead: &'static str,
    },
    /// The pool was shut down.
    #[error("the database pool is closed")]
    Closed,
}

impl Error {
    /// The server's error code, where the server answered.
    #[must_use]
    pub fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Self::Database(error) => Some(error.code()),
            _ => None,
        }
    }

    /// What went wrong on a connection that was not being dialled.
    pub(super) fn from_driver(error: tokio_postgres::Error) -> Self {
        if error.is_closed() || is_io(&error) {
            return Self::ConnectionLost;
        }
        if error.as_db_error().is_none() {
            return Self::Statement { error };
        }
        match error
            .into_source()
            .map(|source| source.downcast::<DbError>())
        {
            Some(Ok(db)) => Self::Database(db),
            // Both were just looked at; nothing else carries a `DbError`.
            _ => Self::ConnectionLost,
        }
    }
}

/// The driver wraps what `ToSql` returned without showing it.
fn cause(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"))
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    // The driver's kinds are private; `Io` is the one whose text this is.
    std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
        && error.to_string() == "error communicating with the server"
}
