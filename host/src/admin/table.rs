//! The live table, for people and scripts.

use crate::live::Table;
use serde_json::{Value, json};

/// Routes, components and their revisions, and the table's generation.
pub(super) fn describe(table: &Table) -> Value {
    let routes: Vec<Value> = table
        .routes()
        .map(|(route, component)| json!({ "route": route, "component": component.as_ref() }))
        .collect();
    let components: Vec<Value> = table
        .endpoints()
        .map(|endpoint| {
            let active = endpoint.active();
            let limits = active.limits();
            json!({
                "name": endpoint.id().as_ref(),
                "revision": active.digest().0.as_ref(),
                "in_flight": endpoint.admission().in_flight(),
                "warm": limits.warm,
                "concurrency": limits.concurrency,
                "reuse": limits.reuse,
            })
        })
        .collect();
    json!({
        "generation": table.generation().number(),
        "routes": routes,
        "components": components,
    })
}
