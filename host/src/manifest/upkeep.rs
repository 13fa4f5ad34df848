//! Private components: what the host asks them for; and the pools that are meant
//! where none is named.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Serialize;

use super::component::Components;
use super::reader::{Node, Table};
use super::spec::as_duration;
use super::variables::Variables;
use super::{Route, ValkeyPoolSpec};
use crate::config::Secret;

/// Entries of one delivery: one statement's worth, and some 100 KiB of clicks.
const BATCH: NonZeroU32 = NonZeroU32::new(500).expect("500 is not 0");
const MOST_BATCH: u32 = 10_000;

/// Entries of a stream: some 300 MiB of clicks, a minute of a busy node's.
const BOUND: NonZeroU32 = NonZeroU32::new(1_000_000).expect("1,000,000 is not 0");

/// Longer than any delivery takes: what is claimed too early is delivered twice.
const CLAIM_AFTER: Duration = Duration::from_secs(30);
const CLAIM_TIMES: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60);

/// Failures of an entry, alone, before it is given up.
const ATTEMPTS: NonZeroU32 = NonZeroU32::new(5).expect("5 is not 0");
const MOST_ATTEMPTS: u32 = 1000;

/// How soon what a writer left behind is found.
const EVERY: Duration = Duration::from_secs(2);
const EVERY_TIMES: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60 * 60);

const ADDRESS_HELP: &str = "write address = \"{{ valkey_url }}\", the address of a declared pool";
const ROUTE_HELP: &str = "leave its routes out, or give the work to a component of its own";

/// A Valkey stream that is delivered to a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamSpec {
    /// The server's URL; none where the node has no Valkey.
    pub address: Option<Secret>,
    /// The stream.
    pub key: String,
    /// The consumer group.
    pub group: String,
    /// Entries of one delivery, at most.
    pub batch: NonZeroU32,
    /// Entries from which on appends are refused.
    pub bound: NonZeroU32,
    /// How long an entry of another node goes unacknowledged until it is taken
    /// over.
    #[serde(serialize_with = "as_duration")]
    pub claim_after: Duration,
    /// Failures of an entry on its own after which it is a dead letter.
    pub attempts: NonZeroU32,
}

/// A cache that a component repairs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepairSpec {
    /// The server's URL; none where the node has no Valkey.
    pub address: Option<Secret>,
    /// The longest time between two looks for what is left over.
    #[serde(serialize_with = "as_duration")]
    pub every: Duration,
}

impl StreamSpec {
    /// Reads `[component.ID.tool.warmlink.stream]`.
    pub(super) fn read(id: &str, node: &Node<'_>, variables: &Variables) -> Option<Self> {
        let mut table = node.table()?;
        let address = address(&mut table, variables);
        let key = table.require("key", "name the stream, as in key = \"clicks\"");
        let group = table.get("group").and_then(|node| node.text());
        let spec = Self {
            address,
            key: key
                .and_then(|node| node.text())
                .unwrap_or_default()
                .to_owned(),
            group: group.unwrap_or(id).to_owned(),
            batch: table.positive_or("batch", BATCH, MOST_BATCH),
            bound: table.positive_or("bound", BOUND, u32::MAX),
            claim_after: table.duration_or("claim_after", CLAIM_AFTER, CLAIM_TIMES),
            attempts: table.positive_or("attempts", ATTEMPTS, MOST_ATTEMPTS),
        };
        table.finish();
        Some(spec)
    }
}

impl RepairSpec {
    /// Reads `[component.ID.tool.warmlink.repair]`.
    pub(super) fn read(node: &Node<'_>, variables: &Variables) -> Option<Self> {
        let mut table = node.table()?;
        let spec = Self {
            address: address(&mut table, variables),
            every: table.duration_or("every", EVERY, EVERY_TIMES),
        };
        table.finish();
        Some(spec)
    }
}

/// An address as it is given, empty or not; [`settle`] makes an end of it.
fn address(table: &mut Table<'_>, variables: &Variables) -> Option<Secret> {
    let node = table.get("address")?;
    Some(variables.resolve(&node)?.into_secret())
}

/// Gives those without an address the one pool that there is, and those whose
/// address is empty none. A component that a route leads to is not private.
pub(super) fn settle(
    root: &mut Table<'_>,
    components: &mut Components,
    routes: &[Route],
    pools: &[ValkeyPoolSpec],
) {
    let declared = root.get("component").and_then(|node| node.table());
    let declared = declared.map(|table| table.entries()).unwrap_or_default();
    for (id, component) in components {
        let stream = component.stream.as_mut().map(|spec| &mut spec.address);
        let repair = component.repair.as_mut().map(|spec| &mut spec.address);
        let rate = component.rate.own_mut().map(|spec| &mut spec.address);
        let private = stream.is_some() || repair.is_some();
        if !private && rate.is_none() {
            continue;
        }
        let node = declared.iter().find(|(name, _)| name == id);
        let fault = |message: &str, help: &str| match node {
            Some((_, node)) => node.fault(message, help),
            // Written out in a trigger.
            None => root.fault("trigger", format!("{id}: {message}"), help),
        };
        let routed = routes.iter().any(|route| route.component == *id);
        if rate.is_some() && !routed {
            fault(
                "no route leads to it, so it has no clients whose requests could be limited",
                "leave its rate out",
            );
        }
        if private && routed {
            fault(
                "a component with a stream or a repair is the host's alone, and a route leads to it",
                ROUTE_HELP,
            );
        }
        for address in [stream, repair, rate].into_iter().flatten() {
            settle_address(address, pools, fault);
        }
    }
}

/// Makes an address that is not given the one pool's, and an empty one none.
pub(super) fn settle_address(
    address: &mut Option<Secret>,
    pools: &[ValkeyPoolSpec],
    fault: impl Fn(&str, &str),
) {
    match (&address, pools) {
        (Some(given), _) if given.is_empty() => *address = None,
        (Some(_), _) | (None, []) => {}
        (None, [pool]) => *address = Some(pool.address.clone()),
        (None, _) => fault(
            "it is not said which of the declared Valkey pools is meant",
            ADDRESS_HELP,
        ),
    }
}
