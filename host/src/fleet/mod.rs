//! What all nodes of an application are to run, and what each of them says
//! that it runs: kept in PostgreSQL, in the schema `warmlink`.
//!
//! ```text
//! desired    one row per application and manifest: a State, its version, and
//!            a signature under the admin token
//! revision   the bytes of what was deployed
//! node       one row per running process, written by its heartbeat
//! ```
//!
//! A change is a [`Proposal`] first. Every live node prepares it and says so
//! in its [`Report`]; then any node decides it, and all switch. Each step is
//! one conditional write of the whole [`State`], so that of several nodes that
//! write at the same time one succeeds and the others read again. A `NOTIFY`
//! goes out with every write; whoever misses one finds the change by reading.
//!
//! ```text
//!            propose            all prepared
//!   (none) ─────────► proposal ─────────────► active    old one → previous
//!                        │ one refused, or too late
//!                        └──────────────────► refused   nothing has changed
//! ```
//!
//! A [`State`] is only data and [`Store`] only keeps it: when to propose, to
//! prepare and to decide is for the layer above.

mod connection;
mod decide;
mod error;
mod node;
mod propose;
mod revision;
mod schema;
mod snapshot;
mod state;
mod store;

pub use connection::Changes;
pub use decide::Verdict;
pub use error::Error;
pub use node::{LIVE, NodeReport, Report, new_instance};
pub use propose::{Ask, Refused};
pub use revision::StoredRevision;
pub use snapshot::{SetAside, Snapshot};
pub use state::{Canary, Decision, Desired, FULL, Proposal, State};
pub use store::{Settings, Store};
