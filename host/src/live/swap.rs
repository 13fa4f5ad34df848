//! Publishing a table, and seeing off the revisions that it leaves out.

use super::table::{LiveTable, Table};
use crate::engine::Revision;
use crate::telemetry::Metrics;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

/// Publishes tables, one at a time.
#[derive(Debug, Clone)]
pub struct Swapper {
    /// What is served.
    pub live: Arc<LiveTable>,
    /// The node's metrics.
    pub metrics: Arc<Metrics>,
    /// Retired revisions that are not gone, by component.
    retired: Arc<Mutex<HashMap<Arc<str>, usize>>>,
}

impl Swapper {
    /// Publishes to `live`.
    pub fn new(live: Arc<LiveTable>, metrics: Arc<Metrics>) -> Self {
        Self {
            live,
            metrics,
            retired: Arc::default(),
        }
    }

    /// Serves `table` from now on, and drains what it leaves out, on the runtime
    /// that is calling.
    pub fn publish(&self, table: Table) {
        let began = Instant::now();
        let generation = table.generation().number();
        let kept: Vec<_> = revisions(&table).map(Arc::as_ptr).collect();
        let before = self.live.publish(table);
        self.metrics
            .swaps
            .took("publish", began.elapsed().as_secs_f64());
        self.metrics
            .generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        for revision in revisions(&before) {
            if !kept.contains(&Arc::as_ptr(revision)) {
                self.drain(revision.clone());
            }
        }
    }

    /// How many retired revisions of a component are not gone.
    pub fn draining(&self, component: &str) -> usize {
        self.retired.lock().get(component).copied().unwrap_or(0)
    }

    /// Lets `revision`, which takes no request any more, finish what it has, for as
    /// long as its component's `drain`.
    fn drain(&self, revision: Arc<Revision>) {
        let limit = revision.limits().drain;
        let ended = revision.ended();
        let retirement = revision.retire();
        let (component, digest) = (revision.id().clone(), revision.digest().clone());
        drop(revision);
        let swaps = self.metrics.swaps.clone();
        let retired = self.retired.clone();
        *retired.lock().entry(component.clone()).or_default() += 1;
        swaps.draining.inc();
        tokio::spawn(async move {
            let began = Instant::now();
            let mut ended = pin!(ended);
            if tokio::time::timeout(limit, ended.as_mut()).await.is_err() {
                tracing::warn!(
                    %component,
                    revision = %digest,
                    "the drain limit of {} s passed: what it has is cut off",
                    limit.as_secs_f64()
                );
                swaps.cut.inc();
                retirement.cut();
                ended.await;
            }
            swaps.draining.dec();
            if let Some(count) = retired.lock().get_mut(&component) {
                *count -= 1;
            }
            swaps.took("drain", began.elapsed().as_secs_f64());
            tracing::info!(%component, revision = %digest, "revision drained");
        });
    }
}

fn revisions(table: &Table) -> impl Iterator<Item = &Arc<Revision>> {
    table.endpoints().flat_map(|endpoint| endpoint.revisions())
}
