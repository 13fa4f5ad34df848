//! What limits report, by the component whose request was counted.

use super::Counted;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    component: String,
    /// `allowed` or `limited`.
    outcome: &'static str,
    /// `valkey` or `local`.
    counted: &'static str,
}

/// Requests, by component, outcome and where they were counted.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Family<Labels, Counter>);

impl Metrics {
    /// Adds them to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "rate_requests",
            "Requests that were counted against a client's limit, by outcome and by where",
            self.0.clone(),
        );
    }

    pub(super) fn of(&self, component: &str) -> Counts {
        let of = |outcome, counted| {
            let labels = Labels {
                component: component.to_owned(),
                outcome,
                counted,
            };
            self.0.get_or_create(&labels).clone()
        };
        let both = |counted| Both {
            allowed: of("allowed", counted),
            limited: of("limited", counted),
        };
        Counts {
            valkey: both("valkey"),
            local: both("local"),
        }
    }
}

/// One component's.
#[derive(Debug)]
pub(super) struct Counts {
    valkey: Both,
    local: Both,
}

#[derive(Debug)]
struct Both {
    allowed: Counter,
    limited: Counter,
}

impl Counts {
    pub(super) fn count(&self, allowed: bool, counted: Counted) {
        let both = match counted {
            Counted::Valkey => &self.valkey,
            Counted::Local => &self.local,
        };
        let counter = if allowed {
            &both.allowed
        } else {
            &both.limited
        };
        counter.inc();
    }
}
