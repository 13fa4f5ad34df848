//! What is being served: one immutable table at a time, and how the next one
//! comes to be.

pub mod artifacts;
pub mod endpoint;
mod fetch;
pub mod load;
pub mod private;
mod probe;
pub mod rollout;
pub mod swap;
pub mod table;
pub mod trial;
mod verify;

pub use endpoint::Endpoint;
pub use private::Private;
pub use rollout::Rollouts;
pub use swap::Swapper;
pub use table::{LiveTable, Table};
