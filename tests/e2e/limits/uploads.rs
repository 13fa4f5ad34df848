//! A request's body: how large, and how slow.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::time::Instant;
use warmlink_tests::raw::{Raw, Transfer};
use warmlink_tests::{Api, Host, run};

use super::{assert_failure, lone, of_component, shared};

const LIMIT: usize = 1024;

#[track_caller]
fn assert_answer(transfer: &Transfer, status: u16, kind: &str) {
    assert_eq!(
        (transfer.status, transfer.complete),
        (status, true),
        "{}",
        transfer.head
    );
    let body: serde_json::Value = serde_json::from_slice(&transfer.body).unwrap();
    assert_eq!(body["kind"], kind);
}

async fn chunked(host: &Host, path: &str) -> Raw {
    let mut raw = Raw::connect(host.public()).await;
    let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    raw.send(&head).await;
    raw
}

#[test]
fn a_body_of_the_largest_size_is_taken_whole() {
    run(async {
        let host = shared().await;
        for api in [host.api(), Api::h2c(host.public())] {
            let body = Bytes::from(vec![b'x'; LIMIT]);
            let reply = api
                .send(Method::POST, "/small-body/count", &[], body)
                .await
                .expect(200);
            assert_eq!(reply.value()["bytes"], LIMIT);
        }
    });
}

#[test]
fn a_body_that_is_said_to_be_larger_is_413_before_it_is_sent() {
    run(async {
        let host = lone("request_body = \"1KiB\"\nwarm = 0", "").await;
        let raw = Raw::post_head(host.public(), "/it/count", LIMIT + 1).await;
        assert_answer(&raw.transfer().await, 413, "body_too_large");
        assert_eq!(of_component(&host, "instantiations_total", "it").await, 0.0);
        let body = Bytes::from(vec![b'x'; LIMIT + 1]);
        let reply = Api::h2c(host.public())
            .send(Method::POST, "/it/count", &[], body)
            .await;
        assert_failure(&reply, 413, "body_too_large");
        assert_eq!(of_component(&host, "instantiations_total", "it").await, 0.0);
    });
}

#[test]
fn a_body_that_turns_out_to_be_larger_is_413() {
    run(async {
        let host = shared().await;
        let mut raw = chunked(&host, "/small-body/count").await;
        let piece = format!("200\r\n{}\r\n", "x".repeat(512));
        raw.send(&piece.repeat(2)).await;
        // That was all it may be; one byte more is too much.
        raw.send("1\r\nx\r\n").await;
        assert_answer(&raw.transfer().await, 413, "body_too_large");
        // Right up to the limit it is not.
        let mut raw = chunked(&host, "/small-body/count").await;
        raw.send(&format!("{}0\r\n\r\n", piece.repeat(2))).await;
        let transfer = raw.transfer().await;
        assert_eq!(
            (transfer.status, transfer.body),
            (200, br#"{"bytes":1024}"#.to_vec())
        );
    });
}

#[test]
fn a_body_that_stops_coming_is_408() {
    run(async {
        let host = lone("", "body_time = \"400ms\"").await;
        let mut declared = Raw::post_head(host.public(), "/it/count", 10).await;
        declared.send("abc").await;
        let mut chunks = chunked(&host, "/it/count").await;
        chunks.send("3\r\nabc\r\n").await;
        let begun = Instant::now();
        for raw in [declared, chunks] {
            assert_answer(&raw.transfer().await, 408, "request_timeout");
            assert!(
                begun.elapsed() < Duration::from_secs(3),
                "{:?}",
                begun.elapsed()
            );
        }
        // Slow and steady is fine, for as long as each piece comes in time.
        let mut steady = Raw::post_head(host.public(), "/it/count", 8).await;
        for _ in 0..8 {
            steady.send("x").await;
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
        assert_eq!(steady.transfer().await.status, 200);
    });
}

#[test]
fn a_body_that_is_awaited_at_the_deadline_is_the_clients_fault() {
    run(async {
        let host = shared().await;
        let mut raw = Raw::post_head(host.public(), "/prompt/count", 10).await;
        raw.send("abc").await;
        assert_answer(&raw.transfer().await, 408, "request_timeout");
    });
}

#[test]
fn a_client_that_asks_first_is_told_whether_to_send() {
    run(async {
        let host = shared().await;
        let head = |length: usize| {
            format!(
                "POST /small-body/count HTTP/1.1\r\nhost: test\r\n\
                 expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
            )
        };
        let mut raw = Raw::connect(host.public()).await;
        raw.send(&head(3)).await;
        assert_eq!(raw.response().await.status, 100);
        raw.send("abc").await;
        assert_eq!(raw.response().await.body, br#"{"bytes":3}"#);
        let mut raw = Raw::connect(host.public()).await;
        raw.send(&head(LIMIT + 1)).await;
        assert_answer(&raw.response().await, 413, "body_too_large");
    });
}

#[test]
fn a_body_that_nobody_reads_is_no_obstacle() {
    run(async {
        let host = shared().await;
        let body = Bytes::from(vec![b'x'; 512 << 10]);
        for _ in 0..3 {
            let reply = host
                .api()
                .send(Method::POST, "/plain/ignore-body", &[], body.clone())
                .await;
            reply.expect(200);
        }
    });
}

#[test]
fn a_client_that_goes_away_in_its_body_frees_its_place() {
    run(async {
        let host = lone("in_flight = 1", "queue = 0").await;
        let mut raw = Raw::post_head(host.public(), "/it/count", 10).await;
        raw.send("abc").await;
        warmlink_tests::table::until_in_flight(&host, "it", 1).await;
        raw.abort();
        warmlink_tests::table::until_in_flight(&host, "it", 0).await;
        host.api().get("/it/echo").await.expect(200);
    });
}
