//! Valkey streams, delivered to private components in batches.
//!
//! ```text
//!  XADD ─► stream ─► reader ─► delivery ─► component: POST /
//!             ▲                   │
//!             └── XACK, XDEL ── keeper ── XLEN ─► the pool refuses XADD while full
//! ```
//!
//! A stream has one reader and one keeper on each node, each with a connection
//! of its own. What a component takes (2xx) is acknowledged and deleted; what it
//! cannot take now (503) is offered again for as long as it takes; what it never
//! takes ends in the dead-letter stream. An entry is delivered at least once: the
//! component has to know it by its own id.

mod delivery;
mod entry;
mod keeper;
mod metrics;
mod reader;

pub use metrics::Metrics;

use crate::live::Private;
use crate::pool::valkey::ValkeyPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Outcomes that wait for the keeper: the next batch is delivered while the one
/// before it is acknowledged.
const OUTCOMES: usize = 2;

/// One stream and how it is delivered.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The stream.
    pub key: String,
    /// The consumer group.
    pub group: String,
    /// This node, as a consumer of the group.
    pub consumer: String,
    /// Entries of one delivery, at most.
    pub batch: usize,
    /// Entries from which on appends are refused.
    pub bound: u64,
    /// How long another node's entry goes unacknowledged until it is taken over.
    pub claim_after: Duration,
    /// Failures of an entry on its own after which it is a dead letter.
    pub attempts: u32,
}

impl Settings {
    /// Where entries go that the component never takes.
    fn dead_letters(&self) -> String {
        format!("{}:dead", self.key)
    }
}

/// The streams of a node. Dropping them ends them in the middle.
#[derive(Debug)]
pub struct Streams {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    runtime: Handle,
    metrics: Metrics,
}

impl Streams {
    /// None yet. Those to come run on `runtime`.
    pub fn new(runtime: Handle, metrics: Metrics) -> Self {
        Self {
            stop: watch::Sender::new(false),
            tasks: Vec::new(),
            runtime,
            metrics,
        }
    }

    /// Begins to deliver a stream of `pool` to a component.
    pub fn start(&mut self, settings: Settings, pool: ValkeyPool, component: Private) {
        let metrics = self.metrics.of(component.id());
        let settings = Arc::new(settings);
        let (settle, outcomes) = mpsc::channel(OUTCOMES);
        let keeper = keeper::Keeper::new(settings.clone(), pool.clone(), outcomes, metrics.clone());
        let reader = reader::Reader::new(
            settings,
            pool,
            component,
            settle,
            self.stop.subscribe(),
            metrics,
        );
        self.tasks.push(self.runtime.spawn(keeper.run()));
        self.tasks.push(self.runtime.spawn(reader.run()));
    }

    /// Reads no more, and waits until what was read is delivered and
    /// acknowledged, or has been found undeliverable for now: that stays in the
    /// stream, for another node or another time.
    pub async fn finish(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!("a stream ended badly: {error}");
            }
        }
    }
}
