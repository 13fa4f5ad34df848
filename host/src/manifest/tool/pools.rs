//! The pools that are made and warmed before a node serves.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{ADDRESS_HELP, required_address};
use crate::config::Secret;
use crate::manifest::reader::{Node, Table};
use crate::manifest::spec::{NearCacheSpec, PostgresPoolSpec, ValkeyPoolSpec};
use crate::manifest::variables::Variables;

/// Connections of a PostgreSQL pool. A server of four cores does its best with
/// some two for each, and ten nodes of eight stay under the server's usual 100.
const POSTGRES_MAX: NonZeroU32 = NonZeroU32::new(8).expect("8 is not 0");

/// More than any PostgreSQL serves well.
const MOST_POSTGRES: u32 = 10_000;

/// Connections to a Valkey. It executes commands on one core: a second
/// connection fills the gaps of the first, and more of them do nothing.
const VALKEY_CONNECTIONS: NonZeroU32 = NonZeroU32::new(2).expect("2 is not 0");
const MOST_VALKEY: u32 = 64;

/// Commands awaiting a reply: 50,000 a second at 1 ms are 50 (Little's law), and
/// the rest is for bursts and for a server that takes 20 ms.
const VALKEY_IN_FLIGHT: NonZeroU32 = NonZeroU32::new(1024).expect("1024 is not 0");
const MOST_VALKEY_IN_FLIGHT: u32 = 1 << 20;

/// Far beyond what a healthy server needs, and it leaves a request time to go on
/// without.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(250);
const COMMAND_TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

/// Half a million links of the usual length fit into a fraction of what one
/// instance of a component may take.
const NEAR_SIZE: usize = 32 << 20;
const NEAR_SIZES: RangeInclusive<usize> = 1 << 20..=64 << 30;

const PREFIX_HELP: &str = "write what the keys begin with, as in \"link:\"";

/// A pool, its address and where that stands.
type Declared<'a, T> = (Node<'a>, Secret, T);

/// `[[application.tool.warmlink.postgres]]`.
pub(super) fn postgres(node: Option<Node<'_>>, variables: &Variables) -> Vec<PostgresPoolSpec> {
    read_all(node, variables, read_postgres)
}

/// `[[application.tool.warmlink.valkey]]`.
pub(super) fn valkey(node: Option<Node<'_>>, variables: &Variables) -> Vec<ValkeyPoolSpec> {
    read_all(node, variables, read_valkey)
}

/// The pools of one kind. Each address is one pool: what it allows must not
/// depend on which of two entries is found first.
fn read_all<'a, T>(
    node: Option<Node<'a>>,
    variables: &Variables,
    read: fn(Table<'a>, &Variables) -> Option<Declared<'a, T>>,
) -> Vec<T> {
    let mut seen: Vec<(Secret, String)> = Vec::new();
    let mut pools = Vec::new();
    for entry in node.and_then(|node| node.list()).unwrap_or_default() {
        let table = entry.table();
        let Some((node, address, pool)) = table.and_then(|table| read(table, variables)) else {
            continue;
        };
        if let Some((_, other)) = seen.iter().find(|(known, _)| *known == address) {
            node.fault(
                format!("{other} has the same address"),
                "declare each server once; all components share its pool",
            );
        }
        seen.push((address, entry.key().to_owned()));
        pools.push(pool);
    }
    pools
}

fn read_postgres<'a>(
    mut table: Table<'a>,
    variables: &Variables,
) -> Option<Declared<'a, PostgresPoolSpec>> {
    let address = required_address(&mut table, variables);
    let max = table.positive_or("max", POSTGRES_MAX, MOST_POSTGRES);
    // A declared pool is a warm one, all of it, unless it says otherwise.
    let min = table.count_or("min", max.get(), MOST_POSTGRES);
    if let Some(node) = table.get("min").filter(|_| min > max.get()) {
        node.fault(
            format!("{min} connections kept open are more than max, which is {max}"),
            "set min to max or below",
        );
    }
    table.finish();
    let (node, address) = address?;
    let pool = PostgresPoolSpec {
        address: address.clone(),
        min,
        max,
    };
    Some((node, address, pool))
}

fn read_valkey<'a>(
    mut table: Table<'a>,
    variables: &Variables,
) -> Option<Declared<'a, ValkeyPoolSpec>> {
    let address = table.require("address", ADDRESS_HELP);
    let connections = table.positive_or("connections", VALKEY_CONNECTIONS, MOST_VALKEY);
    let in_flight = table.positive_or("in_flight", VALKEY_IN_FLIGHT, MOST_VALKEY_IN_FLIGHT);
    let command_timeout = table.duration_or("command_timeout", COMMAND_TIMEOUT, COMMAND_TIMES);
    let near = read_near(&mut table);
    table.finish();
    let node = address?;
    // An empty address is how a node says that it has no Valkey.
    let address = variables.resolve(&node)?.into_secret();
    let address = Some(address).filter(|address| !address.is_empty())?;
    let pool = ValkeyPoolSpec {
        address: address.clone(),
        connections,
        in_flight,
        command_timeout,
        near,
    };
    Some((node, address, pool))
}

/// `near_cache`, the prefixes, and `near_cache_size`.
fn read_near(table: &mut Table<'_>) -> Option<NearCacheSpec> {
    let prefixes = table.get("near_cache").and_then(|node| node.list());
    let prefixes = prefixes.unwrap_or_default();
    let mut known: Vec<&str> = Vec::new();
    for node in &prefixes {
        let Some(prefix) = node.string() else {
            continue;
        };
        if prefix.is_empty() {
            node.fault("this must not be empty", PREFIX_HELP);
        } else if let Some(other) = known.iter().find(|other| prefix.starts_with(**other)) {
            node.fault(
                format!("{prefix:?} begins with {other:?}, which is among them already"),
                "leave it out",
            );
        } else {
            known.push(prefix);
        }
    }
    let size = table.size_or("near_cache_size", NEAR_SIZE, NEAR_SIZES);
    if let Some(node) = table.get("near_cache_size").filter(|_| prefixes.is_empty()) {
        node.fault(
            "there is no near cache that could be of this size",
            "name what its keys begin with, as in near_cache = [\"link:\"]",
        );
    }
    if known.is_empty() {
        return None;
    }
    let prefixes = known.into_iter().map(str::to_owned).collect();
    Some(NearCacheSpec { prefixes, size })
}
