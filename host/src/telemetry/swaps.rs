//! What is counted of swaps: how long each phase takes, how many tables and
//! retired revisions still have requests, and how rollouts and canaries end.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::EncodeLabelValue;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds, from publishing a table to compiling a large component on a busy
/// machine.
const SWAP_BUCKETS: [f64; 12] = [
    0.000_1, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// The phases that can fail.
const LOADING: [&str; 6] = ["read", "compile", "verify", "configure", "warm", "probe"];

/// The label of a phase of a swap.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PhaseLabels {
    /// `read`, `compile`, `verify`, `configure`, `warm`, `probe`, `publish` or
    /// `drain`.
    pub phase: &'static str,
}

/// The label of anything kept per component.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RollbackLabels {
    /// The component's name in the manifest.
    pub component: String,
    /// Why the canary was called off.
    pub cause: RollbackCause,
}

/// Why a canary was called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum RollbackCause {
    /// This node saw it fail more than the active revision.
    Verdict,
    /// Another node did.
    Fleet,
    /// Somebody asked for it.
    Command,
}

/// The metrics of swaps.
#[derive(Debug, Clone)]
pub struct SwapMetrics {
    /// Seconds that each phase took.
    pub seconds: Family<PhaseLabels, Histogram>,
    /// Loads that failed, by the phase that did.
    pub failures: Family<PhaseLabels, Counter>,
    /// Tables that serve, or still have requests.
    pub generations: Gauge,
    /// Retired revisions that are not gone.
    pub draining: Gauge,
    /// Retired revisions that were cut off by the drain limit.
    pub cut: Counter,
    /// Canaries called off.
    pub rollbacks: Family<RollbackLabels, Counter>,
}

impl SwapMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            seconds: Family::new_with_constructor(|| Histogram::new(SWAP_BUCKETS)),
            failures: Family::default(),
            generations: Gauge::default(),
            draining: Gauge::default(),
            cut: Counter::default(),
            rollbacks: Family::default(),
        };
        registry.register(
            "swap_seconds",
            "Time that a phase of loading or swapping a revision took",
            metrics.seconds.clone(),
        );
        registry.register(
            "swap_failures",
            "Revisions that could not be loaded, by the phase that failed",
            metrics.failures.clone(),
        );
        registry.register(
            "generations_live",
            "Tables that serve or still have requests",
            metrics.generations.clone(),
        );
        registry.register(
            "revisions_draining",
            "Retired revisions that are not gone yet",
            metrics.draining.clone(),
        );
        registry.register(
            "revisions_cut",
            "Retired revisions that the drain limit ended",
            metrics.cut.clone(),
        );
        registry.register(
            "canary_rollbacks",
            "Canaries that were called off, by cause",
            metrics.rollbacks.clone(),
        );
        for phase in LOADING {
            drop(metrics.failures.get_or_create(&PhaseLabels { phase }));
        }
        metrics
    }

    /// The first of a kind is an increase, too: each is there from the start.
    pub(super) fn begin(&self, component: &str) {
        for cause in [
            RollbackCause::Verdict,
            RollbackCause::Fleet,
            RollbackCause::Command,
        ] {
            drop(self.rollbacks.get_or_create(&RollbackLabels {
                component: component.to_owned(),
                cause,
            }));
        }
    }

    /// Records how long a phase took.
    pub fn took(&self, phase: &'static str, seconds: f64) {
        self.seconds
            .get_or_create(&PhaseLabels { phase })
            .observe(seconds);
    }

    /// Counts a load that failed in `phase`.
    pub fn failed(&self, phase: &'static str) {
        self.failures.get_or_create(&PhaseLabels { phase }).inc();
    }
}
