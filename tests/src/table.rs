//! What `/table` tells of a host.

use std::time::Duration;

use serde_json::Value;

use crate::{Host, eventually};

/// A state that follows from something a test did is there well within this.
const SOON: Duration = Duration::from_secs(10);

/// The entry of one component.
///
/// # Panics
/// Where there is none.
pub async fn component(host: &Host, name: &str) -> Value {
    let table = host.admin_api().get("/table").await.expect(200).value();
    let components = table["components"].as_array().expect("a list");
    let found = components.iter().find(|entry| entry["name"] == name);
    found
        .unwrap_or_else(|| panic!("no component {name}: {table}"))
        .clone()
}

/// How many requests of the component have a place in flight.
///
/// # Panics
/// Where there is no such component.
pub async fn in_flight(host: &Host, name: &str) -> u64 {
    let entry = component(host, name).await;
    entry["in_flight"].as_u64().expect("a number")
}

/// Waits until so many requests of the component have a place in flight.
pub async fn until_in_flight(host: &Host, name: &str, wanted: u64) {
    let what = format!("{wanted} requests of {name} in flight");
    eventually(&what, SOON, || async {
        (in_flight(host, name).await == wanted).then_some(())
    })
    .await;
}
