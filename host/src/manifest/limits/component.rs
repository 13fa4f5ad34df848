//! The limits of a component.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::{LONGEST, MOST_IN_FLIGHT, TIMES, TIMES_OR_NONE, count};
use crate::manifest::reader::Table;
use crate::manifest::spec::{as_duration, as_size};

/// From a request's arrival to its response's head. Most clients and balancers
/// give up after 60 s; half of that leaves them time for a second try.
const DEADLINE: Duration = Duration::from_secs(30);

/// Longest pause of a response's body.
const BODY_IDLE: Duration = Duration::from_secs(30);

/// A whole response's body. It holds an instance and a place in `in_flight`.
const BODY_TOTAL: Duration = Duration::from_secs(60);

/// Uninterrupted computing, twenty slices of the scheduler. What a request has to
/// do is two orders of magnitude below; more is a loop that does not end.
const CPU: Duration = Duration::from_millis(200);

/// How long an instance nobody uses is kept, beyond the warm ones: long enough
/// for traffic that comes every few seconds.
const IDLE: Duration = Duration::from_secs(60);

/// Instances made before the component takes traffic. One shows that it can be
/// made at all, while the revision before it still serves.
const WARM: u32 = 1;

/// Requests inside an instance at once. One: a trap then fails nobody else's.
const CONCURRENCY: NonZeroU32 = NonZeroU32::MIN;

/// Requests that an instance serves in its life. One is full isolation, and what
/// Spin does; reuse is for components where it was measured to be worth it.
const REUSE: NonZeroU32 = NonZeroU32::MIN;

/// Requests of one component at once. Half of the node's: one component that is
/// stuck leaves room for all others.
const COMPONENT_IN_FLIGHT: NonZeroU32 = count(1024);

/// Linear memory of an instance. Guests in Rust stay below 4 MiB; this leaves
/// room for buffered bodies and interpreters.
const MEMORY: usize = 64 << 20;

/// Elements of a table, which are its indirect functions: wasmtime's own default.
const TABLE_ELEMENTS: u32 = 20_000;

/// Handles of an instance: a request holds some twenty, so this is for sixteen
/// requests ten times over, and half a megabyte at worst.
const HANDLES: u32 = 4096;

/// A request's body: nginx's default.
const REQUEST_BODY: usize = 1 << 20;

/// A slice of computing is 10 ms: less cannot be measured.
const CPU_TIMES: RangeInclusive<Duration> = Duration::from_millis(10)..=LONGEST;

/// Their memory is touched when they are made.
const MOST_WARM: u32 = 1024;

/// From a page of WebAssembly to all that 32 bits address.
const MEMORIES: RangeInclusive<usize> = 64 << 10..=4 << 30;

/// Guests with interpreters have some ten thousands.
const MOST_TABLE_ELEMENTS: u32 = 1_000_000;
const MOST_HANDLES: u32 = 1_000_000;

/// From no body at all to a terabyte.
const BODIES: RangeInclusive<usize> = 0..=1 << 40;

fn as_body_size<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
    as_size(&usize::try_from(*value).unwrap_or(usize::MAX), to)
}

/// The limits of one component: `[component.ID.tool.warmlink]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentLimits {
    /// From a request's arrival to its response's head.
    #[serde(serialize_with = "as_duration")]
    pub deadline: Duration,
    /// Longest pause of a response's body.
    #[serde(serialize_with = "as_duration")]
    pub body_idle: Duration,
    /// A whole response's body.
    #[serde(serialize_with = "as_duration")]
    pub body_total: Duration,
    /// From being replaced until what a revision still has is cut off. By default
    /// what its own limits allow a request that has just begun.
    #[serde(serialize_with = "as_duration")]
    pub drain: Duration,
    /// Computing without a pause.
    #[serde(serialize_with = "as_duration")]
    pub cpu: Duration,
    /// How long an instance nobody uses is kept, beyond the warm ones.
    #[serde(serialize_with = "as_duration")]
    pub idle: Duration,
    /// Instances made before the component takes traffic, and kept.
    pub warm: u32,
    /// Requests inside an instance at once. Never more than `reuse`.
    pub concurrency: NonZeroU32,
    /// Requests that an instance serves in its life.
    pub reuse: NonZeroU32,
    /// Requests of the component at once.
    pub in_flight: NonZeroU32,
    /// Bytes of an instance's linear memory.
    #[serde(serialize_with = "as_size")]
    pub memory: usize,
    /// Elements of each of an instance's tables.
    pub table_elements: usize,
    /// Handles an instance may hold.
    pub handles: usize,
    /// Bytes of a request's body.
    #[serde(serialize_with = "as_body_size")]
    pub request_body: u64,
}

impl Default for ComponentLimits {
    fn default() -> Self {
        Self {
            deadline: DEADLINE,
            body_idle: BODY_IDLE,
            body_total: BODY_TOTAL,
            drain: DEADLINE + BODY_TOTAL,
            cpu: CPU,
            idle: IDLE,
            warm: WARM,
            concurrency: CONCURRENCY,
            reuse: REUSE,
            in_flight: COMPONENT_IN_FLIGHT,
            memory: MEMORY,
            table_elements: TABLE_ELEMENTS as usize,
            handles: HANDLES as usize,
            request_body: REQUEST_BODY as u64,
        }
    }
}

impl ComponentLimits {
    pub(in crate::manifest) fn read(mut table: Table<'_>) -> Self {
        let deadline = table.duration_or("deadline", DEADLINE, TIMES);
        let body_total = table.duration_or("body_total", BODY_TOTAL, TIMES);
        let limits = Self {
            deadline,
            body_idle: table.duration_or("body_idle", BODY_IDLE, TIMES),
            body_total,
            drain: table.duration_or("drain", deadline + body_total, TIMES_OR_NONE),
            cpu: table.duration_or("cpu", CPU, CPU_TIMES),
            idle: table.duration_or("idle", IDLE, TIMES),
            warm: table.count_or("warm", WARM, MOST_WARM),
            concurrency: table.positive_or("concurrency", CONCURRENCY, MOST_IN_FLIGHT),
            reuse: table.positive_or("reuse", REUSE, u32::MAX),
            in_flight: table.positive_or("in_flight", COMPONENT_IN_FLIGHT, MOST_IN_FLIGHT),
            memory: table.size_or("memory", MEMORY, MEMORIES),
            table_elements: table.count_or("table_elements", TABLE_ELEMENTS, MOST_TABLE_ELEMENTS)
                as usize,
            handles: table.count_or("handles", HANDLES, MOST_HANDLES) as usize,
            request_body: table.size_or("request_body", REQUEST_BODY, BODIES) as u64,
        };
        limits.check(&mut table);
        table.finish();
        limits
    }

    /// A setting without effect is a mistake: an instance that serves one request
    /// in its life never has two inside.
    fn check(&self, table: &mut Table<'_>) {
        let Some(node) = table.get("concurrency") else {
            return;
        };
        if self.concurrency > self.reuse {
            let (concurrency, reuse) = (self.concurrency, self.reuse);
            node.fault(
                format!("{concurrency} requests at once do not fit an instance that serves {reuse} in its life"),
                format!("set reuse to {concurrency} or more beside it, or leave both out for an instance per request"),
            );
        }
    }
}
