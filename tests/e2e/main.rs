//! The binary against real servers, by topic.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests say what they expect in the plainest way"
)]

mod burst;
mod capabilities;
mod contract;
mod host;
mod limits;
mod pools;
mod stream;
mod swap;
