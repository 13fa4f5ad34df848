//! What the host says about itself: metrics, and logs.

pub mod logging;
pub mod metrics;
pub mod process;
pub mod revisions;
pub mod swaps;

pub use metrics::{METRICS_TYPE, Metrics};
