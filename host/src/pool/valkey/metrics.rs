use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::error::ErrorKind;
use super::near::{Families, NearMetrics};

/// Seconds. From a reply on the same machine to four times the usual command
/// timeout.
const LATENCY: [f64; 12] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Server {
    server: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    server: String,
    kind: ErrorKind,
}

/// What all pools of a process report, by server.
#[derive(Debug, Clone)]
pub struct Metrics {
    connections: Family<Server, Gauge>,
    dedicated: Family<Server, Gauge>,
    reconnects: Family<Server, Counter>,
    in_flight: Family<Server, Gauge>,
    commands: Family<Server, Counter>,
    errors: Family<Failure, Counter>,
    wait: Family<Server, Histogram>,
    latency: Family<Server, Histogram>,
    near: Families,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram = || Histogram::new(LATENCY);
        Self {
            connections: Family::default(),
            dedicated: Family::default(),
            reconnects: Family::default(),
            in_flight: Family::default(),
            commands: Family::default(),
            errors: Family::default(),
            wait: Family::new_with_constructor(histogram),
            latency: Family::new_with_constructor(histogram),
            near: Families::default(),
        }
    }
}

impl Metrics {
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("valkey");
        registry.register(
            "connections",
            "Connections for all that are up, that of a near cache included",
            self.connections.clone(),
        );
        registry.register(
            "dedicated_connections",
            "Connections that belong to one session, parked ones included",
            self.dedicated.clone(),
        );
        registry.register(
            "reconnects",
            "Connections for all that were replaced after a loss",
            self.reconnects.clone(),
        );
        registry.register(
            "in_flight",
            "Commands awaiting a reply",
            self.in_flight.clone(),
        );
        registry.register("commands", "Commands sent", self.commands.clone());
        registry.register(
            "errors",
            "Commands without a reply, by kind",
            self.errors.clone(),
        );
        registry.register_with_unit(
            "wait",
            "Time until the in-flight cap let a command pass, where it did not at once",
            Unit::Seconds,
            self.wait.clone(),
        );
        registry.register_with_unit(
            "latency",
            "Time from sending a command to its reply",
            Unit::Seconds,
            self.latency.clone(),
        );
        self.near.register(registry);
    }

    /// The handles of a pool's near cache.
    pub(super) fn near(&self, series: &str) -> NearMetrics {
        self.near.of(series)
    }

    /// The handles of one pool, looked up once: the families' locks stay off
    /// the path of a command.
    pub(super) fn of(&self, series: &str) -> PoolMetrics {
        let server = series.to_owned();
        let label = Server {
            server: server.clone(),
        };
        PoolMetrics {
            connections: self.connections.get_or_create_owned(&label),
            dedicated: self.dedicated.get_or_create_owned(&label),
            reconnects: self.reconnects.get_or_create_owned(&label),
            in_flight: self.in_flight.get_or_create_owned(&label),
            commands: self.commands.get_or_create_owned(&label),
            wait: self.wait.get_or_create_owned(&label),
            latency: self.latency.get_or_create_owned(&label),
            errors: ErrorKind::ALL.map(|kind| {
                let server = server.clone();
                self.errors.get_or_create_owned(&Failure { server, kind })
            }),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct PoolMetrics {
    pub(super) connections: Gauge,
    pub(super) dedicated: Gauge,
    pub(super) reconnects: Counter,
    pub(super) in_flight: Gauge,
    pub(super) commands: Counter,
    pub(super) wait: Histogram,
    pub(super) latency: Histogram,
    /// Of each kind there is, from the start: the first of a kind is an increase, too.
    errors: [Counter; ErrorKind::ALL.len()],
}

impl PoolMetrics {
    pub(super) fn failed(&self, kind: ErrorKind) {
        let of_kind = ErrorKind::ALL.iter().zip(&self.errors);
        for (_, errors) in of_kind.filter(|(other, _)| **other == kind) {
            errors.inc();
        }
    }
}

/// Holds a gauge one higher for as long as it lives.
#[derive(Debug)]
pub(super) struct Counted(Gauge);

impl Counted {
    pub(super) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
