//! How this node runs: flags and environment, resolved into typed settings.
//! What it runs is in the manifest, and no setting is in both.

mod fault;
mod node;
pub(crate) mod quantity;
mod secret;
mod trace;
mod variables;

pub use fault::{Fault, Faults};
pub use node::{Addresses, Config, NodeArgs};
pub use secret::Secret;
pub use variables::{Servers, from_environment};
