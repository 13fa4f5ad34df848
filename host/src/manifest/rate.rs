//! How many requests a client may send.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use serde::{Serialize, Serializer};

use super::reader::{Node, Table};
use super::spec::{ComponentSpec, Spec, as_duration};
use super::variables::Variables;
use crate::config::Secret;
use crate::config::quantity::format_duration;

/// Longest wait for the fleet's count. A healthy Valkey takes a hundredth of it,
/// and it is all that one that hangs adds to a request.
const WAIT: Duration = Duration::from_millis(50);
const WAITS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(10);

const PERIODS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);
const MOST: u32 = 1_000_000_000;

/// Requests are counted by the time between two of them, in whole microseconds:
/// from a hundred of them on, rounding changes a rate by less than a hundredth.
const SHORTEST_INTERVAL: Duration = Duration::from_micros(100);

/// Until a burst that was used up is whole again. Clocks in microseconds stay
/// exact in the 53 bits that a script has for them.
const LONGEST_RETURN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const REQUESTS_HELP: &str = "write how many a client may send, as in requests = 100";
const PER_HELP: &str = "write in which time, as in per = \"1s\"";
const KEY_HELP: &str = "write \"address\", or a header as in \"header:x-api-key\"";

/// A limit of the requests of each client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RateSpec {
    /// Requests in each `per`, in the long run.
    pub requests: NonZeroU32,
    /// The time that `requests` are for.
    #[serde(serialize_with = "as_duration")]
    pub per: Duration,
    /// Requests at once, after a pause.
    pub burst: NonZeroU32,
    /// What a client is known by.
    pub key: RateKey,
    /// Longest wait for the fleet's count.
    #[serde(serialize_with = "as_duration")]
    pub wait: Duration,
    /// The URL of the Valkey that counts for the fleet; with none, each node
    /// counts for itself.
    pub address: Option<Secret>,
}

/// What a client is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// Its address.
    Address,
    /// The value of a header; its address where it sends none.
    Header(Arc<str>),
}

impl Serialize for RateKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Address => to.serialize_str("address"),
            Self::Header(name) => to.collect_str(&format_args!("header:{name}")),
        }
    }
}

/// Which limit a component has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RateRule {
    /// The application's, if there is one.
    #[default]
    Application,
    /// None, whatever the application's is.
    None,
    /// One of its own, in place of the application's.
    Own(RateSpec),
}

impl RateRule {
    /// Whether the component says nothing of it.
    pub(super) fn is_inherited(&self) -> bool {
        *self == Self::Application
    }
}

impl Serialize for RateRule {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Application => to.serialize_bool(true),
            Self::None => to.serialize_bool(false),
            Self::Own(spec) => spec.serialize(to),
        }
    }
}

impl Spec {
    /// The limits that a component's clients are under: by name, for each
    /// component that has one and that a route leads to; and whether it is the
    /// component's own.
    pub fn rates(&self) -> impl Iterator<Item = (&str, &RateSpec, bool)> {
        let routed = |spec: &&ComponentSpec| self.routes.iter().any(|it| it.component == spec.id);
        self.components
            .values()
            .filter(routed)
            .filter_map(|spec| match &spec.rate {
                RateRule::Application => Some((&*spec.id, self.rate.as_ref()?, false)),
                RateRule::None => None,
                RateRule::Own(own) => Some((&*spec.id, own, true)),
            })
    }
}

impl RateSpec {
    /// Reads a `rate` table; its address is settled later.
    pub(super) fn read(mut table: Table<'_>, variables: &Variables) -> Option<Self> {
        let requests = table.require("requests", REQUESTS_HELP);
        let requests = requests.and_then(|node| Some((count(&node)?, node)));
        let per = table.require("per", PER_HELP);
        let per = per.and_then(|node| node.duration(&PERIODS));
        let burst = table.get("burst");
        let burst = burst.and_then(|node| Some((count(&node)?, node)));
        let key = table.get("key").map(|node| key(&node));
        let wait = table.duration_or("wait", WAIT, WAITS);
        let address = table
            .get("address")
            .and_then(|node| variables.resolve(&node));
        table.finish();
        let ((requests, at), per) = (requests?, per?);
        let interval = per / requests.get();
        if interval < SHORTEST_INTERVAL {
            at.fault(
                format!(
                    "{requests} requests per {} are more than 10000 a second",
                    format_duration(per)
                ),
                "no client is to be counted so fast: write fewer, or leave the limit out",
            );
        }
        if let Some((burst, at)) = &burst
            && interval.saturating_mul(burst.get()) > LONGEST_RETURN
        {
            at.fault(
                "once it was used up, it would take more than 30 days to be whole again",
                "write a smaller burst, or more requests",
            );
        }
        Some(Self {
            requests,
            per,
            burst: burst.map_or(requests, |(burst, _)| burst),
            key: key.flatten().unwrap_or(RateKey::Address),
            wait,
            address: address.map(super::Value::into_secret),
        })
    }
}

impl RateRule {
    /// Reads a component's `rate`: a table, or `false`.
    pub(super) fn read(node: &Node<'_>, variables: &Variables) -> Self {
        if node.is_boolean() {
            if node.boolean() == Some(true) {
                node.fault(
                    "true says nothing: the application's limit is every component's",
                    "leave it out, or write the limit that it has of its own",
                );
            }
            return Self::None;
        }
        let own = node.table();
        let own = own.and_then(|table| RateSpec::read(table, variables));
        own.map_or(Self::None, Self::Own)
    }

    /// The limit that the component has of its own.
    pub fn own(&self) -> Option<&RateSpec> {
        match self {
            Self::Own(spec) => Some(spec),
            Self::Application | Self::None => None,
        }
    }

    /// The same, to be settled.
    pub(super) fn own_mut(&mut self) -> Option<&mut RateSpec> {
        match self {
            Self::Own(spec) => Some(spec),
            Self::Application | Self::None => None,
        }
    }
}

fn count(node: &Node<'_>) -> Option<NonZeroU32> {
    let number = node.number(&(1..=u64::from(MOST)))?;
    NonZeroU32::new(u32::try_from(number).ok()?)
}

fn key(node: &Node<'_>) -> Option<RateKey> {
    let text = node.text()?;
    if text == "address" {
        return Some(RateKey::Address);
    }
    let name = text.strip_prefix("header:");
    match name.and_then(|name| HeaderName::try_from(name).ok()) {
        Some(name) => Some(RateKey::Header(name.as_str().into())),
        None => {
            node.fault(
                format!("{text:?} is nothing that a client is known by"),
                KEY_HELP,
            );
            None
        }
    }
}
