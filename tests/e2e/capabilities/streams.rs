//! `spin:postgres@4.2.0`: rows as they are read.

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use warmlink_tests::probe::open;
use warmlink_tests::rig::Lone;
use warmlink_tests::{eventually, run};

use super::rig;

const SOON: Duration = Duration::from_secs(20);

fn numbers(count: usize) -> String {
    format!("SELECT n::int8 FROM generate_series(1, {count}) AS n")
}

#[track_caller]
fn assert_numbers(found: &Value, count: usize) {
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), count);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row[0]["Int64"], json!(index + 1));
    }
}

#[test]
fn a_large_result_comes_whole_and_in_order() {
    run(async {
        let (_host, rig) = rig().await;
        for call in ["query", "query_async"] {
            let query = json!({ call: { "on": "c", "sql": numbers(20_000) } });
            let found = rig
                .probe("postgres42")
                .ok(json!([rig.database(), query]))
                .await;
            assert_numbers(&found, 20_000);
        }
    });
}

#[test]
fn two_results_of_one_handle_can_be_read_side_by_side() {
    run(async {
        let (_host, rig) = rig().await;
        let statement = |count| json!({ "on": "c", "sql": numbers(count) });
        let both = json!({ "both": [statement(20_000), statement(30_000)] });
        let found = rig
            .probe("postgres42")
            .ok(json!([rig.database(), both]))
            .await;
        for (one, count) in [(&found[0], 20_000), (&found[1], 30_000)] {
            assert_numbers(&one["ok"], count);
            assert_eq!(one["ok"]["end"], json!({ "ok": null }));
        }
    });
}

#[test]
fn a_result_that_is_dropped_half_read_leaves_the_handle_usable() {
    run(async {
        let (_host, rig) = rig().await;
        let half = json!({ "query_async": { "on": "c", "sql": numbers(1_000_000), "rows": 10 } });
        let whole = json!({ "query_async": { "on": "c", "sql": numbers(3) } });
        let outcomes = rig
            .probe("postgres42")
            .run(json!([rig.database(), half, whole, half, whole]))
            .await;
        assert_numbers(&outcomes[1]["ok"], 10);
        assert_numbers(&outcomes[2]["ok"], 3);
        assert_numbers(&outcomes[3]["ok"], 10);
        assert_numbers(&outcomes[4]["ok"], 3);
    });
}

#[test]
fn a_slow_client_slows_the_server_and_fills_no_memory() {
    run(async {
        let lone = lone().await;
        // Once in full, so that what the host needs for any such result is there.
        let mut body = stream(&lone, 2_000).await;
        assert_eq!(length(&mut body).await, 2_000 * 10_001);

        let before = lone.host.resident_bytes();
        let mut body = stream(&lone, 8_000).await;
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        stalled(&lone).await;
        let grown = lone.host.resident_bytes().saturating_sub(before);
        assert!(
            grown < 24 << 20,
            "80 MB stand still and {grown} bytes of them are here"
        );
        assert_eq!(first.len() + length(&mut body).await, 8_000 * 10_001);
    });
}

#[test]
fn a_client_that_goes_away_half_way_frees_the_connection() {
    run(async {
        let lone = lone().await;
        let mut body = stream(&lone, 8_000).await;
        body.frame().await.unwrap().unwrap();
        stalled(&lone).await;
        drop(body);
        eventually("the connection is free", SOON, || async {
            let in_use = lone
                .host
                .metrics()
                .await
                .sum("warmlink_postgres_pool_in_use", &[]);
            (in_use == Some(0.0)).then_some(())
        })
        .await;
        // There is one, and the next has it.
        let query = json!({ "query": { "on": "c", "sql": numbers(3) } });
        let opening = open("c", lone.database.url());
        assert_numbers(&lone.probe.ok(json!([opening, query])).await, 3);
    });
}

/// A host with one connection to its database.
async fn lone() -> Lone {
    let keys = "allowed_outbound_hosts = [\"{{ database_origin }}\"]\n\
                [variables]\n\
                database_url = { required = true, secret = true }\n\
                database_origin = { required = true }";
    let pool = "[[postgres]]\naddress = \"{{ database_url }}\"\nmin = 1\nmax = 1";
    Lone::start("postgres42", keys, pool).await
}

/// A streamed response of so many lines of 10,001 bytes, not yet read.
async fn stream(lone: &Lone, rows: usize) -> Incoming {
    let sql = format!("SELECT repeat('x', 10000) FROM generate_series(1, {rows})");
    let opening = json!({ "name": "c", "address": lone.database.url() });
    let script = json!([[opening, { "on": "c", "sql": sql }]]).to_string();
    let stream = TcpStream::connect(lone.host.public()).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    // Its end shows in the body.
    tokio::spawn(connection);
    let request = Request::post("/stream")
        .header(HOST, "test")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(script)))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

async fn length(body: &mut Incoming) -> usize {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().into_data().map_or(0, |data| data.len());
    }
    length
}

/// Waits until the server has been kept from writing for a while.
async fn stalled(lone: &Lone) {
    let observer = lone.database.connect().await;
    let looks = Cell::new(0);
    eventually("the server stands still", SOON, || async {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE wait_event = 'ClientWrite' AND datname = current_database()";
        let count: i64 = observer.query_one(sql, &[]).await.unwrap().get(0);
        looks.set(if count > 0 { looks.get() + 1 } else { 0 });
        (looks.get() == 10).then_some(())
    })
    .await;
}
