//! Connections to PostgreSQL and Valkey, shared by all requests of a node.

mod away;
mod bounds;
mod degraded;
mod fairness;
mod far;
mod isolation;
mod near;
mod replace;
mod session;
mod tls;
mod transactions;
mod valkey;

use std::time::Duration;

use serde_json::{Value, json};
use tokio_postgres::Client;
use warmlink_tests::probe::{Probe, open};
use warmlink_tests::rig::Lone;
use warmlink_tests::{Api, Database, Host, HostOptions, Manifest, eventually};

/// What follows from something a test did is there well within this.
const SOON: Duration = Duration::from_secs(15);

/// The advisory lock that statements of a test wait for, and its two uses: the
/// wait is over when the observer's session lets go of it.
const LOCK: &str = "SELECT pg_advisory_lock(1)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(1)";
/// Waits in a transaction, or as a statement of its own; leaves nothing behind.
const WAIT: &str = "SELECT count(pg_advisory_xact_lock_shared(1)) AS waited";

const VARIABLES: &str = "
[variables]
database_url = { required = true, secret = true }
database_origin = { required = true }
";

/// A host whose probe calls `spin:postgres@4.2.0` over a pool of this size.
/// `limits` are lines of the component's `tool` table.
async fn postgres(min: u32, max: u32, limits: &str) -> Lone {
    Lone::start("postgres42", &component(limits), &pool(min, max)).await
}

/// The same, with the server reached through a relay on `port`.
async fn postgres_through(port: u16, database: &Database, size: u32, limits: &str) -> Host {
    let manifest = Manifest::one("postgres42", &component(limits)).with_tool(&pool(size, size));
    Host::spawn(HostOptions::new(manifest).database(&database.url_through(port)))
}

fn component(limits: &str) -> String {
    format!(
        "allowed_outbound_hosts = [\"{{{{ database_origin }}}}\"]\n\
         [component.probe.tool.warmlink]\nreuse = 1000\nconcurrency = 16\n{limits}\n{VARIABLES}"
    )
}

fn pool(min: u32, max: u32) -> String {
    format!("[[postgres]]\naddress = \"{{{{ database_url }}}}\"\nmin = {min}\nmax = {max}\n")
}

/// The step that opens handle `name` on the host's own database.
fn handle(lone: &Lone, name: &str) -> Value {
    open(name, lone.database.url())
}

fn execute(on: &str, sql: &str) -> Value {
    json!({ "execute": { "on": on, "sql": sql } })
}

fn query(on: &str, sql: &str) -> Value {
    json!({ "query": { "on": on, "sql": sql } })
}

fn query_async(on: &str, sql: &str) -> Value {
    json!({ "query_async": { "on": on, "sql": sql } })
}

/// The only value of a `query` outcome.
#[track_caller]
fn value(outcome: &Value) -> &Value {
    let cell = &outcome["ok"]["rows"][0][0];
    let case = cell.as_object().and_then(|cell| cell.values().next());
    case.unwrap_or_else(|| panic!("not one value: {outcome}"))
}

/// The SQLSTATE of a failed outcome, if the server gave one.
fn code(outcome: &Value) -> Option<&str> {
    outcome["err"]["QueryFailed"]["DbError"]["code"].as_str()
}

/// A gauge or counter of the host's only PostgreSQL pool.
async fn of_pool(host: &Host, name: &str) -> f64 {
    let scrape = host.metrics().await;
    let name = format!("warmlink_postgres_pool_{name}");
    scrape
        .sum(&name, &[])
        .unwrap_or_else(|| panic!("no {name}"))
}

async fn until_pool(host: &Host, name: &str, wanted: f64) {
    eventually(&format!("the pool's {name} is {wanted}"), SOON, || async {
        (of_pool(host, name).await == wanted).then_some(())
    })
    .await;
}

/// The server's processes for the host, as the server sees them.
async fn backends(observer: &Client) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity \
               WHERE datname = current_database() AND application_name LIKE 'warmlink/%'";
    let rows = observer.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Waits until a statement of the host's waits for the observer's [`LOCK`].
async fn until_waiting(observer: &Client) {
    eventually("a statement waits for the lock", SOON, || async {
        let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let row = observer.query_one(sql, &[]).await.unwrap();
        (row.get::<_, i64>(0) == 1).then_some(())
    })
    .await;
}

/// Sends the script with a client of its own, so that nothing is shared with
/// what the test does meanwhile.
fn in_background(host: &Host, script: Value) -> tokio::task::JoinHandle<Vec<Value>> {
    let probe = Probe::new(Api::new(host.public()), "/");
    tokio::spawn(async move { probe.run(script).await })
}
