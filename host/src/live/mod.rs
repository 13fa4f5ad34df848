//! What is being served: one immutable table at a time.

mod fetch;
pub mod load;
pub mod table;

pub use table::{LiveTable, Table};
