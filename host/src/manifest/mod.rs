//! What a node runs: `spin.toml`, read into a [`Spec`].
//!
//! Everything outside of the `tool` tables is Spin's and means here what it means
//! there; what this host does not provide is refused, not ignored. Reading is
//! pure: the same text and values give the same result, on any machine.

mod component;
mod ident;
mod limits;
mod notes;
mod outbound;
mod proxies;
mod rate;
mod reader;
mod rollout;
mod source;
mod spec;
mod suggest;
mod template;
mod tool;
mod trigger;
mod upkeep;
mod value;
mod variables;

use std::collections::BTreeMap;

use toml::de::DeTable;

use crate::config::{Fault, Faults};
use reader::{Reader, Table};
use tool::Tool;
use variables::Variables;

pub use limits::{ComponentLimits, HostLimits};
pub use outbound::{AllowedHost, AllowedHostError, AllowedHosts, VALKEY_SCHEMES};
pub use rate::{RateKey, RateRule, RateSpec};
pub use rollout::{CanarySpec, Sticky};
pub use spec::{
    Build, ComponentSpec, KeyValueSpec, Migrations, Mount, NearCacheSpec, PostgresPoolSpec, Route,
    Source, Spec, ValkeyPoolSpec,
};
pub use upkeep::{RepairSpec, StreamSpec};
pub use value::Value;

/// Reads a manifest. `values` are those that its variables are given from
/// outside; one that is not declared is not used.
///
/// # Errors
///
/// Everything that is wrong with it, each fault with its line.
pub fn read(text: &str, values: &BTreeMap<String, String>) -> Result<Spec, Faults> {
    let document = DeTable::parse(text).map_err(|error| syntax(text, &error))?;
    let reader = Reader::new(text);
    let spec = resolve(Table::root(&reader, document.get_ref()), values);
    let faults = reader.into_faults();
    match spec {
        Some(spec) => faults.or(spec),
        None => Err(faults),
    }
}

/// `None` for a manifest of another version: all else would be a fault then, and
/// beside the point.
fn resolve(mut root: Table<'_>, values: &BTreeMap<String, String>) -> Option<Spec> {
    let help = "write spin_manifest_version = 2";
    let version = root.require("spin_manifest_version", help)?;
    if version.peek_number() != Some(2) {
        version.fault("only version 2 of the manifest is read here", help);
        return None;
    }
    let variables = Variables::read(&mut root, values);
    let mut components = component::read_all(&mut root, &variables);
    let routes = trigger::read_all(&mut root, &mut components, &variables);
    let application = root.require("application", "write [application] with a name");
    let application = Application::read(application.and_then(|node| node.table()));
    let tool = Tool::read(application.tool, &variables, &components, &routes);
    upkeep::settle(&mut root, &mut components, &routes, &tool.valkey);
    root.finish();
    Some(Spec {
        name: application.name,
        version: application.version,
        limits: tool.limits,
        rate: tool.rate,
        trusted_proxies: tool.trusted_proxies,
        metrics_path: tool.metrics_path,
        routes,
        components,
        postgres: tool.postgres,
        valkey: tool.valkey,
        key_value: tool.key_value,
        migrations: tool.migrations,
    })
}

#[derive(Default)]
struct Application<'a> {
    name: String,
    version: String,
    tool: Option<Table<'a>>,
}

impl<'a> Application<'a> {
    fn read(table: Option<Table<'a>>) -> Self {
        let Some(mut table) = table else {
            return Self::default();
        };
        let name = table.require("name", "write name = \"...\"");
        let version = table.get("version").and_then(|node| node.string());
        table.get("description").and_then(|node| node.string());
        if let Some(authors) = table.get("authors") {
            authors.strings();
        }
        table.get("targets").and_then(|node| node.list());
        let triggers = table.get("trigger").and_then(|node| node.table());
        let http = triggers.and_then(|mut triggers| triggers.get("http"));
        if let Some(http) = http.and_then(|node| node.table()) {
            check_base(http);
        }
        let tool = tool::own(&mut table);
        table.finish();
        Self {
            name: name
                .and_then(|node| node.text())
                .unwrap_or_default()
                .to_owned(),
            version: version.unwrap_or_default().to_owned(),
            tool,
        }
    }
}

/// Spin gave up the base of all routes; it still takes the one that is none.
fn check_base(mut http: Table<'_>) {
    if let Some(node) = http.get("base")
        && node.string().is_some_and(|base| base != "/")
    {
        node.fault(
            "there is no base of all routes any more",
            "leave it out, and begin each route with it",
        );
    }
    http.finish();
}

/// A text that is no TOML has this fault only: what it would say is anyone's
/// guess.
fn syntax(text: &str, error: &toml::de::Error) -> Faults {
    let span = error.span();
    let line = span.clone().map(|span| Reader::new(text).line(span.start));
    let found = span.and_then(|span| text.get(span));
    let (message, help) = match found {
        Some(key) if error.message() == "duplicate key" => (
            format!("the key {key:?} is here a second time"),
            "keep one of the two",
        ),
        _ => (
            format!("this is no TOML: {}", error.message()),
            "see https://toml.io for how it is written",
        ),
    };
    let mut faults = Faults::default();
    faults.push(Fault {
        key: String::new(),
        line,
        message,
        help: help.to_owned(),
    });
    faults.or(()).err().unwrap_or_default()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
