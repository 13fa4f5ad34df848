//! What is looked at when somebody reads the metrics, and costs nothing else.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::engine::{Admission, Places};
use crate::live::{LiveTable, Rollouts};
use crate::readiness::Readiness;
use crate::telemetry::metrics::ComponentLabels;

/// A node, as far as it is there: the metrics outlive no part of it.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) readiness: Readiness,
    /// Most connections of clients.
    pub(super) connections: u32,
    pub(super) live: Weak<OnceLock<Arc<LiveTable>>>,
    pub(super) rollouts: Weak<OnceLock<Rollouts>>,
    pub(super) places: Weak<OnceLock<Arc<Places>>>,
    /// Bytes that instances may hold together.
    pub(super) memory: u64,
}

impl Collector for Observed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gauges = &mut Gauges(&mut encoder);
        let ready = self.readiness.waiting().is_empty();
        gauges.one("ready", "1 where requests are welcome", u64::from(ready))?;
        let draining = self.readiness.is_draining();
        gauges.one("draining", "1 while the host ends", u64::from(draining))?;
        gauges.one(
            "connections_limit",
            "Most connections of clients",
            u64::from(self.connections),
        )?;
        gauges.one(
            "instance_memory_limit_bytes",
            "Most memory of all instances together",
            self.memory,
        )?;
        if let Some(places) = self.places.upgrade().as_deref().and_then(OnceLock::get) {
            gauges.node(places)?;
        }
        if let Some(live) = self.live.upgrade().as_deref().and_then(OnceLock::get) {
            gauges.endpoints(live)?;
        }
        if let Some(rollouts) = self.rollouts.upgrade().as_deref().and_then(OnceLock::get) {
            gauges.standing(rollouts)?;
        }
        Ok(())
    }
}

type Read = fn(&Admission) -> usize;

struct Gauges<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Gauges<'_, '_> {
    fn one(&mut self, name: &str, help: &str, value: impl TryInto<i64>) -> fmt::Result {
        let gauge = ConstGauge::new(value.try_into().unwrap_or(i64::MAX));
        gauge.encode(
            self.0
                .encode_descriptor(name, help, None, MetricType::Gauge)?,
        )
    }

    fn node(&mut self, places: &Places) -> fmt::Result {
        self.one(
            "node_in_flight",
            "Requests admitted and not yet over, of all components",
            places.all().in_flight() as u64,
        )?;
        self.one(
            "node_in_flight_limit",
            "Most of these",
            places.all().limit() as u64,
        )?;
        self.one(
            "node_many_in_flight",
            "Of these, those beyond each component's share of the kept places",
            places.many().in_flight() as u64,
        )?;
        self.one(
            "node_many_in_flight_limit",
            "Most of those",
            places.many().limit() as u64,
        )?;
        self.one(
            "node_waiting",
            "Requests that wait for a place of the node's",
            places.waiting() as u64,
        )
    }

    fn endpoints(&mut self, live: &LiveTable) -> fmt::Result {
        let table = live.pin();
        let kinds: [(&str, &str, Read); 2] = [
            (
                "in_flight_limit",
                "Most requests in flight",
                Admission::limit,
            ),
            (
                "waiting",
                "Requests that wait for a place",
                Admission::waiting,
            ),
        ];
        for (name, help, read) in kinds {
            let mut family = self
                .0
                .encode_descriptor(name, help, None, MetricType::Gauge)?;
            for endpoint in table.endpoints() {
                let labels = ComponentLabels {
                    component: endpoint.id().to_string(),
                };
                let value = i64::try_from(read(endpoint.admission())).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn standing(&mut self, rollouts: &Rollouts) -> fmt::Result {
        let standing = rollouts.standing();
        if let Some(reachable) = standing.reachable {
            self.one(
                "control_reachable",
                "1 where the control database answers",
                u64::from(reachable),
            )?;
        }
        self.one(
            "desired_version",
            "The version of desired state that was read last",
            standing.desired,
        )?;
        self.one(
            "running_version",
            "The version of desired state that this node runs",
            standing.running,
        )?;
        self.one(
            "proposal_age_seconds",
            "Since the rollout that is under way was proposed; 0 with none",
            standing.proposal.as_secs(),
        )?;
        self.one(
            "nodes_live",
            "Nodes seen of late, this one included",
            standing.live as u64,
        )?;
        self.one("nodes_lost", "Nodes not seen of late", standing.lost as u64)?;
        self.one(
            "components_failing",
            "Components that cannot run what they are to run",
            standing.failing as u64,
        )
    }
}
