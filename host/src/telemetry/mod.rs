//! What the host says about itself: metrics, and logs.

pub mod exposition;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod revisions;
pub mod swaps;

pub use exposition::Exposition;
pub use metrics::{Metrics, ShedLabels};
