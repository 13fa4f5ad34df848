//! What can be said of a node before it is begun: addresses that are none, and
//! pools that nobody declared.

use crate::config::{Faults, Secret};
use crate::manifest::{Spec, VALKEY_SCHEMES};
use crate::pool::{postgres, valkey};
use std::collections::BTreeSet;

/// Where the application's own keys are.
const TOOL: &str = "application.tool.warmlink";

/// How an address of a database is written.
pub const POSTGRES_HELP: &str =
    "write a URL (postgres://user:password@host:5432/database) or libpq's key=value text";

/// How an address of a Valkey is written.
pub const VALKEY_HELP: &str =
    "write a URL (redis://host:6379/0; rediss:// for TLS), or leave it empty for none";

/// Reads every address of `spec`. Answers what deserves a word though it is no
/// fault.
///
/// # Errors
///
/// All addresses that are none, by their keys; never the addresses.
pub fn check(spec: &Spec) -> Result<Vec<String>, Faults> {
    let mut faults = Faults::default();
    let mut declared = BTreeSet::new();
    let mut pools = Vec::new();
    for (index, pool) in spec.postgres.iter().enumerate() {
        let key = format!("{TOOL}.postgres[{index}].address");
        if let Some(target) = postgres_target(&mut faults, &key, &pool.address) {
            declared.extend(target.servers().iter().map(ToString::to_string));
        }
    }
    if let Some(migrations) = &spec.migrations {
        let key = format!("{TOOL}.migrations.address");
        postgres_target(&mut faults, &key, &migrations.address);
    }
    for (index, pool) in spec.valkey.iter().enumerate() {
        let key = format!("{TOOL}.valkey[{index}].address");
        if let Some(target) = valkey_target(&mut faults, &key, &pool.address) {
            declared.extend(target.origins().iter().map(ToString::to_string));
            pools.push(target);
        }
    }
    declared_pools(&mut faults, spec, &pools);
    for (label, store) in &spec.key_value {
        let key = format!("{TOOL}.key_value.{label}.address");
        valkey_target(&mut faults, &key, &store.address);
    }
    faults.or(undeclared(spec, &declared))
}

/// Streams are kept, caches repaired and requests counted over pools that were
/// declared: those that guests share, and that a start has warmed.
fn declared_pools(faults: &mut Faults, spec: &Spec, pools: &[valkey::Target]) {
    let mut check = |key: String, address: &Option<Secret>| {
        if let Some(address) = address
            && let Some(target) = valkey_target(faults, &key, address)
            && !pools.contains(&target)
        {
            faults.add(
                key,
                "no [[application.tool.warmlink.valkey]] has this address",
                "declare the pool, or name one that is",
            );
        }
    };
    if let Some(rate) = &spec.rate {
        check(format!("{TOOL}.rate.address"), &rate.address);
    }
    for component in spec.components.values() {
        let stream = component.stream.as_ref().map(|it| ("stream", &it.address));
        let repair = component.repair.as_ref().map(|it| ("repair", &it.address));
        let rate = component.rate.own().map(|it| ("rate", &it.address));
        for (table, address) in [stream, repair, rate].into_iter().flatten() {
            let key = format!("component.{}.tool.warmlink.{table}.address", component.id);
            check(key, address);
        }
    }
}

/// A database's address; the fault where it is none.
pub fn postgres_target(
    faults: &mut Faults,
    key: &str,
    address: &Secret,
) -> Option<postgres::Target> {
    let target = postgres::Target::parse(address.expose())
        .and_then(|target| target.check().map(|()| target));
    target
        .map_err(|error| faults.add(key, error.to_string(), POSTGRES_HELP))
        .ok()
}

/// A Valkey's address; the fault where it is none.
pub fn valkey_target(faults: &mut Faults, key: &str, address: &Secret) -> Option<valkey::Target> {
    valkey::Target::parse(address.expose())
        .map_err(|error| faults.add(key, error.to_string(), VALKEY_HELP))
        .ok()
}

/// Databases that a component may open and no pool was declared for: they get
/// a small pool that is not warm.
fn undeclared(spec: &Spec, declared: &BTreeSet<String>) -> Vec<String> {
    let mut notes = Vec::new();
    for component in spec.components.values() {
        for host in component.allowed_outbound_hosts.iter() {
            let Some((scheme, name, port)) = host.single() else {
                continue;
            };
            let origin = format!("{scheme}://{name}:{port}");
            let pooled = scheme == "postgres" || VALKEY_SCHEMES.contains(&scheme);
            // Without a Valkey, the address stands for nothing.
            let used = scheme == "postgres" || !spec.valkey.is_empty();
            if pooled && used && !declared.contains(&origin) {
                notes.push(format!(
                    "component.{}.allowed_outbound_hosts: {host} has no declared pool; its \
                     connections are opened as they are needed, and few",
                    component.id
                ));
            }
        }
    }
    notes
}
