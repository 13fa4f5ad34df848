//! Starts the real binary with real servers, and talks to it as a stranger
//! would. Nothing here links the host.

#![allow(clippy::panic, reason = "this is how a test fails")]

pub mod address;
mod answering;
pub mod client;
pub mod collector;
pub mod columns;
pub mod control;
pub mod csv;
pub mod daemonset;
pub mod database;
pub mod eventually;
pub mod h2;
pub mod host;
pub mod load;
pub mod manifest;
pub mod metrics;
pub mod openapi;
pub mod paths;
pub mod probe;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod reaper;
pub mod revisions;
pub mod rig;
pub mod runtime;
pub mod schema;
pub mod seed;
pub mod services;
pub mod table;
pub mod tls;
pub mod traffic;
pub mod unique;
pub mod upstream;

pub use client::{Api, Reply};
pub use control::Control;
pub use database::Database;
pub use eventually::eventually;
pub use host::{Host, HostOptions};
pub use manifest::Manifest;
pub use runtime::run;
