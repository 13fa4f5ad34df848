//! `[component.ID]`, by Spin's keys and our own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;

use super::reader::{Node, Table};
use super::source::{self, SOURCE_HELP};
use super::spec::{ComponentSpec, Source};
use super::variables::Variables;
use super::{
    AllowedHost, AllowedHostError, AllowedHosts, CanarySpec, ComponentLimits, RateRule, RepairSpec,
    StreamSpec, Value, ident, rollout, tool,
};

/// Components by name, in the order of the manifest.
pub(super) type Components = IndexMap<String, ComponentSpec>;

pub(super) fn read_all(root: &mut Table<'_>, variables: &Variables) -> Components {
    let table = root.get("component").and_then(|node| node.table());
    let mut components = Components::new();
    for (id, node) in table.map(|table| table.entries()).unwrap_or_default() {
        if !ident::is_kebab(id) {
            node.fault(
                format!("{id:?} cannot name a component"),
                "write words of letters and digits, joined by '-', each beginning with a letter and in one case",
            );
        }
        if let Some(component) = read(id, &node, variables) {
            components.insert(id.to_owned(), component);
        }
    }
    components
}

/// A component, if it is a table. Where it has faults, what stands in for them is
/// never seen.
pub(super) fn read(id: &str, node: &Node<'_>, variables: &Variables) -> Option<ComponentSpec> {
    let mut table = node.table()?;
    let source = table.require("source", SOURCE_HELP);
    if let Some(description) = table.get("description") {
        description.string();
    }
    let own_variables = table.get("variables");
    let environment = table.get("environment");
    let files = table.get("files");
    let hosts = table.get("allowed_outbound_hosts");
    let stores = table.get("key_value_stores");
    let build = table.get("build");
    // Read by other tools and by `spin up --profile`: they change nothing here.
    table.get("targets").and_then(|node| node.list());
    table.get("profile").and_then(|node| node.table());
    refuse_unprovided(&mut table);
    let own = tool::own(&mut table)
        .map(|own| Own::read(id, own, variables))
        .unwrap_or_default();
    table.finish();
    Some(ComponentSpec {
        id: id.to_owned(),
        source: source
            .and_then(|node| source::source(&node))
            .unwrap_or(Source::Path(PathBuf::new())),
        variables: own.over(
            own_variables
                .map(|node| values(&node, variables))
                .unwrap_or_default(),
        ),
        environment: environment.map(|node| texts(&node)).unwrap_or_default(),
        files: files.map(|node| source::files(&node)).unwrap_or_default(),
        allowed_outbound_hosts: hosts
            .map(|node| allowed_hosts(&node, variables))
            .unwrap_or_default(),
        key_value_stores: stores.map(|node| labels(&node)).unwrap_or_default(),
        build: build.and_then(|node| source::build(&node)),
        limits: own.limits,
        spin_headers: own.spin_headers,
        rate: own.rate,
        probe: own.probe,
        canary: own.canary,
        stream: own.stream,
        repair: own.repair,
    })
}

/// `[component.ID.tool.warmlink]`: what Spin has no word for.
struct Own<'a> {
    limits: ComponentLimits,
    spin_headers: bool,
    rate: RateRule,
    probe: Option<String>,
    canary: CanarySpec,
    stream: Option<StreamSpec>,
    repair: Option<RepairSpec>,
    /// Values that variables have here and not under Spin, and where they stand.
    values: BTreeMap<String, (Value, Node<'a>)>,
}

impl Default for Own<'_> {
    fn default() -> Self {
        Self {
            limits: ComponentLimits::default(),
            spin_headers: true,
            rate: RateRule::default(),
            probe: None,
            canary: CanarySpec::default(),
            stream: None,
            repair: None,
            values: BTreeMap::new(),
        }
    }
}

impl<'a> Own<'a> {
    fn read(id: &str, mut table: Table<'a>, variables: &Variables) -> Self {
        let spin_headers = table.get("spin_headers").and_then(|node| node.boolean());
        let probe = rollout::probe(&mut table);
        let canary = table.get("canary").map(|node| CanarySpec::read(&node));
        let rate = table.get("rate");
        let stream = table.get("stream");
        let repair = table.get("repair");
        let entries = table.get("variables").and_then(|node| node.table());
        let entries = entries.map(|table| table.entries()).unwrap_or_default();
        let value = |(name, node): (&str, Node<'a>)| {
            Some((name.to_owned(), (variables.resolve(&node)?, node)))
        };
        Self {
            spin_headers: spin_headers.unwrap_or(true),
            rate: rate.map_or_else(RateRule::default, |node| RateRule::read(&node, variables)),
            probe,
            canary: canary.unwrap_or_default(),
            stream: stream.and_then(|node| StreamSpec::read(id, &node, variables)),
            repair: repair.and_then(|node| RepairSpec::read(&node, variables)),
            values: entries.into_iter().filter_map(value).collect(),
            limits: ComponentLimits::read(table),
        }
    }

    /// The component's variables, with the values that they have here.
    fn over(&self, mut variables: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
        for (name, (value, node)) in &self.values {
            match variables.get_mut(name) {
                Some(known) => *known = value.clone(),
                None => node.fault(
                    "the component has no such variable",
                    "add it to the component's variables too, with the value that it has under Spin",
                ),
            }
        }
        variables
    }
}

/// What Spin provides and this host does not. Refused rather than ignored: the
/// component would only find out when it is used.
fn refuse_unprovided(table: &mut Table<'_>) {
    let composed = "compose the component with what it depends on before, with `wac plug`";
    for (name, what, help) in [
        (
            "sqlite_databases",
            "has no SQLite databases",
            "use PostgreSQL or a key-value store",
        ),
        ("ai_models", "runs no AI models", "call a service over HTTP"),
        ("dependencies", "does not compose components", composed),
        (
            "dependencies_inherit_configuration",
            "does not compose components",
            composed,
        ),
        (
            "exclude_files",
            "mounts folders whole",
            "keep what the component may not read in another folder",
        ),
        (
            "allowed_http_hosts",
            "does not know this older key",
            "write allowed_outbound_hosts = [\"https://...\"]",
        ),
    ] {
        table.refuse(name, &format!("this host {what}"), help);
    }
}

fn values(node: &Node<'_>, variables: &Variables) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for (name, node) in node
        .table()
        .map(|table| table.entries())
        .unwrap_or_default()
    {
        if !ident::is_lower_snake(name) {
            node.fault(
                format!("{name:?} cannot name a variable"),
                "write lower-case words of letters and digits, joined by '_', each beginning with a letter",
            );
        }
        if let Some(value) = variables.resolve(&node) {
            values.insert(name.to_owned(), value);
        }
    }
    values
}

fn texts(node: &Node<'_>) -> BTreeMap<String, String> {
    let entries = node
        .table()
        .map(|table| table.entries())
        .unwrap_or_default();
    let text = |(name, node): (&str, Node<'_>)| Some((name.to_owned(), node.string()?.to_owned()));
    entries.into_iter().filter_map(text).collect()
}

fn allowed_hosts(node: &Node<'_>, variables: &Variables) -> AllowedHosts {
    let mut hosts = Vec::new();
    for node in &node.list().unwrap_or_default() {
        let Some(value) = variables.resolve(node) else {
            continue;
        };
        // A variable holds several where an address names several servers; what is
        // written out is one, as Spin has it.
        let templated = node.string().is_some_and(|text| text.contains("{{"));
        let texts: Vec<&str> = if templated {
            value.expose().split(',').collect()
        } else {
            vec![value.expose()]
        };
        for text in texts {
            match (text.parse::<AllowedHost>(), node.string()) {
                // An origin that came of a secret shows as its template.
                (Ok(host), Some(shown)) if value.is_secret() => hosts.push(host.shown_as(shown)),
                (Ok(host), _) => hosts.push(host),
                (Err(error), _) => node.fault(error.to_string(), AllowedHostError::HELP),
            }
        }
    }
    hosts.into_iter().collect()
}

fn labels(node: &Node<'_>) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for node in node.list().unwrap_or_default() {
        let Some(label) = node.string() else { continue };
        tool::check_label(&node, label);
        if !labels.iter().any(|other| other == label) {
            labels.push(label.to_owned());
        }
    }
    labels
}
