//! What a pool tells of itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::inner::Inner;
use super::shared::Status;

/// Which pool a sample belongs to: `user@host:port/database`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    pool: String,
}

type Counters = Family<Labels, Counter>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The metrics of all Postgres pools of a process. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    gauges: Gauges,
    wait: Histograms,
    connect: Histograms,
    statement: Histograms,
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

/// From half a millisecond, which a statement takes on the same machine, to eight
/// seconds, longer than which few callers wait.
fn histogram() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0,
    ])
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            gauges: Gauges::default(),
            wait: Family::new_with_constructor(histogram),
            connect: Family::new_with_constructor(histogram),
            statement: Family::new_with_constructor(histogram),
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
        registry.register_collector(Box::new(self.gauges.clone()));
        registry.register_with_unit(
            "wait",
            "Time that callers waited for a connection; those that found one at once are not in it",
            Unit::Seconds,
            self.wait.clone(),
        );
        registry.register_with_unit(
            "connect",
            "Time that connections took to open, those that could not be opened included",
            Unit::Seconds,
            self.connect.clone(),
        );
        registry.register_with_unit(
            "statement",
            "Time from having a connection for a statement to the end of its answer",
            Unit::Seconds,
            self.statement.clone(),
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
                "Statements sent again: they cannot have run, or were cancelled in the stead of another",
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

    /// Has the gauges of `pool` read whenever somebody looks at them.
    pub(super) fn watch(&self, pool: &Arc<Inner>) {
        let mut pools = self.gauges.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(pool));
    }

    pub(super) fn pool(&self, pool: String) -> PoolMetrics {
        let labels = Labels { pool };
        let counter = |family: &Counters| family.get_or_create(&labels).clone();
        PoolMetrics {
            wait: self.wait.get_or_create(&labels).clone(),
            connect: self.connect.get_or_create(&labels).clone(),
            statement: self.statement.get_or_create(&labels).clone(),
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
    pub(super) wait: Histogram,
    pub(super) connect: Histogram,
    pub(super) statement: Histogram,
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

/// What is counted when somebody looks, and so costs the statements nothing.
#[derive(Clone, Default)]
struct Gauges {
    pools: Arc<Mutex<Vec<Weak<Inner>>>>,
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gauges({} pools)", self.pools.lock().len())
    }
}

type Read = fn(&Status) -> usize;

const GAUGES: [(&str, &str, Read); 6] = [
    ("max", "Connections that there may be", |status| status.max),
    (
        "size",
        "Connections, those being opened and closed included",
        |status| status.size,
    ),
    ("idle", "Open connections with nothing to do.", |status| {
        status.idle
    }),
    ("in_use", "Open connections that are not idle", |status| {
        status.open - status.idle
    }),
    (
        "pinned",
        "Connections that belong to one caller",
        |status| status.exclusive,
    ),
    ("waiting", "Callers waiting for a connection", |status| {
        status.waiting
    }),
];

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let pools: Vec<_> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        let mut statuses = BTreeMap::<&str, Vec<Status>>::new();
        for pool in &pools {
            statuses
                .entry(pool.series())
                .or_default()
                .push(pool.status());
        }
        for (name, help, read) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (pool, statuses) in &statuses {
                let total: usize = statuses.iter().map(read).sum();
                let gauge = ConstGauge::new(i64::try_from(total).unwrap_or(i64::MAX));
                let labels = Labels {
                    pool: (*pool).to_owned(),
                };
                gauge.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
