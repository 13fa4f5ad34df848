//! The limits of a node.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use super::{MOST_IN_FLIGHT, TIMES, TIMES_OR_NONE, count};
use crate::manifest::reader::Table;
use crate::manifest::spec::{as_duration, as_size};

/// Requests that a node works on at once. Each has at most one instance, and an
/// instance's memory is reserved ahead: two thousand of the default size are 128 GiB
/// of addresses, and no memory until it is touched.
const NODE_IN_FLIGHT: NonZeroU32 = count(2048);

/// How long they may wait. A client that gets its 503 within a second can still
/// try another node.
const QUEUE_WAIT: Duration = Duration::from_secs(1);

/// Connections open at once. An idle one costs its buffers, some 16 KiB: 64 MiB
/// for all of them.
const CONNECTIONS: NonZeroU32 = count(4096);

/// From a connection's first byte, or its last response, to a whole head. A slow
/// network needs a second; what takes ten is not about to send one.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// Largest head of a request: nginx's four buffers of 8 KiB.
const HEADER_BYTES: usize = 32 << 10;

/// Longest silence inside a request's body, and longest time that a client may
/// take none of its response.
const BODY_TIME: Duration = Duration::from_secs(30);

/// How long a node that ends lets its connections finish. Kubernetes kills after
/// 30 s, and the rest of the end needs its time too.
const DRAIN: Duration = Duration::from_secs(25);

/// A client that is busy sends its next request within this, and its answer says that
/// it is the last; closed at once, each client between two requests would stand to lose
/// one. Until the end of the drain, every browser that is idle would hold it up.
const DRAIN_IDLE: Duration = Duration::from_secs(2);

/// A component's file. Ten times a large one.
const COMPONENT_SIZE: usize = 64 << 20;

/// Deployed revisions of a component that are kept, to go back to.
const KEPT_REVISIONS: NonZeroU32 = count(10);

const MOST_KEPT: u32 = 1_000;

/// From less than any component to what one row of a database may hold.
const COMPONENT_SIZES: RangeInclusive<usize> = 1 << 10..=512 << 20;

/// Enough for any queue; each entry is a task.
const MOST_QUEUED: u32 = 1 << 20;

/// As many as a process may have files by the usual hard limit.
const MOST_CONNECTIONS: u32 = 1 << 20;

/// The HTTP library reads at least 8 KiB; h2 counts heads in 32 bits.
const HEADER_SIZES: RangeInclusive<usize> = 8 << 10..=1 << 20;

/// The limits of a node as a whole: `[application.tool.warmlink.limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostLimits {
    /// Requests worked on at once.
    pub in_flight: NonZeroU32,
    /// Requests that may wait, here and before each component; where nothing is
    /// said, see [`crate::engine::Admission`].
    pub queue: Option<u32>,
    /// How long they may wait.
    #[serde(serialize_with = "as_duration")]
    pub queue_wait: Duration,
    /// Connections open at once.
    pub connections: NonZeroU32,
    /// From a connection's first byte to a whole request head.
    #[serde(serialize_with = "as_duration")]
    pub header_time: Duration,
    /// Bytes of a request head.
    #[serde(serialize_with = "as_size")]
    pub header_bytes: usize,
    /// Longest silence inside a request's body.
    #[serde(serialize_with = "as_duration")]
    pub body_time: Duration,
    /// How long a node that ends lets its connections finish.
    #[serde(serialize_with = "as_duration")]
    pub drain: Duration,
    /// How long a connection on which nothing is asked is kept meanwhile.
    #[serde(serialize_with = "as_duration")]
    pub drain_idle: Duration,
    /// Bytes of a component that is fetched or deployed.
    #[serde(serialize_with = "as_size")]
    pub component_size: usize,
    /// Deployed revisions of a component that are kept.
    pub kept_revisions: NonZeroU32,
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            in_flight: NODE_IN_FLIGHT,
            queue: None,
            queue_wait: QUEUE_WAIT,
            connections: CONNECTIONS,
            header_time: HEADER_TIME,
            header_bytes: HEADER_BYTES,
            body_time: BODY_TIME,
            drain: DRAIN,
            drain_idle: DRAIN_IDLE,
            component_size: COMPONENT_SIZE,
            kept_revisions: KEPT_REVISIONS,
        }
    }
}

impl HostLimits {
    pub(in crate::manifest) fn read(mut table: Table<'_>) -> Self {
        let limits = Self {
            in_flight: table.positive_or("in_flight", NODE_IN_FLIGHT, MOST_IN_FLIGHT),
            queue: table.count("queue", MOST_QUEUED),
            queue_wait: table.duration_or("queue_wait", QUEUE_WAIT, TIMES_OR_NONE),
            connections: table.positive_or("connections", CONNECTIONS, MOST_CONNECTIONS),
            header_time: table.duration_or("header_time", HEADER_TIME, TIMES),
            header_bytes: table.size_or("header_bytes", HEADER_BYTES, HEADER_SIZES),
            body_time: table.duration_or("body_time", BODY_TIME, TIMES),
            drain: table.duration_or("drain", DRAIN, TIMES_OR_NONE),
            drain_idle: table.duration_or("drain_idle", DRAIN_IDLE, TIMES_OR_NONE),
            component_size: table.size_or("component_size", COMPONENT_SIZE, COMPONENT_SIZES),
            kept_revisions: table.positive_or("kept_revisions", KEPT_REVISIONS, MOST_KEPT),
        };
        table.finish();
        limits
    }
}
