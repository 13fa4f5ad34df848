//! `[application.tool.warmlink]`: what Spin has no word for.

mod pools;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::component::Components;
use super::reader::{Node, Table};
use super::spec::{KeyValueSpec, Migrations, PostgresPoolSpec, Route, ValkeyPoolSpec};
use super::variables::Variables;
use super::{HostLimits, RateSpec, ident, proxies, suggest, upkeep};
use crate::config::Secret;
use crate::router::RoutePattern;
use ipnet::IpNet;

/// The name of our tables.
const TOOL: &str = "warmlink";

const ADDRESS_HELP: &str = "write an address, as in address = \"{{ database_url }}\"";
const METRICS_HELP: &str = "write a path, as in \"/metrics\"";

/// What the table comes to.
#[derive(Default)]
pub(super) struct Tool {
    pub(super) limits: HostLimits,
    pub(super) rate: Option<RateSpec>,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) metrics_path: Option<String>,
    pub(super) postgres: Vec<PostgresPoolSpec>,
    pub(super) valkey: Vec<ValkeyPoolSpec>,
    pub(super) migrations: Option<Migrations>,
    pub(super) key_value: BTreeMap<String, KeyValueSpec>,
}

/// Our table among those of all tools. Those of others are theirs, unless the
/// name shows that ours was meant.
pub(super) fn own<'a>(table: &mut Table<'a>) -> Option<Table<'a>> {
    let mut own = None;
    for (name, node) in table.get("tool")?.table()?.entries() {
        if name == TOOL {
            own = node.table();
        } else if suggest::distance(name, TOOL) <= 2 {
            node.fault(
                format!("{name:?} is no tool that anyone knows"),
                format!("did you mean {TOOL:?}?"),
            );
        } else {
            node.table();
        }
    }
    own
}

/// Whether the text may be the label of a store; the fault where it is none.
pub(super) fn check_label(node: &Node<'_>, label: &str) {
    if !ident::is_label(label) {
        node.fault(
            format!("{label:?} cannot be the label of a store"),
            "write words of letters and digits, joined by '-' or by '_', each beginning with a letter",
        );
    }
}

impl Tool {
    pub(super) fn read(
        table: Option<Table<'_>>,
        variables: &Variables,
        components: &Components,
        routes: &[Route],
    ) -> Self {
        let mut tool = Self::default();
        let mut stores = Vec::new();
        if let Some(mut table) = table {
            tool.metrics_path = table.get("metrics").and_then(|node| metrics(&node, routes));
            tool.migrations = table
                .get("migrations")
                .and_then(|node| migrations(&node, variables));
            tool.postgres = pools::postgres(table.get("postgres"), variables);
            tool.valkey = pools::valkey(table.get("valkey"), variables);
            stores = table
                .get("key_value")
                .and_then(|node| node.table())
                .map(|table| table.entries())
                .unwrap_or_default();
            tool.limits = table
                .get("limits")
                .and_then(|node| node.table())
                .map(HostLimits::read)
                .unwrap_or_default();
            tool.trusted_proxies = table
                .get("trusted_proxies")
                .map(|node| proxies::read(&node, variables))
                .unwrap_or_default();
            tool.rate = table.get("rate").and_then(|node| {
                let mut rate = RateSpec::read(node.table()?, variables)?;
                let fault = |message: &str, help: &str| node.fault(message, help);
                upkeep::settle_address(&mut rate.address, &tool.valkey, fault);
                Some(rate)
            });
            table.finish();
        }
        tool.key_value(&stores, variables, components);
        tool
    }

    fn key_value(
        &mut self,
        declared: &[(&str, Node<'_>)],
        variables: &Variables,
        components: &Components,
    ) {
        let shared = self.valkey.first().map(|pool| pool.address.clone());
        let mut stores = BTreeMap::new();
        for (label, node) in declared {
            check_label(node, label);
            let Some(mut table) = node.table() else {
                continue;
            };
            let address = match table.get("address") {
                Some(node) => variables.resolve(&node).map(super::Value::into_secret),
                None => shared.clone(),
            };
            let prefix = table.get("prefix").and_then(|node| node.string());
            table.finish();
            let prefix = prefix.map_or_else(|| own_prefix(label), str::to_owned);
            stores.insert(*label, address.map(|address| (address, prefix)));
        }
        let granted = components
            .values()
            .flat_map(|component| &component.key_value_stores);
        for label in granted {
            let default = || Some((shared.clone()?, own_prefix(label)));
            stores.entry(label).or_insert_with(default);
        }
        let store = |(label, place): (&str, Option<(Secret, String)>)| {
            let (address, prefix) = place.filter(|(address, _)| !address.is_empty())?;
            Some((label.to_owned(), KeyValueSpec { address, prefix }))
        };
        self.key_value = stores.into_iter().filter_map(store).collect();
    }
}

/// Where a store's keys are, so that none has those of another.
fn own_prefix(label: &str) -> String {
    format!("kv:{label}:")
}

fn metrics(node: &Node<'_>, routes: &[Route]) -> Option<String> {
    let path = node.text()?;
    if !path.starts_with('/') || path.contains([':', '*']) {
        node.fault(format!("{path:?} is no path"), METRICS_HELP);
        return None;
    }
    match RoutePattern::parse(path) {
        Ok(pattern)
            if routes
                .iter()
                .any(|route| route.pattern.same_paths(&pattern)) =>
        {
            node.fault(
                format!("{path:?} is a route of a component too, which would never be reached"),
                "choose another path for the metrics",
            )
        }
        Ok(_) => {}
        Err(error) => node.fault(error.to_string(), METRICS_HELP),
    }
    Some(path.to_owned())
}

fn migrations(node: &Node<'_>, variables: &Variables) -> Option<Migrations> {
    let mut table = node.table()?;
    let directory = table.require("directory", "name the folder of the numbered SQL files");
    let address = required_address(&mut table, variables);
    table.finish();
    Some(Migrations {
        directory: PathBuf::from(directory?.text()?),
        address: address?.1,
    })
}

fn required_address<'a>(
    table: &mut Table<'a>,
    variables: &Variables,
) -> Option<(Node<'a>, Secret)> {
    let node = table.require("address", ADDRESS_HELP)?;
    let address = variables.resolve(&node)?.into_secret();
    if address.is_empty() {
        node.fault("the address is empty", ADDRESS_HELP);
        return None;
    }
    Some((node, address))
}
