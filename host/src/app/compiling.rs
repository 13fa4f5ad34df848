//! What the host has its own binary do beside it.

pub use crate::engine::apart::{INVALID, SUBCOMMAND, compile};
