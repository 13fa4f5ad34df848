//! Each limit of the host, and its own answer.

mod abandoned;
mod admission;
mod answers;
mod bodies;
mod clients;
mod connections;
mod crowds;
mod deadlines;
mod floods;
mod heads;
mod instances;
mod memory;
mod rates;
mod rows;
mod traps;
mod uploads;

use std::time::Duration;

use serde_json::Value;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use warmlink_tests::host::Shared;
use warmlink_tests::{Api, Host, HostOptions, Manifest, Reply, eventually};

/// What follows from something a test did is there well within this.
const SOON: Duration = Duration::from_secs(10);

/// A component for each set of limits, behind `/NAME/...`.
const COMPONENTS: &[(&str, &str, &str)] = &[
    ("plain", "http", ""),
    ("older", "outbound2", ""),
    ("prompt", "http", "deadline = \"400ms\""),
    ("small-body", "http", "request_body = \"1KiB\""),
    ("cpu-early", "http", "cpu = \"100ms\""),
    ("cpu-late", "http", "cpu = \"20s\"\ndeadline = \"400ms\""),
    ("idle-body", "http", "body_idle = \"300ms\""),
    ("total-body", "http", "body_total = \"600ms\""),
    // Touching memory takes its time, which is not what is asked there.
    ("usual-memory", "http", "cpu = \"10s\""),
    ("small-memory", "http", "cpu = \"10s\"\nmemory = \"8MiB\""),
    ("few-handles", "http", "handles = 64"),
    ("no-room", "http", "memory = \"64KiB\"\nwarm = 0"),
];

/// The host that most tests here share.
async fn shared() -> Shared {
    static HOST: OnceCell<Host> = OnceCell::const_new();
    let start = || Host::start(HostOptions::new(Manifest::several(COMPONENTS)));
    Shared(HOST.get_or_init(start).await)
}

/// A host of the test's own, on one core: what is said of instances is then
/// said of all there are.
async fn lone(limits: &str, node: &str) -> Host {
    let manifest = Manifest::several(&[("it", "http", limits), ("other", "http", "")]);
    let manifest = if node.is_empty() {
        manifest
    } else {
        manifest.with_tool(&format!("[limits]\n{node}"))
    };
    Host::start(HostOptions::new(manifest).env("WARMLINK_CORES", "1")).await
}

/// An answer of the host's own: status, kind, a text, and an id to ask about.
#[track_caller]
fn assert_failure(reply: &Reply, status: u16, kind: &str) {
    reply.error(status);
    assert_eq!(reply.value()["kind"], kind, "{}", reply.text());
    assert!(
        reply
            .header("x-request-id")
            .is_some_and(|id| !id.is_empty()),
        "{:?}",
        reply.headers
    );
}

/// As [`assert_failure`], for those that say when to come again.
#[track_caller]
fn assert_try_again(reply: &Reply, kind: &str) {
    assert_failure(reply, 503, kind);
    let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
}

/// Waits until the host has so many connections open.
async fn until_connections(host: &Host, wanted: f64) {
    eventually(&format!("{wanted} connections"), SOON, || async {
        let open = host.metrics().await.sum("warmlink_connections", &[]);
        (open == Some(wanted)).then_some(())
    })
    .await;
}

/// A GET and how long it took.
async fn timed(api: &Api, path: &str) -> (Reply, Duration) {
    let begun = Instant::now();
    let reply = api.get(path).await;
    (reply, begun.elapsed())
}

/// One metric of one component; 0 where there is none yet.
async fn of_component(host: &Host, name: &str, component: &str) -> f64 {
    let scrape = host.metrics().await;
    scrape
        .sum(&format!("warmlink_{name}"), &[("component", component)])
        .unwrap_or_default()
}

/// Which instance answered, and how many requests it had begun by then.
#[track_caller]
fn instance(reply: &Reply) -> (String, u64) {
    let value: Value = reply.value();
    let name = value["instance"]
        .as_str()
        .unwrap_or_else(|| panic!("{value}"));
    (name.to_owned(), value["begun"].as_u64().unwrap())
}
