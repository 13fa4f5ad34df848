//! What can go wrong with the control database.

use crate::pool::postgres;
use std::error::Error as StdError;
use tokio_postgres::error::DbError;

/// Why the control database did not do as asked. No text has SQL, an address or
/// a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is away, does not answer in time, or ended the connection. What was
    /// being written may or may not have been.
    #[error("the control database cannot be reached: {0}")]
    Unavailable(String),
    /// It answers, and its tables cannot be used: for an operator to mend.
    #[error("the control database is not set up: {0}")]
    Schema(String),
    /// It refused a statement, in its own words.
    #[error("the control database refused: {0}")]
    Refused(String),
    /// Desired state is there, and was not written by a node of ours.
    #[error("desired state is not signed with this node's admin token")]
    Forged,
    /// Desired state is older than what was there before.
    #[error("desired state went back from version {after} to {found}")]
    Stale {
        /// The version that was seen before.
        after: i64,
        /// The version that is there.
        found: i64,
    },
    /// Desired state is signed, and in a form that this version does not know.
    #[error("desired state was written by another version of this program")]
    Unknown,
    /// A revision's bytes are not those that were put there.
    #[error("the stored bytes of revision {0} are damaged")]
    Damaged(String),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Self {
        match error {
            postgres::Error::Unavailable { reason } => Self::Unavailable(reason),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

/// The driver's error in words of ours: the server's message, if it answered.
pub(super) fn from_driver(error: &tokio_postgres::Error) -> Error {
    match error.as_db_error() {
        Some(db) if ended(db) => Error::Unavailable(message(db)),
        Some(db) => Error::Refused(message(db)),
        None if error.is_closed() => Error::Unavailable("the connection has ended".to_owned()),
        None => Error::Unavailable(crate::error::with_causes(error)),
    }
}

/// An error of setting up the tables: what the server said, however deep.
pub(super) fn from_setup(error: &(dyn StdError + 'static)) -> Error {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<tokio_postgres::Error>() {
            return match from_driver(error) {
                Error::Refused(message) => Error::Schema(message),
                other => other,
            };
        }
        cause = error.source();
    }
    // Of the migrations themselves: a version that was changed, or is missing.
    Error::Schema(error.to_string())
}

/// Not the detail, which quotes values.
fn message(error: &DbError) -> String {
    format!("{} ({})", error.message(), error.code().code())
}

/// Whether a new session may fare better: connection exceptions, a transaction
/// rolled back, lack of resources, a lock not had in time, an operator's
/// intervention.
fn ended(error: &DbError) -> bool {
    ["08", "40", "53", "55", "57"]
        .iter()
        .any(|class| error.code().code().starts_with(class))
}
