//! What a pool tells of itself.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Which pool a sample belongs to: `host:port/database`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    pool: String,
}

type Gauges = Family<Labels, Gauge>;
type Counters = Family<Labels, Counter>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The metrics of all Postgres pools of a process. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    size: Gauges,
    idle: Gauges,
    in_use: Gauges,
    pinned: Gauges,
    waiting: Gauges,
    wait: Histograms,
    opened: Counters,
    closed: Counters,
    failed: Counters,
    lost: Counters,
    timeouts: Counters,
    statements: Counters,
    retries: Counters,
    cancels: Counters,
    reclaimed: Counters,
    cache_hits: Counters,
    cache_misses: Counters,
}

/// From half a millisecond to eight seconds.
fn wait_histogram() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0,
    ])
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            size: Family::default(),
            idle: Family::default(),
            in_use: Family::default(),
            pinned: Family::default(),
            waiting: Family::default(),
            wait: Family::new_with_constructor(wait_histogram),
            opened: Family::default(),
            closed: Family::default(),
            failed: Family::default(),
            lost: Family::default(),
            timeouts: Family::default(),
            statements: Family::default(),
            retries: Family::default(),
            cancels: Family::default(),
            reclaimed: Family::default(),
            cache_hits: Family::default(),
            cache_misses: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds all of them to `registry`, as `postgres_pool_*`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("postgres_pool");
        let gauges = [
            (
                "size",
                "Connections, those being opened and closed included",
                &self.size,
            ),
            ("idle", "Open connections with nothing to do", &self.idle),
            (
                "in_use",
                "Open connections with at least one statement",
                &self.in_use,
            ),
            (
                "pinned",
                "Connections that belong to one caller",
                &self.pinned,
            ),
            ("waiting", "Callers waiting for a connection", &self.waiting),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register_with_unit(
            "wait",
            "Time that callers waited for a connection; those that found one at once are not in it",
            Unit::Seconds,
            self.wait.clone(),
        );
        let counters = [
            ("opened", "Connections opened", &self.opened),
            (
                "closed",
                "Connections closed, for whatever reason",
                &self.closed,
            ),
            (
                "connect_failures",
                "Attempts to connect that failed",
                &self.failed,
            ),
            ("lost", "Open connections that broke", &self.lost),
            (
                "timeouts",
                "Callers that got no connection before their deadline",
                &self.timeouts,
            ),
            ("statements", "Statements sent", &self.statements),
            (
                "retries",
                "Statements sent again because they cannot have run",
                &self.retries,
            ),
            (
                "cancels",
                "Statements cancelled on the server",
                &self.cancels,
            ),
            (
                "reclaimed",
                "Idle pinned connections taken back",
                &self.reclaimed,
            ),
            (
                "statement_cache_hits",
                "Statements found prepared",
                &self.cache_hits,
            ),
            (
                "statement_cache_misses",
                "Statements that had to be prepared",
                &self.cache_misses,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }

    pub(super) fn pool(&self, pool: String) -> PoolMetrics {
        let labels = Labels { pool };
        let gauge = |family: &Gauges| family.get_or_create(&labels).clone();
        let counter = |family: &Counters| family.get_or_create(&labels).clone();
        PoolMetrics {
            size: gauge(&self.size),
            idle: gauge(&self.idle),
            in_use: gauge(&self.in_use),
            pinned: gauge(&self.pinned),
            waiting: gauge(&self.waiting),
            wait: self.wait.get_or_create(&labels).clone(),
            opened: counter(&self.opened),
            closed: counter(&self.closed),
            failed: counter(&self.failed),
            lost: counter(&self.lost),
            timeouts: counter(&self.timeouts),
            statements: counter(&self.statements),
            retries: counter(&self.retries),
            cancels: counter(&self.cancels),
            reclaimed: counter(&self.reclaimed),
            cache_hits: counter(&self.cache_hits),
            cache_misses: counter(&self.cache_misses),
        }
    }
}

/// The samples of one pool.
#[derive(Debug)]
pub(super) struct PoolMetrics {
    pub(super) size: Gauge,
    pub(super) idle: Gauge,
    pub(super) in_use: Gauge,
    pub(super) pinned: Gauge,
    pub(super) waiting: Gauge,
    pub(super) wait: Histogram,
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    pub(super) failed: Counter,
    pub(super) lost: Counter,
    pub(super) timeouts: Counter,
    pub(super) statements: Counter,
    pub(super) retries: Counter,
    pub(super) cancels: Counter,
    pub(super) reclaimed: Counter,
    pub(super) cache_hits: Counter,
    pub(super) cache_misses: Counter,
}
