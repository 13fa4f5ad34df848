//! The composition root: builds what a node is made of, opens it to clients
//! once all of it is warm, and closes it without cutting anyone off.

mod background;
pub mod compiling;
mod descriptors;
mod limiting;
mod loading;
mod memory;
mod observed;
pub mod preflight;
pub mod signals;
mod upkeep;
mod warm;
mod watching;

pub use watching::Watch;

use self::background::Background;
use self::observed::Observed;
use self::signals::Signals;
use self::upkeep::Upkeep;
use self::watching::Watching;
use crate::admin::{Admin, DEPLOYS};
use crate::config::Config;
use crate::cores::Cores;
use crate::engine::Sizing;
use crate::fleet;
use crate::http::{Asking, Clients, Listener, Proxies, Service};
use crate::live::load::Loader;
use crate::live::rollout::{self, Baseline};
use crate::live::{LiveTable, Rollouts, Swapper, Table};
use crate::manifest::Spec;
use crate::pool::placement::Placement;
use crate::pool::{Pools, postgres, valkey};
use crate::readiness::Readiness;
use crate::signature::Key;
use crate::telemetry::Metrics;
use crate::telemetry::trace::{self, SpanMetrics, Tracer};
use anyhow::Context;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// A node, decided and not yet begun.
#[derive(Debug)]
pub struct Node {
    /// How it runs.
    pub config: Config,
    /// What it runs.
    pub spec: Spec,
    /// The manifest's text, which what is deployed over it is bound to.
    pub text: String,
    /// The folder that the manifest's paths are relative to.
    pub base: PathBuf,
    /// The control database; none where this node is alone.
    pub control: Option<postgres::Target>,
    /// What is swapped as it changes.
    pub watch: Option<Watch>,
}

/// Serves until a signal says otherwise, then drains.
///
/// # Errors
///
/// When an address is taken, a component cannot be loaded, or the schema not
/// be migrated. A dependency that is away is waited for instead.
pub async fn serve(node: Node, signals: &mut Signals) -> anyhow::Result<()> {
    descriptors::raise(node.spec.limits.connections.get());
    let metrics = Arc::new(Metrics::new());
    let control = Background::start("control")?;
    let tracer = node.tracer(&metrics, &control)?;
    let cores = Cores::start(node.config.cores.get())?;
    let common = Common {
        cores: &cores,
        control: &control,
        metrics,
        tracer: tracer.clone(),
    };
    let served = node.run(common, signals).await;
    // What was still at work ends here, and its spans with it.
    cores.stop();
    let patience = match served {
        Ok(End::Hurried) => Duration::ZERO,
        Ok(End::Drained) | Err(_) => trace::LAST,
    };
    tokio::select! {
        () = tracer.finish(patience) => {}
        () = signals.next() => {}
    }
    served.map(|_end| ())
}

/// What there is before a node runs, and after it.
struct Common<'a> {
    cores: &'a Cores,
    control: &'a Background,
    metrics: Arc<Metrics>,
    tracer: Tracer,
}

/// How serving came to its end.
enum End {
    /// As it should.
    Drained,
    /// Whoever told it to end did not want to wait.
    Hurried,
}

impl Node {
    async fn run(mut self, common: Common<'_>, signals: &mut Signals) -> anyhow::Result<End> {
        let Common {
            cores,
            control,
            metrics,
            tracer,
        } = common;
        let readiness = Readiness::default();
        let live = Arc::new(OnceLock::new());
        let starting = readiness.latch("start");
        let rollouts = Arc::new(OnceLock::new());
        let places = Arc::new(OnceLock::new());
        metrics.register(|registry| {
            registry.register_collector(Box::new(Observed {
                readiness: readiness.clone(),
                connections: self.spec.limits.connections.get(),
                live: Arc::downgrade(&live),
                rollouts: Arc::downgrade(&rollouts),
                places: Arc::downgrade(&places),
                memory: self.memory(),
            }));
        });
        let key = self
            .config
            .admin_token
            .as_ref()
            .map(|token| Key::new(token.expose()));
        let admin = Admin {
            readiness: readiness.clone(),
            metrics: metrics.clone(),
            live: live.clone(),
            rollouts: rollouts.clone(),
            key: key.clone(),
            deploys: Semaphore::new(DEPLOYS),
        };
        let admin = admin
            .start(self.config.admin_listen)
            .with_context(|| format!("admin listener on {}", self.config.admin_listen))?;
        announce("admin", admin.address);
        let listener = Listener::bind(self.config.listen)
            .with_context(|| format!("public listener on {}", self.config.listen))?;

        let watching = match self.watch.take() {
            Some(watch) => Some(Watching::begin(watch, &self.base, &self.spec)?),
            None => None,
        };
        let sizing = match &watching {
            Some(watching) => watching.room(),
            None => loading::sizing(&self.spec),
        };
        let (loader, baseline, table) = tokio::select! {
            prepared = self.prepare(sizing, cores, &metrics, &readiness) => prepared?,
            () = signals.next() => return before_ready(),
        };
        metrics
            .generation
            .set(i64::try_from(table.generation().number()).unwrap_or(i64::MAX));
        let table = live.get_or_init(|| Arc::new(LiveTable::new(table)));
        let pools = loader.pools.clone();
        // It waits for what is deployed, as long as that takes to come.
        let started = tokio::select! {
            started = self.rollouts(loader, baseline, table, key.clone(), control) => started?,
            () = signals.next() => return before_ready(),
        };
        let rollouts = rollouts.get_or_init(|| started);
        let upkeep = Upkeep::start(&upkeep::Parts {
            node: &self.config.node,
            spec: &self.spec,
            live: table,
            pools: &pools,
            cores,
            metrics: &metrics,
            tracer: &tracer,
        })?;
        let clients = Clients {
            proxies: Proxies::new(self.spec.trusted_proxies.clone()),
            rates: limiting::rates(&self.spec, &pools, &metrics, key.as_ref())?,
        };
        let service = Arc::new(Service::new(
            table.clone(),
            self.spec.limits.clone(),
            metrics,
            self.spec.metrics_path.clone(),
            key.map(Asking::new),
            clients,
            tracer,
        ));
        places.get_or_init(|| service.places().clone());

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

        if let Some(watching) = watching {
            // It ends with its thread.
            control.handle().spawn(watching.follow(rollouts.clone()));
        }

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
        rollouts.leave().await;
        if !self.config.drain_delay.is_zero() {
            // Requests still come while the balancers learn of it.
            tokio::select! {
                accepted = &mut accepting => accepted.context("the public listener ended")?,
                () = tokio::time::sleep(self.config.drain_delay) => {}
                () = signals.next() => return Ok(End::Hurried),
            }
        }
        drain.send_replace(true);
        let drained = async {
            accepting.await.context("the public listener ended")?;
            // Every connection holds a receiver until it is over.
            drain.closed().await;
            upkeep.finish().await;
            anyhow::Ok(())
        };
        tokio::select! {
            drained = tokio::time::timeout(self.spec.limits.drain, drained) => match drained {
                Ok(drained) => drained?,
                Err(_elapsed) => tracing::warn!("the drain limit passed with work left"),
            },
            () = signals.next() => {
                tracing::warn!("told to end twice: not waiting any longer");
                return Ok(End::Hurried);
            }
        }
        tracing::info!("drained");
        Ok(End::Drained)
    }

    fn tracer(&self, metrics: &Metrics, control: &Background) -> anyhow::Result<Tracer> {
        let Some(settings) = &self.config.trace else {
            return Ok(Tracer::off());
        };
        let spans = SpanMetrics::default();
        metrics.register(|registry| spans.register(registry));
        Tracer::new(settings, control.handle().clone(), spans).context("the exporter of traces")
    }

    /// Everything that has to be there before the public port opens.
    async fn prepare(
        &self,
        sizing: Sizing,
        cores: &Cores,
        metrics: &Arc<Metrics>,
        readiness: &Readiness,
    ) -> anyhow::Result<(Loader, Baseline, Table)> {
        let pools = Arc::new(self.pools(cores, metrics)?);
        let loader = loading::loader(self, sizing, cores, pools.clone(), metrics.clone())?;
        let (_, (baseline, table)) = tokio::try_join!(
            warm::dependencies(&self.config, &self.spec, &self.base, &pools, readiness),
            async {
                let _latch = readiness.latch("components");
                loading::first_table(self, &loader).await
            },
        )?;
        Ok((loader, baseline, table))
    }

    /// What all instances may hold together, in bytes.
    fn memory(&self) -> u64 {
        self.config.memory.unwrap_or_else(memory::usual)
    }

    /// Keeps the node in step with what is deployed, from now on.
    async fn rollouts(
        &self,
        mut loader: Loader,
        baseline: Baseline,
        live: &Arc<LiveTable>,
        key: Option<Key>,
        control: &Background,
    ) -> anyhow::Result<Rollouts> {
        loader.compiler = loader.compiler.beside_traffic();
        let fleet = self.control.clone().map(|target| fleet::Settings {
            target,
            application: self.spec.name.clone(),
            node: self.config.node.clone(),
            instance: fleet::new_instance(),
            manifest: baseline.id.clone(),
            // Without a token, whoever can write there is trusted.
            key: key.unwrap_or_else(|| Key::new("")),
            keep: self.spec.limits.kept_revisions.get() as usize,
        });
        let parts = rollout::Parts {
            node: self.config.node.clone(),
            swapper: Swapper::new(live.clone(), loader.metrics.clone()),
            loader: Arc::new(loader),
            baseline,
            fleet,
            told: Arc::default(),
        };
        Ok(Rollouts::start(parts, control.handle().clone()).await)
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
}

/// Told to end while it starts.
fn before_ready() -> anyhow::Result<End> {
    tracing::info!("told to end before being ready");
    Ok(End::Drained)
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
