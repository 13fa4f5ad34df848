//! What is counted per revision, for as long as the revision exists. Totals
//! that outlive it are kept per component, so that a swap loses no count.

use super::metrics::LATENCY_BUCKETS;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// The labels of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RevisionLabels {
    /// The component's name in the manifest.
    pub component: String,
    /// The first twelve digits of the revision's digest.
    pub revision: String,
}

/// The metrics of all revisions that exist.
#[derive(Debug, Clone)]
pub struct RevisionMetrics {
    requests: Family<RevisionLabels, Counter>,
    failures: Family<RevisionLabels, Counter>,
    latency: Family<RevisionLabels, Histogram>,
    series: Arc<Mutex<HashMap<RevisionLabels, Weak<RevisionSeries>>>>,
}

impl RevisionMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            failures: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            series: Arc::default(),
        };
        registry.register(
            "revision_requests",
            "Requests that a revision was given, while it exists",
            metrics.requests.clone(),
        );
        registry.register(
            "revision_failures",
            "Requests that a revision failed: traps, deadlines, broken bodies, 5xx",
            metrics.failures.clone(),
        );
        registry.register(
            "revision_seconds",
            "From the arrival of a revision's request to the end of its response",
            metrics.latency.clone(),
        );
        metrics
    }

    /// The series of a revision, which two that are alike share.
    pub fn series(&self, component: &str, revision: &str) -> Arc<RevisionSeries> {
        let labels = RevisionLabels {
            component: component.to_owned(),
            revision: revision.to_owned(),
        };
        let mut series = self.series.lock();
        if let Some(found) = series.get(&labels).and_then(Weak::upgrade) {
            return found;
        }
        let made = Arc::new(RevisionSeries {
            requests: self.requests.get_or_create_owned(&labels),
            failures: self.failures.get_or_create_owned(&labels),
            latency: self.latency.get_or_create_owned(&labels),
            labels: labels.clone(),
            metrics: self.clone(),
        });
        series.insert(labels, Arc::downgrade(&made));
        made
    }
}

/// The metrics of one revision; they are shown until this is dropped.
#[derive(Debug)]
pub struct RevisionSeries {
    requests: Counter,
    failures: Counter,
    latency: Histogram,
    labels: RevisionLabels,
    metrics: RevisionMetrics,
}

impl RevisionSeries {
    /// Counts a request that is over.
    pub fn record(&self, failed: bool, seconds: f64) {
        self.requests.inc();
        if failed {
            self.failures.inc();
        }
        self.latency.observe(seconds);
    }
}

impl Drop for RevisionSeries {
    fn drop(&mut self) {
        let mut series = self.metrics.series.lock();
        // The same revision may have come back meanwhile, and goes on counting.
        if series
            .get(&self.labels)
            .is_some_and(|known| known.strong_count() > 0)
        {
            return;
        }
        series.remove(&self.labels);
        self.metrics.requests.remove(&self.labels);
        self.metrics.failures.remove(&self.labels);
        self.metrics.latency.remove(&self.labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn a_revision_is_shown_while_any_of_it_exists() {
        let mut registry = Registry::default();
        let metrics = RevisionMetrics::register(&mut registry);
        let first = metrics.series("a", "1234");
        let second = metrics.series("a", "1234");
        first.record(true, 0.1);
        drop(first);
        second.record(false, 0.1);
        let text = shown(&registry);
        assert!(text.contains("revision_requests_total{component=\"a\",revision=\"1234\"} 2"));
        assert!(text.contains("revision_failures_total{component=\"a\",revision=\"1234\"} 1"));
        drop(second);
        assert!(!shown(&registry).contains("1234"));
    }
}
