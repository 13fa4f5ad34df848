//! The composition root: builds what a node is made of, opens it to clients
//! once all of it is warm, and closes it without cutting anyone off.

mod descriptors;
pub mod preflight;
pub mod signals;
mod warm;

use self::signals::Signals;
use crate::admin::Admin;
use crate::config::Config;
use crate::cores::Cores;
use crate::engine::{Compiler, Engine, Sizing, linker};
use crate::http::{Listener, Service};
use crate::live::load::Loader;
use crate::live::{LiveTable, Table};
use crate::manifest::Spec;
use crate::pool::placement::Placement;
use crate::pool::{Pools, postgres, valkey};
use crate::readiness::Readiness;
use crate::router::Router;
use crate::telemetry::Metrics;
use anyhow::Context;
use futures::stream::{self, StreamExt, TryStreamExt};
use indexmap::IndexMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// Instances beyond those that admission can ask for: such as end while their
/// successors begin.
const SPARE_INSTANCES: u32 = 64;

/// Components that are compiled at the same time. Each compilation uses every
/// core by itself; the second one fills the gaps.
const LOAD_PARALLELISM: usize = 2;

/// A node, decided and not yet begun.
#[derive(Debug)]
pub struct Node {
    /// How it runs.
    pub config: Config,
    /// What it runs.
    pub spec: Spec,
    /// The folder that the manifest's paths are relative to.
    pub base: PathBuf,
}

/// Serves until a signal says otherwise, then drains.
///
/// # Errors
///
/// When an address is taken, a component cannot be loaded, or the schema not
/// be migrated. A dependency that is away is waited for instead.
pub async fn serve(node: Node, signals: &mut Signals) -> anyhow::Result<()> {
    descriptors::raise(node.spec.limits.connections.get());
    let cores = Cores::start(node.config.cores.get())?;
    let served = node.run(&cores, signals).await;
    cores.stop();
    served
}

impl Node {
    async fn run(self, cores: &Cores, signals: &mut Signals) -> anyhow::Result<()> {
        let metrics = Arc::new(Metrics::new());
        let readiness = Readiness::default();
        let live = Arc::new(OnceLock::new());
        let starting = readiness.latch("start");
        let admin = Admin {
            readiness: readiness.clone(),
            metrics: metrics.clone(),
            live: live.clone(),
        };
        let admin = admin
            .start(self.config.admin_listen)
            .with_context(|| format!("admin listener on {}", self.config.admin_listen))?;
        announce("admin", admin.address);
        let listener = Listener::bind(self.config.listen)
            .with_context(|| format!("public listener on {}", self.config.listen))?;

        let table = tokio::select! {
            table = self.prepare(cores, &metrics, &readiness) => table?,
            () = signals.next() => {
                tracing::info!("told to end before being ready");
                return Ok(());
            }
        };
        metrics
            .generation
            .set(i64::try_from(table.generation()).unwrap_or(i64::MAX));
        let table = live.get_or_init(|| Arc::new(LiveTable::new(table)));
        let service = Arc::new(Service::new(
            table.clone(),
            self.spec.limits.clone(),
            metrics,
            self.spec.metrics_path.clone(),
        ));

        let open = listener
            .listen()
            .with_context(|| format!("public listener on {}", self.config.listen))?;
        let address = open.address();
        drop(starting);
        announce("public", address);
        say(&format!(
            "try     curl -i http://{}{}",
            reachable(address),
            self.first_path()
        ));

        let (drain, draining) = watch::channel(false);
        let connections = self.spec.limits.connections.get() as usize;
        let accepting = open.serve(cores, service, connections, draining);
        tokio::pin!(accepting);
        tokio::select! {
            accepted = &mut accepting => accepted.context("the public listener ended")?,
            () = signals.next() => {}
        }
        tracing::info!("draining");
        readiness.drain();
        if !self.config.drain_delay.is_zero() {
            // Requests still come while the balancers learn of it.
            tokio::select! {
                accepted = &mut accepting => accepted.context("the public listener ended")?,
                () = tokio::time::sleep(self.config.drain_delay) => {}
                () = signals.next() => return Ok(()),
            }
        }
        drain.send_replace(true);
        let drained = async {
            accepting.await.context("the public listener ended")?;
            // Every connection holds a receiver until it is over.
            drain.closed().await;
            anyhow::Ok(())
        };
        tokio::select! {
            drained = tokio::time::timeout(self.spec.limits.drain, drained) => match drained {
                Ok(drained) => drained?,
                Err(_elapsed) => tracing::warn!("the drain limit passed with connections open"),
            },
            () = signals.next() => tracing::warn!("told to end twice: not waiting any longer"),
        }
        tracing::info!("drained");
        Ok(())
    }

    /// Everything that has to be there before the public port opens.
    async fn prepare(
        &self,
        cores: &Cores,
        metrics: &Arc<Metrics>,
        readiness: &Readiness,
    ) -> anyhow::Result<Table> {
        let pools = Arc::new(self.pools(cores, metrics)?);
        let loader = self.loader(cores, pools.clone(), metrics.clone())?;
        let (_, table) = tokio::try_join!(
            warm::dependencies(&self.config, &self.spec, &self.base, &pools, readiness),
            async {
                let _latch = readiness.latch("components");
                self.load(&loader).await
            },
        )?;
        Ok(table)
    }

    /// A path that the application answers as it stands.
    fn first_path(&self) -> &str {
        self.spec
            .routes
            .iter()
            .map(|route| route.pattern.raw())
            .find(|route| !route.contains([':', '*']) && !route.ends_with("/..."))
            .unwrap_or("/")
    }

    fn pools(&self, cores: &Cores, metrics: &Metrics) -> anyhow::Result<Pools> {
        let postgres_metrics = postgres::Metrics::default();
        let valkey_metrics = valkey::Metrics::default();
        metrics.register(|registry| {
            postgres_metrics.register(registry);
            valkey_metrics.register(registry);
        });
        let mut handles = cores.handles().into_iter();
        let first = handles.next().context("a node has at least one core")?;
        Ok(Pools::new(
            Placement::new(first, handles),
            postgres_metrics,
            valkey_metrics,
            self.postgres_settings(),
        ))
    }

    fn postgres_settings(&self) -> postgres::Settings {
        warm::postgres_settings(&self.config, &self.spec)
    }

    fn loader(
        &self,
        cores: &Cores,
        pools: Arc<Pools>,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Loader> {
        let limits = self.spec.components.values().map(|spec| &spec.limits);
        let warm: u32 = limits.clone().map(|limits| limits.warm).sum();
        let sizing = Sizing {
            instances: self.spec.limits.in_flight.get() + warm + SPARE_INSTANCES,
            memory: limits
                .clone()
                .map(|limits| limits.memory)
                .max()
                .unwrap_or(0),
            table_elements: limits
                .map(|limits| limits.table_elements)
                .max()
                .unwrap_or(0),
        };
        let engine = Arc::new(Engine::new(sizing)?);
        let linker = linker::build(engine.inner())?;
        Ok(Loader {
            compiler: Compiler::new(engine, self.config.cache.clone())?,
            linker,
            pools,
            cores: cores.count(),
            metrics,
            base: self.base.clone(),
            downloads: self.config.state.join("components"),
        })
    }

    async fn load(&self, loader: &Loader) -> anyhow::Result<Table> {
        let endpoints: IndexMap<_, _> = stream::iter(self.spec.components.values())
            .map(|component| async {
                let endpoint = loader.load(component, &self.spec).await?;
                anyhow::Ok((endpoint.id().clone(), Arc::new(endpoint)))
            })
            .buffered(LOAD_PARALLELISM)
            .try_collect()
            .await?;
        let router = Router::new(self.spec.routes.iter().map(|route| route.pattern.clone()));
        let targets: Vec<String> = self
            .spec
            .routes
            .iter()
            .map(|route| route.component.clone())
            .collect();
        Table::new(1, router, &targets, endpoints)
            .map_err(|id| anyhow::anyhow!("a route names component `{id}`, which does not exist"))
    }
}

/// One line on standard output for each address, as it is bound: people read
/// it, and so do scripts that asked for port 0.
fn announce(name: &str, address: SocketAddr) {
    say(&format!("{name:<8}http://{}", reachable(address)));
}

/// Writes a line for whoever waits for it. A reader that is gone is fine, where
/// `println!` would panic.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// An address to connect to: the unspecified one is not.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
