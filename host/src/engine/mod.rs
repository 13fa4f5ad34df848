//! Components as wasmtime runs them: compiled once, instantiated ahead of
//! their requests, ended when they trap or overstay.
//!
//! This is the only place that knows how wasmtime prepares and runs a request, whose
//! shape changes between releases.

pub mod admission;
pub mod apart;
pub mod body;
pub mod compile;
pub mod config;
mod core;
mod dispatch;
pub mod epoch;
mod expiration;
mod functions;
pub mod guest;
pub mod linker;
pub mod memory;
pub mod places;
pub mod retirement;
pub mod revision;
mod sealed;
pub mod stdio;
pub mod ticket;
mod worker;

pub use admission::{Admission, Permit, Permits, Shed};
pub use body::GuestBody;
pub use compile::Compiler;
pub use config::{Engine, Sizing};
pub use places::{PlacePermit, Places};
pub use retirement::Retirement;
pub use revision::{Digest, Revision};
