//! Metrics as typed fields, registered once. Labels are closed sets or names
//! from the manifest; no path, code, statement or key is ever a label.

use super::exposition::Exposition;
use super::process::ProcessCollector;
use super::revisions::RevisionMetrics;
use super::swaps::SwapMetrics;
use crate::error::Kind;
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;

/// Seconds, from a cached redirect to a deadline: each bound is 2 to 2.5 times
/// the one before it.
pub(super) const LATENCY_BUCKETS: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// The class of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(missing_docs, reason = "each case says it all")]
pub enum StatusClass {
    Informational,
    Success,
    Redirect,
    ClientError,
    ServerError,
}

impl From<http::StatusCode> for StatusClass {
    fn from(status: http::StatusCode) -> Self {
        match status.as_u16() {
            ..200 => Self::Informational,
            200..300 => Self::Success,
            300..400 => Self::Redirect,
            400..500 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

/// Labels of a request that reached a component.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The component's name in the manifest.
    pub component: String,
    /// The class of the status sent.
    pub class: StatusClass,
}

/// The label of anything kept per component.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ComponentLabels {
    /// The component's name in the manifest.
    pub component: String,
}

/// The label of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FailureLabels {
    /// What happened.
    pub kind: KindLabel,
}

impl FailureLabels {
    fn of(kind: Kind) -> Self {
        Self {
            kind: KindLabel(kind),
        }
    }
}

/// The labels of a request that was shed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ShedLabels {
    /// The component's name in the manifest.
    pub component: String,
    /// Whose places were taken: `component` or `node`.
    pub places: &'static str,
}

/// Whose places may be taken.
const SHED_FOR: [&str; 2] = ["component", "node"];

/// The memory of instances, by component.
#[derive(Debug, Clone, Default)]
pub struct MemoryFamilies {
    held: Family<ComponentLabels, Gauge>,
    refused: Family<ComponentLabels, Counter>,
}

/// The memory of one component's instances.
#[derive(Debug, Clone, Default)]
pub struct MemoryMetrics {
    /// Bytes of linear memory.
    pub held: Gauge,
    /// How often the node had no more.
    pub refused: Counter,
}

impl MemoryFamilies {
    fn register(registry: &mut Registry) -> Self {
        let families = Self::default();
        registry.register_with_unit(
            "instance_memory",
            "Linear memory of instances, as far as they have grown it",
            Unit::Bytes,
            families.held.clone(),
        );
        registry.register(
            "memory_refused",
            "Growths of instances that the node had no memory for",
            families.refused.clone(),
        );
        families
    }

    /// Those of a component.
    pub fn of(&self, component: &str) -> MemoryMetrics {
        let labels = ComponentLabels {
            component: component.to_owned(),
        };
        MemoryMetrics {
            held: self.held.get_or_create_owned(&labels),
            refused: self.refused.get_or_create_owned(&labels),
        }
    }
}

/// A [`Kind`] as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KindLabel(pub Kind);

impl EncodeLabelValue for KindLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.0.label())
    }
}

/// Every metric of the host's own; pools register theirs beside them.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Responses sent, by component and class of status.
    pub requests: Family<RequestLabels, Counter>,
    /// Seconds from a request's arrival to the end of its response's body.
    pub latency: Family<ComponentLabels, Histogram>,
    /// Requests that admission refused.
    pub shed: Family<ShedLabels, Counter>,
    /// Seconds that guests ran on a processor, and the host for them.
    pub guest_cpu: Family<ComponentLabels, Counter<f64, AtomicU64>>,
    /// Requests that no component answered, by what happened.
    pub failures: Family<FailureLabels, Counter>,
    /// Requests admitted and not yet over.
    pub in_flight: Family<ComponentLabels, Gauge>,
    /// Instances that exist.
    pub instances: Family<ComponentLabels, Gauge>,
    /// Instances made since the start.
    pub instantiations: Family<ComponentLabels, Counter>,
    /// What instances hold.
    pub memory: MemoryFamilies,
    /// Instances that ended by a trap, a deadline or the CPU limit.
    pub instance_failures: Family<ComponentLabels, Counter>,
    /// Response bodies that were cut off before their end.
    pub aborted_bodies: Family<ComponentLabels, Counter>,
    /// Connections accepted and open.
    pub connections: Gauge,
    /// Connections accepted since the start.
    pub accepted: Counter,
    /// Failed calls to accept.
    pub accept_errors: Counter,
    /// The number of the table that serves.
    pub generation: Gauge,
    /// What is counted per revision.
    pub revisions: RevisionMetrics,
    /// What is counted of swaps.
    pub swaps: SwapMetrics,
}

impl Metrics {
    /// Makes and registers them all.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector::new()));
        let warmlink = registry.sub_registry_with_prefix("warmlink");

        let requests = Family::<RequestLabels, Counter>::default();
        warmlink.register("requests", "Responses sent", requests.clone());
        let latency = Family::<ComponentLabels, Histogram>::new_with_constructor(|| {
            Histogram::new(LATENCY_BUCKETS)
        });
        warmlink.register(
            "request_seconds",
            "From a request's arrival to the end of its response",
            latency.clone(),
        );
        let failures = Family::<FailureLabels, Counter>::default();
        warmlink.register(
            "failures",
            "Requests that no component answered",
            failures.clone(),
        );
        // The first of a kind is an increase, too.
        for kind in Kind::ALL {
            drop(failures.get_or_create(&FailureLabels::of(kind)));
        }
        let shed = Family::<ShedLabels, Counter>::default();
        warmlink.register(
            "shed",
            "Requests that found no place: the queue was full, or did not move in time",
            shed.clone(),
        );
        let guest_cpu = Family::<ComponentLabels, Counter<f64, AtomicU64>>::default();
        warmlink.register_with_unit(
            "guest_cpu",
            "Time that instances were at work on a core, the host's part for them included",
            Unit::Seconds,
            guest_cpu.clone(),
        );
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        warmlink.register("build", "What runs", build);
        let in_flight = Family::<ComponentLabels, Gauge>::default();
        warmlink.register(
            "in_flight",
            "Requests admitted and not yet over",
            in_flight.clone(),
        );
        let instances = Family::<ComponentLabels, Gauge>::default();
        warmlink.register("instances", "Component instances", instances.clone());
        let instantiations = Family::<ComponentLabels, Counter>::default();
        warmlink.register(
            "instantiations",
            "Component instances made",
            instantiations.clone(),
        );
        let instance_failures = Family::<ComponentLabels, Counter>::default();
        warmlink.register(
            "instance_failures",
            "Instances ended by a trap, a deadline or the CPU limit",
            instance_failures.clone(),
        );
        let memory = MemoryFamilies::register(warmlink);
        let aborted_bodies = Family::<ComponentLabels, Counter>::default();
        warmlink.register(
            "aborted_bodies",
            "Response bodies cut off before their end",
            aborted_bodies.clone(),
        );
        let connections = Gauge::default();
        warmlink.register("connections", "Open connections", connections.clone());
        let accepted = Counter::default();
        warmlink.register("accepted", "Connections accepted", accepted.clone());
        let accept_errors = Counter::default();
        warmlink.register(
            "accept_errors",
            "Failed calls to accept",
            accept_errors.clone(),
        );
        let generation = Gauge::default();
        warmlink.register(
            "generation",
            "The number of the table that serves",
            generation.clone(),
        );
        let revisions = RevisionMetrics::register(warmlink);
        let swaps = SwapMetrics::register(warmlink);
        Self {
            registry: Mutex::new(registry),
            requests,
            latency,
            failures,
            shed,
            guest_cpu,
            in_flight,
            instances,
            instantiations,
            memory,
            instance_failures,
            aborted_bodies,
            connections,
            accepted,
            accept_errors,
            generation,
            revisions,
            swaps,
        }
    }

    /// Lets `register` add metrics under the host's prefix.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        let mut registry = self.registry.lock();
        register(registry.sub_registry_with_prefix("warmlink"));
    }

    /// A component is there: what is counted of it is so from zero.
    pub fn begin(&self, component: &str) {
        self.swaps.begin(component);
        for places in SHED_FOR {
            drop(self.shed.get_or_create(&ShedLabels {
                component: component.to_owned(),
                places,
            }));
        }
    }

    /// Counts a request that no component answered.
    pub fn count_failure(&self, kind: Kind) {
        self.failures.get_or_create(&FailureLabels::of(kind)).inc();
    }

    /// All metrics, in one of the two forms.
    pub fn render(&self, exposition: Exposition) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry.lock())
            .expect("writing to a string cannot fail");
        exposition.of(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
