//! Connection pools: what components may not hold themselves.
//!
//! This layer is a leaf. It knows nothing of HTTP, guests or manifests; it
//! takes an address, settings and deadlines, and gives typed errors back.

mod origin;
pub mod placement;
pub mod postgres;
pub mod registry;
pub mod valkey;

pub use origin::Peer;
pub use registry::{Found, Pools, TooManyPools};
