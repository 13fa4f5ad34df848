//! What the host says about itself: metrics, logs, and traces.

pub mod complaints;
pub mod exposition;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod revisions;
pub mod swaps;
pub mod trace;

pub use complaints::Complaints;
pub use exposition::Exposition;
pub use metrics::{Metrics, ShedLabels};
