//! Clicks on their way through the stream, and caches that are repaired.

mod clicks;
mod faults;
mod nodes;
mod repair;

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use serde_json::Value;
use warmlink_tests::{Api, Database, Host, eventually, rig};

/// What has to happen happens within this, on a loaded machine.
const SOON: Duration = Duration::from_secs(20);

/// A connection of the test's own to a Valkey.
async fn valkey(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// A url that the cache knows: visited once, which was recorded directly.
async fn a_cached_url(api: &Api) -> Value {
    let url = rig::a_url(api).await;
    api.get(&rig::visit(&url)).await.expect(302);
    url
}

async fn visit(api: &Api, url: &Value) {
    let visit = api.get(&rig::visit(url)).await.expect(302);
    assert_eq!(visit.header("location"), url["original_url"].as_str());
}

/// Entries of the stream `key`.
async fn entries(valkey: &mut MultiplexedConnection, key: &str) -> u64 {
    let mut command = redis::cmd("XLEN");
    command.arg(key).query_async(valkey).await.unwrap()
}

/// Waits until nothing of the stream is left.
async fn drained(valkey: &MultiplexedConnection) {
    eventually("the stream is empty", SOON, || async {
        (entries(&mut valkey.clone(), "clicks").await == 0).then_some(())
    })
    .await;
}

/// Clicks of a url, as the database has them: their details, in order.
async fn clicks(database: &Database, url: &Value) -> Vec<Value> {
    let client = database.connect().await;
    let id = i64::try_from(url["id"].as_u64().unwrap()).unwrap();
    let sql = "SELECT details::text FROM events \
               WHERE url_id = $1 AND event_type = 'click' ORDER BY id";
    let rows = client.query(sql, &[&id]).await.unwrap();
    let details = rows.iter().map(|row| row.get::<_, String>(0));
    details
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect()
}

/// A metric of the host's one stream.
async fn metric(host: &Host, name: &str, labels: &[(&str, &str)]) -> f64 {
    let name = format!("warmlink_stream_{name}");
    let labels = [&[("stream", "clicks")], labels].concat();
    host.metrics().await.sum(&name, &labels).unwrap_or_default()
}
