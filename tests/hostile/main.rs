//! Components that mean harm, one after the other, beside neighbours that mean
//! none: each ends within its limit, and leaves nothing behind.
//!
//! `REPETITIONS=10000` is the long form, some minutes a row; `ROWS=spins,panics`
//! picks rows of either.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests say what they expect in the plainest way"
)]

mod neighbours;
mod rest;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use warmlink_tests::raw::{Raw, Transfer};
use warmlink_tests::runtime::run_within;
use warmlink_tests::{Database, Host, HostOptions};

use rest::Rest;
use rows::{ROWS, Row};

/// Requests of a row at once.
const AT_ONCE: usize = 8;
/// Of each row, unless the environment says how many.
const REPETITIONS: usize = 16;
/// Between the end of the first tenth and that of the last.
const GROWTH: u64 = 8 << 20;

#[test]
fn hostile_components_hurt_nobody_else_and_leave_nothing_behind() {
    let repetitions = std::env::var("REPETITIONS").map_or(REPETITIONS, |text| {
        text.parse().expect("REPETITIONS is a number")
    });
    let picked = std::env::var("ROWS").ok();
    let picked = |row: &&Row| {
        let names = picked.as_deref();
        names.is_none_or(|names| names.split(',').any(|name| name == row.name))
    };
    run_within(Duration::from_secs(7200), async {
        let database = Database::create().await;
        let options = HostOptions::new(rows::manifest()).database(database.url());
        let host = Host::start(options).await;
        let observer = database.connect().await;
        let rest = Rest::of(&host, observer).await;
        for row in ROWS.iter().filter(picked) {
            repeat(&host, &database, row, repetitions, &rest).await;
        }
    });
}

/// Asks one row's component again and again, and then looks what is left.
async fn repeat(host: &Host, database: &Database, row: &Row, times: usize, rest: &Rest) {
    let began = Instant::now();
    let neighbours = neighbours::begin(host, database);
    let text = row.request(database.url());
    // Not before everything that takes its size at first has it.
    let first = (times / 10).max(2 * AT_ONCE);
    let mut seen = ask(host, row, &text, first).await;
    rest.restored(host, row).await;
    let before = host.resident_bytes();
    for (outcome, count) in ask(host, row, &text, times).await {
        *seen.entry(outcome).or_default() += count;
    }
    rest.restored(host, row).await;
    let grown = rest.given_back(host, before, GROWTH).await;
    let waits = neighbours.end().await;
    rest.complete(host, row).await;
    println!(
        "{:<28} {:>6} times in {:>6.1} s: {seen:?}; {} KiB more; {waits}",
        row.name,
        first + times,
        began.elapsed().as_secs_f64(),
        grown >> 10,
    );
    assert!(grown <= GROWTH, "{}: {grown} bytes more", row.name);
    let expected = |outcome: &String| row.outcomes.contains(&outcome.as_str());
    assert!(seen.keys().all(expected), "{}: {seen:?}", row.name);
}

/// What came of so many requests, [`AT_ONCE`] at a time.
async fn ask(host: &Host, row: &Row, text: &str, times: usize) -> BTreeMap<String, usize> {
    let left = Arc::new(AtomicUsize::new(times));
    let text: Arc<str> = text.into();
    let (address, longest, name) = (host.public(), row.longest, row.name);
    let mut clients = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (left, text) = (left.clone(), text.clone());
        clients.spawn(async move {
            let mut seen = BTreeMap::<String, usize>::new();
            let mut connection = None;
            while left
                .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1))
                .is_ok()
            {
                let mut raw = match connection.take() {
                    Some(raw) => raw,
                    None => Raw::connect(address).await,
                };
                let began = Instant::now();
                raw.send(&text).await;
                let transfer = raw.response().await;
                let took = began.elapsed();
                assert!(
                    took <= longest,
                    "{name}: {took:?} of {longest:?}: {transfer:?}"
                );
                *seen.entry(outcome(&transfer)).or_default() += 1;
                if transfer.complete && !transfer.head.contains("connection: close") {
                    connection = Some(raw);
                }
            }
            seen
        });
    }
    let mut seen = BTreeMap::new();
    for (outcome, count) in clients.join_all().await.into_iter().flatten() {
        *seen.entry(outcome).or_default() += count;
    }
    seen
}

/// The status, and the kind of a failure; `err` where the last step of a script
/// failed; `broken` where the body did.
fn outcome(transfer: &Transfer) -> String {
    let status = transfer.status;
    if !transfer.complete {
        return format!("{status} broken");
    }
    let body: serde_json::Value = serde_json::from_slice(&transfer.body).unwrap_or_default();
    let failed = |steps: &Vec<serde_json::Value>| steps.last()?.get("err").cloned();
    match (body["kind"].as_str(), body.as_array().and_then(failed)) {
        (Some(kind), _) => format!("{status} {kind}"),
        (_, Some(_)) => format!("{status} err"),
        _ => status.to_string(),
    }
}
