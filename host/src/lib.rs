//! Warmlink: a Spin-compatible component host that holds what components may
//! not: sockets, pools, time and memory.
//!
//! Imports point down: `cli → app → {http, stream, repair, admin} → live → engine
//! → capability → pool`; `manifest`, `router`, `config`, `control`, `error`, `readiness`,
//! `signature` and `telemetry` import nothing above them. `fleet`, what all nodes
//! are to run, is below `live` and knows `pool` alone. `watch`, what a developer
//! changes, is `app`'s alone, and `local`, the private servers, is `cli`'s. `rate`,
//! which counts clients' requests, is below `http`.

pub mod admin;
pub mod app;
pub mod capability;
pub mod cli;
pub mod config;
pub mod control;
pub mod cores;
pub mod engine;
pub mod error;
pub mod fleet;
pub mod http;
pub mod live;
pub mod local;
pub mod manifest;
pub mod migrate;
pub mod pause;
pub mod pool;
pub mod rate;
pub mod readiness;
pub mod repair;
pub mod router;
pub mod signature;
pub mod stream;
pub mod telemetry;
pub mod watch;
