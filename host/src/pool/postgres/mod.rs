//! The Postgres pool: few connections, opened before they are needed, shared
//! by many callers.
//!
//! A caller takes a [`Session`], which costs nothing, and runs statements on
//! it as if it had a connection of its own. The pool has two lanes within one
//! `max`:
//!
//! - The **shared** lane takes single statements that leave nothing behind
//!   ([`classify`]). They are pipelined, to a bounded depth, over connections
//!   that many callers use at once; their rows are drained into a buffer.
//! - The **exclusive** lane gives a whole connection: to a session while it is
//!   in a transaction or holds session state (it is *pinned*), to one statement
//!   that is known to be slow or large or that must run alone, and to a result
//!   that outgrew the buffer, until it is read.
//!
//! Parameters are written when the statement is prepared, so a value whose
//! `ToSql::accepts` takes every type may choose its form in `to_sql` by the
//! type it is given there; that is how untyped guest values are bound.
//!
//! Everything is given back by `Drop`: a session, a half-read result or a
//! future that is dropped at any point leaves its connection clean or closed.

mod address;
mod backoff;
mod classify;
mod connect;
mod connection;
mod conninfo;
mod dedicated;
mod dispatch;
mod encoded;
mod error;
mod inner;
mod known;
mod lanes;
mod lexer;
mod line;
mod metrics;
mod opener;
mod permit;
mod pin;
#[cfg(test)]
mod properties;
mod recover;
mod rows;
mod session;
mod settings;
mod shared;
mod shown;
mod slot;
mod sniff;
mod tls;
mod way;
mod wire;

pub use address::{AddressError, Target};
pub use dedicated::{Dedicated, connect, listen};
pub use error::Error;
pub use metrics::Metrics;
pub use rows::Rows;
pub use session::Session;
pub use settings::Settings;
pub use shared::{PostgresPool, ServerLimits, Status};
pub use shown::Shown;

pub use tokio_postgres::error::{DbError, SqlState};
pub use tokio_postgres::types::{ToSql, Type};
pub use tokio_postgres::{Column, Row};
