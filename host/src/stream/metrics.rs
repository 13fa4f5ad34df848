//! What streams report, by the component that they are delivered to.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stream {
    stream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivery {
    stream: String,
    outcome: Label,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Label {
    Taken,
    Later,
    Failed,
}

/// The metrics of all streams of a process.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    entries: Family<Stream, Counter>,
    deliveries: Family<Delivery, Counter>,
    dead_letters: Family<Stream, Counter>,
    claimed: Family<Stream, Counter>,
    lag: Family<Stream, Gauge>,
    oldest: Family<Stream, Gauge<f64, AtomicU64>>,
    full: Family<Stream, Gauge>,
}

impl Metrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("stream");
        registry.register(
            "entries",
            "Entries that the component took",
            self.entries.clone(),
        );
        registry.register(
            "deliveries",
            "Deliveries to the component, by outcome",
            self.deliveries.clone(),
        );
        registry.register(
            "dead_letters",
            "Entries that the component never took",
            self.dead_letters.clone(),
        );
        registry.register(
            "claimed",
            "Entries taken over from other consumers",
            self.claimed.clone(),
        );
        registry.register("lag", "Entries in the stream", self.lag.clone());
        registry.register_with_unit(
            "oldest",
            "Age of the oldest entry in the stream",
            Unit::Seconds,
            self.oldest.clone(),
        );
        registry.register(
            "full",
            "Whether appends are refused because of the stream's bound",
            self.full.clone(),
        );
    }

    /// Those of one stream, looked up once.
    pub(super) fn of(&self, component: &str) -> StreamMetrics {
        let stream = Stream {
            stream: component.to_owned(),
        };
        let deliveries = |outcome| {
            self.deliveries.get_or_create_owned(&Delivery {
                stream: component.to_owned(),
                outcome,
            })
        };
        StreamMetrics {
            entries: self.entries.get_or_create_owned(&stream),
            taken: deliveries(Label::Taken),
            later: deliveries(Label::Later),
            failed: deliveries(Label::Failed),
            dead_letters: self.dead_letters.get_or_create_owned(&stream),
            claimed: self.claimed.get_or_create_owned(&stream),
            lag: self.lag.get_or_create_owned(&stream),
            oldest: self.oldest.get_or_create_owned(&stream),
            full: self.full.get_or_create_owned(&stream),
        }
    }
}

/// The metrics of one stream.
#[derive(Debug, Clone)]
pub(super) struct StreamMetrics {
    pub(super) entries: Counter,
    pub(super) taken: Counter,
    pub(super) later: Counter,
    pub(super) failed: Counter,
    pub(super) dead_letters: Counter,
    pub(super) claimed: Counter,
    pub(super) lag: Gauge,
    pub(super) oldest: Gauge<f64, AtomicU64>,
    pub(super) full: Gauge,
}
