//! What a node does beside answering: streams to deliver, caches to repair.

use super::background::Background;
use crate::cores::Cores;
use crate::live::{LiveTable, Private};
use crate::manifest::{RepairSpec, Spec, StreamSpec};
use crate::pool::{Pools, valkey};
use crate::repair::{self, Repair};
use crate::stream::{self, Streams};
use crate::telemetry::Metrics;
use crate::telemetry::trace::Tracer;
use anyhow::Context;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// All of it, at work.
pub(super) struct Upkeep {
    streams: Streams,
    repairs: Vec<JoinHandle<()>>,
    /// Where they run: apart from what answers requests.
    thread: Background,
}

/// What upkeep is done for and with.
pub(super) struct Parts<'a> {
    pub(super) node: &'a str,
    pub(super) spec: &'a Spec,
    pub(super) live: &'a Arc<LiveTable>,
    pub(super) pools: &'a Pools,
    pub(super) cores: &'a Cores,
    pub(super) metrics: &'a Metrics,
    pub(super) tracer: &'a Tracer,
}

impl Upkeep {
    /// Begins. Where there is no Valkey, there is nothing to do.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread, or an address is none.
    pub(super) fn start(parts: &Parts<'_>) -> anyhow::Result<Self> {
        let thread = Background::start("upkeep")?;
        let stream_metrics = stream::Metrics::default();
        let repair_metrics = repair::Metrics::default();
        parts.metrics.register(|registry| {
            stream_metrics.register(registry);
            repair_metrics.register(registry);
        });
        let mut upkeep = Self {
            streams: Streams::new(thread.handle().clone(), stream_metrics),
            repairs: Vec::new(),
            thread,
        };
        for component in parts.spec.components.values() {
            if let Some(spec) = &component.stream {
                upkeep
                    .stream(parts, &component.id, spec)
                    .with_context(|| format!("component.{}.tool.warmlink.stream", component.id))?;
            }
            if let Some(spec) = &component.repair {
                upkeep
                    .repair(parts, &component.id, spec, &repair_metrics)
                    .with_context(|| format!("component.{}.tool.warmlink.repair", component.id))?;
            }
        }
        Ok(upkeep)
    }

    fn stream(&mut self, parts: &Parts<'_>, id: &str, spec: &StreamSpec) -> anyhow::Result<()> {
        let Some(address) = &spec.address else {
            return Ok(());
        };
        let pool = parts
            .pools
            .valkey(&valkey::Target::parse(address.expose())?)?
            .pool;
        let settings = stream::Settings {
            key: spec.key.clone(),
            group: spec.group.clone(),
            consumer: parts.node.to_owned(),
            batch: spec.batch.get() as usize,
            bound: spec.bound.get().into(),
            claim_after: spec.claim_after,
            attempts: spec.attempts.get(),
        };
        self.streams.start(settings, pool, private(parts, id)?);
        Ok(())
    }

    fn repair(
        &mut self,
        parts: &Parts<'_>,
        id: &str,
        spec: &RepairSpec,
        metrics: &repair::Metrics,
    ) -> anyhow::Result<()> {
        let Some(address) = &spec.address else {
            return Ok(());
        };
        let repair = Repair {
            component: private(parts, id)?,
            pool: parts
                .pools
                .valkey(&valkey::Target::parse(address.expose())?)?
                .pool,
            every: spec.every,
            metrics: metrics.clone(),
        };
        let runtime = self.thread.handle();
        self.repairs.push(runtime.spawn(repair.run()));
        Ok(())
    }

    /// Ends it, once what is in hand is delivered.
    pub(super) async fn finish(self) {
        for repair in &self.repairs {
            repair.abort();
        }
        self.streams.finish().await;
    }
}

/// The component, asked on the first core: the one that has a warm instance,
/// where there are fewer than cores.
fn private(parts: &Parts<'_>, id: &str) -> anyhow::Result<Private> {
    let core = parts.cores.handles().into_iter().next();
    let core = core.context("a node has at least one core")?;
    let (live, tracer) = (parts.live.clone(), parts.tracer.clone());
    Ok(Private::new(id.into(), live, (0, core), tracer))
}
