//! The first table: every component of the manifest, loaded.

use super::Node;
use crate::cores::Cores;
use crate::engine::memory::Memory;
use crate::engine::{Compiler, Engine, Sizing, linker};
use crate::live::artifacts::Artifacts;
use crate::live::load::{Loader, Occasion};
use crate::live::rollout::Baseline;
use crate::live::{Endpoint, Table};
use crate::manifest::Spec;
use crate::pool::Pools;
use crate::router::Router;
use crate::telemetry::Metrics;
use futures::stream::{self, StreamExt, TryStreamExt};
use indexmap::IndexMap;
use std::sync::Arc;

/// Instances beyond those that admission can ask for: such as end while their
/// successors begin.
const SPARE_INSTANCES: u32 = 64;

/// Revisions of a component that may have their warm instances at once: the one
/// that serves, its canary, and one that is being loaded.
const WARM_REVISIONS: u32 = 3;

/// Addresses for the memories of instances, where not even the node's own places need
/// more: a hundredth of what a process has.
const MOST_RESERVED: usize = 1 << 40;

/// Components that are compiled at the same time. Each compilation uses every
/// core by itself; the second one fills the gaps.
const LOAD_PARALLELISM: usize = 2;

/// How much the instance pool has to hold for `spec`.
pub(super) fn sizing(spec: &Spec) -> Sizing {
    let limits = spec.components.values().map(|spec| &spec.limits);
    let node = spec.limits.in_flight.get();
    let warm: u32 = limits.clone().map(|limits| limits.warm).sum();
    let memory = limits
        .clone()
        .map(|limits| limits.memory)
        .max()
        .unwrap_or(0);
    // What a burst leaves idle of one component is in no other one's way.
    let busy = limits
        .clone()
        .map(|limits| limits.in_flight.get().min(node));
    let busy = busy.fold(0, u32::saturating_add);
    let most = u32::try_from(MOST_RESERVED / memory.max(1)).unwrap_or(u32::MAX);
    Sizing {
        instances: busy.min(most).max(node) + WARM_REVISIONS * warm + SPARE_INSTANCES,
        memory,
        table_elements: limits
            .map(|limits| limits.table_elements)
            .max()
            .unwrap_or(0),
    }
}

/// The same with room for what a developer may add before the next start: some
/// components more, and larger ones. Addresses cost nothing until they are used.
pub(super) fn roomy(sizing: Sizing) -> Sizing {
    Sizing {
        instances: sizing.instances + 4 * SPARE_INSTANCES,
        memory: sizing.memory.max(256 << 20),
        table_elements: sizing.table_elements.max(100_000),
    }
}

/// The node's loader, with room for as much as `sizing` says.
///
/// # Errors
///
/// When the instance pool or the compile cache cannot be had.
pub(super) fn loader(
    node: &Node,
    sizing: Sizing,
    cores: &Cores,
    pools: Arc<Pools>,
    metrics: Arc<Metrics>,
) -> anyhow::Result<Loader> {
    let memory = Memory::new(node.memory(), node.spec.components.len());
    let engine = Arc::new(Engine::new(sizing, memory)?);
    let linker = linker::build(engine.inner())?;
    Ok(Loader {
        compiler: Compiler::new(engine, node.config.cache.clone())?,
        linker,
        pools,
        cores: cores.handles(),
        metrics,
        base: node.base.clone(),
        artifacts: Artifacts::new(
            node.config.state.join("components"),
            node.spec.limits.component_size,
        ),
        deployed: Artifacts::new(
            node.config.state.join("deployed"),
            node.spec.limits.component_size,
        ),
    })
}

/// Loads what the manifest names, and makes the first table of it.
///
/// # Errors
///
/// The first component that cannot be loaded, with the step and the reason.
pub(super) async fn first_table(node: &Node, loader: &Loader) -> anyhow::Result<(Baseline, Table)> {
    let spec = Arc::new(node.spec.clone());
    let loaded: Vec<_> = stream::iter(spec.components.values())
        .map(|component| async {
            let (digest, bytes) = loader.source(component).await?;
            let bytes = async { Ok(bytes) };
            loader
                .load(component, &spec, &digest, Occasion::Start, bytes)
                .await
        })
        .buffered(LOAD_PARALLELISM)
        .try_collect()
        .await?;
    let digests = loaded
        .iter()
        .map(|revision| (revision.id().to_string(), revision.digest().clone()))
        .collect();
    let endpoints: IndexMap<_, _> = loaded
        .into_iter()
        .map(|revision| {
            let limits = &spec.limits;
            let endpoint = Endpoint::new(revision, limits);
            (endpoint.id().clone(), Arc::new(endpoint))
        })
        .collect();
    let router = Router::new(spec.routes.iter().map(|route| route.pattern.clone()));
    let targets: Vec<_> = spec
        .routes
        .iter()
        .map(|route| route.component.clone())
        .collect();
    let live = loader.metrics.swaps.generations.clone();
    let table = Table::new(router, &targets, endpoints, live)
        .map_err(|id| anyhow::anyhow!("a route names component `{id}`, which does not exist"))?;
    Ok((Baseline::new(&node.text, spec, digests), table))
}
